"""Losses under training: their own parameters, the progress, and the bank of training codes."""

import copy
import os
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Callback
from torch.optim import SGD, Adam

from lightning_hash.functional import RankingOptions
from lightning_hash.losses import (
    BiHalfLoss,
    CSQLoss,
    DCHLoss,
    DeepVideoLoss,
    DPNLoss,
    DPSHLoss,
    DSDHLoss,
    DSHLoss,
    DTSHLoss,
    GreedyHashLoss,
    HashNetLoss,
    HyP2Loss,
    IDHNLoss,
    OrthoHashLoss,
    PairwiseLoss,
)
from lightning_hash.modules import HashModule
from lightning_hash.modules.code_bank import CodeBank
from tests.helpers.training import module, trainer

LOSSES = {
    "pairwise": PairwiseLoss, "hashnet": HashNetLoss, "dpsh": DPSHLoss, "dch": DCHLoss,
    "deep_video": DeepVideoLoss, "csq": CSQLoss, "greedyhash": GreedyHashLoss,
    "orthohash": OrthoHashLoss, "dpn": DPNLoss, "hyp2": HyP2Loss, "dtsh": DTSHLoss, "dsh": DSHLoss,
    "idhn": IDHNLoss, "bihalf": BiHalfLoss, "dsdh": DSDHLoss,
}  # fmt: skip
SETTINGS = {
    **{name: {"loss": make} for name, make in LOSSES.items()},
    "bank": {"loss": HashNetLoss, "code_bank": True},
    "dsdh-bank": {"loss": DSDHLoss, "code_bank": True},
}


def made(name, **options):
    settings = SETTINGS[name]
    return module(**{**settings, "loss": settings["loss"](), **options})


@pytest.mark.parametrize("name", SETTINGS)
def test_every_loss_learns(name, tmp_path, blobs):
    model = made(name, optimizer=lambda p: Adam(p, lr=0.02))
    run = trainer(tmp_path, 12, check_val_every_n_epoch=12)
    run.fit(model, datamodule=blobs)
    assert run.callback_metrics["val/map"] > 0.95


class Products(PairwiseLoss):
    """Notes the types that its products have."""

    def of_pairs(self, logits, others, similar):
        self.types = {logits.dtype, others.dtype, (logits @ others.T).dtype}
        return super().of_pairs(logits, others, similar)


@pytest.mark.parametrize("bank", [False, True])
def test_a_loss_has_whole_numbers_under_mixed_precision(bank, tmp_path, blobs):
    model = module(loss=Products(), code_bank=bank)
    seen = []
    model.network.register_forward_hook(lambda network, inputs, logits: seen.append(logits.dtype))
    run = trainer(tmp_path, 1, precision="bf16-mixed", limit_val_batches=0)
    run.fit(model, datamodule=blobs)
    assert set(seen) == {torch.bfloat16}
    assert model.loss.types == {torch.float32}


class SaveAt(Callback):
    def __init__(self, epoch, path):
        self.epoch, self.path = epoch, path

    def on_train_epoch_end(self, trainer, module):
        if trainer.current_epoch == self.epoch:
            trainer.save_checkpoint(self.path)


@pytest.mark.parametrize("name", ["hashnet", "greedyhash", "bank", "hyp2", "dsdh-bank"])
def test_resumed_training_repeats(name, tmp_path, blobs):
    def fit(seed, **options):
        torch.manual_seed(seed)
        model = made(name)
        callbacks = [] if options else [SaveAt(1, tmp_path / "half.ckpt")]
        run = trainer(tmp_path, 4, callbacks=callbacks, limit_val_batches=0)
        run.fit(model, datamodule=copy.deepcopy(blobs), weights_only=True, **options)
        return model

    whole, resumed = fit(0), fit(123, ckpt_path=tmp_path / "half.ckpt")
    for key, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[key], value, rtol=0, atol=0)
    if name.endswith("bank"):
        assert torch.equal(resumed._bank.rows()[0], whole._bank.rows()[0])


def test_hashnet_hears_the_share_of_the_steps(tmp_path, blobs):
    heard = []

    class Listening(HashNetLoss):
        def on_progress(self, fraction):
            heard.append(fraction)
            super().on_progress(fraction)

    trainer(tmp_path, 2, limit_val_batches=0).fit(module(loss=Listening()), datamodule=blobs)
    assert heard == pytest.approx([step / 10 for step in range(10)])
    endless = trainer(tmp_path, -1, max_time="00:00:00:01", limit_val_batches=0)
    with pytest.raises(ValueError, match=r"follows the length of the training, .* leaves open"):
        endless.fit(module(loss=Listening()), datamodule=blobs)


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_the_classifier_of_greedyhash_is_trained_at_the_hash_layers_rate(scale, tmp_path, blobs):
    model = HashModule(
        "convnet", 8, loss=GreedyHashLoss(), optimizer=lambda p: SGD(p, lr=0.1),
        pretrained_lr_scale=scale,
    )  # fmt: skip
    run = trainer(tmp_path, 1, limit_train_batches=1, limit_val_batches=0)
    model.on_before_optimizer_step = lambda optimizer: before.append(
        (model.loss.classifier.weight.detach().clone(), model.loss.classifier.weight.grad.clone())
    )
    before = []
    run.fit(model, datamodule=blobs)
    (weight, gradient), now = before[0], model.loss.classifier.weight
    assert (gradient != 0).any()
    torch.testing.assert_close(now, weight - 0.1 * gradient)


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("name", ["csq", "greedyhash", "bank"])
def test_a_test_needs_no_more_than_the_network(name, tmp_path, blobs):
    model = made(name)
    blobs.selected_on = "test"
    run = trainer(tmp_path, 1)
    run.fit(model, datamodule=blobs)
    run.save_checkpoint(tmp_path / "v.ckpt")
    saved = torch.load(tmp_path / "v.ckpt", weights_only=True)
    assert any(key.startswith("loss.") for key in saved["state_dict"]) == (name != "bank")
    expected = run.callback_metrics["val/map"]
    # The same module, one of another loss, and one built from the file alone.
    loaded = HashModule.load_from_checkpoint(
        tmp_path / "v.ckpt", weights_only=True, ranking=RankingOptions(top_k=20)
    )
    for other in (model, module(), loaded):
        options = {"ckpt_path": tmp_path / "v.ckpt", "verbose": False, "weights_only": True}
        found = trainer(tmp_path).test(other, datamodule=blobs, **options)[0]
        assert found["test/map"] == pytest.approx(expected.item())


