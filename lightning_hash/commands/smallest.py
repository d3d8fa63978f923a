"""``python -m lightning_hash smallest``: the smallest epsilon of each query."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from lightning_hash.audits.smallest import SmallestSearch
from lightning_hash.commands.run_place import merge_callbacks
from lightning_hash.commands.trainer_maker import TrainerMaker
from lightning_hash.data.base import HashDataModule
from lightning_hash.data.tensor_data import TensorData
from lightning_hash.engine.callbacks import IterationProgress
from lightning_hash.engine.trainer import quiet_trainers
from lightning_hash.functional.checks import check_at_most, check_whole
from lightning_hash.modules.attack_module import AttackModule
from lightning_hash.reports.smallest_picture import smallest_head, smallest_table
from lightning_hash.results.smallest import FILE, Smallest
from lightning_hash.results.tables import print_table
from lightning_hash.utils.escapes import visible
from lightning_hash.utils.places import check_inside, check_name, check_no_way_out
from lightning_hash.utils.progress import shows_bars
from lightning_hash.utils.volume import Volume, volume
from lightning_hash.utils.whole_file import ready_folder
from lightning_hash.victims.resolve import as_victim


def run_smallest(
    make_trainer: TrainerMaker,
    model: AttackModule,
    datamodule: HashDataModule,
    levels: int = 32,
    codes: str | None = None,
    images: int | None = None,
    checkpoint_every: int | None = None,
    runs: str = "runs",
    name: str = "smallest",
) -> Smallest:
    """Find the smallest epsilon of each query by bisection; write numbers, a table and a curve.

    Args:
        make_trainer: makes the Trainer of each attack; ``max_epochs`` are its iterations.
        model: the attack; its ``stop_at`` says when a query succeeds.
        datamodule: the queries and the database.
        levels: the largest epsilon, in levels of 1/255.
        codes: the database's codes, as in attack; by default the database is encoded.
        images: how many adversarial images each attack writes; all by default.
        checkpoint_every: iterations between two checkpoints; once a minute by default.
        runs: folder under which runs are written.
        name: all goes to RUNS/smallest/NAME/version_N; the same command goes on where it was
            killed.

    Returns:
        The numbers.

    Raises:
        ValueError: if an option is wrong, or the attack has no smallest epsilon.
        OSError: if a file cannot be written.
    """
    check_at_most("images", images)
    root = Path(runs) / "smallest" / check_name(name, "--name")
    search = SmallestSearch(
        attack=model, data=datamodule, root=root, make_trainer=make_trainer, levels=levels,
        iterations=make_trainer.options["max_epochs"] or 0, codes=codes, images=images,
        checkpoint_every=checkpoint_every, config=make_trainer.config, tell=_tell,
    )  # fmt: skip
    check_inside(root, Path(runs), "give --runs another folder")
    check_no_way_out(root)
    ready_folder(root, "run folder", "give another with --runs FOLDER")
    found, folder = search.run()
    if _is_first():
        if volume() is not Volume.QUIET:
            for line in smallest_head(found):
                print(visible(line))
            print_table(smallest_table(found))
        print(visible(str(folder / FILE)))
    return found


def trainer_options(options: Mapping[str, Any], model: pl.LightningModule) -> dict[str, Any]:
    """Return what the trainer gets beside the user's options."""
    given = options["trainer"]
    bars = [IterationProgress()] if shows_bars() else []  # a line for each attack is enough
    found: dict[str, Any] = {"callbacks": merge_callbacks(given, bars)}
    if not bars:
        found["enable_progress_bar"] = False
    several = str(given["devices"]) != "1" or given["num_nodes"] > 1
    if given["strategy"] == "auto" and several:
        found["strategy"] = "query_parallel"
    return found


def _is_first() -> bool:
    return getattr(rank_zero_only, "rank", 0) == 0


def _tell(line: str) -> None:
    if _is_first() and volume() is not Volume.QUIET:
        print(visible(line), flush=True)


def smallest(
    model: Any,
    queries: Tensor | HashDataModule,
    *,
    stop_at: int,
    levels: int = 32,
    iterations: int = 100,
    folder: str | Path | None = None,
    accelerator: str = "auto",
    trust: bool = False,
    **options: Any,
) -> Smallest:
    """Find the smallest epsilon of each query at which an attack succeeds.

    Args:
        model: turns images in [0, 1] into ``(B, K)`` logits; or what else
            :class:`lightning_hash.AttackModule` takes as its victim. It is given back as it came.
        queries: images ``(Q, C, H, W)``, floating in [0, 1] or uint8; or a data module, whose
            labels a targeted attack may need.
        stop_at: a query succeeds where its code is at least so many bits from the clean one, of a
            targeted attack at most so many from its goal.
        levels: the largest epsilon, in levels of 1/255.
        iterations: of each attack.
        folder: keeps the attacks, so that the same call goes on where it was killed; by default
            nothing is kept.
        accelerator: as in Lightning's Trainer.
        trust: let a file or function that stands for the model run code, see
            :func:`lightning_hash.victims.load_foreign`.
        options: as in :class:`lightning_hash.AttackModule`: objective, step, oracle, ...

    Returns:
        The smallest epsilons, one for each query, and the attacks that were run.

    Raises:
        TypeError: if images are no tensor.
        ValueError: if images or options are wrong, or the attack has no smallest epsilon.

    Example:
        >>> import torch
        >>> torch.manual_seed(0)  # doctest: +ELLIPSIS
        <torch._C.Generator object at ...>
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 8))
        >>> images = torch.randint(256, (3, 3, 4, 4), dtype=torch.uint8)
        >>> found = smallest(model, images, stop_at=2, levels=3, iterations=3, accelerator="cpu")
        >>> len(found.queries), found.rounds
        (3, 2)
    """
    check_whole("levels", levels)
    check_whole("iterations", iterations)
    if isinstance(queries, HashDataModule):
        data: HashDataModule = queries
    else:
        data = TensorData((queries, None), (queries, None))  # nothing is ranked without labels
    victim = as_victim(model, trust=trust)
    attack = AttackModule(victim, **{"n_queries": None, **options}, stop_at=stop_at)
    with TemporaryDirectory() as place, quiet_trainers(accelerator=accelerator) as make_trainer:
        root = Path(place if folder is None else folder)
        search = SmallestSearch(
            attack=attack, data=data, root=root, make_trainer=make_trainer, levels=levels,
            iterations=iterations,
        )  # fmt: skip
        found, _ = search.run()
        return found
