"""What a training depends on, for the checkpoint and for the run that goes on from it."""

import dataclasses
import math
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lightning_hash.data.base import HashDataModule
from lightning_hash.modules.resumption import check_resumption
from lightning_hash.modules.trainer_check import CHANGING, is_partial
from lightning_hash.results.settings import as_json
from lightning_hash.utils.settings import public_name, settings_of

_OPTIONS = (
    "max_epochs", "max_steps", "accumulate_grad_batches", "gradient_clip_val",
    "gradient_clip_algorithm",
)  # fmt: skip


def model_settings(
    backbone: str | dict[str, Any],
    bits: int,
    weights: str | None,
    loss: nn.Module,
    optimizer: Callable[[Iterable[Any]], Optimizer],
    **more: Any,
) -> dict[str, Any]:
    """Describe a model before its training, as JSON.

    Args:
        backbone: as :class:`lightning_hash.modules.HashModule` takes it.
        bits: code length K.
        weights: pretrained weights.
        loss: the loss, which may change in training.
        optimizer: called with parameters.
        more: what else decides the training, by name.
    """
    said = {
        "backbone": backbone, "bits": bits, "weights": weights, "loss": _described(loss),
        "optimizer": settings_of(optimizer([nn.Parameter(torch.zeros(1))])),
        **{name: _described(value) for name, value in more.items()},
    }  # fmt: skip
    found: dict[str, Any] = as_json(said, "model")
    return found


def scheduler_settings(scheduler: LRScheduler | None) -> dict[str, Any]:
    """Describe a scheduler before its first step, with what it has made of the rates, as JSON."""
    if scheduler is None:
        return {}
    groups = [_plain(group) for group in scheduler.optimizer.param_groups]
    state = _plain(scheduler.state_dict(), private=True)
    return {"class": public_name(type(scheduler)), **state, "groups": groups}


def run_settings(trainer: pl.Trainer) -> dict[str, Any]:
    """Describe data, trainer and seed of a training that begins, as JSON.

    Args:
        trainer: runs it; its data module is set up.

    Returns:
        ``data`` (``None`` for loaders of one's own), ``trainer`` and ``seed`` (``None`` where
        Lightning's ``seed_everything`` was not called).
    """
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    callbacks: Any = trainer.callbacks  # type: ignore[attr-defined]
    seed = os.environ.get("PL_GLOBAL_SEED")
    options = {name: getattr(trainer, name, None) for name in _OPTIONS}
    algorithm, limit = options["gradient_clip_algorithm"], trainer.limit_train_batches
    said = {
        "data": _data_settings(data, trainer.world_size),
        "trainer": {
            **options,
            "gradient_clip_algorithm": None if algorithm is None else str(algorithm),
            "limit_train_batches": limit if is_partial(limit) else "all",  # 1 is no 1.0
            "precision": str(trainer.precision),
            "callbacks": [type(c).__name__ for c in callbacks if isinstance(c, CHANGING)],
        },
        "seed": None if seed is None else int(seed),
    }
    found: dict[str, Any] = as_json(said, "training")
    return found


def check_training(
    entry: Mapping[str, Any], here: dict[str, Any], follows: str | None
) -> dict[str, Any] | None:
    """Refuse to go on with a training under other settings than those it began with.

    Args:
        entry: our entry in the checkpoint.
        here: settings of this run: ``model``, ``data``, ``trainer`` and ``seed``.
        follows: what depends on the length of the training, if anything does.

    Returns:
        The settings in the checkpoint; ``None`` of one of an earlier version, which is warned of.

    Raises:
        ValueError: naming the setting and both values.
    """
    saved: dict[str, Any] | None = entry.get("settings")
    if saved is None:
        rank_zero_warn(
            "ckpt_path: the checkpoint is of an earlier version, which says neither loss, "
            "optimizer, lr_scheduler, weights, data, trainer nor seed of its training; only "
            "backbone and bits can be compared"
        )
        model = {name: here["model"][name] for name in ("backbone", "bits")}
        was = {name: entry[name] for name in ("backbone", "bits")}
        check_resumption({"model": was}, {"model": model}, "training")
        return None
    model = dict(here["model"])
    if model["weights"] is None:  # those of the checkpoint take their place
        model["weights"] = saved["model"]["weights"]
    parts = {name: here[name] for name in ("model", "data", "trainer", "seed")}
    known = {name: value for name, value in parts.items() if None not in (value, saved[name])}
    check_resumption(
        {name: saved[name] for name in known}, {**known, "model": model}, "training",
        {"trainer.max_epochs": follows},
    )  # fmt: skip
    return saved


