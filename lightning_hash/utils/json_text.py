"""JSON files of others: read whole, or refused in one line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning_hash.utils.foreign_files import read_bytes

_SHOWN = 60  # letters of a value in a message


def read_json(path: Path, said: str, remedy: str) -> Any:
    """Read a JSON file.

    Args:
        path: the file, in UTF-8, with a byte order mark or without.
        said: what to call it in an error, such as its path.
        remedy: what to do where it cannot be read.

    Returns:
        What it holds.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is empty, no UTF-8, no JSON, nested beyond all sense, or names a value
            twice.
    """
    try:
        content = read_bytes(path)
    except ValueError as error:  # no regular file, or too large
        msg = f"{said} is not read: {error}"
        raise ValueError(msg) from error
    return parse_json(content, said, remedy)


def parse_json(content: bytes | str, said: str, remedy: str) -> Any:
    """Read JSON.

    Args:
        content: text, or bytes of UTF-8.
        said: what to call it in an error.
        remedy: what to do where it cannot be read.

    Returns:
        What it holds.

    Raises:
        ValueError: as :func:`read_json`.

    Example:
        >>> parse_json("[1, 2", "rows.json", "write it anew")
        Traceback (most recent call last):
        ValueError: rows.json is no JSON: line 1, Expecting ',' delimiter; write it anew
    """
    if not content.strip():
        msg = f"{said} is no JSON: it is empty; {remedy}"
        raise ValueError(msg)
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
        return json.loads(text, object_pairs_hook=_once)
    except UnicodeDecodeError as error:
        msg = f"{said} is no JSON: it has bytes that are no UTF-8 text; {remedy}"
        raise ValueError(msg) from error
    except json.JSONDecodeError as error:
        msg = f"{said} is no JSON: line {error.lineno}, {error.msg}; {remedy}"
        raise ValueError(msg) from error
    except _TwiceError as error:
        msg = f"{said}: {brief(error.args[0])} stands twice in one mapping; {remedy}"
        raise ValueError(msg) from error
    except RecursionError as error:
        msg = f"{said} is nested too deeply to be read; {remedy}"
        raise ValueError(msg) from error
    except ValueError as error:  # a number of more digits than Python reads
        msg = f"{said} is no JSON: {error}; {remedy}"
        raise ValueError(msg) from error


def brief(value: Any) -> str:
    """Write a value for a message, a long one by its begin and its end.

    Example:
        >>> brief("x" * 200)
        "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx ... xxxxxxxxxxxxxx'"
    """
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 20]} ... {text[-15:]}"


class _TwiceError(Exception):
    """A name that stands twice in a mapping."""


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(next(name for name in names if names.count(name) > 1))
    return found
