"""Trainings: what is saved, what is tested, and what of an earlier one of the name stays."""

import fcntl
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, Timer

from lightning_hash.commands.fit import run_fit, trainer_options
from lightning_hash.engine.callbacks import LastEpoch
from lightning_hash.engine.stops import stopped_early
from lightning_hash.engine.trainer import HashTrainer
from lightning_hash.losses import HashNetLoss
from lightning_hash.modules import OneCycle
from tests.helpers.training import module

NONE = r"no validated epoch is kept: the last one is tested, .*last\.ckpt"
STEPS = 5  # of an epoch


class Watch(Callback):
    """Notes the epochs that are validated and what is tested."""

    def __init__(self):
        self.validated, self.tested = [], []

    def on_validation_end(self, trainer, module):
        self.validated.append(trainer.current_epoch)

    def on_test_start(self, trainer, module):
        self.tested.append(None if trainer.ckpt_path is None else Path(trainer.ckpt_path).name)


class Stop(Callback):
    """Stops the training behind a batch, as a rule of the user's does, or kills it there."""

    def __init__(self, epoch, batch=0, error=None):
        self.place, self.error = (epoch, batch), error

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == self.place:
            trainer.should_stop = True
            if self.error is not None:
                raise self.error


def fit(folder, data, path=None, callbacks=(), options=None, rising=False, **given):
    """Train as the command does, in ``folder/checkpoints/x``."""
    watch = Watch()
    trainer = {
        "max_epochs": 3, "check_val_every_n_epoch": 1, "logger": False, "default_root_dir": folder,
        "enable_progress_bar": False, "enable_checkpointing": None,
        "callbacks": [watch, *callbacks], **given,
    }  # fmt: skip
    model = module(**(options or {}))
    if rising:  # every validation is better than the one before
        compute = model.retrieval.metrics.compute

        def better(names):
            found = compute(names)
            return {**found, "map": replace(found["map"], value=float(model.global_step))}

        model.retrieval.metrics.compute = better
    places = {"runs": str(folder / "runs"), "checkpoints": str(folder / "checkpoints"), "name": "x"}
    own = trainer_options({"trainer": trainer, **places}, model)
    run = HashTrainer(
        **{**trainer, **own}, accelerator="cpu", enable_model_summary=False, num_sanity_val_steps=0
    )
    run_fit(run, model, data, path)
    return run, watch


def load(folder, name):
    return torch.load(folder / "checkpoints" / "x" / f"{name}.ckpt", weights_only=True)


@pytest.mark.parametrize(
    ("given", "callbacks", "validated", "steps"),
    [
        ({"max_epochs": 3, "check_val_every_n_epoch": 2}, [], [1, 2], 15),
        ({"max_steps": 7, "max_epochs": 9, "check_val_every_n_epoch": 5}, [], [1], 7),
        ({"max_steps": 7, "max_epochs": -1}, [], [0, 1], 7),
        ({"max_steps": 10, "max_epochs": -1}, [], [0, 1], 10),
        ({"max_epochs": 9, "check_val_every_n_epoch": 4}, [Stop(1, 4)], [1], 10),
        ({"max_epochs": -1, "check_val_every_n_epoch": 4}, [Stop(1, 2)], [1], 8),
        ({"max_epochs": 1, "val_check_interval": 2}, [], [0, 0, 0], 5),
        ({"max_epochs": 3, "check_val_every_n_epoch": None, "val_check_interval": 7},
         [], [1, 2, 2], 15),
        ({"max_epochs": 9, "check_val_every_n_epoch": 4},
         [EarlyStopping("train/loss", 1e9, patience=1, check_on_train_epoch_end=True)], [1], 10),
    ],
)  # fmt: skip
def test_the_end_of_a_training_is_validated_once_and_saved(
    tmp_path, blobs, given, callbacks, validated, steps
):
    run, watch = fit(tmp_path, blobs, callbacks=callbacks, rising=True, **given)
    assert watch.validated == validated
    assert load(tmp_path, "last")["global_step"] == run.global_step == steps
    assert load(tmp_path, "best")["global_step"] == steps
    assert watch.tested == ["best.ckpt"]
    assert stopped_early(run, run.lightning_module) is None


@pytest.mark.parametrize(
    ("given", "callbacks", "tested", "message"),
    [
        ({"limit_val_batches": 0}, [], "last.ckpt", NONE),
        ({}, [ModelCheckpoint(save_top_k=0)], "last.ckpt", NONE),
        ({}, [ModelCheckpoint(every_n_epochs=2)], "last.ckpt", NONE),
        ({"enable_checkpointing": False}, [], None, "the weights are tested as the training has"),
    ],
)
def test_what_there_is_is_tested(tmp_path, blobs, given, callbacks, tested, message):
    with pytest.warns(UserWarning, match=message):
        run, watch = fit(tmp_path, blobs, callbacks=callbacks, **given)
    assert watch.tested == [tested]
    assert float(run.callback_metrics["test/map"]) > 0
    assert (tested is None) != (tmp_path / "checkpoints" / "x" / "last.ckpt").exists()


