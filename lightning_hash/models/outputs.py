"""What networks return, read as logits."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

LOGITS = "logits"


def read_logits(outputs: Any, rows: int, bits: int | None, network: str) -> Tensor:
    """Find the logits in what a network returns.

    Args:
        outputs: a tensor ``(B, K)`` or ``(B, K, 1, 1)``; a NumPy array; or a tuple, list, mapping
            or dataclass of which one entry is that: the one that is called ``logits``, or the only
            one of a row per input and, where K is known, of K columns.
        rows: B.
        bits: K, where known.
        network: its name, for the messages.

    Returns:
        ``(B, K)``; whole numbers and bools as float32.

    Raises:
        TypeError: if there is no such tensor.
        ValueError: if it has another shape or is complex, or there are several.

    Example:
        >>> outputs = {"features": torch.ones(2, 9), "code": torch.ones(2, 4)}
        >>> read_logits(outputs, rows=2, bits=4, network="mine").shape
        torch.Size([2, 4])
    """
    named = _entries(outputs)
    tensors = {name: _tensor(value) for name, value in named.items()}
    found = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    if not found:
        msg = (
            f"victim {network}: the network must return one tensor of logits (B, K), got "
            f"{_said(outputs)}; wrap it in a function of yours, module:function"
        )
        raise TypeError(msg)
    if LOGITS in found:
        found = {LOGITS: found[LOGITS]}
    fits = [each for each in found.values() if _fits(each, rows, bits)]
    if len(found) > 1 and len(fits) != 1:
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in found.items())
        known = "K" if bits is None else str(bits)
        msg = (
            f"victim {network}: the network returns {shapes}, of which {len(fits)} have the shape "
            f"({rows}, {known}) of logits; give bits where they tell (from Python: "
            "Victim(network, bits=K)), or a network that returns the logits alone"
        )
        raise ValueError(msg)
    logits = fits[0] if fits else next(iter(found.values()))
    logits = logits.flatten(1) if logits.dim() > 2 and logits.shape[2:].numel() == 1 else logits
    if logits.is_complex() or logits.dim() != 2 or len(logits) != rows:
        kind = f" of {logits.dtype}" if logits.is_complex() else ""
        remedy = "; pool over the dimensions behind K" if logits.dim() > 2 else ""
        msg = (
            f"victim: must return logits of shape ({rows}, K), got {tuple(logits.shape)}{kind} of "
            f"{network}{remedy}"
        )
        raise ValueError(msg)
    if logits.is_inference() and torch.is_grad_enabled():
        logits = logits.clone()  # else autograd refuses it, and does not say why
    return logits if logits.is_floating_point() else logits.float()


def _entries(outputs: Any) -> dict[str, Any]:
    """Return what a network returns by name; nothing if it is no container that is known."""
    if isinstance(outputs, (Tensor, np.ndarray)):
        return {"": outputs}
    if isinstance(outputs, Mapping):
        return {str(name): value for name, value in outputs.items()}
    if dataclasses.is_dataclass(outputs):
        return dict(vars(outputs))
    if isinstance(outputs, (tuple, list)):
        fields = getattr(outputs, "_fields", range(len(outputs)))
        return {str(name): value for name, value in zip(fields, outputs, strict=True)}
    logits = getattr(outputs, LOGITS, None)
    return {LOGITS: logits} if isinstance(logits, Tensor) else {}


def _tensor(value: Any) -> Tensor | None:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return torch.from_numpy(value)
    return value if isinstance(value, Tensor) else None


def _fits(tensor: Tensor, rows: int, bits: int | None) -> bool:
    shape = tensor.shape
    return (
        tensor.dim() >= 2 and shape[0] == rows and shape[2:].numel() == 1
        and bits in (None, shape[1]) and not tensor.is_complex()
    )  # fmt: skip


def _said(outputs: Any) -> str:
    entries = _entries(outputs)
    kinds = ", ".join(f"{name}: {type(value).__name__}" for name, value in entries.items())
    return f"{type(outputs).__name__}{f' of {kinds}' if kinds else ''}"
