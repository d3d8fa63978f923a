"""What TensorBoard shows of a run beside its curves: settings, final numbers, command, charts."""

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from lightning_hash.modules.attack_module import AttackModule
from lightning_hash.modules.hash_module import HashModule
from lightning_hash.modules.protocol import victim_settings
from lightning_hash.modules.score_module import ScoreModule
from lightning_hash.results.rows import CEILING, CLEAN
from lightning_hash.results.settings import as_json, flatten
from lightning_hash.utils.escapes import markdown

# Custom scalars: charts of several tags, which are regular expressions.
LAYOUT = {
    "retrieval": {
        "MAP and t-MAP": ["Multiline", ["^(val|test|attack|final)/(map|t_map)$"]],
        "as saved: 8 bits, JPEG": ["Multiline", [r"^final_(8bit|jpeg_\d+)/(map|t_map)$"]],
    },
    "course": {
        "loss": ["Multiline", ["^(train|attack)/loss$"]],
        "distance to the goal, in bits": ["Multiline", ["^attack/hamming$"]],
    },
}
HP = "hp_metric"  # by which Lightning and TensorBoard compare runs
# The tab HParams shows the first five tags in alphabetical order; these come before attack/.
ANSWERS, GROUP = ("map", "t_map", "perceptibility"), "answer"


class Board(Callback):
    """Write what the tabs HParams, Text and Custom Scalars of TensorBoard show.

    Settings and final numbers of all runs, of ``fit`` and ``attack``, have the same names:
    ``answer/map`` is MAP of what was sent, after an attack that of the attacked queries;
    ``answer/map_clean`` is that of the clean ones. ``hp_metric`` is ``answer/map``. Other loggers
    get nothing.

    Attributes:
        command: what a person typed; ``None`` where the run is of a program.
    """

    def __init__(self) -> None:
        self.command: str | None = None
        self._described = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Describe the run."""
        self._describe(trainer, pl_module)

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Describe a run that does not train."""
        self._describe(trainer, pl_module)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the settings with the final numbers."""
        settings = _settings(pl_module)
        numbers = _numbers(trainer, pl_module)
        logger = trainer.logger
        if isinstance(logger, TensorBoardLogger) and settings and numbers:
            logger.log_hyperparams(settings, numbers, _step(pl_module))
        self._described = False

    def _describe(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        logger, settings = trainer.logger, _settings(module)
        if self._described or not isinstance(logger, TensorBoardLogger) or not settings:
            return
        self._described = True
        if trainer.is_global_zero:
            logger.experiment.add_custom_scalars(LAYOUT)
            logger.experiment.add_text("run", _text(self.command, settings))


def _settings(module: pl.LightningModule) -> dict[str, Any]:
    """Return what the numbers of a run depend on; nothing for a module of somebody else."""
    if isinstance(module, AttackModule | ScoreModule):
        attack = module.settings() if isinstance(module, AttackModule) else module.attack
        known = module.evaluation.protocol
        said = {
            "verb": "transfer" if getattr(module, "scored_only", False) else "attack",
            "transfer": known["transfer"],
            "victim": victim_settings(module.evaluation.victims[0]),
            "data": known["data"], "ranking": known["ranking"], "attack": attack,
        }  # fmt: skip
    elif isinstance(module, HashModule):
        victim = {
            "backbone": module.backbone, "bits": module.bits, "loss": type(module.loss).__name__,
        }  # fmt: skip
        said = {"verb": "fit", "victim": victim, **module.settings()}
    else:
        return {}
    found: dict[str, Any] = _known(as_json(said, "settings"))
    return found


def _known(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is null, for which TensorBoard has no kind."""
    return {
        key: _known(value) if isinstance(value, Mapping) else value
        for key, value in settings.items()
        if value is not None
    }


def _numbers(trainer: pl.Trainer, module: pl.LightningModule) -> dict[str, float]:
    """Return the final numbers, before rounding to 8 bits; of several victims those of the first.

    Args:
        trainer: has run the test.
        module: what was tested.
    """
    found: dict[str, float] = {}
    if isinstance(module, ScoreModule):
        for row in module.rows:
            name = CLEAN if row["attack"] is None else row["attack"]["name"]
            if name == CEILING or row["quantized"]:
                continue
            if name == CLEAN:
                found.setdefault(f"{row['metric']}_clean", float(row["value"]))
            elif row["iteration"] == module.iteration:
                found.setdefault(row["metric"], float(row["value"]))
    else:
        for metric in ANSWERS:
            if f"test/{metric}" in trainer.callback_metrics:
                value = float(trainer.callback_metrics[f"test/{metric}"])
                found[metric] = found[f"{metric}_clean"] = value
    shown = [name for metric in ANSWERS for name in (metric, f"{metric}_clean") if name in found]
    best = {HP: found["map"]} if "map" in found else {}
    return {**best, **{f"{GROUP}/{name}": found[name] for name in shown}}


def _step(module: pl.LightningModule) -> int:
    return module.iteration if isinstance(module, ScoreModule) else int(module.global_step)


def _text(command: str | None, settings: Mapping[str, Any]) -> str:
    """Return command and settings in Markdown."""
    lines = [f"    {command}", ""] if command else []
    lines += ["| setting | value |", "| --- | --- |"]
    lines += [
        f"| {markdown(name)} | {markdown(str(value))} |"
        for name, value in flatten(settings).items()
    ]
    return "\n".join(lines)
