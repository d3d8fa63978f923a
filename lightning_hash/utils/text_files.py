"""Text files of others, whatever the locale of the machine."""

from pathlib import Path

from lightning_hash.utils.foreign_files import read_bytes


def read_utf8(path: Path, said: str) -> str:
    """Read a text file of UTF-8, with a byte order mark or without.

    Args:
        path: the file.
        said: what to call it in an error, such as its path.

    Returns:
        Its text, with the line ends that it has.

    Raises:
        OSError: if it cannot be read.
        ValueError: naming the line, if it is no UTF-8.
    """
    try:
        content = read_bytes(path)
    except ValueError as error:  # no regular file, or too large
        msg = f"{said} is not read: {error}"
        raise ValueError(msg) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        msg = f"{said}:{line}: is no UTF-8 text ({error.reason}); save it as UTF-8"
        raise ValueError(msg) from error


def utf8(text: str) -> bytes:
    r"""Encode a text that may hold bytes of a path that are no UTF-8; these are escaped.

    Example:
        >>> utf8("caf\udce9")
        b'caf\\udce9'
    """
    return text.encode(errors="backslashreplace")
