"""Checkpoints of this project, read without unpickling."""

import pickle
from pathlib import Path
from typing import Any

import torch

# Key of our own entry in a checkpoint, and the version of what stands under it.
CHECKPOINT_KEY = "lightning_hash"
CHECKPOINT_VERSION = 1


def read_checkpoint(path: Path, kind: str, maker: str) -> dict[str, Any]:
    """Read a checkpoint of ours without unpickling anything.

    Args:
        path: the file.
        kind: what it must hold, ``"victim"`` or ``"attack"``.
        maker: the command that makes such a file, for the message.

    Returns:
        The checkpoint, on the CPU.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read safely or is not of that kind.
    """
    if not path.is_file():
        msg = f"{kind} {path} does not exist; make it with: {maker}"
        raise FileNotFoundError(msg)
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        msg = (
            f"{kind} {path} holds more than tensors and plain values (pickled code, or no "
            "checkpoint at all), so it was not loaded"
        )
        raise ValueError(msg) from error
    except Exception as error:  # bytes that are no checkpoint break the reader in many ways
        msg = f"{kind} {path} is truncated or no checkpoint ({error}); make it anew with: {maker}"
        raise ValueError(msg) from error
    entry = checkpoint.get(CHECKPOINT_KEY) if isinstance(checkpoint, dict) else None
    if not isinstance(entry, dict) or "state_dict" not in checkpoint:
        msg = f"{kind} {path} is not a checkpoint of lightning_hash; make one with: {maker}"
        raise ValueError(msg)
    if entry.get("kind") != kind:
        msg = f"{kind} {path} is a checkpoint of kind {entry.get('kind')!r}, not {kind!r}"
        raise ValueError(msg)
    if entry.get("version") != CHECKPOINT_VERSION:
        msg = (
            f"{kind} {path} has format version {entry.get('version')}, this program reads "
            f"{CHECKPOINT_VERSION}; make it anew with: {maker}"
        )
        raise ValueError(msg)
    found: dict[str, Any] = checkpoint
    return found
