"""``python -m lightning_hash fit``: train a hash model."""

import fcntl
import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.utilities import cloud_io
from pytorch_lightning import Callback
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from lightning_hash.commands.run_place import merge_callbacks, place_of_run
from lightning_hash.data.base import HashDataModule
from lightning_hash.engine.callbacks import (
    Board,
    KeepEarlier,
    LastEpoch,
    Places,
    StopTraining,
    SummaryTable,
    TrainingProgress,
)
from lightning_hash.modules.frame_encoder import cache_frames
from lightning_hash.modules.hash_module import HashModule
from lightning_hash.modules.head_fit import fit_head
from lightning_hash.utils.distributed import gather_objects
from lightning_hash.utils.places import check_inside, check_no_way_out
from lightning_hash.utils.whole_file import ready_folder
from lightning_hash.victims.borrow import exact_arithmetic
from lightning_hash.victims.checkpoints import GO_ON, read_checkpoint


def run_fit(
    trainer: pl.Trainer,
    model: HashModule,
    datamodule: HashDataModule,
    ckpt_path: str | None = None,
) -> None:
    """Train a hash model, and test its best epoch, or the last where none was validated.

    A ``head`` of the model is computed first; with ``max_epochs`` 0 that is all, and what is saved
    as best.ckpt: of data without labels too, which are not tested. Where the model caches the
    features of frames, they are computed first and trained on.

    Args:
        trainer: runs the training.
        model: the model.
        datamodule: the data.
        ckpt_path: checkpoint to go on from; ``last`` is that of the last finished epoch of this
            name, if there is any, and what a job takes that SLURM has requeued.

    Raises:
        ValueError: if the features of frames cannot be kept, see
            :func:`lightning_hash.modules.frame_encoder.cache_frames`, or the checkpoint is of no
            training, or of one with other settings.
        OSError: if another training of this name is running.
    """
    last = next((c for c in trainer.checkpoint_callbacks if isinstance(c, LastEpoch)), None)
    requeued = int(os.environ.get("SLURM_RESTART_COUNT", "0")) > 0
    if ckpt_path == "last" or (ckpt_path is None and requeued):
        ckpt_path = _last_checkpoint(last)
    if ckpt_path is not None:
        check_checkpoint_to_go_on(str(ckpt_path))
    writes = last is not None and trainer.is_global_zero and not getattr(trainer, "fast_dev_run", 0)
    folder = last.path.parent if last is not None and writes else None
    with _alone(folder), exact_arithmetic():
        if ckpt_path is None and not getattr(trainer, "fast_dev_run", False):
            fit_head(model, datamodule, trainer)
        datamodule.cached = cache_frames(model, datamodule, trainer)
        try:
            trainer.fit(model, datamodule=datamodule, ckpt_path=ckpt_path, weights_only=True)
        finally:
            datamodule.cached = {}
        if getattr(trainer, "fast_dev_run", False):
            return
        saved = None
        if model.head is not None and last is not None and trainer.max_epochs == 0:
            saved = _save_untrained(trainer, last)
        if trainer.limit_test_batches == 0:
            rank_zero_info("trainer.limit_test_batches = 0: nothing is tested")
            return
        if not datamodule.has_labels:
            rank_zero_info(f"{datamodule.name} has no labels: MAP is not measured")
            return
        tested, instead = (saved, None) if saved else gather_objects(_to_test(trainer, last))[0]
        if instead is not None:
            rank_zero_warn(f"no validated epoch is kept: {instead}")
        trainer.test(
            model, datamodule=datamodule, ckpt_path=tested, verbose=False, weights_only=True
        )


