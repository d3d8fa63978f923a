"""The command line: LightningCLI with a module for each verb."""

import sys
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import (
    Checkpoint,
    LearningRateMonitor,
    ModelCheckpoint,
    ProgressBar,
    RichProgressBar,
)
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

from lightning_hash.commands.defaults import defaults_of
from lightning_hash.commands.verbs import help_text
from lightning_hash.data import HashDataModule
from lightning_hash.engine.callbacks import (
    AttackCheckpoint,
    Curves,
    IterationProgress,
    RetrievalImages,
    RunFolder,
    SummaryTable,
)
from lightning_hash.engine.loggers import RunLogger
from lightning_hash.engine.strategies import QueryParallelStrategy
from lightning_hash.engine.trainer import HashTrainer
from lightning_hash.modules import AttackModule, Encoder, HashModule
from lightning_hash.victims.checkpoints import read_checkpoint

MODULES = {"fit": HashModule, "test": HashModule, "encode": Encoder, "attack": AttackModule}

PARSER: dict[str, Any] = {
    "prog": "lightning_hash",
    "description": "How robust is retrieval by deep hashing? Train, attack, look.",
    "epilog": help_text(),
}


class HashCLI(LightningCLI):
    """A verb of HashTrainer each, with the module that it runs."""

    def __init__(self, args: list[str] | None = None) -> None:
        self._arguments = sys.argv[1:] if args is None else args
        super().__init__(
            model_class=HashModule,
            datamodule_class=HashDataModule,
            subclass_mode_data=True,
            trainer_class=HashTrainer,
            seed_everything_default=0,
            save_config_kwargs={"overwrite": True},
            parser_kwargs=PARSER,
            load_from_checkpoint_support=False,
            auto_configure_optimizers=False,
            args=args,
        )

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Return the verbs and the arguments of each that are no options."""
        loaders = {"model", "datamodule", "dataloaders", "train_dataloaders", "val_dataloaders"}
        return dict.fromkeys(MODULES, loaders)

    def _prepare_subcommand_parser(
        self, klass: type, subcommand: str, **kwargs: Any
    ) -> LightningArgumentParser:
        # LightningCLI has one model class for all verbs; this is where it makes each verb's parser.
        self._verb, self._model_class = subcommand, MODULES[subcommand]
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        parser.set_defaults(defaults_of(subcommand, self._arguments))
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the names of folders."""
        if self._verb == "encode":
            return
        parser.add_argument("--runs", default="runs", help="Folder under which runs are written.")
        if self._verb == "attack":
            parser.add_argument(
                "--name", default=None, type=str | None,
                help="The run goes to RUNS/attack/NAME/version_N; the attack's name by default.",
            )  # fmt: skip
            parser.add_argument(
                "--checkpoint_every", default=50, type=int,
                help="Iterations between two checkpoints of the attack.",
            )  # fmt: skip
        else:
            parser.add_argument(
                "--name", default="demo",
                help="Checkpoints go to CHECKPOINTS/NAME, the run to RUNS/fit/NAME/version_N.",
            )  # fmt: skip
            parser.add_argument(
                "--checkpoints", default="checkpoints", help="Folder of all trained victims."
            )

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Make the trainer with this project's logger and callbacks, unless others were given."""
        config = self._get(self.config_init, "trainer")
        if self.subcommand == "encode":  # leaves one file behind, which says what made it
            self.save_config_callback = None
            return super().instantiate_trainer(**kwargs)
        name = self._get(self.config_init, "name")
        if self.subcommand == "attack" and isinstance(self.model, AttackModule):
            name = name or self.model.attack_name
        verb = "attack" if self.subcommand == "attack" else "fit"
        runs = self._get(self.config_init, "runs")
        if config["logger"] in (None, True):
            kwargs["logger"] = RunLogger(runs, name=f"{verb}/{name}")
        elif config["logger"] is False and config["default_root_dir"] is None:
            kwargs["default_root_dir"] = Path(runs) / verb / name  # of config.yaml
        given = list(config["callbacks"] or [])
        kinds = {type(callback) for callback in given}
        own = self._attack_callbacks() if self.subcommand == "attack" else self._fit_callbacks(name)
        if self.subcommand == "test":
            own = [callback for callback in own if not isinstance(callback, Checkpoint)]
        if config["enable_checkpointing"] is False:
            own = [callback for callback in own if not isinstance(callback, Checkpoint)]
        if config["enable_progress_bar"] is False:
            own = [callback for callback in own if not isinstance(callback, ProgressBar)]
        if self.subcommand == "fit" and config["max_epochs"] and config["max_epochs"] > 0:
            # A training shorter than the default interval is validated at its end.
            every = config["check_val_every_n_epoch"]
            kwargs["check_val_every_n_epoch"] = every and min(every, config["max_epochs"])
        if self.subcommand == "attack" and config["strategy"] == "auto" and _several(config):
            kwargs["strategy"] = QueryParallelStrategy()
        kwargs["callbacks"] = given + [c for c in own if type(c) not in kinds]
        return super().instantiate_trainer(**kwargs)

    def _attack_callbacks(self) -> list[Callback]:
        every = self._get(self.config_init, "checkpoint_every")
        return [
            IterationProgress(), RunFolder(), Curves(), RetrievalImages(), SummaryTable(),
            AttackCheckpoint(every),
        ]  # fmt: skip

    def _fit_callbacks(self, name: str) -> list[Callback]:
        folder = Path(self._get(self.config_init, "checkpoints")) / name
        checkpoint = ModelCheckpoint(
            dirpath=folder, filename="best", monitor="val/map", mode="max", save_last=True,
            enable_version_counter=False,
        )  # fmt: skip
        callbacks: list[Callback] = [RichProgressBar(), SummaryTable(), checkpoint]
        if self._get(self.config_init, "trainer")["logger"] is not False:
            callbacks.append(LearningRateMonitor("step"))
        return callbacks

    def before_test(self) -> None:
        """Say which command makes the checkpoint that is missing."""
        path = Path(self._get(self.config_init, "ckpt_path"))
        read_checkpoint(path, "victim", "python -m lightning_hash fit")

    def after_fit(self) -> None:
        """Test the best checkpoint."""
        if not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            self.trainer.test(
                self.model, datamodule=self.datamodule, ckpt_path="best", verbose=False,
                weights_only=True,
            )  # fmt: skip


def _several(trainer: Any) -> bool:
    """Return whether a trainer may have more than one process."""
    return str(trainer["devices"]) != "1" or trainer["num_nodes"] > 1
