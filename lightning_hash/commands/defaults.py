"""What the command line takes where the user says nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from lightning_hash.victims.resolve import DEFAULT_VICTIM

DATA = {"data": {"class_path": "lightning_hash.data.SamplePhotos"}}
DEFAULTS: dict[str, dict[str, Any]] = {
    "fit": {
        **DATA,
        "trainer.max_epochs": 40,
        "trainer.num_sanity_val_steps": 0,
        "trainer.check_val_every_n_epoch": 5,
        "trainer.log_every_n_steps": 10,
        "model.loss": {"class_path": "lightning_hash.losses.PairwiseLoss"},
        "model.optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 3e-3}},
        "model.lr_scheduler": {"class_path": "lightning_hash.modules.OneCycle"},
        "weights_only": True,
    },
    "test": {**DATA, "ckpt_path": DEFAULT_VICTIM, "weights_only": True},
    "encode": {**DATA, "trainer.logger": False},
    "attack": {
        **DATA,
        "trainer.max_epochs": 100,
        "trainer.log_every_n_steps": 10,
        "trainer.devices": 1,
        "trainer.enable_model_summary": False,
        "model.objective": {"class_path": "lightning_hash.attacks.HAG"},
        "model.alpha": {"class_path": "lightning_hash.attacks.AlphaSchedule"},
        "model.targets": {"class_path": "lightning_hash.attacks.TargetChoice"},
    },
}


def defaults_of(verb: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the defaults of a verb, without the classes that the user replaces.

    jsonargparse passes the options of a default class on to the class that replaces it, where that
    has options of the same name (jsonargparse issue 460): AdamW's weight decay to SGD, the demo's
    sizes to the user's own data.

    Args:
        verb: ``"fit"``, ``"test"``, ``"encode"`` or ``"attack"``.
        arguments: the command line.

    Returns:
        Dotted names and values.
    """
    files = [path for path in config_paths(arguments) if path.is_file()]
    configs = [yaml.safe_load(path.read_text()) for path in files]
    return {
        key: value
        for key, value in DEFAULTS[verb].items()
        if not (isinstance(value, dict) and _replaces(key, arguments, configs))
    }


def config_paths(arguments: Sequence[str]) -> list[Path]:
    """Return the files that a command line names with ``--config`` or ``-c``."""
    pairs = zip(arguments, [*arguments[1:], ""], strict=True)
    paths = [value for key, value in pairs if key in ("--config", "-c")]
    paths += [a.partition("=")[2] for a in arguments if a.startswith("--config=")]
    return [Path(path) for path in paths]


def _replaces(key: str, arguments: Sequence[str], configs: list[Any]) -> bool:
    option = f"--{key}"
    if any(a == option or a.startswith((f"{option}=", f"{option}.class_path")) for a in arguments):
        return True
    for config in configs:
        value = config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, str) or (isinstance(value, dict) and "class_path" in value):
            return True
    return False
