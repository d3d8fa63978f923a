"""A hub in a folder, which a server of this machine shows as huggingface.co does."""

import hashlib
import shutil
import threading
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef" * 2 + "01234567"


class _Pages(BaseHTTPRequestHandler):
    def __init__(self, top, asked, *rest):
        self.top, self.asked = top, asked
        super().__init__(*rest)

    def do_HEAD(self):
        self.answer(whole=False)

    def do_GET(self):
        self.answer(whole=True)

    def answer(self, whole):
        self.asked.append(self.path)
        owner, name, _, revision, file = self.path.strip("/").split("/", 4)
        place = self.top / owner / name
        missing = None
        if not place.is_dir():
            missing = "RepoNotFound"
        elif revision not in ("main", "v1", COMMIT):
            missing = "RevisionNotFound"
        elif not (place / file).is_file():
            missing = "EntryNotFound"
        content = b"" if missing else (place / file).read_bytes()
        self.send_response(404 if missing else 200)
        if missing:
            self.send_header("X-Error-Code", missing)
        else:
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if whole:
            self.wfile.write(content)

    def log_message(self, *args):
        pass


@contextmanager
def hub_in(top):
    """Yield the address of a hub whose repositories are folders, and the list of what is asked."""
    asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Pages, Path(top), asked))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def uploads_to(top):
    """Return what stands for ``create_repo`` and ``upload_folder``."""

    def create_repo(repo_id, private=False, exist_ok=False):
        assert exist_ok
        (Path(top) / repo_id).mkdir(parents=True, exist_ok=True)

    def upload_folder(repo_id, folder_path, revision=None, commit_message=None):
        shutil.copytree(folder_path, Path(top) / repo_id, dirs_exist_ok=True)

    return create_repo, upload_folder
