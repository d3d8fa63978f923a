"""Functions from 8-bit images to codes, as victims that have no gradient."""

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

ALLOWED = ({0, 1}, {-1, 1})


class CodeFunction(nn.Module):
    """A function from 8-bit images to codes: a perceptual hash, or a system behind an interface.

    There is no gradient and no torch in it: attack it by a search whose oracle shows codes or what
    is retrieved. Inputs are rounded to the nearest of 256 levels, as a file would hold them.

    Args:
        function: takes uint8 ``(B, H, W, C)``, or ``(B, T, H, W, C)`` of clips, a NumPy array, and
            returns ``(B, K)`` of 0 and 1, of -1 and +1, or of False and True.
        name: in messages; the function's own by default.

    Example:
        >>> brighter = CodeFunction(lambda images: images.mean(axis=(1, 2)) > 127)
        >>> brighter(torch.tensor([0.2, 0.8]).view(1, 2, 1, 1))
        tensor([[-1.,  1.]])
    """

    def __init__(self, function: Callable[[Any], Any], name: str | None = None) -> None:
        super().__init__()
        self.function = function
        self.name = str(name or getattr(function, "__qualname__", type(function).__name__))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return codes of -1/+1, float32 ``(B, K)``, of inputs ``(B, ..., C, H, W)`` in [0, 1].

        Raises:
            ValueError: if the function returns anything but as many rows of codes.
        """
        levels = (inputs.detach() * 255).round().clamp(0, 255).to(torch.uint8)
        images = np.ascontiguousarray(levels.movedim(-3, -1).cpu().numpy())
        codes = np.asarray(self.function(images))
        kind, rows = f"{codes.dtype} of the shape {codes.shape}", len(inputs)
        if codes.ndim != 2 or len(codes) != rows or codes.dtype.kind not in "biuf":
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
