"""Arrays in the files that people exchange: numpy's, MATLAB's, torch's, and text."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_hash.utils.array_names import ARRAY_SUFFIXES, TEXT, TORCH, split_name
from lightning_hash.utils.foreign_files import check_file, check_size

HDF5 = b"MATLAB 7.3"


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
    try:
        if suffix in TEXT:
            return {"": _text(path)}
        if suffix in TORCH:
            return _torch(path)
        if suffix == ".mat":
            return _matlab(path)
        loaded = np.load(path, allow_pickle=False)
        return {"": loaded} if suffix == ".npy" else dict(loaded)
    except pickle.UnpicklingError as error:
        msg = (
            f"{path} holds Python objects, which are not unpickled: save tensors alone, or write "
            "its arrays as .npy"
        )
        raise ValueError(msg) from error
    except (ValueError, OSError, EOFError, BadZipFile, RuntimeError) as error:
        line = str(error).strip().split("\n")[0]
        hint = "; write its arrays as .npz" if "pickle" in line.lower() else ""
        msg = f"{path} is no matrix of numbers ({line}){hint}"
        raise ValueError(msg) from error


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
    """Read rows of numbers, parted by blanks or commas, below a header or none."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline()
    comma = "," if "," in first else None
    header = comma is not None and not any(map(_is_number, first.split(comma)))
    return np.loadtxt(
        path, dtype=np.float64, ndmin=2, delimiter=comma, skiprows=int(header), encoding="utf-8-sig"
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _torch(path: Path) -> dict[str, NDArray[Any]]:
    content = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(content, list | tuple):
        content = {str(number): value for number, value in enumerate(content)}
    named = content if isinstance(content, Mapping) else {"": content}
    return {str(name): _numpy(value) for name, value in named.items() if isinstance(value, Tensor)}


def _numpy(value: Tensor) -> NDArray[Any]:
    # A sparse or repeated tensor is small in its file, whatever its shape.
    check_size(value.numel() * value.element_size(), "its dense form")
    dense = value.detach().to_dense() if value.is_sparse else value.detach()
    return (dense.float() if dense.dtype == torch.bfloat16 else dense).numpy()


def _matlab(path: Path) -> dict[str, NDArray[Any]]:
    try:
        from scipy.io import loadmat
    except ImportError as error:
        msg = "scipy is missing, which reads .mat: pip install scipy, or save the arrays as .npz"
        raise ValueError(msg) from error
    with path.open("rb") as file:
        head = file.read(128)
    if HDF5 in head:
        msg = "MATLAB 7.3: save it with -v7, or its arrays as .npz"
        raise ValueError(msg)
    try:
        content = loadmat(path)
    except Exception as error:  # bytes that are no MATLAB file break the reader in many ways
        msg = f"MATLAB: {error}"
        raise ValueError(msg) from error
    return {
        name: np.asarray(value)
        for name, value in content.items()
        if not name.startswith("__") and isinstance(value, np.ndarray)
    }
