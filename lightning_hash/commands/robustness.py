"""``python -m lightning_hash robustness``: how far do harmless transforms move the codes?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from lightning_hash.commands.run_place import merge_callbacks
from lightning_hash.data.base import HashDataModule
from lightning_hash.data.harmless import TRANSFORMS
from lightning_hash.data.queries import Resolution
from lightning_hash.engine.callbacks import PassProgress
from lightning_hash.engine.robustness import measure_robustness
from lightning_hash.functional import RankingOptions
from lightning_hash.modules.encoder import Encoder
from lightning_hash.reports.robustness_picture import robustness_png, robustness_table
from lightning_hash.results.robustness import Robustness
from lightning_hash.results.tables import print_table
from lightning_hash.utils.escapes import visible
from lightning_hash.utils.places import check_inside, check_name, check_no_way_out
from lightning_hash.utils.versions import take_version
from lightning_hash.utils.volume import Volume, volume
from lightning_hash.utils.whole_file import ready_folder, write_whole

PICTURE = "robustness.png"


def run_robustness(
    trainer: pl.Trainer,
    model: Encoder,
    datamodule: HashDataModule,
    transforms: list[str] | None = None,
    threshold: int | None = None,
    n_queries: int | None = None,
    seed: int = 0,
    ranking: RankingOptions = RankingOptions(),
    runs: str = "runs",
    name: str = "robustness",
    resolution: Resolution = "input",
) -> Robustness:
    """Transform the queries of a data set, encode them, write numbers, a table and a heat map.

    Args:
        trainer: runs the passes, by any number of processes.
        model: runs the victim.
        datamodule: the data.
        transforms: which: jpeg, resize, crop, rotate, flip, brightness, contrast, blur, text; all
            by default.
        threshold: two images match at a distance of at most so many bits; by default PDQ's share,
            31 of 256.
        n_queries: at most so many queries, drawn by seed; all by default.
        seed: of the draws: of the queries, of where a crop or a text is, of the side of a rotation.
        ranking: how MAP is computed, where there are labels.
        runs: folder under which runs are written.
        name: the numbers go to RUNS/robustness/NAME/version_N.
        resolution: what is transformed: the network's input, or image files in their original size,
            which are then resized and cropped as the data are.

    Returns:
        The numbers.

    Raises:
        ValueError: if an option is wrong, the inputs are no colour images, or a logit is not
            finite.
        OSError: if a file cannot be written.
    """
    root = Path(runs) / "robustness" / check_name(name, "--name")
    if trainer.is_global_zero:
        check_inside(root, Path(runs), "give --runs another folder")
        check_no_way_out(root)
        ready_folder(root, "run folder", "give another with --runs FOLDER")
    found = measure_robustness(
        trainer, model.victim, datamodule,
        transforms=list(TRANSFORMS) if transforms is None else transforms,
        threshold=threshold, n_queries=n_queries, seed=seed, ranking=ranking, resolution=resolution,
    )  # fmt: skip
    if trainer.is_global_zero:
        folder = take_version(root)
        write_whole(folder / PICTURE, robustness_png(found))
        path = found.write(folder)
        if volume() is not Volume.QUIET:
            print_table(robustness_table(found))
        print(visible(str(path)))
    return found


def trainer_options(options: Mapping[str, Any], model: pl.LightningModule) -> dict[str, Any]:
    """Return nothing: the trainer gets the user's options alone."""
    return {"callbacks": merge_callbacks(options["trainer"], [PassProgress()])}