def check_checkpoint_to_go_on(ckpt_path: str) -> None:
    """Refuse a checkpoint that is none of a training, or that is not read safely.

    Args:
        ckpt_path: a file, or an address that fsspec opens.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is of no training, or holds more than tensors and plain values.
    """
    maker = "python -m lightning_hash fit"
    # What lies here is no address, whatever its name: strategies unpickle folders of shards.
    if "://" not in ckpt_path or Path(ckpt_path).exists():
        read_checkpoint(Path(ckpt_path), "victim", maker, prefix="ckpt_path: ", needs=GO_ON)
        return
    if ckpt_path.startswith("http"):
        msg = (
            f"ckpt_path: {ckpt_path} would be kept among torch's own downloads, under a name that "
            "it chooses; download it and give the file"
        )
        raise ValueError(msg)
    try:
        cloud_io._load(ckpt_path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        msg = f"ckpt_path: {ckpt_path} holds more than tensors and plain values, so it is not read"
        raise ValueError(msg) from error
    except (OSError, ImportError, ValueError) as error:
        msg = f"ckpt_path: {ckpt_path} cannot be read: {error}"
        raise ValueError(msg) from error


def _last_checkpoint(last: LastEpoch | None) -> str | None:
    """Return the checkpoint of the last finished epoch, where there is one."""
    if last is not None and last.path.is_file():
        return str(last.path)
    rank_zero_warn("ckpt_path last: no training of this name has a checkpoint, this one is new")
    return None


@contextmanager
def _alone(folder: Path | None) -> Iterator[None]:
    """Keep other trainings of a name away; they would overwrite each other's checkpoints.

    The folder is made for the lock; it goes again where the training was refused.
    """
    if folder is None:
        yield
        return
    made = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = os.open(folder, os.O_RDONLY)
    except OSError:
        ready_folder(folder, "checkpoints", "give another with --checkpoints FOLDER")  # says why
        raise
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(place)
        msg = f"{folder}: another training of this name is running; give another with --name"
        raise OSError(msg) from error
    except OSError as error:  # some network disks have no locks
        rank_zero_warn(f"{folder} cannot be locked ({error.strerror}); start no other fit into it")
    try:
        yield
    finally:
        for each in made:
            with suppress(OSError):  # it holds checkpoints
                each.rmdir()
        os.close(place)


def _to_test(trainer: pl.Trainer, last: LastEpoch | None) -> tuple[str | None, str | None]:
    """Return the checkpoint to test, and what is tested where that is not the best epoch.

    No checkpoint stands for the weights as the training has left them.
    """
    for callback in trainer.checkpoint_callbacks:
        best, monitor = getattr(callback, "best_model_path", ""), getattr(callback, "monitor", None)
        if monitor is not None and best and Path(best).is_file():
            return best, None
    if last is not None and last.path.is_file() and (last.saved or trainer.ckpt_path):
        return str(last.path), f"the last one is tested, {last.path}"
    for callback in trainer.checkpoint_callbacks:
        found = getattr(callback, "best_model_path", "")
        if found and Path(found).is_file():
            return found, f"what is kept without a monitor is tested, {found}"
    return None, (
        "the weights are tested as the training has left them; a best.ckpt of this name, where "
        "there is one, is of another training"
    )


def _save_untrained(trainer: pl.Trainer, last: LastEpoch) -> str:
    """Save a model whose hash layer was computed and not trained; no epoch of it is picked."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, KeepEarlier):
            callback.look(trainer)
    path = last.path.with_name("best.ckpt")
    trainer.save_checkpoint(path, weights_only=False)
    return str(path)


def trainer_options(options: Mapping[str, Any], model: pl.LightningModule) -> dict[str, Any]:
    """Return what the trainer gets beside the user's options."""
    given = options["trainer"]
    folder = Path(options["checkpoints"]) / options["name"]
    check_inside(folder, Path(options["checkpoints"]), "give --checkpoints another folder")
    check_no_way_out(folder)
    best = ModelCheckpoint(
        dirpath=folder, filename="best", monitor="val/map", mode="max",
        save_on_train_epoch_end=False,  # but where it is validated, which may be behind it
        enable_version_counter=False,
    )  # fmt: skip
    own: list[Callback] = [Places(), TrainingProgress(), Board(), SummaryTable(), StopTraining()]
    if given["enable_checkpointing"] is not False:
        own += [KeepEarlier(folder), best, LastEpoch(folder)]
    if given["logger"] is not False:
        own.append(LearningRateMonitor("step"))
    # A training shorter than the default interval is validated at its end.
    every, epochs = given["check_val_every_n_epoch"], given["max_epochs"] or 0
    return {
        **place_of_run(given, options["runs"], f"fit/{options['name']}"),
        "callbacks": merge_callbacks(given, own),
        "check_val_every_n_epoch": min(every, epochs) if every and epochs > 0 else every,
    }
