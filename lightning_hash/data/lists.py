"""Readers of the list files that hashing repositories pass around.

Labelled lists (HashNet, DeepHash-pytorch, DHTA) hold ``path l1 ... lC``, ``path class_number`` or
``path class_name`` a line, those of clips (CSQ) ``id class_number path``, parted by tabs. Pairs
(ProS-GAN, CgAT, SAAT; DSDH_PyTorch) hold paths and label rows, or class numbers, in two files. A
list of paths alone has no labels.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lightning_hash.data.clips import ARRAY, VIDEO_EXTENSIONS
from lightning_hash.data.pictures import picture_extensions
from lightning_hash.data.table import Table
from lightning_hash.utils.foreign_files import check_file, check_size

ListFormat = Literal["auto", "labelled", "pair"]
# What stands behind the name of a split, images first; the rest are label files.
PAIR = "_img.txt"
PAIR_LABELS = ("_label.txt", "_label_onehot.txt", "_labels.txt")
NUMBERED = re.compile(rb"\d+\t(\d+)\t(\S.*)")  # id, class number and path
CLASS = re.compile(r"(\d+)\s+(\S.*)")  # number and name
COMMAS = re.compile(rb"[,;]\s*[-+.\d]+\s*$")  # in front of the last number of a line
LARGEST_NUMBER = 10**18 - 1  # int64 holds it
ALIASES = {"query": ("query", "test"), "test": ("test", "query")}


def find_list(folder: Path, name: str, form: ListFormat = "auto") -> tuple[Path, ...]:
    """Find the list of a split in a folder.

    Args:
        folder: where the lists lie.
        name: ``train``, ``query``, ``test``, ``database`` or any other; a missing ``query`` is
            looked for as ``test``, and the other way round.
        form: ``"labelled"`` wants NAME.txt, ``"pair"`` NAME_img.txt beside NAME_label.txt or
            NAME_label_onehot.txt, ``"auto"`` either.

    Returns:
        One path, or the paths of the images' and the labels' file.

    Raises:
        FileNotFoundError: if there is none; the message says what was looked for and what is there.
        ValueError: if both forms are there and ``form`` does not say which.
    """
    for alias in ALIASES.get(name, (name,)):
        found: list[tuple[Path, ...]] = []
        single, images = folder / f"{alias}.txt", folder / f"{alias}{PAIR}"
        if form in ("auto", "labelled") and single.is_file():
            found.append((single,))
        if form in ("auto", "pair") and images.is_file():
            labels = [folder / f"{alias}{end}" for end in PAIR_LABELS]
            found += [(images, file) for file in labels if file.is_file()][:1]
        if len(found) > 1:
            msg = f"{folder}: {single.name} and {images.name} are both there; say format or one"
            raise ValueError(msg)
        if found:
            return found[0]
    there = sorted(path.name for path in folder.glob("*.txt")) if folder.is_dir() else []
    msg = (
        f"{folder}: no list for {name!r}: neither {name}.txt nor {name}{PAIR} with "
        f"{name}{PAIR_LABELS[0]}; there is {', '.join(there) or 'no .txt file'}. Files of other "
        f"names: sources: {{{name}: FILE}} or {{{name}: {{images: FILE, labels: FILE}}}}"
    )
    raise FileNotFoundError(msg)


def read_list(files: tuple[Path, ...]) -> Table:
    """Read a labelled list, or a pair of image and label files.

    Blank lines are left out, of a pair where both files have them; blanks and tabs at the ends of
    lines and CRLF are allowed. One number behind a path, or in a line of a label file, is a class
    number; several are the columns of 0/1. A list whose every line is a path alone has no labels.

    Args:
        files: what :func:`find_list` returned.

    Returns:
        The table. A list of class numbers has labels ``(N, 1)`` of int64 that
        :func:`one_hot` turns into columns, one of class names the places of these among the sorted
        names; one of paths alone has labels ``(N, 0)``.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: naming file and line: an empty list, a line without labels among others, labels
            that are not 0 or 1, another number of labels than the first line, columns that commas
            part, pairs whose lines are not the same.
    """
    if len(files) == 1:
        return _read_labelled(files[0])
    images, labels = (_lines(file) for file in files)
    if len(images) != len(labels):
        msg = (
            f"{files[0]} has {len(images)} items and {files[1]} has {len(labels)} rows of labels; "
            "a pair must have as many of both"
        )
        raise ValueError(msg)
    for (image, path), (label, _) in zip(images, labels, strict=True):
        if image != label:
            msg = (
                f"{files[0]}:{image} has {_shown(path)}, whose labels are in line {label} of "
                f"{files[1]}; blank lines must stand in the same places of both"
            )
            raise ValueError(msg)
    width = len(labels[0][1].split())
    rows: NDArray[np.integer[Any]] = (
        _class_numbers(labels, files[1]) if width == 1 else _label_rows(labels, width, files[1])
    )
    numbers = np.array([number for number, _ in images])
    return Table([_text(line, files[0], n) for n, line in images], rows, str(files[0]), numbers)


def read_names(argument: str, names: list[str] | str | None) -> list[str] | None:
    """Read class names from a file that has one a line, unless they are given themselves.

    Lines of ``number name``, counted from 0 or 1 (CSQ, UCF-101), are those names.

    Args:
        argument: the argument's name, for the messages.
        names: the names, or the path of the file.

    Returns:
        The names, or ``None`` where none were given.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if it is empty, or a name stands there twice.
    """
    if isinstance(names, str):
        file = Path(names)
        names = [_text(line, file, number) for number, line in _lines(file)]
        counted = [CLASS.fullmatch(name) for name in names]
        numbers = [int(match[1]) for match in counted if match]
        if numbers in ([*range(len(names))], [*range(1, len(names) + 1)]):
            names = [match[2] for match in counted if match]
    twice = [name for name, count in Counter(names or []).items() if count > 1]
    if twice:
        msg = f"{argument}: {twice[0]!r} is there twice; a class is one label column"
        raise ValueError(msg)
    return names


def one_hot(table: Table, classes: int, first: int = 0) -> NDArray[np.uint8]:
    """Turn class numbers into label columns.

    Args:
        table: a table; labels of 0/1 are returned as they are.
        classes: C.
        first: the lowest class number there may be, that of the first column.

    Returns:
        uint8 ``(N, C)``.

    Raises:
        ValueError: naming file and line, if a class number is not in [first, first + C); or if the
            labels do not fit into memory.
    """
    if table.labels.dtype == np.uint8:
        return np.asarray(table.labels, np.uint8)
    numbers = table.labels[:, 0] - first
    bad = np.flatnonzero((numbers < 0) | (numbers >= classes))
    if len(bad):
        msg = (
            f"{table.where(int(bad[0]))}: class number must be in {first}..{first + classes - 1}, "
            f"got {table.labels[bad[0], 0]}"
        )
        raise ValueError(msg)
    what = f"{table.source}: labels of {len(numbers)} items and {classes} classes"
    check_size(len(numbers) * classes, what)
    try:
        rows = np.zeros((len(numbers), classes), np.uint8)
    except MemoryError as error:
        need = f"{len(numbers) * classes / 2**30:.3g} GiB"
        msg = f"{what} need {need}; give fewer items or classes"
        raise ValueError(msg) from error
    rows[np.arange(len(numbers)), numbers] = 1
    return rows


def _lines(file: Path) -> list[tuple[int, bytes]]:
    """Return the lines that are not blank, stripped, with their numbers."""
    check_file(file)
    if not file.is_file():
        msg = f"{file} does not exist"
        raise FileNotFoundError(msg)
    content = file.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    lines = [(number, line.strip()) for number, line in enumerate(content, 1) if line.strip()]
    if not lines:
        msg = f"{file} is empty; a list must have at least one item"
        raise ValueError(msg)
    return lines


def _read_labelled(file: Path) -> Table:
    lines = _lines(file)
    for number, line in lines:
        if COMMAS.search(line):
            msg = (
                f"{file}:{number}: labels are parted by blanks or tabs, got {_shown(line)}; give "
                "a table with commas as .csv to CSVDataModule"
            )
            raise ValueError(msg)
    numbered = [NUMBERED.fullmatch(line) for _, line in lines]
    if all(numbered):
        found = zip(lines, numbered, strict=True)
        return _table(file, [(number, m[2], m[1]) for (number, _), m in found if m], 1)
    tokens = lines[0][1].split()
    width = 0
    while width < len(tokens) - 1 and _is_number(tokens[-1 - width]):
        width += 1
    if width == 0:
        ends = [(number, line.split()[1:]) for number, line in lines]
        labelled = [number for number, end in ends if end and _is_float(end[-1])]
        if labelled[:1] == [lines[0][0]]:
            msg = f"{file}:{labelled[0]}: labels must be 0 or 1, got {_shown(lines[0][1])}"
            raise ValueError(msg)
        if labelled:
            msg = (
                f"{file}:{lines[0][0]}: no labels behind the path, line {labelled[0]} has some; a "
                "line is 'path l1 ... lC' or 'path class_number', or every line a path alone; got "
                f"{_shown(lines[0][1])}"
            )
            raise ValueError(msg)
        named = _named(lines, file)
        if named is not None:
            return named
        alone = [_text(line, file, number) for number, line in lines]
        empty = np.zeros((len(lines), 0), np.uint8)
        return Table(alone, empty, str(file), np.array([number for number, _ in lines]))
    rows: list[tuple[int, bytes, bytes]] = []
    for number, line in lines:
        parts = line.rsplit(None, 1) if width == 1 else _split(line, width)
        if len(parts) != 2:
            msg = f"{file}:{number}: {width} labels behind a path expected, got {_shown(line)}"
            raise ValueError(msg)
        path = parts[0].rstrip()
        if path[-2:] in (b" 0", b" 1", b"\t0", b"\t1"):
            msg = (
                f"{file}:{number}: more than {width} labels, the number in the first line; got "
                f"{_shown(line)}"
            )
            raise ValueError(msg)
        end = path.split()[1:]
        if end and not _is_number(end[-1]) and _is_float(end[-1]):
            msg = f"{file}:{number}: labels must be 0 or 1, got {_shown(line)}"
            raise ValueError(msg)
        rows.append((number, path, parts[1]))
    return _table(file, rows, width)


def _table(file: Path, rows: list[tuple[int, bytes, bytes]], width: int) -> Table:
    """Make a table of line numbers, paths and labels: class numbers where these are one wide."""
    paths = [_text(path, file, number) for number, path, _ in rows]
    labels = [(number, label) for number, _, label in rows]
    found: NDArray[np.integer[Any]] = (
        _class_numbers(labels, file) if width == 1 else _label_rows(labels, width, file)
    )
    return Table(paths, found, str(file), np.array([number for number, _, _ in rows]))


def _named(lines: list[tuple[int, bytes]], file: Path) -> Table | None:
    """Read lines of ``path class_name``; ``None`` if they are paths alone.

    A path ends as pictures or clips do, a class name does not. Behind a tab it may have blanks.
    """
    known = (*picture_extensions(), *VIDEO_EXTENSIONS, ARRAY)
    ending = rf"(?:{'|'.join(map(re.escape, known))})".encode()
    form = re.compile(rb"(\S.*?" + ending + rb")[ \t]+(\S.*)", re.IGNORECASE)
    path_end = re.compile(ending + rb"$", re.IGNORECASE)
    matches = [form.fullmatch(line) for _, line in lines]
    behind = [m is not None and not path_end.search(m[2]) for m in matches]
    if not any(behind):
        return None
    for (number, line), match, named in zip(lines, matches, behind, strict=True):
        if match is None or not named or (b"\t" not in line and len(match[2].split()) > 1):
            msg = (
                f"{file}:{number}: one class name behind a path expected, as in line "
                f"{lines[behind.index(True)][0]}, got {_shown(line)}; give items of several labels "
                "as .csv to CSVDataModule"
            )
            raise ValueError(msg)
    found = [(number, m[1], m[2]) for (number, _), m in zip(lines, matches, strict=True) if m]
    names = [_text(name, file, number) for number, _, name in found]
    classes = sorted({*names})
    places = {name: place for place, name in enumerate(classes)}
    numbers = np.array([[places[name]] for name in names], np.int64)
    paths = [_text(path, file, number) for number, path, _ in found]
    return Table(paths, numbers, str(file), np.array([n for n, _, _ in found]), classes)


def _split(line: bytes, width: int) -> list[bytes]:
    """Split a line into its path and its labels; a list of another length if it has too few."""
    tail = 2 * width - 1
    labels = line[-tail:]
    # One blank between labels of one digit, as nearly every list has it: no need to take it apart.
    if len(line) > tail and labels[1::2].strip() == b"" and line[-tail - 1 : -tail].isspace():
        return [line[: -tail - 1], labels]
    parts = line.rsplit(None, width)
    return [parts[0], b" ".join(parts[1:])] if len(parts) == width + 1 else [line]


def _label_rows(lines: list[tuple[int, bytes]], width: int, file: Path) -> NDArray[np.uint8]:
    rows = np.empty((len(lines), width), np.uint8)
    tail = 2 * width - 1
    for place, (number, text) in enumerate(lines):
        if len(text) == tail and text[1::2].strip() == b"":
            row = np.frombuffer(text, np.uint8)[::2] - 48
        else:
            tokens = text.split()
            if len(tokens) != width:
                msg = (
                    f"{file}:{number}: {width} labels expected, as in the first line, got "
                    f"{len(tokens)}"
                )
                raise ValueError(msg)
            row = np.array([_zero_or_one(token) for token in tokens], np.uint8)
        if row.max() > 1:
            msg = f"{file}:{number}: labels must be 0 or 1, got {_shown(text)}"
            raise ValueError(msg)
        rows[place] = row
    return rows


def _zero_or_one(token: bytes) -> int:
    """Return the label that a token is, as numpy.savetxt may have it; 255 if it is none."""
    return {0.0: 0, 1.0: 1}.get(float(token), 255) if _is_float(token) else 255


def _class_numbers(lines: list[tuple[int, bytes]], file: Path) -> NDArray[np.int64]:
    numbers = np.empty((len(lines), 1), np.int64)
    for place, (number, token) in enumerate(lines):
        if not token.isdigit():
            msg = (
                f"{file}:{number}: a class number expected, as in the first line, got "
                f"{_shown(token)}"
            )
            raise ValueError(msg)
        if int(token) > LARGEST_NUMBER:
            msg = (
                f"{file}:{number}: a class number has at most 18 digits, got {_shown(token)}; is "
                "it one? number the classes from 0"
            )
            raise ValueError(msg)
        numbers[place] = int(token)
    return numbers


def _is_float(token: bytes) -> bool:
    try:
        float(token)
    except ValueError:
        return False
    return True


def _is_number(token: bytes) -> bool:
    return token.isdigit() or _zero_or_one(token) != 255


def _text(line: bytes, file: Path, number: int) -> str:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        msg = f"{file}:{number}: the path is not UTF-8, got {_shown(line)}; save the file as UTF-8"
        raise ValueError(msg) from error
    if "\0" in text:
        msg = f"{file}:{number}: a NUL byte, which no path has, in {_shown(line)}; write it again"
        raise ValueError(msg)
    return text


def _shown(line: bytes) -> str:
    text = line.decode(errors="replace")
    return repr(text if len(text) <= 60 else f"{text[:40]} ... {text[-15:]}")
