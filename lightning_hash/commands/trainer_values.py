"""Values of Lightning's Trainer that it takes as they are, or refuses in words of its own."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from lightning_fabric.utilities.seed import max_seed_value
from pytorch_lightning.accelerators import AcceleratorRegistry
from pytorch_lightning.strategies import StrategyRegistry

from lightning_hash.utils.nearest import offer

_BATCHES = "a whole number of batches from 0 on, or a fraction of them such as 0.5"
_TIME = re.compile(r"\d+:[0-2]?\d:[0-5]?\d:[0-5]?\d")
_PROFILERS = ("simple", "advanced", "pytorch", "xla")
_CLIPPING = ("norm", "value")


def check_trainer_values(options: Mapping[str, Any], prefix: str = "trainer.") -> None:
    """Refuse values that no Trainer can have, before one is made.

    Args:
        options: those of the Trainer, parsed.
        prefix: what stands before their names on the command line.

    Raises:
        ValueError: naming the option, the rule and the value.

    Example:
        >>> check_trainer_values({"max_epochs": -2})
        Traceback (most recent call last):
        ...
        ValueError: trainer.max_epochs must be a whole number from 0 on, or -1 for no limit, got -2
    """
    for name, (allows, rule) in _RULES.items():
        value = options.get(name)
        if value is not None and not allows(value):
            msg = f"{prefix}{name} must be {rule}, got {_plain(value)}"
            raise ValueError(msg)
    _check_names(options, prefix)


def check_seed(value: Any) -> None:
    """Refuse a seed of the whole run that NumPy does not take.

    Raises:
        ValueError: naming the rule and the value.
    """
    if value is not None and not 0 <= int(value) <= max_seed_value:
        msg = (
            f"seed_everything must be a whole number from 0 to {max_seed_value}, or true for a "
            f"random one, got {value}"
        )
        raise ValueError(msg)


def _plain(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and value >= least


def _are_batches(value: Any) -> bool:
    """Return whether a limit is possible; jsonargparse may read a whole number as a float."""
    if isinstance(value, int):
        return value >= 0
    return math.isfinite(value) and (0 <= value <= 1 or (value > 1 and value.is_integer()))


def _is_interval(value: Any) -> bool:
    if isinstance(value, int | float):
        return value > 0 and _are_batches(value)
    return not isinstance(value, str) or _is_time(value)


def _is_time(value: Any) -> bool:
    return not isinstance(value, str) or _TIME.fullmatch(value) is not None


def _are_devices(value: Any) -> bool:
    if isinstance(value, str) and value.strip() != "auto":
        try:
            parts = [int(part) for part in value.split(",") if part.strip()]
        except ValueError:
            return False
        value = parts if "," in value or len(parts) != 1 else parts[0]
    if isinstance(value, list):
        return bool(value) and min(value) >= 0 and len(set(value)) == len(value)
    return value == "auto" or value == -1 or (isinstance(value, int) and value >= 1)


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "devices": (
        _are_devices,
        "a number of devices from 1 on, -1 or auto for all, or a list of their numbers",
    ),
    "num_nodes": (_whole(1), "a whole number from 1 on"),
    "max_epochs": (_whole(-1), "a whole number from 0 on, or -1 for no limit"),
    "min_epochs": (_whole(0), "a whole number from 0 on"),
    "max_steps": (_whole(-1), "a whole number from 0 on, or -1 for no limit"),
    "min_steps": (_whole(0), "a whole number from 0 on"),
    "max_time": (_is_time, "a time as DD:HH:MM:SS, such as 00:08:00:00"),
    "limit_train_batches": (_are_batches, _BATCHES),
    "limit_val_batches": (_are_batches, _BATCHES),
    "limit_test_batches": (_are_batches, _BATCHES),
    "limit_predict_batches": (_are_batches, _BATCHES),
    "overfit_batches": (_are_batches, _BATCHES),
    "val_check_interval": (
        _is_interval, "a whole number of batches from 1 on, or a fraction of an epoch up to 1.0",
    ),
    "check_val_every_n_epoch": (_whole(1), "a whole number of epochs from 1 on"),
    "num_sanity_val_steps": (_whole(-1), "a whole number from 0 on, or -1 for all"),
    "log_every_n_steps": (_whole(0), "a whole number of steps from 1 on, or 0 for no logging"),
    "accumulate_grad_batches": (_whole(1), "a whole number of batches from 1 on"),
    "gradient_clip_val": (
        lambda value: math.isfinite(value) and value >= 0, "a finite number from 0 on",
    ),
    "fast_dev_run": (_whole(0), "true, false or a number of batches"),
    "reload_dataloaders_every_n_epochs": (_whole(0), "a whole number of epochs from 0 on"),
}  # fmt: skip


def _check_names(options: Mapping[str, Any], prefix: str) -> None:
    known = {
        "accelerator": ["auto", "gpu", *sorted(AcceleratorRegistry)],
        "strategy": ["auto", *StrategyRegistry.available_strategies()],
        "profiler": list(_PROFILERS),
        "gradient_clip_algorithm": list(_CLIPPING),
    }
    for name, words in known.items():
        value = options.get(name)
        if isinstance(value, str) and value not in words:
            msg = f"{prefix}{name}: there is no {value!r}; {offer(value, words)}"
            raise ValueError(msg)
    accelerator = options.get("accelerator")
    absent = accelerator in ("tpu", "mps", "cuda") and not (
        AcceleratorRegistry[accelerator]["accelerator"].is_available()
    )
    if absent:
        msg = (
            f"{prefix}accelerator = {accelerator}: there is none on this machine; give cpu, gpu "
            "or auto"
        )
        raise ValueError(msg)
