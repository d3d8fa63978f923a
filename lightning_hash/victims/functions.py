"""Functions from 8-bit images to codes, as victims that have no gradient."""

import hashlib
import inspect
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from lightning_hash.utils.memory import is_out_of_memory

ALLOWED = ({0, 1}, {-1, 1})

Found = TypeVar("Found")


def run_for(name: str, function: Callable[..., Found], *arguments: Any) -> Found:
    """Call what a user has written; where it fails, the message says so and where.

    Args:
        name: of the victim.
        function: the user's.
        arguments: what it takes.

    Returns:
        What it returns.

    Raises:
        ValueError: if it fails, but for a lack of memory.
    """
    try:
        return function(*arguments)
    except Exception as error:
        if isinstance(error, MemoryError) or is_out_of_memory(error):
            raise
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename == _file(function)]
        place = (own or frames)[-1]
        said = " ".join(f"{type(error).__name__}: {error}".split())
        msg = (
            f"victim {name} failed: {said}, {place.filename}:{place.lineno}; mend it, --verbose "
            "shows the traceback"
        )
        raise ValueError(msg) from error


def _file(function: Callable[..., Any]) -> str | None:
    """Return the file that a function is written in, or the class of what is called."""
    plain = inspect.isroutine(function) or inspect.isclass(function)
    try:
        return inspect.getfile(inspect.unwrap(function) if plain else type(function))
    except (TypeError, OSError):  # built in, or of a console
        return None


class CodeFunction(nn.Module):
    """A function from 8-bit images to codes: a perceptual hash, or a system behind an interface.

    There is no gradient and no torch in it: attack it by a search whose oracle shows codes or what
    is retrieved. Inputs are rounded to the nearest of 256 levels, as a file would hold them.

    Args:
        function: takes uint8 ``(B, H, W, C)``, or ``(B, T, H, W, C)`` of clips, a NumPy array, and
            returns ``(B, K)`` of 0 and 1, of -1 and +1, or of False and True.
        name: in messages; the function's own by default.

    Raises:
        TypeError: if it is no function.

    Example:
        >>> brighter = CodeFunction(lambda images: images.mean(axis=(1, 2)) > 127)
        >>> brighter(torch.tensor([0.2, 0.8]).view(1, 2, 1, 1))
        tensor([[-1.,  1.]])
    """

    def __init__(self, function: Callable[[Any], Any], name: str | None = None) -> None:
        super().__init__()
        self.function = function
        self.name = str(name or getattr(function, "__qualname__", type(function).__name__))
        given: Any = function
        if not callable(given):
            kind = type(given).__name__
            msg = f"victim {self.name} must be a function from images to codes, got {kind}"
            raise TypeError(msg)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return codes of -1/+1, float32 ``(B, K)``, of inputs ``(B, ..., C, H, W)`` in [0, 1].

        Raises:
            ValueError: if the function fails, or returns anything but as many rows of codes.
        """
        levels = (inputs.detach() * 255).round().clamp(0, 255).to(torch.uint8)
        images = np.ascontiguousarray(levels.movedim(-3, -1).cpu().numpy())
        rows = len(inputs)
        found = run_for(self.name, self.function, images)
        try:
            codes = np.asarray(found)
        except (ValueError, TypeError, RuntimeError) as error:  # ragged lists, tensors of a GPU
            msg = (
                f"victim {self.name} must return codes of the shape ({rows}, K), got "
                f"{type(found).__name__} that is no NumPy array ({' '.join(str(error).split())})"
            )
            raise ValueError(msg) from error
        kind = f"{codes.dtype} of the shape {codes.shape}"
        if (
            codes.ndim != 2
            or not codes.shape[1]
            or len(codes) != rows
            or codes.dtype.kind not in "biuf"
        ):
            msg = f"victim {self.name} must return codes of the shape ({rows}, K), got {kind}"
            raise ValueError(msg)
        values = set(np.unique(codes).tolist())
        if not any(values <= allowed for allowed in ALLOWED):
            found = ", ".join(str(value) for value in sorted(values)[:3])
            msg = (
                f"victim {self.name} must return codes of 0 and 1, or of -1 and +1, got {kind} "
                f"with {found}, ...; logits are output: logits"
            )
            raise ValueError(msg)
        return torch.from_numpy(np.where(codes > 0, 1.0, -1.0).astype(np.float32)).to(inputs.device)

    def fingerprint(self) -> str:
        """Return the sha256 of the file that the function is written in, with its name."""
        try:
            content = Path(inspect.getfile(inspect.unwrap(self.function))).read_bytes()
        except (TypeError, OSError):  # built in, or of a console
            content = b""
        return hashlib.sha256(content + self.name.encode()).hexdigest()
