"""The victim of an attack: a frozen hash model and what identifies it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from lightning_hash.models.build import backbone_name, build_network
from lightning_hash.victims.checkpoints import CHECKPOINT_KEY, read_checkpoint


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


def weights_sha256(network: nn.Module) -> str:
    """Return the sha256 over names, dtypes, shapes and bytes of a network's state."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().reshape(-1).contiguous()
        digest.update(flat.view(torch.uint8).numpy())  # no copy
    return digest.hexdigest()
