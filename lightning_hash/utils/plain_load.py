"""Files of torch.save, read as tensors and Python's own containers and nothing else."""

import pickle
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor


def load_plain(file: str | Path | IO[bytes]) -> Any:
    """Load a file of ``torch.save`` without unpickling code, on the CPU.

    ``weights_only`` alone lets an OrderedDict carry attributes that stand in front of its methods:
    who then asks for its items is told what the file says.

    Args:
        file: its path, or the open file.

    Returns:
        Its content, containers made anew; see :func:`made_anew`.

    Raises:
        pickle.UnpicklingError: if it holds more than tensors and plain values.
        Exception: if torch cannot read it.
    """
    return made_anew(torch.load(file, map_location="cpu", weights_only=True))


def made_anew(value: Any) -> Any:
    """Return plain containers with the content that the given ones really have.

    Args:
        value: what ``torch.load`` gave with ``weights_only``.

    Raises:
        pickle.UnpicklingError: if it holds a class or function.

    Example:
        >>> from collections import OrderedDict
        >>> made_anew(OrderedDict(a=[1, (2,)]))
        {'a': [1, (2,)]}
    """
    if isinstance(value, dict):
        return {made_anew(key): made_anew(each) for key, each in dict.items(value)}
    kinds: tuple[Any, ...] = (list, torch.Size, tuple, set, frozenset)
    for kind in kinds:
        if isinstance(value, kind):
            return kind(map(made_anew, kind.__iter__(value)))
    if callable(value) and not isinstance(value, Tensor):
        msg = f"it holds {value!r}"
        raise pickle.UnpicklingError(msg)
    return value
