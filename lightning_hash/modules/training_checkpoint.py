"""What a training leaves in its checkpoint, and what a pass takes out of it."""

from typing import Any

import pytorch_lightning as pl
from torch import Tensor, nn

from lightning_hash._version import __version__
from lightning_hash.data.base import HashDataModule
from lightning_hash.models.pretrained import PretrainedNetwork
from lightning_hash.victims.checkpoints import CHECKPOINT_KEY, CHECKPOINT_VERSION


def save_training(
    checkpoint: dict[str, Any],
    network: nn.Module,
    backbone: str | dict[str, Any],
    bits: int,
    trainer: pl.Trainer | None,
    **more: Any,
) -> None:
    """Add what it takes to build the network again.

    Args:
        checkpoint: Lightning's.
        network: the hash network.
        backbone: as :class:`lightning_hash.modules.HashModule` takes it.
        bits: code length K.
        trainer: ran the training, where one did.
        more: ``loss``, ``settings`` and ``selected_on`` of the training.
    """
    entry: dict[str, Any] = {
        "kind": "victim",
        "version": CHECKPOINT_VERSION,
        "program": __version__,
        "backbone": backbone,
        "bits": bits,
        **more,
    }
    # What LightningCLI and load_from_checkpoint build the module with.
    parameters: dict[str, Any] = {"backbone": backbone, "bits": bits, "weights": None}
    if isinstance(network, PretrainedNetwork):
        entry["architecture"], entry["inputs"] = network.architecture, _inputs(trainer)
    if getattr(network, "architecture", None) is not None:
        parameters["architecture"] = network.architecture
    checkpoint[CHECKPOINT_KEY], checkpoint["hyper_parameters"] = entry, parameters


def _inputs(trainer: pl.Trainer | None) -> dict[str, Any] | None:
    """Return size and interpolation of the images of the training, where known."""
    data = None if trainer is None else getattr(trainer, "datamodule", None)
    if not isinstance(data, HashDataModule) or not hasattr(data, "train_set"):
        return None
    return {"size": data.input_shape[-1], "interpolation": data.interpolation}


def network_alone(saved: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a module's state with the saved network in it.

    Args:
        saved: state of a module of the same network, with any loss.
        own: state of this one.
    """
    return {
        **{key: value for key, value in own.items() if not key.startswith("network.")},
        **{key: value for key, value in saved.items() if key.startswith("network.")},
    }
