"""Runs that go on from a checkpoint under other settings."""

from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging
from torch import nn
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import CosineAnnealingLR

from lightning_hash.attacks import AlphaSchedule, MomentumSignStep, Rule
from lightning_hash.commands.attack import run_attack
from lightning_hash.commands.fit import run_fit
from lightning_hash.engine.callbacks import AttackCheckpoint
from lightning_hash.functional import RankingOptions
from lightning_hash.losses import DPSHLoss, HashNetLoss
from lightning_hash.modules import HashModule, OneCycle
from tests.helpers.attacks import attack, make, rows_of, small_step
from tests.helpers.attacks import trainer as attack_trainer
from tests.helpers.training import TINY, module, trainer

SGD1 = partial(SGD, lr=1e-3)


def fit(folder, data, epochs=2, path=None, options=None, **run):
    made = module(**{"optimizer": SGD1, "loss": DPSHLoss(), **(options or {})})
    running = trainer(folder, epochs, limit_val_batches=0, **run)
    running.fit(made, datamodule=data, ckpt_path=path, weights_only=True)
    return running, made


@pytest.fixture
def saved(tmp_path, blobs):
    run, _ = fit(tmp_path, blobs)
    run.save_checkpoint(tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


def other_data(blobs, **changes):
    return type(blobs)(**{"batch_size": 12, "eval_batch_size": 32, **changes})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 4, "backbone": "convnet"}, "its model.backbone is {.*, this run's is 'convnet'"),
        ({"loss": DPSHLoss(eta=3.0)}, r"its model\.loss\.eta is 10\.0, this run's is 3\.0"),
        (
            {"loss": HashNetLoss()},
            r"its model\.loss\.class is '.*DPSHLoss', this run's is '.*HashN",
        ),
        ({"optimizer": partial(SGD, lr=0.2)}, r"its model\.optimizer\.lr is 0\.001, .* is 0\.2"),
        ({"optimizer": partial(SGD, lr=1e-3, momentum=0.5)}, r"model\.optimizer\.momentum is 0, "),
        (
            {"optimizer": partial(Adam, lr=1e-3)},
            r"its model\.optimizer\.class is 'torch\.optim\.SGD",
        ),
        ({"code_bank": True}, "its model.code_bank is False, this run's is True"),
        ({"ranking": RankingOptions(top_k=5)}, "its model.ranking.top_k is 20, this run's is 5"),
        ({"lr_scheduler": OneCycle}, "its lr_scheduler.class is None, this run's is '.*OneCycle'"),
    ],
)
def test_another_model_or_rule_is_refused(options, message, tmp_path, blobs, saved):
    with pytest.raises(ValueError, match=f"belongs to another training: .*{message}.*anew"):
        fit(tmp_path, blobs, path=saved, options=options)


def test_another_rate_of_the_backbone_is_refused(tmp_path, blobs):
    named = {"backbone": "convnet", "bits": 8}
    run, _ = fit(tmp_path, blobs, 1, options=named)
    run.save_checkpoint(tmp_path / "last.ckpt")
    slower = {**named, "pretrained_lr_scale": 0.5}
    with pytest.raises(ValueError, match=r"its model.pretrained_lr_scale is 1.0, .* is 0.5"):
        fit(tmp_path, blobs, 2, tmp_path / "last.ckpt", slower)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ({"accumulate_grad_batches": 2}, "its trainer.accumulate_grad_batches is 1, .* is 2"),
        ({"gradient_clip_val": 1.0}, "its trainer.gradient_clip_val is None, this run's is 1.0"),
        ({"limit_train_batches": 1}, r"its trainer.limit_train_batches is 'all', this run's is 1;"),
        ({"precision": "bf16-mixed"}, "its trainer.precision is '32-true', .* is 'bf16-mixed'"),
        ({"max_steps": 50}, "its trainer.max_steps is -1, this run's is 50"),
        ({"callbacks": [EMAWeightAveraging()]}, r"its trainer.callbacks is \[\], .*EMAWeightAver"),
    ],
)
def test_another_trainer_is_refused(run, message, tmp_path, blobs, saved):
    with pytest.raises(ValueError, match=f"belongs to another training: {message}"):
        fit(tmp_path, blobs, path=saved, **run)


