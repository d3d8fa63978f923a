"""Files of others, looked at before they are read: what would hang, or fill the memory, is refused.

A named pipe keeps a reader waiting for ever, a device has no end, and a header of a few bytes can
declare more than any machine has. Readers call :func:`check_file` first; what they say of files
that are absent, truncated or of another kind is their own.
"""

import math
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, ZipFile

GIB = 2**30
NUMPY = b"\x93NUMPY"  # a .npy begins so
MOST_TEXT = GIB  # bytes of JSON, which takes a multiple of it in memory
MOST_PIXELS = 89_478_485  # above which Pillow itself warns
# Above both an archive is a bomb: of numbers, deflate makes a tenth at best.
BOMB, RATIO = GIB, 200
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def check_file(path: Path, called: str | None = None, *, whole: bool = True) -> None:
    """Refuse what is there and no regular file, or would need more memory than there is.

    Args:
        path: of a file; where nothing is, nothing is said.
        called: what to call it; its path by default.
        whole: whether all of it is read at once.

    Raises:
        ValueError: if it is a folder, a pipe, a socket or a device; if it is larger than the memory
            and read whole; or if an archive or an array in it declares more than it can hold or the
            memory has.
    """
    said = str(path) if called is None else called
    try:
        status = path.stat()
    except (OSError, ValueError):  # absent, out of reach, or no path at all: the reader says so
        return
    kind = next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), None)
    if kind is not None:
        msg = f"{said} is {kind}, no file; give a file"
        raise ValueError(msg)
    if whole:
        check_size(status.st_size, said)
    if not os.access(path, os.R_OK):
        return
    with path.open("rb") as file:
        head = file.read(6)
        if head.startswith(b"PK\x03\x04"):
            _check_archive(file, status.st_size, said)
        elif head == NUMPY:
            file.seek(0)
            _check_array(file, status.st_size, said, whole=whole)


def check_size(size: int, called: str) -> None:
    """Refuse what does not fit into the memory of this machine.

    Args:
        size: bytes that it takes.
        called: what to call it.

    Raises:
        ValueError: naming both sizes.
    """
    memory = _memory()
    if size > memory:
        msg = (
            f"{called} would take {size / GIB:,.3g} GiB, and this machine has "
            f"{memory / GIB:.3g} GiB of memory"
        )
        raise ValueError(msg)


def check_pixels(width: int, height: int) -> None:
    """Refuse a picture that is too large to decode.

    Args:
        width: pixels that its header declares.
        height: the same.

    Raises:
        ValueError: naming both, and the limit.
    """
    if width * height > MOST_PIXELS:
        msg = f"it has {width} x {height} pixels, at most {MOST_PIXELS:,} are read: save it smaller"
        raise ValueError(msg)


def read_bytes(path: Path, most: int = MOST_TEXT) -> bytes:
    """Read a file.

    Args:
        path: the file.
        most: bytes that it may have.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no regular file or too large; without the file's name.
    """
    if not path.is_dir():  # which the system itself refuses to read
        check_file(path, "it")
    size = path.stat().st_size
    if size > most:
        msg = f"it has {size / 2**20:,.0f} MiB, and such a file has at most {most / 2**20:,.0f}"
        raise ValueError(msg)
    return path.read_bytes()


def _check_archive(file: IO[bytes], packed: int, called: str) -> None:
    """Look at what the members of a zip declare; a damaged archive is the reader's."""
    try:
        with ZipFile(file) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > BOMB and size > RATIO * packed:
                msg = (
                    f"{called} has {packed:,} bytes and unpacks to {size / GIB:,.3g} GiB: a zip "
                    "bomb? Save it without compression if it is meant"
                )
                raise ValueError(msg)
            check_size(size, called)
            for member in members:
                if member.filename.endswith(".npy"):
                    with archive.open(member) as array:
                        _check_array(array, member.file_size, f"{called}:{member.filename[:-4]}")
    except (BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError):
        return


def _check_array(file: IO[bytes], size: int, called: str, *, whole: bool = True) -> None:
    """Compare what the header of a .npy declares with what the file holds."""
    import numpy as np  # what needs no arrays starts without it

    form: Any = np.lib.format
    try:
        read = form.read_array_header_1_0 if form.read_magic(file) == (1, 0) else None
        shape, _, dtype = (read or form.read_array_header_2_0)(file)
    except Exception:  # a damaged header breaks its parser in many ways: the reader says so
        return
    if dtype.hasobject:
        return
    declared = math.prod(shape) * dtype.itemsize
    if declared > size:
        dimensions = " x ".join(map(str, shape))
        msg = (
            f"{called} declares {dimensions} values of {dtype}, {declared:,} bytes, and holds "
            f"{size:,}: truncated?"
        )
        raise ValueError(msg)
    if whole:
        check_size(declared, called)


def _memory() -> int:
    """Return the bytes of memory that this process may have: the machine's, or its group's."""
    least = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no such group, or one without a limit ("max")
        least = min(least, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return least
