"""Files that are either whole or not there, and places that can hold them."""

import errno
import fcntl
import os
import re
import shutil
import socket
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PART = ".part"
FULL = (errno.ENOSPC, errno.EDQUOT)
FOREIGN_AGE = 600.0  # seconds; whether a process of another machine lives cannot be asked


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a place beside a file to write to; it takes the file's name when all is written.

    Whoever reads meanwhile sees the old file or the new one, and so does everybody after a kill or
    a full disk. Of several processes that write one file, the last one wins.

    Args:
        path: the file; its folder is made. It gets the mode that the umask says.

    Yields:
        A file to open for writing.

    Raises:
        OSError: if the file cannot be written, with its path; the one that was there before stays.
    """
    temporary = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW  # a link there is not ours
        descriptor = os.open(temporary, flags, 0o666)
        try:
            lock(descriptor)
            yield temporary
            os.fsync(descriptor)
            temporary.replace(path)
        finally:
            os.close(descriptor)
            temporary.unlink(missing_ok=True)
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """Write a file as :func:`whole_file` does.

    Args:
        path: where; its folder is made.
        content: what.

    Raises:
        OSError: if the file cannot be written, with its path; the one that was there before stays.
    """
    with whole_file(path) as temporary, temporary.open("wb") as file:
        file.write(content)


def part_of(path: Path) -> Path:
    """Return a place beside a file or folder, of this process alone, to make it in.

    What a kill leaves there :func:`remove_parts` removes, unless it holds a locked file.
    """
    # Processes of several machines may write on one disk.
    return path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}{PART}")


def lock(descriptor: int) -> bool:
    """Lock an open file until it is closed; return whether nobody else has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # not every disk has locks
        return True
    return True


def remove_parts(folder: Path) -> None:
    """Remove what processes that were killed in the midst of writing have left.

    Args:
        folder: where to look for what :func:`part_of` names, and in its folders and theirs; what
            cannot be removed stays.
    """
    found = [path for inside in ("", "*/", "*/*/") for path in folder.glob(f"{inside}.*{PART}")]
    home = folder.resolve()
    found = [path for path in found if path.parent.resolve().is_relative_to(home)]  # no links out
    for path in found:
        pid = re.search(rf"\.(\d+){re.escape(PART)}$", path.name)
        if pid is None:
            continue
        own = path.name.endswith(f".{socket.gethostname()}{pid[0]}")
        try:
            age = time.time() - path.stat().st_mtime
            left = not _lives(int(pid[1])) if own else age > FOREIGN_AGE
            if left and all(map(_unlocked, path.iterdir() if path.is_dir() else [path])):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError:  # meanwhile finished or removed, or somebody else's
            continue


def ready_folder(folder: Path, what: str, remedy: str) -> None:
    """Find out before the work whether a folder can be written to, and clean what kills have left.

    Args:
        folder: the folder, which is made.
        what: what to call it.
        remedy: what to do where it cannot be written to.

    Raises:
        OSError: if it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_parts(folder)
        probe = folder / ".writable"
        with whole_file(probe) as temporary:  # a full disk takes the name of a file, but no block
            temporary.write_bytes(bytes(4096))
        probe.unlink(missing_ok=True)  # another process may try the same place
    except OSError as error:
        reason = reason_of(error, folder)
        msg = f"{what} {folder} cannot be written to ({reason}); {remedy}"
        raise OSError(msg) from error


def ready_file(path: Path, what: str, remedy: str) -> None:
    """Find out before the work whether a file can be written.

    Args:
        path: the file; its folder is made.
        what: what to call it.
        remedy: what to do where it cannot be written.

    Raises:
        OSError: if it cannot.
    """
    if path.is_dir():
        msg = f"{what} {path} cannot be written to (it is a folder); {remedy}"
        raise IsADirectoryError(msg)
    if path.exists() and not path.is_file():  # a file would take the place of /dev/null
        msg = f"{what} {path} cannot be written to (it is a pipe or a device); {remedy}"
        raise OSError(msg)
    ready_folder(path.parent, f"{what} {path}: its folder", remedy)


def warn_of_space(folder: Path, needed: float, remedy: str) -> None:
    """Warn before the work where a disk has less space than what will be written.

    Args:
        folder: where it will be written.
        needed: bytes.
        remedy: what to do.
    """
    free = free_space(folder)
    if free < needed:
        warnings.warn(
            f"{folder}: {megabytes(free)} free, and about {megabytes(needed)} will be written; "
            f"make room, or {remedy}",
            stacklevel=2,
        )


def reason_of(error: OSError, place: Path) -> str:
    """Say why a place cannot be written to, of a full disk with its space.

    Args:
        error: what the system said.
        place: a file or folder.
    """
    if error.errno in FULL:
        return f"no space left, {megabytes(free_space(place))} free"
    file = next((each for each in (place, *place.parents) if each.is_file()), None)
    return str(error.strerror) if file is None else f"{file} is a file"


def free_space(path: Path) -> int:
    """Return the free bytes of the disk that a path is on, or would be."""
    there = next(each for each in (path, *path.absolute().parents) if each.exists())
    return shutil.disk_usage(there).free


def megabytes(count: float) -> str:
    """Return a number of bytes as text.

    Example:
        >>> megabytes(1_260_000)
        '1.3 MB'
    """
    return f"{count / 1e6:.1f} MB"


def _unlocked(path: Path) -> bool:
    # A pipe would keep it waiting, and a link is not ours.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        return lock(descriptor)
    finally:
        os.close(descriptor)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of somebody else
        return True
    return True
