"""Files that are either whole or not there."""

import os
import socket
from pathlib import Path


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file beside its place and put it there in one move.

    Whoever reads meanwhile sees the old file or the new one, and so does everybody after a kill or
    a full disk. Of several processes that write one file, the last one wins.

    Args:
        path: where; its folder is made.
        content: what.

    Raises:
        OSError: if the file cannot be written; the one that was there before stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Processes of several machines may write on one disk.
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
