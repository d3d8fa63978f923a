"""The verbs that run a LightningModule: LightningCLI with the options of one verb."""

import sys
import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import pytorch_lightning as pl
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback

from lightning_hash.commands.class_paths import checked_class_paths
from lightning_hash.commands.configs import with_data_class
from lightning_hash.commands.defaults import is_given, keep_defaults
from lightning_hash.commands.given import (
    LEARNED_ON,
    UNUSED,
    check_baseline,
    check_command_line,
    check_network,
    given_options,
    may_be_shared,
)
from lightning_hash.commands.inputs import (
    fill_inputs,
    inputs_of_backbone,
    inputs_of_entry,
    inputs_of_victim,
)
from lightning_hash.commands.parser import HashArgumentParser
from lightning_hash.commands.places import options_named
from lightning_hash.commands.run_place import merge_callbacks
from lightning_hash.commands.table import PROGRAM, VERBS
from lightning_hash.commands.trainer_maker import TrainerMaker
from lightning_hash.commands.trainer_values import check_seed, check_trainer_values
from lightning_hash.data import HashDataModule
from lightning_hash.engine.callbacks import Board
from lightning_hash.engine.full_disk import names_the_disk
from lightning_hash.engine.launched import check_launched, launched
from lightning_hash.engine.stops import stopped_early
from lightning_hash.engine.trainer import HashTrainer
from lightning_hash.models.timm_networks import HUB, PREFIX
from lightning_hash.modules.attack_module import AttackModule
from lightning_hash.modules.hash_module import HashModule
from lightning_hash.utils.escapes import shell, visible
from lightning_hash.utils.places import check_name
from lightning_hash.utils.text_files import utf8
from lightning_hash.utils.whole_file import write_whole
from lightning_hash.victims.checkpoints import CHECKPOINT_KEY, GO_ON, read_checkpoint


class LightningVerb(Protocol):
    """What the module of a verb has beside the function that the table names."""

    def trainer_options(
        self, options: Mapping[str, Any], model: pl.LightningModule
    ) -> dict[str, Any]:
        """Return what the trainer gets beside the user's options."""