def test_a_training_goes_on_with_its_own_loss_only(tmp_path, blobs):
    run = trainer(tmp_path, 1, limit_val_batches=0)
    run.fit(made("greedyhash"), datamodule=blobs)
    run.save_checkpoint(tmp_path / "greedy.ckpt")
    said = (
        r"its model\.loss\.class is 'lightning_hash\.losses\.GreedyHashLoss', this run's is '.*Pair"
    )
    with pytest.raises(ValueError, match=said):
        trainer(tmp_path, 2).fit(
            module(), datamodule=blobs, ckpt_path=tmp_path / "greedy.ckpt", weights_only=True
        )


def test_number_of_classes_that_nobody_tells_or_that_differs(tmp_path, blobs):
    blobs.setup("fit")
    loader = blobs.train_dataloader()
    with pytest.raises(ValueError, match=r"CSQLoss needs num_classes, .*--model\.loss\.num_class"):
        trainer(tmp_path).fit(made("csq"), train_dataloaders=loader)
    told = module(loss=CSQLoss(num_classes=3))
    trainer(tmp_path, 1).fit(told, train_dataloaders=loader)
    assert told.loss.centers.shape == (3, 8)
    with pytest.raises(ValueError, match="num_classes = 7, the model and the data have 3"):
        trainer(tmp_path).fit(module(loss=CSQLoss(num_classes=7)), datamodule=blobs)


def test_bank_is_of_pairs_alone():
    with pytest.raises(ValueError, match=r"code_bank goes with a loss over pairs .* got CSQLoss"):
        made("csq", code_bank=True)


def test_bank_holds_the_latest_rows_of_the_items_seen():
    bank, rows = CodeBank(5), torch.arange(24.0).reshape(6, 4).requires_grad_()
    bank.update(torch.tensor([4, 1]), rows[:2], torch.eye(2))
    bank.update(torch.tensor([1, 0, 1]), rows[2:5], torch.tensor([[1, 1], [0, 1], [1, 0]]))
    logits, labels = bank.rows()
    assert torch.equal(logits, rows[[3, 4, 0]])  # items 0, 1 (its last row) and 4
    assert labels.tolist() == [[0, 1], [1, 0], [1, 0]]
    assert not logits.requires_grad
    other = CodeBank(5)
    other.load(bank.state())
    assert torch.equal(other.rows()[0], logits)
    with pytest.raises(ValueError, match="bank holds 5 training items, these data have 6"):
        CodeBank(6).load(bank.state())


@pytest.mark.parametrize(("selected_on", "items"), [("test", 60), ("validation", 57)])
def test_with_the_bank_a_batch_is_paired_with_all_items_seen(tmp_path, blobs, selected_on, items):
    """At a rate of 0 the logits stay: the loss is Eq. 11 between the batch and the items so far."""
    blobs.setup("fit")
    blobs.selected_on = selected_on
    model = made("pairwise", code_bank=True, optimizer=lambda p: SGD(p, lr=0.0))
    batches, losses = [], []

    class Watch(Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
            batches.append(batch)
            losses.append(outputs["loss"].item())

    run = trainer(tmp_path, 2, limit_val_batches=0, callbacks=[Watch()])
    run.fit(model, datamodule=blobs)
    everything = {}
    for (images, labels, index), found in zip(batches, losses, strict=True):
        everything |= {int(i): (x, y) for i, x, y in zip(index, images, labels, strict=True)}
        x, y = (torch.stack(column) for column in zip(*everything.values(), strict=True))
        with torch.no_grad():
            expected = PairwiseLoss()(model(images), labels, model(x), y)
        assert found == pytest.approx(expected.item(), abs=1e-6)
    assert len(everything) == items  # the queries of the validation are never seen


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted in /proc")
def test_validation_keeps_no_files_of_the_loaders_workers_open(tmp_path, blobs):
    blobs.num_workers, blobs.eval_batch_size, blobs.selected_on = 1, 1, "test"
    counts = []

    class Count(Callback):
        def on_validation_batch_end(self, *_, **__):
            counts.append(len(os.listdir("/proc/self/fd")))

    model = module()
    trainer(tmp_path, callbacks=[Count()]).validate(model, datamodule=blobs, verbose=False)
    assert len(counts) == 13 + 90
    assert max(counts[20:]) < counts[2] + 15  # two files a batch would be 200
