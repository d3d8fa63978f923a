import json
import os
import signal
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.callbacks import Callback

from lightning_hash.engine.attack_run import _newest_checkpoint, run_attack
from lightning_hash.engine.callbacks import AttackCheckpoint
from lightning_hash.engine.signals import requeue
from tests.helpers.attacks import attack, make, trainer
from tests.helpers.disk import fill


@pytest.mark.filterwarnings("ignore:.*could not be saved")
def test_full_disk_is_reported_and_the_attack_goes_on(tmp_path, monkeypatch, blobs):
    plain, module = run_attack(trainer(tmp_path, 6), make(), blobs), make()
    callback = AttackCheckpoint(every=2)
    runner = trainer(tmp_path, 6, callbacks=[callback], enable_checkpointing=True)
    with monkeypatch.context() as patch:
        fill(patch)
        message = (
            r"the results are written, but iteration 6 could not be saved in .*last\.ckpt \(no "
            r"space left, [\d.]+ MB free\)"
        )
        with pytest.raises(OSError, match=message):
            run_attack(runner, module, blobs)
    left = torch.cat([perturbation.delta for perturbation in module.perturbations])
    assert torch.equal(left, plain.outcome().tensors["perturbation"])
    assert len(module.evaluation.rows) == len(plain.rows)


@pytest.mark.filterwarnings("ignore:.*could not be saved")
def test_a_disk_that_was_full_for_a_while(tmp_path, monkeypatch, blobs):
    callback = AttackCheckpoint(every=2)
    module = make()
    with monkeypatch.context() as patch:
        fill(patch)
        taken = type(module).on_train_epoch_end

        def empty_at_iteration_4(self):
            if self.current_epoch == 3:
                patch.undo()
            taken(self)

        monkeypatch.setattr(type(module), "on_train_epoch_end", empty_at_iteration_4)
        run_attack(
            trainer(tmp_path, 6, callbacks=[callback], enable_checkpointing=True), module, blobs
        )
    assert callback.failed is None
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["epoch"] == 5


def test_saves_every_so_often_and_at_the_end(tmp_path, blobs):
    callback, saved = AttackCheckpoint(every=4), []
    runner = trainer(tmp_path, 6, callbacks=[callback], enable_checkpointing=True)
    save = runner.save_checkpoint

    def counted(*arguments, **options):
        saved.append(runner.current_epoch + 1)
        save(*arguments, **options)

    runner.save_checkpoint = counted
    run_attack(runner, make(), blobs)
    assert saved == [4, 6]
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]
    with pytest.raises(ValueError, match="checkpoint_every must be at least 1, got 0"):
        AttackCheckpoint(0)


def test_saves_once_a_minute(tmp_path, blobs, monkeypatch):
    """Ten iterations of 25 seconds: after 75, 150 and 225 seconds, and at the end."""
    saved = []
    runner = trainer(tmp_path, 10, callbacks=[AttackCheckpoint()], enable_checkpointing=True)
    clock = SimpleNamespace(monotonic=lambda: 1000 + 25 * runner.current_epoch)
    monkeypatch.setattr("lightning_hash.engine.callbacks.attack_checkpoint.time", clock)
    save = runner.save_checkpoint

    def counted(*arguments, **options):
        saved.append(runner.current_epoch)
        save(*arguments, **options)

    runner.save_checkpoint = counted
    run_attack(runner, make(), blobs)
    assert saved == [3, 6, 9]


def test_signals_are_given_back(tmp_path, blobs):
    before = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
    callback = AttackCheckpoint()
    seen = []

    class Look(Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            seen.append(signal.getsignal(signal.SIGINT))

    run = trainer(tmp_path, 2, callbacks=[callback, Look()], enable_checkpointing=True)
    run_attack(run, make(), blobs)
    assert [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)] == before
    assert seen[0].__self__ is callback._stop


def test_a_signal_while_the_end_is_saved_is_heard(tmp_path, blobs, capsys):
    """Nobody else would: scoring would go on to the end, with the status 0."""
    run = trainer(tmp_path, 3, callbacks=[AttackCheckpoint()], enable_checkpointing=True)
    save = run.save_checkpoint

    def saved(*args, **options):
        save(*args, **options)
        signal.raise_signal(signal.SIGTERM)

    run.save_checkpoint = saved
    with pytest.raises(SystemExit, match="143"):
        run_attack(run, make(), blobs)
    assert "stopped by SIGTERM after iteration 3: go on with --ckpt_path" in capsys.readouterr().err
    whole = attack(tmp_path / "whole", blobs, 3).outcome().tensors["perturbation"]
    path = str(tmp_path / "checkpoints" / "last.ckpt")
    found = attack(tmp_path, blobs, 3, ckpt_path=path).outcome().tensors["perturbation"]
    assert torch.equal(found, whole)


def test_last_is_the_newest_version(tmp_path, blobs):
    """Not what was written last: a copy to another disk may change the times."""
    for version, iterations in ((2, 3), (10, 4)):
        folder = tmp_path / f"version_{version}"
        callbacks = [AttackCheckpoint(1)]
        run = trainer(folder, iterations, callbacks=callbacks, enable_checkpointing=True)
        run_attack(run, make(), blobs)
    (tmp_path / "version_11" / "checkpoints").mkdir(parents=True)  # killed before its first
    os.utime(tmp_path / "version_10" / "checkpoints" / "last.ckpt", (1, 1))
    found = _newest_checkpoint(str(tmp_path / "version_12"))
    assert found == str(tmp_path / "version_10" / "checkpoints" / "last.ckpt")


def test_requeue_of_an_array_job(tmp_path, monkeypatch):
    script = tmp_path / "scontrol"
    script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "5")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    requeue()
    assert (tmp_path / "asked").read_text() == "requeue 5_2\n"


def test_last_without_a_run_starts_anew(tmp_path, blobs):
    with pytest.warns(UserWarning, match="no run of this name has a checkpoint, this one is new"):
        scores = run_attack(trainer(tmp_path, 2), make(), blobs, ckpt_path="last")
    assert json.loads(json.dumps(scores.rows[0]))["attack"]["iterations"] == 2