def test_other_data_are_refused(tmp_path, blobs, saved):
    with pytest.raises(ValueError, match=r"its data\.global_batch is 12, this run's is 6"):
        fit(tmp_path, other_data(blobs, batch_size=6), path=saved)
    with pytest.raises(ValueError, match=r"its data\.seed is 0, this run's is 3"):
        fit(tmp_path, other_data(blobs, seed=3), path=saved)
    relabelled = other_data(blobs)
    relabelled.fingerprints = lambda: {
        "train": "0 with other labels",
        "query": "1",
        "database": "2",
    }
    with pytest.raises(ValueError, match=r"its data.sha256.train is '0', .* '0 with other labels'"):
        fit(tmp_path, relabelled, path=saved)
    augmented = other_data(blobs)
    augmented.train_transform = nn.Identity()
    with pytest.raises(ValueError, match=r"its data.train_transform is None, .*Identity"):
        fit(tmp_path, augmented, path=saved)
    fit(tmp_path, other_data(blobs, eval_batch_size=7), path=saved)  # no training depends on it


def test_another_seed_is_refused(tmp_path, blobs, monkeypatch):
    monkeypatch.setenv("PL_GLOBAL_SEED", "0")
    run, _ = fit(tmp_path, blobs)
    run.save_checkpoint(tmp_path / "v.ckpt")
    pl.seed_everything(5)
    with pytest.raises(ValueError, match="its seed is 0, this run's is 5"):
        fit(tmp_path, blobs, path=tmp_path / "v.ckpt")


def test_a_training_may_be_longer_where_nothing_depends_on_it(tmp_path, blobs, saved):
    torch.manual_seed(0)
    run, _ = fit(tmp_path, blobs, 4, path=saved)
    assert run.current_epoch == 4
    with pytest.raises(ValueError, match="has 2 epochs, this run's max_epochs is 1; give at least"):
        fit(tmp_path, blobs, 1, path=saved)


@pytest.mark.parametrize(
    ("options", "depends"),
    [
        ({"lr_scheduler": OneCycle}, "lr_scheduler"),
        ({"lr_scheduler": CosineAnnealingLR}, "lr_scheduler"),
        ({"loss": HashNetLoss()}, "loss HashNetLoss"),
    ],
)
def test_a_training_may_not_be_longer_where_a_schedule_depends_on_it(
    options, depends, tmp_path, blobs
):
    run, _ = fit(tmp_path, blobs, options=options)
    run.save_checkpoint(tmp_path / "v.ckpt")
    message = f"its trainer.max_epochs is 2, this run's is 4, and {depends} depends on it"
    if "loss" in options:
        options = {"loss": HashNetLoss()}
    with pytest.raises(ValueError, match=message):
        fit(tmp_path, blobs, 4, path=tmp_path / "v.ckpt", options=options)
    fit(tmp_path, blobs, 2, path=tmp_path / "v.ckpt", options=options)


def test_another_schedule_is_refused(tmp_path, blobs):
    run, _ = fit(tmp_path, blobs, options={"lr_scheduler": OneCycle})
    run.save_checkpoint(tmp_path / "v.ckpt")
    for other in (partial(OneCycle, pct_start=0.5), partial(OneCycle, max_lr=0.7)):
        with pytest.raises(ValueError, match=r"another training: its lr_scheduler\."):
            fit(tmp_path, blobs, path=tmp_path / "v.ckpt", options={"lr_scheduler": other})


def test_what_an_old_checkpoint_does_not_say_is_said(tmp_path, blobs, saved):
    content = torch.load(saved, weights_only=True)
    content["lightning_hash"].pop("settings")
    torch.save(content, tmp_path / "old.ckpt")
    with pytest.warns(UserWarning, match="says neither loss, optimizer, .* trainer nor seed"):
        fit(tmp_path, blobs, path=tmp_path / "old.ckpt", options={"loss": DPSHLoss(eta=3.0)})
    four = {**TINY, "init_args": {"bits": 4}}
    with (
        pytest.warns(UserWarning, match="only backbone and bits can be compared"),
        pytest.raises(
            ValueError, match=r"its model\.backbone\.init_args\.bits is 8, this run's is 4"
        ),
    ):
        fit(tmp_path, blobs, path=tmp_path / "old.ckpt", options={"backbone": four, "bits": 4})