def length_of(trainer: pl.Trainer, needs: str, remedy: str) -> int:
    """Return the number of steps of a whole training.

    Args:
        trainer: runs it; its training loader is known.
        needs: what depends on it, for the message.
        remedy: what to give in its place.

    Raises:
        ValueError: if the training has no end.
    """
    steps = trainer.estimated_stepping_batches
    if math.isinf(steps):
        msg = (
            f"{needs} follows the length of the training, which trainer.max_epochs = "
            f"{trainer.max_epochs} leaves open; give max_epochs or max_steps, or {remedy}"
        )
        raise ValueError(msg)
    return int(steps)


def check_length(done: int, wanted: int | None) -> None:
    """Refuse to go on for fewer epochs than a checkpoint has.

    Args:
        done: epochs of the checkpoint.
        wanted: the Trainer's max_epochs; ``None`` and -1 are no bound.

    Raises:
        ValueError: naming both.
    """
    if wanted is not None and 0 <= wanted < done:
        msg = (
            f"ckpt_path: the checkpoint has {done} epochs, this run's max_epochs is {wanted}; give "
            "at least as many, or train anew without ckpt_path"
        )
        raise ValueError(msg)


def selected_on(trainer: pl.Trainer, validated: int) -> str | None:
    """Say whose queries picked the weights that are being saved; nobody's picked the last.

    Args:
        trainer: runs the training.
        validated: the step at which the last validation looked.

    Returns:
        The data's ``selected_on``, ``"train"`` for a monitor of the training, or ``None``.
    """
    for callback in trainer.checkpoint_callbacks:
        monitor = getattr(callback, "monitor", None)
        best: Tensor | None = getattr(callback, "best_model_score", None)
        now = trainer.callback_metrics.get(monitor) if monitor else None
        if best is None or now is None or float(best) != float(now):
            continue
        if not str(monitor).startswith("val/"):
            return "train"
        if validated == trainer.global_step:  # otherwise they have moved on since
            return getattr(trainer.datamodule, "selected_on", None)  # type: ignore[attr-defined]
    return None


def _data_settings(data: Any, world: int) -> dict[str, Any] | None:
    if not isinstance(data, HashDataModule):
        return None
    return {
        "dataset": data.name,
        "seed": data.seed,
        "global_batch": data.batch_size * world,
        "sha256": data.fingerprints(),
        "inputs": data.input_fingerprints("train"),
        "train_transform": _described(data.train_transform),
    }


def _described(value: Any) -> Any:
    """Describe a value as JSON; of an object without settings, its class and plain attributes."""
    if isinstance(value, list | tuple):
        return [_described(inner) for inner in value]
    if callable(getattr(value, "settings", None)) or dataclasses.is_dataclass(value):
        return settings_of(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, nn.Module):
        parts = {name: _plain(vars(part)) for name, part in value.named_modules()}
        return {"class": public_name(type(value)), **parts.pop(""), **parts}
    if callable(value) and hasattr(value, "__qualname__"):
        return public_name(value)
    return {"class": public_name(type(value)), **_plain(getattr(value, "__dict__", {}))}


def _plain(values: Mapping[str, Any], private: bool = False) -> dict[str, Any]:
    """Return the values that are JSON and, unless asked for, public; ``training`` is a state."""
    found = {}
    for name, value in values.items():
        if (name.startswith("_") and not private) or name in ("training", "params"):
            continue
        try:
            found[name] = as_json(value, name)
        except ValueError:
            continue
    return found
