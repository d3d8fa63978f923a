import pytest
import torch
from pytorch_lightning import Callback
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR

from lightning_hash.functional import RankingOptions, mean_average_precision, sign_code
from lightning_hash.losses import PairwiseLoss
from lightning_hash.metrics import HammingMetric, PerQueryMetric, hamming
from lightning_hash.modules import HashModule, OneCycle
from lightning_hash.victims import load_victim
from tests.helpers.training import TINY, module, trainer


class Retrieved(HammingMetric):
    def __init__(self, name):
        super().__init__()
        self.name, self.ranks = name, 3

    def values(self, chunk):
        return chunk.hits_at(3)


class Moved(PerQueryMetric):
    name = "moved"

    def values(self, clean_codes, codes):
        return (clean_codes != codes).sum(dim=1)


class Norm(PerQueryMetric):
    name = "positive_bits"

    def values(self, codes):
        return (codes > 0).sum(dim=1)


def test_training_learns_and_logs_the_map_of_the_functions(tmp_path, blobs):
    # TinyNet's own random weights retrieve at about chance; one third of the items is relevant.
    model = module(optimizer=lambda p: torch.optim.Adam(p, lr=0.02))
    run = trainer(tmp_path, 12)
    run.fit(model, datamodule=blobs)
    model.eval()
    codes = {}
    for split in ("query_set", "database_set"):
        part = getattr(blobs, split)
        codes[split] = sign_code(model(part.images.float() / 255))
    expected = mean_average_precision(
        codes["query_set"], codes["database_set"], blobs.query_set.labels,
        blobs.database_set.labels, top_k=20,
    )  # fmt: skip
    assert run.callback_metrics["val/map"].item() == pytest.approx(expected.item(), rel=1e-6)
    assert expected > 0.95


def test_metrics_of_ones_own_are_logged_and_the_database_is_ranked_once(
    tmp_path, blobs, monkeypatch
):
    rankings, make = [], hamming.make_ranking
    monkeypatch.setattr(hamming, "make_ranking", lambda *a: rankings.append(make(*a)) or make(*a))
    model = module(metrics=[Retrieved("found"), Norm()], ranking=RankingOptions(20, precision_n=3))
    values = trainer(tmp_path).test(model, datamodule=blobs, verbose=False)[0]
    assert len(rankings) == 1
    assert values["test/found"] == pytest.approx(3 * values["test/precision_at_n"])
    codes = sign_code(model.eval()(blobs.query_set.images.float() / 255))
    assert values["test/positive_bits"] == pytest.approx((codes > 0).sum(dim=1).float().mean())


def test_precision_of_a_training_honours_ties(tmp_path, blobs):
    class Constant(nn.Module):
        """One code for every image, so that all items are tied."""

        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(8))

        def forward(self, images):
            return self.weight.expand(len(images), 8)

    found = {}
    for ties in ("expected", "stable"):
        model = module(ranking=RankingOptions(20, ties=ties, precision_n=2))
        model.network = Constant()
        found[ties] = trainer(tmp_path).test(model, datamodule=blobs, verbose=False)[0]
    similar = (blobs.query_set.labels.float() @ blobs.database_set.labels.float().T) > 0
    assert found["expected"]["test/precision_at_n"] == pytest.approx(similar.float().mean())
    first = similar[:, :2].float().mean()
    assert found["stable"]["test/precision_at_n"] == pytest.approx(first)
    assert abs(first - similar.float().mean()) > 0.01


def test_first_step_is_the_gradient_of_the_loss(tmp_path, blobs):
    model = module(optimizer=lambda p: SGD(p, lr=0.5))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    seen = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            seen.append(batch)

    trainer(tmp_path, 1, limit_train_batches=1, callbacks=[Watch()]).fit(model, datamodule=blobs)
    after = {name: p.detach().clone() for name, p in model.named_parameters()}
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(before[name])
    inputs, labels, _ = seen[0]
    PairwiseLoss()(model(inputs), labels).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(after[name], before[name] - 0.5 * parameter.grad)


def test_pretrained_layers_get_the_lower_rate(tmp_path, blobs):
    model = HashModule(
        "convnet", 8, optimizer=lambda p: SGD(p, lr=0.1), pretrained_lr_scale=0.01,
        lr_scheduler=lambda optimizer, steps: OneCycle(optimizer, steps, pct_start=0.5),
    )  # fmt: skip
    rates = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer, module, batch, batch_idx):
            rates.append([group["lr"] for group in trainer.optimizers[0].param_groups])

    run = trainer(tmp_path, 4, callbacks=[Watch()], limit_val_batches=0)
    run.fit(model, datamodule=blobs)
    first, second = run.optimizers[0].param_groups
    assert {id(p) for p in second["params"]} == {id(p) for p in model.network.new_parameters()}
    assert len(first["params"]) + len(second["params"]) == len(list(model.network.parameters()))
    assert all(low == pytest.approx(high * 0.01) for low, high in rates)
    assert max(high for _, high in rates) == pytest.approx(0.1, rel=0.02)
    assert len(rates) == 20


