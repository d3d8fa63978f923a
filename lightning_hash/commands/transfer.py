"""``python -m lightning_hash transfer``: perturbations of finished attacks on other victims."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from jsonargparse import ArgumentError, ArgumentParser
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from lightning_hash.attacks.combine import Perturbations, combine
from lightning_hash.attacks.target_rows import read_target_json
from lightning_hash.commands.class_paths import checked_class_paths, explained_denial
from lightning_hash.commands.one_line import OneLineParser
from lightning_hash.commands.places import options_named
from lightning_hash.commands.table import VERBS
from lightning_hash.commands.trainer_values import check_trainer_values
from lightning_hash.data.base import HashDataModule
from lightning_hash.data.queries import QueryData
from lightning_hash.engine.attack_run import find_databases
from lightning_hash.engine.callbacks import PassProgress
from lightning_hash.engine.launched import check_launched, launched
from lightning_hash.engine.loggers import RunLogger
from lightning_hash.engine.trainer import HashTrainer
from lightning_hash.modules.databases import choose_target_database
from lightning_hash.modules.trainer_check import check_pass_trainer
from lightning_hash.modules.transfer import check_together, read_perturbations, transfer_module
from lightning_hash.reports.transfers import transfer_grids
from lightning_hash.results.rows import ResultRow, write_results
from lightning_hash.results.runs import latest_version
from lightning_hash.results.tables import print_table
from lightning_hash.utils.configs import find_config, read_config
from lightning_hash.utils.escapes import visible
from lightning_hash.utils.json_text import brief
from lightning_hash.utils.places import check_inside, check_name, check_no_way_out
from lightning_hash.utils.text_files import utf8
from lightning_hash.utils.versions import version_of
from lightning_hash.utils.volume import Volume, volume
from lightning_hash.utils.whole_file import ready_folder, write_whole
from lightning_hash.utils.yaml_text import load_yaml
from lightning_hash.victims.borrow import borrowed
from lightning_hash.victims.resolve import as_victim
from lightning_hash.victims.victim import Victim

TARGETS = "targets.json"
Group = tuple[Perturbations, Path | None]


def main(arguments: list[str]) -> int:
    """Score perturbations, write result rows and print a table.

    All victims and runs are read before the first is scored, and the rows are written behind each.

    Args:
        arguments: what stands behind ``transfer``.

    Returns:
        0.

    Raises:
        FileNotFoundError: if a run, a victim or a config does not exist.
        ValueError: if the runs do not go together or with the victims, or the name leads out of
            the folder of runs.
    """
    parser = make_parser()
    options = parser.parse_args(arguments)
    check_name(options.name, "--name")
    with options_named(parser, arguments):
        return _transfer(parser, options)


def _transfer(parser: OneLineParser, options: Any) -> int:
    check_trainer_values({name: options[name] for name in ("accelerator", "devices")}, "")
    parts = _readable(options.perturbations)
    combinations = _possible(options, len(parts))
    groups = _groups([part for part, _ in parts], [folder for _, folder in parts], combinations)
    config = _find_data(options.data, [folder for _, folder in parts])
    victims = [as_victim(_victim(given)) for given in options.victims]
    started, devices = launched(), options.devices
    if started is not None and devices == VERBS["transfer"].options["devices"].default:
        devices = started.devices
    nodes = 1 if started is None else started.nodes
    trainer = HashTrainer(
        accelerator=options.accelerator, devices=devices, num_nodes=nodes, logger=False,
        enable_checkpointing=False, callbacks=[PassProgress()], enable_model_summary=False,
        strategy="query_parallel" if str(devices) != "1" or nodes > 1 else "auto",
    )  # fmt: skip
    check_launched(trainer)
    name = f"transfer/{options.name}"
    check_inside(Path(options.runs) / name, Path(options.runs), "give --runs another folder")
    check_no_way_out(Path(options.runs) / name)
    logger = RunLogger(options.runs, name=name)
    if trainer.is_global_zero:
        ready_folder(Path(logger.root_dir), "run folder", "give another with --runs FOLDER")
    rows: list[ResultRow] = []
    for number, victim in enumerate(victims):
        rows += run_transfer(trainer, victim, groups, _data(config), options.batch_size)
        if trainer.is_global_zero:
            place = Path(logger.log_dir)
            if number == 0:
                text = parser.dump(options, skip_check=True)
                write_whole(place / "config.yaml", utf8(text))
            write_results(place / "results.json", rows)
    if trainer.is_global_zero:
        for grid in transfer_grids(rows) if volume() is not Volume.QUIET else ():
            print_table(grid.rich())
        print(visible(logger.log_dir))
    return 0


def run_transfer(
    trainer: pl.Trainer,
    victim: Victim,
    groups: Sequence[Group],
    datamodule: HashDataModule,
    batch_size: int = 100,
) -> list[ResultRow]:
    """Score perturbations on a victim, whose database is encoded once.

    Args:
        trainer: runs it.
        victim: the victim.
        groups: perturbations, each with the ``targets.json`` that it was made for, if any.
        datamodule: the queries and the database of the attacks.
        batch_size: queries at a time.

    Returns:
        A row per number; those of the clean queries and the ceiling once.

    Raises:
        ValueError: if the perturbations are not of these queries, or the Trainer would pass some
            only.
    """
    check_pass_trainer(trainer, "test")
    first = groups[0][0]
    rows = []
    with borrowed(victim.network):
        datamodule.prepare_data()
        chosen = first.index.tolist() if first.data.get("query_index") else None
        n_queries, seed = first.data["n_query"], first.attack["seed"]
        resolution = first.attack.get("resolution", "input")
        data = QueryData(datamodule, n_queries, batch_size, seed, chosen, resolution=resolution)
        data.setup("predict")
        target = choose_target_database(first.data["target_database"] or "auto", datamodule)
        databases = find_databases(trainer, victim, datamodule, target)
        for number, (given, file) in enumerate(groups):
            module = transfer_module(victim, given, file, data, databases, trainer)
            trainer.test(module, datamodule=data, verbose=False, weights_only=True)
            found = [ResultRow(**row) for row in module.rows]
            rows += [row for row in found if row.is_attack]
            if number == 0:  # the clean queries and the ceilings do not depend on what is added
                own = [row for row in module.rows if not ResultRow(**row).is_attack]
                rows += [ResultRow(**{**row, "transfer": None}) for row in own]
    return rows


def make_parser() -> OneLineParser:
    """Return the parser of the verb's options."""
    parser = OneLineParser(prog="lightning_hash transfer", description=__doc__)
    parser.add_argument("--config", action="config", help="YAML with these options.")
    for name, option in VERBS["transfer"].options.items():
        parser.add_argument(f"--{name}", **option._asdict())
    return parser