def test_no_test_where_none_is_asked_for(tmp_path, blobs):
    assert fit(tmp_path, blobs, limit_test_batches=0)[1].tested == []
    assert fit(tmp_path, blobs, fast_dev_run=True)[1].tested == []


def test_last_is_the_last_finished_epoch_whatever_is_best(tmp_path, blobs):
    """The blobs are told apart in the first epoch, and nothing is better than that."""
    with pytest.raises(KeyError, match="killed"):
        fit(tmp_path, blobs, max_epochs=9, callbacks=[Stop(4, 1, KeyError("killed"))])
    assert (load(tmp_path, "best")["epoch"], load(tmp_path, "last")["epoch"]) == (0, 3)
    fit(tmp_path, blobs, "last", max_epochs=9)
    other = tmp_path / "other"
    fit(other, blobs, max_epochs=9)
    for name in ("best", "last"):
        found, whole = load(tmp_path, name), load(other, name)
        assert found["epoch"] == whole["epoch"]
        states = (each["state_dict"] for each in (found, whole))
        for one, two in zip(*(state.values() for state in states), strict=True):
            assert torch.equal(one, two)


def test_half_an_epoch_is_no_place_to_go_on_from(tmp_path, blobs):
    """Where time runs out, the training is not over: it goes on from the epoch before."""

    class Late(Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            if (trainer.current_epoch, batch_idx) == (1, 2):
                timer._duration = 0.0

    timer = Timer(timedelta(hours=1))
    run, _ = fit(tmp_path, blobs, callbacks=[Late(), timer])
    assert "stopped by max_time in epoch 2 of 3" in stopped_early(run, run.lightning_module)
    assert load(tmp_path, "last")["global_step"] == STEPS
    timer = Timer(timedelta(hours=1))  # the only bound there is: the training ends with it
    run, watch = fit(tmp_path / "open", blobs, callbacks=[Late(), timer], max_epochs=-1)
    assert stopped_early(run, run.lightning_module) is None
    assert load(tmp_path / "open", "last")["global_step"] == 8
    assert watch.validated == [0, 1]


@pytest.mark.parametrize(
    ("options", "named"),
    [({"lr_scheduler": OneCycle}, "lr_scheduler follows the length of the training"),
     ({"loss": HashNetLoss()}, "loss HashNetLoss follows the length of the training")],
)  # fmt: skip
def test_a_training_without_an_end_has_no_schedule(tmp_path, blobs, options, named):
    with pytest.raises(ValueError, match=f"{named}, which trainer.max_epochs = -1 leaves open"):
        fit(tmp_path, blobs, options=options, max_epochs=-1)
    assert not (tmp_path / "checkpoints").exists()


def test_a_refused_training_leaves_the_folders_that_were_there(tmp_path, blobs):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(ValueError, match="follows the length"):
        fit(tmp_path, blobs, options={"lr_scheduler": OneCycle}, max_epochs=-1)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_an_earlier_training_of_the_name_is_kept(tmp_path, blobs):
    place = tmp_path / "checkpoints" / "x"
    fit(tmp_path, blobs, max_epochs=1)
    before = {name: (place / name).read_bytes() for name in ("best.ckpt", "last.ckpt")}
    with pytest.raises(KeyError, match="killed"):  # before its first epoch has ended
        fit(tmp_path, blobs, callbacks=[Stop(0, 1, KeyError("killed"))])
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
    fit(tmp_path, blobs, max_epochs=2)
    kept = place / "version_0"
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before
    assert load(tmp_path, "last")["epoch"] == 1
    fit(tmp_path, blobs, str(place / "last.ckpt"), max_epochs=3)  # the same training
    assert sorted(path.name for path in place.iterdir()) == ["best.ckpt", "last.ckpt", "version_0"]


def test_two_trainings_of_one_name_at_once(tmp_path, blobs):
    place = tmp_path / "checkpoints" / "x"
    place.mkdir(parents=True)
    other = os.open(place, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(OSError, match="another training of this name is running; give another"):
        fit(tmp_path, blobs)
    os.close(other)
    fit(tmp_path, blobs, max_epochs=1)


def test_a_requeued_job_goes_on(tmp_path, blobs, monkeypatch):
    fit(tmp_path, blobs, max_epochs=2)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    run, watch = fit(tmp_path, blobs, max_epochs=4)
    assert watch.validated == [2, 3]
    monkeypatch.setenv("SLURM_RESTART_COUNT", "0")
    assert fit(tmp_path, blobs, max_epochs=2)[1].validated == [0, 1]
    with pytest.warns(UserWarning, match="no training of this name has a checkpoint, this one is"):
        fit(tmp_path / "new", blobs, "last", max_epochs=1)
    assert any(isinstance(each, LastEpoch) for each in run.callbacks)