def test_scheduler_is_told_the_length_of_the_training(tmp_path, blobs):
    lengths = []

    def make(optimizer, steps):
        lengths.append(steps)
        return CosineAnnealingLR(optimizer, steps)

    run = trainer(tmp_path, 3, limit_val_batches=0)
    run.fit(module(lr_scheduler=make), datamodule=blobs)
    assert lengths == [3 * 5]
    assert run.optimizers[0].param_groups[0]["lr"] == pytest.approx(0, abs=1e-9)


@pytest.mark.usefixtures("trusted")
def test_checkpoint_becomes_the_same_victim(tmp_path, blobs):
    model = module()
    run = trainer(tmp_path, 1)
    run.fit(model, datamodule=blobs)
    run.save_checkpoint(tmp_path / "v.ckpt")
    victim = load_victim(tmp_path / "v.ckpt")
    images = torch.rand(3, 3, 8, 8)
    assert torch.equal(victim.network(images), model.eval()(images))
    assert (victim.backbone, victim.bits, victim.loss) == (TINY["class_path"], 8, "PairwiseLoss")
    assert not any(p.requires_grad for p in victim.network.parameters())
    loaded = HashModule.load_from_checkpoint(tmp_path / "v.ckpt", weights_only=True)
    assert torch.equal(loaded.eval()(images), model(images))


@pytest.mark.usefixtures("trusted")
def test_fingerprint_follows_the_weights(tmp_path, blobs):
    model = module()
    run = trainer(tmp_path, 1)
    run.fit(model, datamodule=blobs)
    prints = []
    for name in "abc":
        if name == "c":
            model.network.linear.bias.data[0] += 1e-6
        run.save_checkpoint(tmp_path / f"{name}.ckpt")
        prints.append(load_victim(tmp_path / f"{name}.ckpt").sha256)
    assert prints[0] == prints[1] != prints[2]


def test_killed_and_resumed_training_ends_where_the_uninterrupted_one_ends(tmp_path, blobs):
    def data():
        made = type(blobs)(batch_size=12)
        made.train_transform = lambda images: images + 0.05 * torch.randn_like(images)
        return made

    torch.manual_seed(0)
    whole = module()
    trainer(tmp_path, 4).fit(whole, datamodule=data())

    torch.manual_seed(0)
    first = module()
    run = trainer(tmp_path, 2)
    run.fit(first, datamodule=data())
    run.save_checkpoint(tmp_path / "half.ckpt")
    torch.manual_seed(123)
    second = module()
    trainer(tmp_path, 4).fit(
        second, datamodule=data(), ckpt_path=tmp_path / "half.ckpt", weights_only=True
    )
    for expected, got in zip(whole.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(got, expected, rtol=0, atol=0)


class NanLoss(nn.Module):
    def forward(self, logits, labels):
        return logits.sum() * torch.nan


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoints(tmp_path, blobs):
    with pytest.raises(ValueError, match=r"the loss was not finite at step 0 \(epoch 0\)"):
        trainer(tmp_path).fit(module(loss=NanLoss()), datamodule=blobs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": {"class_path": "tests.absent.Net"}}, "cannot be imported"),
        ({"backbone": {"class_path": "collections.OrderedDict"}}, "subclass of torch.nn.Module"),
        ({"backbone": {**TINY, "init_args": {"bots": 1}}}, "init_args do not fit"),
        ({"bits": 0}, "bits must be at least 1, got 0"),
        ({"pretrained_lr_scale": -1.0}, "pretrained_lr_scale must not be negative"),
        ({"weights": "DEFAULT"}, "weights go with a named backbone"),
        ({"metrics": [Moved()]}, "metrics: moved is of attacks; that of a training may look at"),
        ({"metrics": [Retrieved("map")]}, "must have a name of .* that no other metric has, got"),
    ],
)
def test_wrong_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        module(**options)


def test_logits_of_another_width_are_named():
    with pytest.raises(ValueError, match=r"bits = 16: .* shape \(2, 16\), got \(2, 8\)"):
        module(bits=16)(torch.rand(2, 3, 8, 8))
