"""Arrays in the files that people exchange: numpy's, MATLAB's, torch's, and text."""

import pickle
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_hash.utils.array_names import ARRAY_SUFFIXES, TEXT, TORCH, split_name
from lightning_hash.utils.foreign_files import check_file, check_size
from lightning_hash.utils.json_text import brief
from lightning_hash.utils.plain_load import load_plain

HDF5 = b"MATLAB 7.3"
_NUMPY, _ZIP = b"\x93NUMPY", b"PK"  # what .npy and .npz begin with
_AGAIN = "copy or write it again"


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of a file without unpickling anything.

    Args:
        path: ``.npy``, ``.npz``, ``.mat`` (up to version 7), a file of ``torch.save`` (``.pt``,
            ``.pth``, ``.pkl`` or without a suffix) that holds a tensor, or tensors by name or in a
            list; ``.txt`` or ``.csv`` with a row of numbers a line.

    Returns:
        The arrays by name; a file of one array has it under ``""``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is of none of these kinds, damaged, or holds more than arrays.
    """
    check_file(path)
    if not path.is_file():
        msg = f"{path} does not exist"
        raise FileNotFoundError(msg)
    suffix = path.suffix.lower()
    if suffix not in ARRAY_SUFFIXES:
        kinds = ", ".join(kind for kind in ARRAY_SUFFIXES if kind)
        msg = f"{path}: a file of arrays ends in {kinds}, got {path.suffix!r}"
        raise ValueError(msg)
    if not path.stat().st_size:
        msg = f"{path} is empty; {_AGAIN}"
        raise ValueError(msg)
    if suffix in TEXT:
        return {"": _text(path)}
    if suffix in TORCH:
        return _torch(path)
    return _matlab(path) if suffix == ".mat" else _numpy_file(path)


def read_array(text: str) -> NDArray[Any]:
    """Read the array of a file of one, or ``FILE:NAME`` of several.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: as :func:`read_arrays`, or if it has not that array, or several.
    """
    path, name = split_name(text)
    arrays = read_arrays(path)
    if name is None and len(arrays) == 1:
        name = next(iter(arrays))
    if name not in arrays:
        there = ", ".join(f"{key} {value.shape}" for key, value in arrays.items()) or "none"
        msg = f"{path}: which array is meant? There is {there}; name one as {path}:NAME"
        raise ValueError(msg)
    return arrays[name]


def read_index(name: str, source: Sequence[int] | str) -> list[int]:
    """Read which items are meant.

    Args:
        name: the argument's name, for the messages.
        source: their indices, or a file of them that :func:`read_arrays` reads, such as one index a
            line; numbers as ``3.38e+03`` are taken, as numpy writes them.

    Returns:
        The indices, in their order.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if there is none, or one is no whole number from 0 on, or is there twice.
    """
    where = f"{name} {source}" if isinstance(source, str) else name
    values = read_array(source).reshape(-1) if isinstance(source, str) else np.asarray(source)
    if values.ndim != 1 or not values.size or values.dtype.kind not in "iuf":
        msg = f"{where} must hold indices, got {values.dtype} {values.shape}"
        raise ValueError(msg)
    wrong = values[(values < 0) | (values % 1 != 0)]
    if len(wrong):
        msg = f"{where}: an index must be a whole number from 0 on, got {wrong[0]}"
        raise ValueError(msg)
    unique, times = np.unique(values, return_counts=True)
    if (times > 1).any():
        msg = (
            f"{where}: index {int(unique[times > 1][0])} is there {times[times > 1][0]} times; "
            "name each once"
        )
        raise ValueError(msg)
    return [int(value) for value in values]


def _text(path: Path) -> NDArray[Any]:
    """Read rows of numbers, parted by blanks or commas, below a header or none.

    Raises:
        ValueError: naming file and line, if it is no UTF-8, has no rows, a cell is no number or a
            row has another number of cells.
    """
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline()
    comma = "," if "," in first else None
    header = comma is not None and not any(map(_is_number, first.split(comma)))
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*input contained no data")
            values = np.loadtxt(
                path, dtype=np.float64, ndmin=2, delimiter=comma, skiprows=int(header),
                encoding="utf-8-sig",
            )  # fmt: skip
    except ValueError as error:
        msg = _wrong_line(path, comma, header) or f"{path} is no matrix of numbers: {error}"
        raise ValueError(msg) from error
    if not values.size:
        msg = f"{path} holds no rows of numbers; {_AGAIN}"
        raise ValueError(msg)
    return values


def _wrong_line(path: Path, comma: str | None, header: bool) -> str | None:
    """Say which line of a text is no row of numbers like the first, and why."""
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    width = 0
    for number, line in enumerate(content.splitlines(), 1):
        where = f"{path}:{number}"
        try:
            text = line.decode().partition("#")[0]
        except UnicodeDecodeError:
            return f"{where}: is no UTF-8 text; save it as UTF-8"
        cells = text.split(comma)
        if not text.strip() or (header and number == 1):
            continue
        wrong = next((cell for cell in cells if not _is_number(cell)), None)
        if wrong is not None:
            return f"{where}: a row must hold numbers, got {brief(wrong)}"
        width = width or len(cells)
        if len(cells) != width:
            return (
                f"{where}: {width} numbers expected, as in the first row, got {len(cells)}; is the "
                "file whole?"
            )
    return None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _torch(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with warnings.catch_warnings():
            # A damaged file can pretend to a pickle protocol that torch then warns of.
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            content = load_plain(path)
    except pickle.UnpicklingError as error:
        msg = (
            f"{path} holds Python objects, which are not unpickled, or is no file of torch.save: "
            "save tensors alone, or write its arrays as .npy"
        )
        raise ValueError(msg) from error
    except Exception as error:  # bytes that are no pickle end in any of a dozen types
        msg = f"{path} is truncated or no file of torch.save; {_AGAIN}"
        raise ValueError(msg) from error
    if isinstance(content, list | tuple):
        content = {str(number): value for number, value in enumerate(content)}
    named = content if isinstance(content, Mapping) else {"": content}
    return {
        str(name): _array_of(value, f"{path}:{name}" if name != "" else str(path))
        for name, value in named.items()
        if isinstance(value, Tensor)
    }


def _array_of(value: Tensor, source: str) -> NDArray[Any]:
    # A sparse or repeated tensor is small in its file, whatever its shape.
    check_size(value.numel() * value.element_size(), f"{source}: its dense form")
    try:
        dense = value.detach().to_dense() if value.is_sparse else value.detach()
        return (dense.float() if dense.dtype == torch.bfloat16 else dense).numpy()
    except (TypeError, RuntimeError, NotImplementedError) as error:  # quantised, nested, meta, ...
        msg = (
            f"{source} is no plain tensor ({value.dtype}, {value.layout}, {value.device}); save it "
            "as a dense one of a numpy type"
        )
        raise ValueError(msg) from error


def _numpy_file(path: Path) -> dict[str, NDArray[Any]]:
    """Read ``.npy`` or ``.npz``.

    Raises:
        ValueError: if it is damaged, or holds Python objects.
    """
    kind = path.suffix.lower()
    with path.open("rb") as file:
        begin = file.read(len(_NUMPY))
    if not begin.startswith(_NUMPY if kind == ".npy" else _ZIP):
        msg = f"{path} is no {kind} file: it begins with other bytes; {_AGAIN}"
        raise ValueError(msg)
    try:
        if kind == ".npy":
            return {"": np.load(path, allow_pickle=False)}
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except Exception as error:  # a damaged archive ends in any of several types
        if "allow_pickle" in str(error):
            msg = f"{path} holds Python objects, which are not unpickled; write its arrays as .npz"
        else:
            msg = f"{path} is truncated or no {kind} file ({_brief_line(error)}); {_AGAIN}"
        raise ValueError(msg) from error


def _brief_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def _matlab(path: Path) -> dict[str, NDArray[Any]]:
    try:
        from scipy.io import loadmat
    except ImportError as error:
        msg = (
            f"{path}: scipy is missing, which reads .mat: pip install scipy, or save the arrays as "
            ".npz"
        )
        raise ValueError(msg) from error
    with path.open("rb") as file:
        head = file.read(128)
    if HDF5 in head:
        msg = f"{path} is of MATLAB 7.3: save it with -v7, or its arrays as .npz"
        raise ValueError(msg)
    try:
        content = loadmat(path)
    except Exception as error:  # bytes that are no MATLAB file break the reader in many ways
        msg = f"{path} is truncated or no MATLAB file ({_brief_line(error)}); {_AGAIN}"
        raise ValueError(msg) from error
    return {
        name: np.asarray(value)
        for name, value in content.items()
        if not name.startswith("__") and isinstance(value, np.ndarray)
    }
