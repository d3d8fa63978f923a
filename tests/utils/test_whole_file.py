import errno
import fcntl
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lightning_hash.utils import whole_file as module
from lightning_hash.utils.whole_file import (
    part_of,
    ready_file,
    ready_folder,
    remove_parts,
    warn_of_space,
    whole_file,
    write_whole,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_a_file_has_the_mode_of_the_umask(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_whole(tmp_path / "new" / "a", b"content")
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "a").stat().st_mode & 0o777 == mode
    assert names(tmp_path / "new") == ["a"]


@pytest.mark.parametrize("kind", [OSError(errno.ENOSPC, "No space left on device"), KeyError("x")])
def test_what_was_there_stays_where_writing_fails(tmp_path, kind):
    path = tmp_path / "a"
    write_whole(path, b"before")

    def write():
        with whole_file(path) as temporary:
            temporary.write_bytes(b"half")
            raise kind

    with pytest.raises(type(kind)) as error:
        write()
    assert path.read_bytes() == b"before"
    assert names(tmp_path) == ["a"]
    if isinstance(kind, OSError):
        assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(path))


def left_by_a_kill(folder, name):
    code = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from lightning_hash.utils.whole_file import whole_file\n"
        "with whole_file(Path(sys.argv[1])) as t:\n"
        "    t.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder / name)], check=False)
    (left,) = folder.glob(f".{name}.*.part")
    return left


def test_what_a_kill_has_left_is_removed(tmp_path):
    deep = tmp_path / "images" / "000001"
    deep.mkdir(parents=True)
    left = [left_by_a_kill(tmp_path, "last.ckpt"), left_by_a_kill(deep, "a.png")]
    assert all(path.is_file() for path in left)
    others = [tmp_path / ".own.part", tmp_path / f".a.{socket.gethostname()}.12.parts"]
    for path in others:
        path.write_text("")
    with whole_file(tmp_path / "mine") as temporary:
        temporary.write_bytes(b"1")
        remove_parts(tmp_path)
    assert names(tmp_path) == sorted([*(path.name for path in others), "images", "mine"])
    assert names(deep) == []


def test_what_another_machine_writes_is_left_alone(tmp_path):
    old, new, held = (tmp_path / f".{name}.elsewhere.1.part" for name in ("a", "b", "c"))
    for path in (old, new, held):
        path.write_bytes(b"half")
    for path in (old, held):
        os.utime(path, (time.time() - 3600,) * 2)
    with held.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        remove_parts(tmp_path)
    assert names(tmp_path) == [new.name, held.name]


def test_a_folder_that_a_kill_has_left_goes_once_nobody_fills_it(tmp_path, monkeypatch):
    folder = part_of(tmp_path / "features")
    folder.mkdir()
    with (folder / "a.npy").open("wb") as file:
        monkeypatch.setattr(module, "_lives", lambda pid: False)
        fcntl.flock(file, fcntl.LOCK_EX)
        remove_parts(tmp_path)
        assert names(tmp_path) == [folder.name]
    remove_parts(tmp_path)
    assert names(tmp_path) == []


def test_places_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    message = r"^run folder .*file/a cannot be written to \(.*/file is a file\); try b$"
    with pytest.raises(OSError, match=message):
        ready_folder(tmp_path / "file" / "a", "run folder", "try b")
    with pytest.raises(OSError, match=r"^run folder .*file cannot .*/file is a file\); try b$"):
        ready_folder(tmp_path / "file", "run folder", "try b")
    with pytest.raises(OSError, match=r"^output .*: its folder .*/file is a file\); try b$"):
        ready_file(tmp_path / "file" / "a.txt", "output", "try b")
    with pytest.raises(IsADirectoryError, match=r"^output .* \(it is a folder\); try b$"):
        ready_file(tmp_path, "output", "try b")
    with pytest.raises(OSError, match=r"^run folder /proc/a cannot be written to \(No such"):
        ready_folder(Path("/proc/a"), "run folder", "try b")
    ready_folder(tmp_path / "new" / "a", "run folder", "try b")
    assert names(tmp_path / "new" / "a") == []


def test_a_full_disk_is_found_before_the_work(tmp_path, monkeypatch):
    def full(self, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr(module, "free_space", lambda path: 1_250_000)
    with pytest.raises(OSError, match=r"\(no space left, 1\.2 MB free\); try b$"):
        ready_folder(tmp_path, "run folder", "try b")
    assert names(tmp_path) == []


def test_a_disk_that_has_less_than_is_needed(tmp_path, monkeypatch, recwarn):
    monkeypatch.setattr(module, "free_space", lambda path: 2_000_000)
    warn_of_space(tmp_path / "not" / "there", 2_000_000, "try b")
    assert not recwarn
    with pytest.warns(UserWarning, match=r": 2\.0 MB free, and about 3\.1 MB will be written"):
        warn_of_space(tmp_path, 3_100_000, "try b")
