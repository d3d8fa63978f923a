"""Sources whose files have names of their own: one list, parts of one, or images beside labels."""

from collections.abc import Sequence
from dataclasses import replace
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_hash.data.lists import read_list
from lightning_hash.data.table import Table
from lightning_hash.utils.array_files import read_array
from lightning_hash.utils.array_names import TEXT, natural_order, split_name
from lightning_hash.utils.label_values import lie_down, to_labels

KEYS = {"images", "labels"}


def check_sources(sources: dict[str, Any]) -> None:
    """Check what files sources are said to have.

    Args:
        sources: by name: a file or a pattern such as ``test/test*.txt``, several of these, or
            ``{images: ..., labels: ...}`` of them.

    Raises:
        ValueError: naming the source that is none of these.
    """
    for name, given in sources.items():
        parts = list(given.values()) if isinstance(given, dict) else [given]
        named = not isinstance(given, dict) or set(given) == KEYS
        if not named or not all(_patterns(part) for part in parts):
            msg = (
                f"sources: {name} must be a file, a list of files, or {{images: FILE, labels: "
                f"FILE}}, got {given!r}"
            )
            raise ValueError(msg)


def read_source(name: str, given: Any, folder: Path) -> Table:
    """Read a source that names its files; several are joined in their order.

    Args:
        name: the source, for the messages.
        given: as in :func:`check_sources`.
        folder: what the files are relative to.

    Returns:
        The table. Class numbers and names are those of all files together.

    Raises:
        FileNotFoundError: if a file does not exist, or none fits a pattern.
        ValueError: if a file cannot be read, or they do not go together.
    """
    if not isinstance(given, dict):
        return join_tables([read_list((file,)) for file in _files(name, given, folder)])
    images, labels = (_files(name, given[key], folder) for key in ("images", "labels"))
    if len(images) != len(labels):
        msg = (
            f"sources: {name} has {len(images)} files of images and {len(labels)} of labels; there "
            "must be as many of both"
        )
        raise ValueError(msg)
    return join_tables([_pair(*files) for files in zip(images, labels, strict=True)])


def join_tables(tables: Sequence[Table]) -> Table:
    """Put tables behind each other.

    Args:
        tables: of label rows as wide as each other, or all of class numbers, or of class names.

    Raises:
        ValueError: naming two that are not alike.
    """
    first = tables[0]
    if len(tables) == 1:
        return first
    for other in tables[1:]:
        alike = first.labels.dtype == other.labels.dtype
        alike &= (first.class_names is None) == (other.class_names is None)
        if not alike or first.labels.shape[1] != other.labels.shape[1]:
            msg = (
                f"{first.source} and {other.source} cannot be joined: their labels are "
                f"{_kind(first)} and {_kind(other)}"
            )
            raise ValueError(msg)
    tables, names = one_naming(tables)
    return Table(
        [path for table in tables for path in table.paths],
        np.concatenate([table.labels for table in tables]),
        first.source,
        np.concatenate([_lines(table) for table in tables]),
        names,
        files=[table.source for table in tables for _ in table.paths],
    )


def one_naming(
    tables: Sequence[Table], names: list[str] | None = None
) -> tuple[list[Table], list[str] | None]:
    """Number the classes of tables of class names alike.

    Args:
        tables: those of class names are changed.
        names: all names in their order; those that occur, sorted, by default.

    Returns:
        The tables, and the names; ``None`` where no table has class names.

    Raises:
        ValueError: naming list and line, if a class is none of ``names``.
    """
    named = [table for table in tables if _is_named(table)]
    if not named:
        return list(tables), names
    found = sorted({name for table in named for name in table.class_names or ()})
    classes = found if names is None else names
    places = {name: place for place, name in enumerate(classes)}
    changed = []
    for table in tables:
        if not _is_named(table):
            changed.append(table)
            continue
        own = [(table.class_names or [])[number] for number in table.labels[:, 0]]
        for row, name in enumerate(own):
            if name not in places:
                msg = f"{table.where(row)}: class {name!r} is none of class_names"
                raise ValueError(msg)
        numbers = np.array([[places[name]] for name in own], np.int64).reshape(-1, 1)
        changed.append(replace(table, labels=numbers, class_names=list(classes)))
    return changed, list(classes)


def _is_named(table: Table) -> bool:
    return table.class_names is not None and table.labels.dtype != np.uint8


def _kind(table: Table) -> str:
    if table.labels.dtype != np.uint8:
        return "class numbers" if table.class_names is None else "class names"
    return f"{table.labels.shape[1]} columns"


def _lines(table: Table) -> NDArray[np.int64]:
    return np.arange(1, len(table) + 1) if table.lines is None else table.lines


def _patterns(given: Any) -> list[str]:
    """Return files and patterns as a list; empty if they are none."""
    listed = given if isinstance(given, list) else [given]
    return listed if all(isinstance(each, str) and each for each in listed) else []


def _files(name: str, given: Any, folder: Path) -> list[Path]:
    found: list[Path] = []
    for pattern in _patterns(given):
        file = folder / pattern
        if split_name(str(file))[0].is_file():
            found.append(file)
            continue
        fits = [folder / fit for fit in sorted(glob(pattern, root_dir=folder), key=natural_order)]
        if not fits:
            there = sorted(path.name for path in file.parent.glob("*") if path.is_file())
            shown = ", ".join(there[:10]) or "no file"
            msg = f"sources: {name} has no file {file}; there is {shown}"
            raise FileNotFoundError(msg)
        found += fits
    return found


def _pair(images: Path, labels: Path) -> Table:
    if images.suffix == labels.suffix == ".txt":
        return read_list((images, labels))
    paths = _strings(images)
    values = read_array(str(labels))
    turned = lie_down(values) and values.shape[1] == len(paths)
    rows = to_labels(values.T if turned else values, str(labels))
    if len(rows) != len(paths):
        msg = f"{images} has {len(paths)} items and {labels} has {len(rows)} rows of labels"
        raise ValueError(msg)
    numbers = rows.reshape(-1, 1) if rows.ndim == 1 else rows
    return Table(paths, numbers, str(images), np.arange(1, len(paths) + 1))


def _strings(file: Path) -> list[str]:
    """Read paths: a text with one a line, or an array of texts, such as a cell array of MATLAB."""
    if file.suffix in TEXT:
        return read_list((file,)).paths
    values = read_array(str(file))
    found = [_string(value) for value in values.reshape(-1)]
    if not found or not all(found):
        msg = f"{file} must hold the path of each item, got {values.dtype} {values.shape}"
        raise ValueError(msg)
    return [str(text) for text in found]


def _string(value: Any) -> str | None:
    """Return a text, which MATLAB wraps into arrays of one."""
    while isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    return value.strip() if isinstance(value, str) else None