@pytest.mark.usefixtures("trusted")
def test_a_test_needs_no_settings(tmp_path, blobs, saved):
    other = HashModule(TINY, 8, loss=HashNetLoss())
    found = trainer(tmp_path).test(other, datamodule=blobs, ckpt_path=saved, weights_only=True)
    assert 0 < found[0]["test/map"] <= 1


# Attacks: what else must agree stands in tests/modules/test_attack_module.py.

FIXED = {"alpha": AlphaSchedule([0.1], [0.0])}


def checkpoint_of(folder, data, **options):
    run = attack_trainer(folder, 3, callbacks=[AttackCheckpoint(3)], enable_checkpointing=True)
    run_attack(run, make(**options), data)
    return folder / "checkpoints" / "last.ckpt"


@pytest.mark.parametrize("step", [small_step, partial(MomentumSignStep, lr=0.01)])
def test_an_attack_may_be_longer_where_nothing_depends_on_it(step, tmp_path, blobs):
    path = checkpoint_of(tmp_path, blobs, step=step, **FIXED)
    found = attack(tmp_path, blobs, 6, ckpt_path=path, step=step, **FIXED)
    whole = attack(tmp_path, blobs, 6, step=step, **FIXED)
    assert torch.equal(*(s.outcome().tensors["perturbation"] for s in (found, whole)))
    rows = rows_of(found, attack="hag", metric="map")
    assert [row["iteration"] for row in rows] == [0, 3, 6, 6]
    assert {row["attack"]["iterations"] for row in rows} == {6}
    with pytest.raises(ValueError, match="has 3 iterations, this run's max_epochs is 2; give at"):
        attack(tmp_path, blobs, 2, ckpt_path=path, step=step, **FIXED)


class Decaying(Rule):
    """A rule of a user's that knows how long the attack is."""

    def __init__(self, params, lr: float = 0.01) -> None:
        super().__init__(params, {"lr": lr})

    def step(self, closure):
        answer = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data.sub_(group["lr"] / self.iterations * parameter.grad.sign())
        return answer


@pytest.mark.parametrize(
    ("options", "depends"),
    [({}, "alpha"), ({**FIXED, "step": None}, "the default step"),
     ({**FIXED, "step": Decaying}, "step Decaying")],
)  # fmt: skip
def test_an_attack_may_not_be_longer_where_a_schedule_depends_on_it(
    options, depends, tmp_path, blobs
):
    path = checkpoint_of(tmp_path, blobs, **options)
    message = f"its attack.iterations is 3, this run's is 6, and {depends} depends on it"
    if depends == "the default step":  # whose rate is named first
        message = "its attack.step.lr is"
    with pytest.raises(ValueError, match=message):
        attack(tmp_path, blobs, 6, ckpt_path=path, **options)


def test_kernels_that_were_asked_for_are_not_passed_over(tmp_path, blobs):
    path = checkpoint_of(tmp_path, blobs)
    with pytest.raises(ValueError, match=r"its kernels is 'float32', .* 'float32 channels_last'"):
        attack(tmp_path, blobs, 3, ckpt_path=path, kernels="channels_last")


def test_a_checkpoint_of_something_else(tmp_path, blobs, saved):
    with pytest.raises(ValueError, match="is a checkpoint of kind 'victim', not 'attack'"):
        attack(tmp_path, blobs, ckpt_path=saved)
    with pytest.raises(FileNotFoundError, match=r"attack absent\.ckpt does not exist"):
        attack(tmp_path, blobs, ckpt_path="absent.ckpt")
    path = checkpoint_of(tmp_path, blobs)
    with pytest.raises(ValueError, match="is a checkpoint of kind 'attack', not 'victim'"):
        run_fit(trainer(tmp_path, 2), module(), blobs, ckpt_path=str(path))


def test_an_old_checkpoint_of_an_attack(tmp_path, blobs):
    path = checkpoint_of(tmp_path, blobs)
    content = torch.load(path, weights_only=True)
    entry = content["lightning_hash"]
    for name in ("done", "within"):
        entry.pop(name)
    entry["identity"].pop("kernels")
    torch.save(content, path)
    with pytest.warns(UserWarning, match="does not say its kernels, which cannot be compared"):
        found = attack(tmp_path, blobs, 3, ckpt_path=path)
    assert rows_of(found, attack="hag", quantized=True)[0]["iteration"] == 3