class SaveConfig(SaveConfigCallback):
    """Write config.yaml whole, over one that is there."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Ask for the folder, which all processes do together, and write."""
        self._place = trainer.log_dir
        super().setup(trainer, pl_module, stage)

    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write the options; on rank 0 only."""
        assert self._place is not None  # HashCLI leaves this callback out without a place
        text = self.parser.dump(self.config, skip_none=False)
        write_whole(Path(self._place) / self.config_filename, utf8(text))


class HashCLI(LightningCLI):
    """Trainer, model, data and the options of one verb.

    Args:
        verb: a verb with a model.
        arguments: the command line behind it.
    """

    def __init__(self, verb: str, arguments: list[str]) -> None:
        self._entry = entry = VERBS[verb]
        module = import_module(entry.module)
        self._part = cast(LightningVerb, module)
        self._function = getattr(module, entry.function)
        self._verb, self._arguments = verb, arguments
        early = {k: reason for k, reason in UNUSED[verb].items() if (verb, k) not in _LATE}
        check_command_line(verb, arguments, early)
        model_module, _, model_class = entry.model.rpartition(".")
        with checked_class_paths():
            super().__init__(
                model_class=getattr(import_module(model_module), model_class),
                datamodule_class=HashDataModule,
                subclass_mode_data=True,
                trainer_class=HashTrainer,
                seed_everything_default=0,
                save_config_callback=SaveConfig,
                save_config_kwargs={"save_to_log_dir": False},
                parser_class=HashArgumentParser,
                parser_kwargs={"prog": f"{PROGRAM} {verb}", "description": f"{entry.help}."},
                load_from_checkpoint_support=False,
                auto_configure_optimizers=False,
                args=arguments,
                run=False,
            )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of the verb, and what it takes where the user says nothing."""
        for name, option in self._entry.options.items():
            parser.add_argument(f"--{name}", **option._asdict())
        self._options = parser.add_function_arguments(self._function, skip={3})
        self._defaults = keep_defaults(self._entry.defaults, self._arguments)
        parser.set_defaults(self._defaults)
        if self._model_class is not HashModule and is_given("model.victim", self._arguments):
            parser.set_defaults({"model.victim": None})  # what is appended stands beside no default

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and take from a checkpoint of ``fit`` what its network is built with.

        Raises:
            ValueError: if the user gave another network, naming both, or a name that leads out of
                the folder of runs.
        """
        cast(HashArgumentParser, parser).command_line = args
        args = with_data_class(args)
        super().parse_arguments(parser, args)
        with options_named(parser, self._arguments):
            self._complete(parser, args)

    def _complete(self, parser: LightningArgumentParser, args: Any) -> None:
        """Check what each option by itself may be, and take what a checkpoint says."""
        check_trainer_values(self.config["trainer"])
        check_seed(self.config["seed_everything"])
        if self.config.get("name") is not None:
            check_name(self.config["name"], "--name")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jsonargparse announces a renamed method
            self._given = given_options(self._parse_given(parser, args))
        if self._verb == "attack" and not may_be_shared(self.config["model"]["perturbation"]):
            check_command_line("attack", self._arguments)
        if self._verb == "fit" and self.config["model"]["feature_cache"] is None:
            check_command_line("fit", self._arguments)
        if self._verb == "test" and "ckpt_path" not in self._given:
            folder = Path(self.config["checkpoints"]) / self.config["name"]
            self.config["ckpt_path"] = str(folder / "best.ckpt")
        path = self.config.get("ckpt_path")
        if self._model_class is HashModule and path is not None and Path(path).is_file():
            maker = f"python -m {PROGRAM} fit"
            needs = ("hyper_parameters", *(GO_ON if self._verb == "fit" else ()))
            checkpoint = read_checkpoint(
                Path(path), "victim", maker, prefix="ckpt_path: ", needs=needs
            )
            entry, described = checkpoint[CHECKPOINT_KEY], checkpoint["hyper_parameters"]
            # No more than its network: other options are the user's.
            network = {name: described[name] for name in _NETWORK if name in described}
            if str(network.get("backbone")).startswith(f"{PREFIX}{HUB}"):
                network.setdefault("architecture", {})  # the hub is not asked for a checkpoint
            saved = {name: entry[name] for name in ("backbone", "bits")}
            if entry.get("settings") is not None:
                saved["weights"] = entry["settings"]["model"]["weights"]
            check_network(self._given, self.config["model"], saved, path)
            self.config = parser.parse_object({"model": network}, self.config)
            inputs = inputs_of_entry(entry, f"ckpt_path: victim {path}")
        elif self._model_class is HashModule:
            inputs = inputs_of_backbone(self.config["model"]["backbone"])
        else:
            inputs = inputs_of_victim(self.config["model"]["victim"])
        fill_inputs(self.config["data"], self._given, inputs)

    def _parse_given(self, parser: LightningArgumentParser, args: list[str]) -> dict[str, Any]:
        """Return what the user gave, nested, and the data, which the parser requires."""
        data = self._defaults.get("data", {}).get("class_path")
        given = parser.parse_args([*([f"--data={data}"] if data else []), *args], defaults=False)
        found: dict[str, Any] = given.as_dict()
        return found

    def instantiate_classes(self) -> None:
        """Make data, model and trainer; errors name options as they were given."""
        try:
            with options_named(self.parser, self._arguments):
                super().instantiate_classes()
        except ModuleNotFoundError as error:  # of a logger, a strategy, an accelerator
            msg = f"an option needs a package that is not installed: {error}; leave it out"
            raise ValueError(" ".join(msg.split())) from error

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Make the trainer with the verb's logger and callbacks, unless others were given."""
        given = self.config_init["trainer"]
        started = launched(given["plugins"])
        if started is not None:
            for option, count in ("devices", started.devices), ("num_nodes", started.nodes):
                if f"trainer.{option}" not in self._given:
                    given[option] = count
        own = self._part.trainer_options(self.config_init, self.model)
        for callback in own["callbacks"]:
            if isinstance(callback, Board):
                callback.command = shell([PROGRAM, self._verb, *self._arguments])
        if given["barebones"]:
            msg = (
                "trainer.barebones = True: nothing is logged, metrics neither; leave it out and "
                "give --trainer.logger=false and --trainer.enable_checkpointing=false"
            )
            raise ValueError(msg)
        if isinstance(self.model, AttackModule) and not self.model.objective.iterative:
            check_baseline(self._given, self._arguments, self.model.objective.name)
        places = (given["logger"], given["default_root_dir"], *map(own.get, _PLACES))
        if not any(places):
            self.save_config_callback = None
        trainer: pl.Trainer = super().instantiate_trainer(**kwargs, **own)
        check_launched(trainer)
        return trainer

    def _trainer_maker(self) -> TrainerMaker:
        """Return what makes a Trainer for each run of a verb that has several."""
        options = self.config_init["trainer"]
        own = self._part.trainer_options(self.config_init, self.model)

        def make(**more: Any) -> pl.Trainer:
            callbacks = merge_callbacks(options, [*own["callbacks"], *more.pop("callbacks", [])])
            keeps = options["enable_checkpointing"] is not False
            more["enable_checkpointing"] = keeps and more.get("enable_checkpointing", True)
            trainer: pl.Trainer = super(HashCLI, self).instantiate_trainer(
                **{**own, **more, "callbacks": callbacks}
            )
            check_launched(trainer)
            return trainer

        return TrainerMaker(options, make, self.parser.dump(self.config, skip_none=False))

    def run(self) -> int:
        """Call the verb's function.

        Returns:
            The exit status: 0, or 1 after a message where the run was stopped before its end.
        """
        options = {name: self.config_init[name] for name in self._options}
        named = options_named(self.parser, self._arguments)
        with named, names_the_disk(self.trainer):
            first = self._trainer_maker() if self._entry.trainers else self.trainer
            self._function(first, self.model, self.datamodule, **options)
        stopped = stopped_early(self.trainer, self.model)
        if stopped is not None and self.trainer.is_global_zero:
            print(f"error: {visible(stopped)}", file=sys.stderr)
        return int(stopped is not None)


_PLACES = ("logger", "default_root_dir")  # of config.yaml
_NETWORK = ("backbone", "bits", "weights", "architecture")
# Whether they change anything is known once the options are parsed.
_LATE = (("attack", LEARNED_ON), ("fit", "trainer.limit_predict_batches"))
