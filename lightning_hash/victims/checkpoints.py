"""Checkpoints of this project, read without unpickling."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_hash._version import __version__
from lightning_hash.utils.foreign_files import check_file
from lightning_hash.utils.json_text import brief
from lightning_hash.utils.plain_load import load_plain
from lightning_hash.victims.file_kinds import instead_of, other_kind

# Key of our own entry in a checkpoint, and the version of what stands under it.
CHECKPOINT_KEY = "lightning_hash"
CHECKPOINT_VERSION = 1
MAKERS = {"victim": "fit", "attack": "attack"}  # which verb saves which kind
# What is read of each kind in our own entry, and what a training needs to go on.
ENTRIES = {
    "victim": ("backbone", "bits", "loss"),
    "attack": ("identity", "queries", "rows", "seconds", "kernels"),
}
GO_ON = ("epoch", "loops", "optimizer_states", "lr_schedulers")


def read_checkpoint(
    path: Path, kind: str, maker: str, *, prefix: str = "", needs: Sequence[str] = ()
) -> dict[str, Any]:
    """Read a checkpoint of ours without unpickling anything.

    Args:
        path: the file.
        kind: what it must hold, ``"victim"`` or ``"attack"``.
        maker: the command that makes such a file, for the message.
        prefix: what stands before its kind and path in an error, such as the option's name.
        needs: parts beside the weights that it must have.

    Returns:
        The checkpoint, on the CPU.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read safely, is of another kind or version, or lacks something.
    """
    called = f"{prefix}{kind} {path}"
    if path.is_dir():
        files = sorted(path.rglob("*.ckpt"))[:1]
        offered = f"give {files[0]}" if files else f"make a checkpoint with: {maker}"
        msg = f"{called} is a folder; {offered}"
        raise FileNotFoundError(msg)
    check_file(path, called)
    if not path.is_file():
        msg = f"{called} does not exist; make it with: {maker}"
        raise FileNotFoundError(msg)
    instead, other = instead_of(path, kind, maker), other_kind(path)
    if other is not None:
        msg = f"{called} is not a checkpoint of lightning_hash, but {other}; {instead}"
        raise ValueError(msg)
    try:
        checkpoint = load_plain(path)
    except pickle.UnpicklingError as error:
        msg = (
            f"{called} holds more than tensors and plain values (pickled code, or no "
            "checkpoint at all), so it was not loaded"
        )
        raise ValueError(msg) from error
    except Exception as error:  # bytes that are no checkpoint break the reader in many ways
        msg = f"{called} is truncated or no checkpoint; make it anew with: {maker}"
        raise ValueError(msg) from error
    entry = checkpoint.get(CHECKPOINT_KEY) if isinstance(checkpoint, dict) else None
    if not isinstance(entry, dict) or not isinstance(checkpoint.get("state_dict"), dict):
        state = isinstance(checkpoint, dict) and any(map(_is_tensor, checkpoint.values()))
        said = ", but a state dict" if state else ""
        msg = f"{called} is not a checkpoint of lightning_hash{said}; {instead}"
        raise ValueError(msg)
    check_entry(entry, kind, called, maker, checkpoint, needs)
    if kind == "victim":
        check_finite(checkpoint["state_dict"], called, maker)
    found: dict[str, Any] = checkpoint
    return found


def check_entry(
    entry: Mapping[str, Any],
    kind: str,
    called: str,
    maker: str,
    checkpoint: Mapping[str, Any] | None = None,
    needs: Sequence[str] = (),
) -> None:
    """Refuse what is not our own entry of a checkpoint, of this kind and version.

    Args:
        entry: as it stands in the file.
        kind: as in :func:`read_checkpoint`.
        called: what to call the file.
        maker: the command that makes such a file.
        checkpoint: all that the file holds.
        needs: parts that it must have.

    Raises:
        ValueError: if the entry is of another kind or version, lacks something, or describes no
            network.
    """
    if entry.get("kind") != kind:
        saved = entry.get("kind")
        msg = (
            f"{called} is a checkpoint of kind {saved!r}, not {kind!r}: the verb "
            f"{MAKERS.get(str(saved), 'of another program')} saved it, one of {MAKERS[kind]} is "
            f"needed; make one with: {maker}"
        )
        raise ValueError(msg)
    if entry.get("version") != CHECKPOINT_VERSION:
        msg = (
            f"{called} has format version {entry.get('version')}, saved by lightning_hash "
            f"{entry.get('program', 'of an unknown version')}; this is {__version__}, which reads "
            f"{CHECKPOINT_VERSION}; make it anew with: {maker}"
        )
        raise ValueError(msg)
    missing = [name for name in ENTRIES[kind] if name not in entry]
    missing += [name for name in needs if name not in (checkpoint or {})]
    if missing:
        msg = (
            f"{called} has no {', '.join(missing)}: it was saved by another version of this "
            f"program, or changed since; make it anew with: {maker}"
        )
        raise ValueError(msg)
    if kind == "victim":
        _check_network(entry, called, maker)


def check_finite(state: Mapping[str, Any], called: str, maker: str) -> None:
    """Refuse weights that are not finite.

    Raises:
        ValueError: naming the first.
    """
    broken = [name for name, value in state.items() if not _is_finite(value)]
    if broken:
        msg = (
            f"{called} holds values that are not finite ({broken[0]}); make it anew with: {maker}, "
            "at a lower learning rate"
        )
        raise ValueError(msg)


def _check_network(entry: Mapping[str, Any], called: str, maker: str) -> None:
    """Refuse what no network is built of.

    Raises:
        ValueError: naming the entry.
    """
    kinds = {"backbone": (str, dict), "bits": (int,), "loss": (str, type(None))}
    for name, allowed in kinds.items():
        value = entry[name]
        if type(value) not in allowed or (name == "bits" and value < 1):
            msg = f"{called}: {name} cannot be {brief(value)}; make it anew with: {maker}"
            raise ValueError(msg)


def check_shapes(saved: Mapping[str, Any], own: Mapping[str, Tensor], called: str) -> None:
    """Refuse weights that are not those of a model, before any of them is loaded.

    Args:
        saved: a state dict.
        own: that of the model.
        called: what to call the first, with what it should fit.

    Raises:
        ValueError: naming the first tensor that is missing, too much or of another shape.
    """
    for name in own:
        if name not in saved:
            msg = f"{called}: {name} is missing; {len(saved)} tensors for {len(own)}"
            raise ValueError(msg)
    for name, value in saved.items():
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        if name not in own:
            msg = f"{called}: {name} of shape {shape} has no place there"
            raise ValueError(msg)
        if isinstance(own[name], Tensor) and shape != tuple(own[name].shape):
            msg = f"{called}: {name} has the shape {shape}, {tuple(own[name].shape)} is needed"
            raise ValueError(msg)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def _is_finite(value: Any) -> bool:
    floats = isinstance(value, Tensor) and value.is_floating_point()
    return not floats or bool(torch.isfinite(value).all())
