"""State dicts of the networks that public repositories train, taken by the README's encode.

Each network is written after the class of the repository that it names; its codes are those of its
own forward pass.
"""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision import models

from lightning_hash.__main__ import main

BITS, N = 8, 3
RESNET = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool")
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


class HashNet(nn.Module):
    """ResNetFc of thuml/HashNet, ProS-GAN and SAAT: its layers under two names each."""

    def __init__(self):
        super().__init__()
        own = models.resnet18()
        for name in RESNET:
            setattr(self, name, getattr(own, name))
        self.feature_layers = nn.Sequential(*(getattr(self, name) for name in RESNET))
        self.hash_layer = nn.Linear(own.fc.in_features, BITS)

    def forward(self, inputs):
        return self.hash_layer(self.feature_layers(inputs).flatten(1))


class ThreeLayers(HashNet):
    """Model of yuanli2333/Hadamard-Matrix-for-hashing: a code behind three layers."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(512, 512), nn.Linear(512, 512), nn.Linear(512, 8)
        self.hash_layer = nn.Sequential(self.fc1, nn.ReLU(), self.fc2, nn.ReLU(), self.fc3)


class Classified(nn.Module):
    """Torchvision's features and classifier, and what a repository makes of its last layers."""

    def __init__(self, backbone):
        super().__init__()
        own = getattr(models, backbone)()
        self.features, layers = own.features, list(own.classifier)[:-1]
        self.layers = nn.ModuleList([*layers, nn.Linear(4096, BITS)])

    def forward(self, inputs):
        hidden = self.features(inputs).flatten(1)
        for layer in self.layers:
            hidden = layer(hidden)
        return hidden

    def named(self, name):
        """Its state dict with the names that ``name`` gives to the layer of a number."""
        return {
            key if key.startswith("features.") else f"{name(int(key.split('.')[1]))}"
            f".{key.rpartition('.')[2]}": value
            for key, value in self.state_dict().items()
        }  # fmt: skip


def adsh():
    """CNNNet of jiangqy/ADSH-AAAI2018 with a ResNet."""
    own = models.resnet18()
    features = nn.Sequential(*list(own.children())[:-1])
    both = {"features": features, "classifier": nn.Sequential(nn.Linear(512, BITS))}
    network = nn.Sequential(features, nn.Flatten(), both["classifier"])
    state = {f"{part}.{key}": value for part, module in both.items()
             for key, value in module.state_dict().items()}  # fmt: skip
    return network, state


def behind(prefix, network):
    return network, {f"{prefix}{key}": value for key, value in network.state_dict().items()}


def classified(backbone, name, **extra):
    network = Classified(backbone)
    return network, {**network.named(name), **extra}


REPOSITORIES = {
    "thuml/HashNet": ("resnet18", lambda: behind("0.", HashNet())),  # nn.Sequential(base_network)
    "xunguangwang/SAAT": ("resnet18", lambda: behind("model.", HashNet())),
    "xunguangwang/ProS-GAN": ("resnet18", lambda: behind("", HashNet())),
    "jiangqy/ADSH-AAAI2018": ("resnet18", adsh),
    "swuxyj/DeepHash-pytorch": ("alexnet", lambda: classified("alexnet", "hash_layer.{}".format)),
    "flyingpot/pytorch_deephash": (
        "alexnet",
        lambda: classified(
            "alexnet", lambda n: "Linear1" if n == 6 else f"remain.{n}",
            **{"Linear2.weight": torch.ones(10, BITS), "Linear2.bias": torch.ones(10)},
        ),
    ),
    "jiawangbai/DHTA-master": (
        "vgg11",
        lambda: classified(
            "vgg11", lambda n: "hash_layer.hash" if n == 6 else f"hash_layer.classifier{n}"
        ),
    ),
    "TreezzZ/DSDH_PyTorch": (  # counts its hash layer anew
        "vgg11",
        lambda: classified("vgg11", lambda n: "hash_layer.0" if n == 6 else f"classifier.{n}"),
    ),
}  # fmt: skip


@pytest.fixture
def images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    random = np.random.default_rng(0)
    rows = []
    for number in range(N):
        pixels = random.integers(0, 256, (224, 224, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(f"images/{number}.png")
        rows.append(f"images/{number}.png {int(number == 0)} {int(number > 0)}\n")
    for split in ("train", "test", "database"):
        (tmp_path / f"{split}.txt").write_text("".join(rows))
    loaded = np.stack([np.asarray(Image.open(f"images/{number}.png")) for number in range(N)])
    inputs = torch.from_numpy(loaded).permute(0, 3, 1, 2).float() / 255
    return (inputs - MEAN[:, None, None]) / STD[:, None, None]


def encode(backbone):
    victim = f"{{source: model.pth, backbone: {backbone}, bits: {BITS}}}"
    return main([
        "encode", "--data=ListDataModule", "--data.folder=.", "--data.size=224", "--split=query",
        f"--model.victim={victim}", "--output=out.npy", "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false",
    ])  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("repository", REPOSITORIES)
def test_state_dict_of(images, repository):
    backbone, make = REPOSITORIES[repository]
    torch.manual_seed(0)
    network, state = make()
    torch.save(state, "model.pth")
    assert encode(backbone) == 0
    with torch.no_grad():
        logits = network.eval()(images)
    assert np.array_equal(np.load("out.npy"), np.where(logits > 0, 1, -1))


def test_a_head_of_three_layers_is_named(images, capsys):
    torch.save(ThreeLayers().state_dict(), "model.pth")
    assert encode("resnet18") == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "resnet18 has no hash_layer.0.weight (512, 512)" in line
    assert line.endswith("or the network itself (source: module:function)")
