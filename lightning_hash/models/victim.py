"""The victim of an attack: a frozen hash model and what identifies it."""

import hashlib
import importlib
import inspect
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lightning_hash.models.backbones import build_model
from lightning_hash.models.network import HashNetwork

# Key of our own entry in a checkpoint, and the version of what stands under it.
CHECKPOINT_KEY = "lightning_hash"
CHECKPOINT_VERSION = 1


@dataclass(frozen=True)
class Victim:
    """A frozen hash model.

    Attributes:
        network: eval mode, no parameter requires a gradient; [0, 1] inputs to ``(B, K)`` logits.
        backbone: name or class path of the network.
        bits: K, or ``None`` where it is known only after a forward pass.
        loss: name of the loss it was trained with, or ``None`` where unknown.
        sha256: fingerprint of its weights.
        members: the victims that it joins, if it is several.
    """

    network: nn.Module
    backbone: str
    bits: int | None
    loss: str | None
    sha256: str
    members: tuple["Victim", ...] = ()


def build_network(
    backbone: str | dict[str, Any], bits: int, weights: str | None = None
) -> nn.Module:
    """Build a network from its description.

    Args:
        backbone: a name that :func:`build_model` knows, or ``{"class_path": "package.Class",
            "init_args": {...}}`` for any importable ``nn.Module`` that turns ``(B, ...)`` inputs in
            [0, 1] into ``(B, bits)`` logits. A class with an argument ``bits`` or ``weights`` is
            given it, unless ``init_args`` has it.
        bits: code length K.
        weights: as in :func:`build_model`.

    Returns:
        The network, on the CPU.

    Raises:
        ValueError: if the backbone is unknown, cannot be imported or is no ``nn.Module``, or
            ``weights`` are given to a class that takes none.
    """
    if isinstance(backbone, str):
        return build_model(backbone, bits, weights)
    unknown = sorted(set(backbone) - {"class_path", "init_args"})
    if unknown:
        msg = (
            f"backbone: keys must be class_path and init_args, got {', '.join(unknown)} beside; "
            "the arguments of a class go below init_args in a config"
        )
        raise ValueError(msg)
    if bits < 1:
        msg = f"bits must be at least 1, got {bits}"
        raise ValueError(msg)
    path = str(backbone.get("class_path", ""))
    module_name, _, class_name = path.rpartition(".")
    try:
        network_class = getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError, ValueError) as error:
        msg = f"backbone: class_path {path!r} cannot be imported ({error})"
        raise ValueError(msg) from error
    if not (isinstance(network_class, type) and issubclass(network_class, nn.Module)):
        msg = f"backbone: class_path {path!r} must name a subclass of torch.nn.Module"
        raise ValueError(msg)
    given = dict(backbone.get("init_args") or {})
    takes = inspect.signature(network_class).parameters
    for name, value in (("bits", bits), ("weights", weights)):
        if name in takes:
            given.setdefault(name, value)
    if weights is not None and given.get("weights") != weights:
        msg = f"weights go with a named backbone or a class that takes them; {path} has its own"
        raise ValueError(msg)
    try:
        return network_class(**given)
    except TypeError as error:
        msg = f"backbone: init_args do not fit {path!r}: {error}"
        raise ValueError(msg) from error


def backbone_name(backbone: str | dict[str, Any], network: nn.Module | None = None) -> str:
    """Return the name or class path under which a backbone goes into tables.

    Args:
        backbone: its description.
        network: what was built of it; a :class:`HashNetwork` says its name.
    """
    if isinstance(network, HashNetwork):
        return network.backbone
    return backbone if isinstance(backbone, str) else str(backbone.get("class_path"))


def load_victim(path: str | Path) -> Victim:
    """Load a hash model from a checkpoint that ``fit`` wrote.

    Nothing is unpickled: the file is read with ``weights_only=True``.

    Args:
        path: the checkpoint.

    Returns:
        The frozen victim, on the CPU.

    Raises:
        FileNotFoundError: if there is no such file; the message names the command that makes it.
        ValueError: if the file is truncated, holds pickled code or is not a checkpoint of ours.
    """
    path = Path(path)
    checkpoint = read_checkpoint(path, "victim", "python -m lightning_hash fit")
    entry = checkpoint[CHECKPOINT_KEY]
    backbone = entry["backbone"]
    if isinstance(backbone, dict) and "weights" in (backbone.get("init_args") or {}):
        # The checkpoint has the weights; those that the training began with may be gone.
        backbone = {**backbone, "init_args": {**backbone["init_args"], "weights": None}}
    network = build_network(backbone, entry["bits"])
    prefix = "network."
    state = {
        key.removeprefix(prefix): value
        for key, value in checkpoint["state_dict"].items()
        if key.startswith(prefix)
    }
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        msg = f"victim {path}: its weights do not fit {entry['backbone']}: {error}"
        raise ValueError(msg) from error
    name = backbone_name(entry["backbone"], network)
    return freeze(network, name, entry["bits"], entry["loss"])


def freeze(
    network: nn.Module,
    backbone: str | None = None,
    bits: int | None = None,
    loss: str | None = None,
) -> Victim:
    """Make a victim of a network: eval mode, no gradients of its weights.

    Args:
        network: changed in place.
        backbone: its name; the class path where not given.
        bits: K, where known.
        loss: name of its training loss, where known.

    Returns:
        The victim.
    """
    network.eval().requires_grad_(requires_grad=False)
    kind = type(network)
    return Victim(
        network=network,
        backbone=backbone or f"{kind.__module__}.{kind.__qualname__}",
        bits=bits if bits is not None else getattr(network, "bits", None),
        loss=loss,
        sha256=weights_sha256(network),
    )


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


def weights_sha256(network: nn.Module) -> str:
    """Return the sha256 over names, dtypes, shapes and bytes of a network's state."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().reshape(-1).contiguous()
        digest.update(flat.view(torch.uint8).numpy())  # no copy
    return digest.hexdigest()
