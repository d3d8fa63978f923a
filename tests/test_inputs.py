"""Size and interpolation of the data come from the victim's network, unless the user gives them."""

from pathlib import Path

import pytest
import torch
import yaml
from jsonargparse import Namespace

from lightning_hash.__main__ import main
from lightning_hash.commands import inputs
from lightning_hash.commands.inputs import fill_inputs, inputs_of_entry, inputs_of_victim
from tests.helpers.commands import SMALL_DATA

INPUTS = {"size": 160, "interpolation": "bicubic"}
WANTED = {**INPUTS, "source": "as timm/x was made for"}
FOLDER, PHOTOS = "lightning_hash.data.FolderDataModule", "lightning_hash.data.SamplePhotos"


def options(path, **given):
    return Namespace(class_path=path, init_args=Namespace(**given))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, (160, "bicubic")),
        ({"data.size": 224}, (224, "bicubic")),
        ({"data.interpolation": "bilinear"}, (160, "bilinear")),
        ({"data.resize": 256}, (224, "bicubic")),
    ],
)
def test_what_the_user_gives_holds(given, expected):
    data = options(FOLDER, size=224, interpolation="bilinear")
    fill_inputs(data, given, WANTED)
    assert (data.init_args.size, data.init_args.interpolation) == expected


def test_data_get_what_they_take():
    data = options(PHOTOS, size=64)
    fill_inputs(data, {}, WANTED)
    assert data.init_args == Namespace(size=160)
    fill_inputs(data, {}, {"size": 32, "interpolation": None, "source": "as a says"})
    assert data.init_args == Namespace(size=32)
    fill_inputs(data, {}, {})
    assert data.init_args == Namespace(size=32)


def save(path, **entry):
    entry = {"kind": "victim", "version": 1, "backbone": "b", "bits": 8, "loss": None, **entry}
    torch.save({"lightning_hash": entry, "state_dict": {}}, path)
    return str(path)


def test_a_checkpoint_says_what_it_was_trained_with(tmp_path, monkeypatch):
    known = save(tmp_path / "a.ckpt", inputs=WANTED)
    without = save(tmp_path / "b.ckpt")
    said = {**INPUTS, "source": f"as victim {known} was trained with"}
    assert inputs_of_victim(known) == inputs_of_victim([without, known]) == said
    assert inputs_of_victim(Path(known)) == said
    assert inputs_of_victim(without) == inputs_of_victim(str(tmp_path / "absent.ckpt")) == {}
    monkeypatch.setattr(inputs, "inputs_of_backbone", lambda backbone: {"size": backbone})
    state = Namespace(source="a.pth", backbone="timm/x")
    assert inputs_of_victim(state) == inputs_of_victim([state]) == {"size": "timm/x"}


@pytest.mark.parametrize("bad", [3, {"size": "64"}, {"size": 0}, {"size": 8, "interpolation": 2}])
def test_a_checkpoint_that_says_nonsense(bad, tmp_path):
    with pytest.raises(ValueError, match=r"victim a: inputs cannot be .*; make it anew with fit"):
        inputs_of_entry({"inputs": bad}, "victim a")


def test_a_size_that_no_memory_holds():
    entry = {"inputs": {"size": 10**7, "interpolation": None}}
    with pytest.raises(ValueError, match=r"victim a: an input of size 10000000 would take .* GiB"):
        inputs_of_entry(entry, "victim a")


def test_one_line_says_what_was_filled_and_who_says_it(monkeypatch):
    said = []
    monkeypatch.setattr(inputs, "rank_zero_info", said.append)
    fill_inputs(options(FOLDER, size=224, interpolation="bilinear"), {}, WANTED)
    fill_inputs(options(PHOTOS, size=160), {}, WANTED)
    assert said == ["data: --data.size 160 --data.interpolation bicubic, as timm/x was made for"]
    strange = {**INPUTS, "interpolation": "\x1b[2J", "source": "as a says"}
    fill_inputs(options(FOLDER, size=160, interpolation="bilinear"), {}, strange)
    assert said[1] == "data: --data.interpolation \\x1b[2J, as a says"


@pytest.fixture(scope="module")
def timm():
    return pytest.importorskip("timm", reason="pip install '.[timm]'")


def size_of(run):
    return yaml.safe_load((Path(run) / "config.yaml").read_text())["data"]["init_args"]["size"]


@pytest.mark.slow
def test_fit_encode_attack_and_audit_see_the_same_size(timm, tmp_path, monkeypatch):
    """The backbone's own, then that of the training, which was another."""
    monkeypatch.chdir(tmp_path)
    small = [*SMALL_DATA, "--trainer.accelerator=cpu"]
    fit = ["fit", "--config=fit/lsh", "--model.backbone=timm/test_vit", *small]
    assert main([*fit, "--name=own"]) == 0
    assert main([*fit, "--name=small", "--data.size=32"]) == 0
    assert [size_of(f"runs/fit/{n}/version_0") for n in ("own", "small")] == [160, 32]
    victim = "--model.victim=checkpoints/small/best.ckpt"
    few = ["--model.n_queries=4", "--trainer.max_epochs=2"]
    assert main(["attack", victim, *small, *few]) == 0
    assert size_of("runs/attack/hag/version_0") == 32
    assert main(["test", "--name=small", *small]) == 0
    assert size_of("runs/fit/small/version_1") == 32
    assert main(["encode", victim, *small, "--output=codes.npy"]) == 0
    audit = ["audit", victim, *SMALL_DATA, "--quick", "--n_queries=2", "--accelerator=cpu"]
    assert main([*audit, "--curve"]) == 0
    configs = sorted(Path("runs/audit").rglob("config.yaml"))
    assert configs
    assert {size_of(path.parent) for path in configs} == {32}