def _victim(given: str) -> Any:
    """Return the path of a checkpoint, or options of a foreign model as a mapping.

    Raises:
        ValueError: if they are no YAML.
    """
    return load_yaml(given, f"victims {brief(given)}") if given.startswith("{") else given


def _newest(run: Path) -> Path:
    """Return the folder of a run, or of the newest finished one of a name; says what it passes."""
    folder = latest_version(run)
    if folder != run and version_of(folder) < max(map(version_of, run.iterdir())):
        rank_zero_info(f"{run}: {folder.name} is taken, later ones are not finished")
    return folder


def _readable(runs: Sequence[str]) -> list[tuple[Perturbations, Path]]:
    """Read the perturbations of runs; those that cannot be read are left out and named.

    Raises:
        OSError: or a ValueError, the first run's, if none can be read.
    """
    found: list[tuple[Perturbations, Path]] = []
    errors: list[Exception] = []
    for run in runs:
        folder = _newest(Path(run))
        try:
            part = read_perturbations(folder)
            if (folder / TARGETS).exists():
                _targets(folder / TARGETS)
        except (OSError, ValueError) as error:
            errors.append(error)
        else:
            found.append((part, folder))
    if not found:
        raise errors[0]
    for each in errors:
        rank_zero_warn(f"left out: {each}")
    return found


def _possible(options: Any, count: int) -> list[str]:
    """Return the combinations that can be made of the runs that could be read.

    Raises:
        ValueError: if there are none.
    """
    whole = count == len(options.perturbations)
    found = [each for each in options.combination if whole or each == "single"]
    others = ", ".join(each for each in options.combination if each not in found)
    if others:
        msg = f"combination {others} is one of all runs, of which some were left out"
        if not found:
            msg = f"{msg}; attack again, or name the others alone"
            raise ValueError(msg)
        rank_zero_warn(f"left out: {msg}")
    return found


def _find_data(given: str | None, folders: Sequence[Path]) -> Path:
    """Return the config of the data: the user's, or the first run's that can be read.

    Raises:
        OSError: or a ValueError, the first one's, if none can be read.
    """
    errors: list[Exception] = []
    for path in [find_config(given)] if given else [folder / "config.yaml" for folder in folders]:
        try:
            _data(path)
        except (OSError, ValueError) as error:
            errors.append(error)
        else:
            for each in errors:
                rank_zero_warn(f"left out: {each}")
            return path
    raise errors[0]


def _groups(
    parts: list[Perturbations], folders: Sequence[Path], combinations: Sequence[str]
) -> list[Group]:
    """Return the perturbations to score, each with the targets that they were made for."""
    check_together(parts)
    files = [folder / TARGETS for folder in folders]
    agree = all(file.exists() for file in files) and len({_targets(file) for file in files}) == 1
    groups: list[Group] = []
    for combination in combinations:
        if combination == "single":
            found = zip(parts, files, strict=True)
            groups += [(made, file if file.exists() else None) for made, file in found]
        else:
            groups.append((combine(parts, combination), files[0] if agree else None))
    return groups


def _targets(file: Path) -> str:
    """Return the target labels of a file as text; the anchor sets may differ in size.

    Raises:
        ValueError: if the file cannot be read.
    """
    entries = read_target_json(file, "attack again, or remove it")
    return str(sorted((query, entry["target"]) for query, entry in entries.items()))


def _data(config: Path) -> HashDataModule:
    """Make the data module that a config describes."""
    if not config.is_file():
        msg = f"{config} does not exist; give the config of the attacks' data with --data"
        raise FileNotFoundError(msg)
    content = read_config(config)
    if not content.get("data"):
        msg = f"{config} has no section data; give the config of the attacks' data with --data"
        raise ValueError(msg)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(HashDataModule, "data", required=True)
    try:
        with checked_class_paths():
            parsed = parser.parse_object({"data": content["data"]})
            made = parser.instantiate_classes(parsed)
    except ArgumentError as error:
        denied = explained_denial(str(error))
        if denied is not None:
            msg = f"{config}: {denied}"
            raise ValueError(msg) from error
        lines = [line.strip(" -") for line in str(error).splitlines()]
        said = next((line for line in lines if "not accepted" in line or "Expected" in line), "")
        msg = (
            f"{config}: data describes no data module ({said or lines[0]}), got "
            f"{brief(content['data'])}; give the config of the attacks' data with --data"
        )
        raise ValueError(msg) from error
    data: HashDataModule = made.data
    return data
