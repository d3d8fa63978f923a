"""Attacks that are stopped: their rows say what was run."""

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, Timer

from lightning_hash.attacks import AlphaSchedule
from lightning_hash.commands.attack import run_attack
from lightning_hash.engine.callbacks import AttackCheckpoint
from lightning_hash.engine.stops import stopped_early
from lightning_hash.results.rows import ResultRow
from lightning_hash.results.runs import stopped_at
from tests.conftest import TinyNet
from tests.helpers.attacks import StopAt, attack, make, rows_of, trainer

FIXED = {"alpha": AlphaSchedule([0.1], [0.0])}


class Stops(Callback):
    """Stops the Trainer behind a batch of an iteration, as Timer and others do."""

    def __init__(self, iteration, batch):
        self.place = iteration, batch

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == self.place:
            trainer.should_stop = True


def stopped(folder, data, callback, iterations=6, **options):
    run = trainer(
        folder, iterations, callbacks=[callback, AttackCheckpoint(100)], enable_checkpointing=True
    )
    module = make(**{**FIXED, **options})
    with pytest.warns(UserWarning, match=r"stopped after iteration \d of 6, which its rows say"):
        scores = run_attack(run, module, data)
    assert stopped_early(run, module)
    return scores


@pytest.mark.parametrize("batch", [0, 1, 2])
def test_a_stop_waits_for_the_iteration_and_the_rows_count_it(tmp_path, blobs, batch):
    scores = stopped(tmp_path, blobs, Stops(2, batch))
    for quantized in (False, True):
        rows = rows_of(scores, attack="hag", metric="hamming_to_clean", quantized=quantized)
        assert rows[-1]["iteration"] == 3
        assert rows[-1]["attack"]["iterations"] == 6
    assert stopped_at([ResultRow(**row) for row in scores.rows]) == (3, 6)
    three = attack(tmp_path, blobs, 3, **FIXED).outcome().tensors["perturbation"]
    assert torch.equal(scores.outcome().tensors["perturbation"], three)
    checkpoint = str(tmp_path / "checkpoints" / "last.ckpt")
    resumed = attack(tmp_path, blobs, 6, ckpt_path=checkpoint, **FIXED)
    whole = attack(tmp_path, blobs, 6, **FIXED)
    assert torch.equal(*(s.outcome().tensors["perturbation"] for s in (resumed, whole)))
    assert rows_of(resumed, attack="hag", quantized=True)[0]["iteration"] == 6


def test_time_that_is_over_before_it_begins(tmp_path, blobs):
    scores = stopped(tmp_path, blobs, Timer({"seconds": 0}))
    assert {row["iteration"] for row in rows_of(scores, attack="hag")} == {0}
    assert scores.outcome().tensors["perturbation"].abs().max() == 0


def test_early_stopping(tmp_path, blobs):
    stopping = EarlyStopping("attack/loss", patience=1, min_delta=1e9, log_rank_zero_only=True)
    run = trainer(tmp_path, 6, callbacks=[stopping], log_every_n_steps=1)
    with pytest.warns(UserWarning, match="stopped after iteration 2 of 6"):
        scores = run_attack(run, make(**FIXED), blobs)
    assert rows_of(scores, attack="hag", quantized=True)[0]["iteration"] == 2


def test_an_attack_that_has_ended_was_not_stopped(tmp_path, blobs):
    """By the time its last iteration is done there is nothing to stop."""
    run, module = trainer(tmp_path, 6, callbacks=[Stops(5, 1)]), make(**FIXED)
    scores = run_attack(run, module, blobs)
    assert stopped_early(run, module) is None
    assert rows_of(scores, attack="hag", quantized=True)[0]["iteration"] == 6


class LateNan(TinyNet):
    calls = 0

    def forward(self, inputs):
        logits = super().forward(inputs)
        if inputs.requires_grad:
            self.calls += 1
            logits = logits * (torch.nan if self.calls > 2 else 1.0)
        return logits


def test_losses_that_are_not_finite_are_seen_where_it_was_stopped(tmp_path, blobs):
    module = make(LateNan(), batch_size=13)
    run = trainer(tmp_path, 6, callbacks=[Stops(2, 0)], log_every_n_steps=100)
    with pytest.raises(ValueError, match="the loss is not finite since iteration 2"):
        run_attack(run, module, blobs)


class SaveAll(Callback):
    """Saves behind every batch, and behind every iteration."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        trainer.save_checkpoint(self.folder / f"{trainer.current_epoch}-{batch_idx}.ckpt")

    def on_train_epoch_end(self, trainer, module):
        trainer.save_checkpoint(self.folder / f"{trainer.current_epoch}-end.ckpt")


@pytest.mark.parametrize("options", [{}, {"stop_finished": True}])
def test_a_checkpoint_of_an_iterations_midst_is_not_gone_on_from(tmp_path, blobs, options):
    """Its first batches would be stepped twice."""
    callbacks = [SaveAll(tmp_path), StopAt(2, 0)]
    with pytest.raises(KeyError, match="killed"):
        run_attack(trainer(tmp_path, 6, callbacks=callbacks), make(**options), blobs)
    whole = attack(tmp_path, blobs, **options).outcome().tensors["perturbation"]
    for iteration in (0, 1):
        for batch in (0, 1):
            message = f"saved in the midst of iteration {iteration + 1}, when some queries"
            with pytest.raises(ValueError, match=message):
                attack(tmp_path, blobs, ckpt_path=tmp_path / f"{iteration}-{batch}.ckpt", **options)
        for place in (2, "end"):
            path = tmp_path / f"{iteration}-{place}.ckpt"
            found = attack(tmp_path, blobs, ckpt_path=path, **options)
            assert torch.equal(found.outcome().tensors["perturbation"], whole), place
            assert rows_of(found, attack="hag", quantized=True)[0]["iteration"] == 6


def test_a_plain_trainer_is_stopped_the_same_way(blobs):
    run = pl.Trainer(
        accelerator="cpu", devices=1, logger=False, enable_checkpointing=False, max_epochs=6,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[Stops(3, 0)],
    )  # fmt: skip
    with pytest.warns(UserWarning, match="stopped after iteration 4 of 6"):
        scores = run_attack(run, make(), blobs)
    assert rows_of(scores, attack="hag", quantized=True)[0]["iteration"] == 4
