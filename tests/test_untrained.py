"""Victims whose hash layer is computed: fit, encode, attack."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from lightning_hash.__main__ import main
from lightning_hash.data import FolderDataModule, SamplePhotos
from lightning_hash.models import ITQ, LSH, PCA
from lightning_hash.modules import HashModule
from lightning_hash.results.rows import read_results
from lightning_hash.victims import load_victim
from tests.helpers.commands import SMALL_ATTACK, SMALL_DATA
from tests.helpers.training import module

QUIET = ["--trainer.accelerator=cpu", "--trainer.logger=false"]
FIT = ["fit", *SMALL_DATA, *QUIET]
HEADS = {"pca": PCA(), "itq": ITQ(), "lsh": LSH()}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def training_items(selected_on="validation"):
    data = SamplePhotos(n_train=100, n_query=20, n_database=200)
    data.setup("fit")
    rows = data.validation().train if selected_on == "validation" else range(100)
    return torch.stack([data.train_set[row][0] for row in rows])  # not jittered


@pytest.mark.parametrize("name", [pytest.param("pca"), *(
    pytest.param(each, marks=pytest.mark.slow) for each in ("itq", "lsh"))])  # fmt: skip
def test_a_preset_computes_the_hash_layer_from_frozen_features(name, here):
    """Those of all training items but the validation's, as they are, in eval mode."""
    assert main([*FIT, "--config", f"fit/{name}", "--name=v", "--model.bits=8"]) == 0
    assert [path.name for path in Path("checkpoints/v").iterdir()] == ["best.ckpt"]
    victim = load_victim("checkpoints/v/best.ckpt")
    assert (victim.loss, victim.bits, victim.selected_on) == (type(HEADS[name]).__name__, 8, None)
    torch.manual_seed(0)
    images = training_items()
    features = victim.network.features(images)
    weight, bias = HEADS[name].solve(features, 8)
    torch.testing.assert_close(
        victim.network.hash_layer.weight, weight.float(), atol=1e-4, rtol=1e-3
    )
    torch.testing.assert_close(victim.network.hash_layer.bias, bias.float(), atol=1e-3, rtol=1e-3)
    assert len(images) == 95
    share = (victim(images) >= 0).double().mean(0)
    assert share.min() > 0.1
    assert share.max() < 0.9
    batch_norm = next(m for m in victim.network.modules() if isinstance(m, nn.BatchNorm2d))
    assert not batch_norm.running_mean.any()  # the features are frozen


@pytest.mark.parametrize("untested", [[], ["--trainer.limit_test_batches=0"]])
def test_data_without_labels_and_without_a_test(untested, here, caplog, capsys):
    """All training items are taken, and the checkpoint is written."""
    (here / "flat").mkdir()
    for number, image in enumerate(np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3))):
        Image.fromarray(image.astype(np.uint8)).save(here / "flat" / f"{number:02}.png")
    data = ["--data=FolderDataModule", "--data.folder=flat", "--data.size=16"]
    line = ["fit", "--config=fit/pca", "--name=v", "--model.bits=8", *data, *QUIET, *untested]
    assert main(line) == 0
    said = caplog.text
    assert ("limit_test_batches = 0" if untested else "no labels: MAP is not measured") in said
    victim = load_victim("checkpoints/v/best.ckpt")
    assert (victim.loss, victim.selected_on) == ("PCA", None)
    source = FolderDataModule("flat", size=16)
    source.setup("fit")
    images = torch.stack([source.train_set[row][0] for row in range(12)])
    weight, _ = PCA().solve(victim.network.features(images), 8)
    torch.testing.assert_close(
        victim.network.hash_layer.weight, weight.float(), atol=1e-4, rtol=1e-3
    )
    assert main([*line, "--trainer.max_epochs=1"]) == 1  # a training has a loss
    assert "flat has no labels, which training and MAP need" in capsys.readouterr().err


@pytest.mark.slow
def test_what_it_saves_is_a_victim_of_every_verb(here):
    assert main([*FIT, "--config=fit/pca", "--name=v", "--model.bits=8"]) == 0
    place = "--model.victim=checkpoints/v/best.ckpt"
    assert main(["encode", place, *SMALL_DATA, *QUIET, "--output=codes.npy"]) == 0
    codes = np.load("codes.npy")
    assert codes.shape == (200, 8)
    assert main(["attack", place, *SMALL_ATTACK, "--trainer.max_epochs=3"]) == 0
    rows = read_results(Path("runs/attack/hag/version_0/results.json"))
    assert {row.victim["loss"] for row in rows} == {"PCA"}
    assert main(["test", "--name=v", *SMALL_DATA, *QUIET]) == 0


@pytest.mark.slow
def test_an_earlier_victim_of_the_name_is_kept(here):
    for seed in (0, 1):
        command = [*FIT, "--config=fit/lsh", "--name=v", f"--model.head.seed={seed}"]
        assert main(command) == 0
    first, second = (load_victim(f"checkpoints/v/{place}best.ckpt") for place in ("version_0/", ""))
    assert not torch.equal(first.network.hash_layer.weight, second.network.hash_layer.weight)


@pytest.mark.slow
def test_a_training_goes_on_from_the_computed_layer(here):
    """One step at a rate of nearly 0 leaves it where it is, and the loss is then the training's."""
    options = ["--trainer.max_epochs=1", "--model.optimizer.lr=1e-9", "--model.lr_scheduler=null"]
    assert main([*FIT, "--model.head=PCA", *options, "--name=trained"]) == 0
    assert main([*FIT, "--config=fit/pca", "--name=alone"]) == 0
    trained, alone = (load_victim(f"checkpoints/{n}/best.ckpt") for n in ("trained", "alone"))
    assert (trained.loss, alone.loss) == ("PairwiseLoss", "PCA")
    layers = [each.network.hash_layer.weight for each in (trained, alone)]
    torch.testing.assert_close(*layers, atol=1e-4, rtol=1e-4)
    mean = trained.network.extractor[1].running_mean
    assert mean.any()  # not frozen without pretrained_lr_scale 0


def test_a_head_and_a_frozen_backbone_need_a_hash_layer_that_is_known():
    with pytest.raises(ValueError, match=r"head LSH goes with a named backbone.*TinyNet"):
        module(head=LSH())
    with pytest.raises(ValueError, match="pretrained_lr_scale 0 goes with a named backbone"):
        module(pretrained_lr_scale=0.0)
    normed = {"class_path": "lightning_hash.models.BatchNormNetwork",
              "init_args": {"features": "convnet"}}  # fmt: skip
    with pytest.raises(ValueError, match=r"head PCA goes with a linear hash layer .* Normalized"):
        HashModule(normed, head=PCA())


def test_settings_of_a_training_name_the_head():
    with_head = HashModule(head=ITQ(3, seed=4)).settings()["model"]["head"]
    assert (with_head["iterations"], with_head["seed"]) == (3, 4)
    assert with_head["class"].endswith("ITQ")
    assert "head" not in HashModule().settings()["model"]


def test_a_frozen_backbone_is_left_out_of_the_optimizer():
    model = HashModule(pretrained_lr_scale=0.0, lr_scheduler=None)
    (group,) = model.configure_optimizers().param_groups
    assert {id(p) for p in group["params"]} == {id(p) for p in model.network.new_parameters()}
    model.train()
    assert not any(m.training for m in model.network.extractor.modules())
    assert model.network.hash_layer.training
