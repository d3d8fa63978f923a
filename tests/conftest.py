import fcntl
import os
import shutil

import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from lightning_hash.__main__ import main
from lightning_hash.data import HashDataModule
from lightning_hash.utils.trust import trusting
from tests.helpers.commands import SHORT_FIT, SMALL_DATA


@pytest.fixture(autouse=True)
def the_same_in_any_order():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def trusted():
    """For networks of tests, which are named by class path or function."""
    with trusting():
        yield


class Blobs(Dataset):
    """Images of 8 x 8 whose channel means tell the class, on the 8-bit grid."""

    def __init__(self, count, seed, classes=3):
        generator = torch.Generator().manual_seed(seed)
        kinds = torch.arange(count) % classes
        colours = torch.tensor([[0.8, 0.3, 0.3], [0.3, 0.8, 0.3], [0.3, 0.3, 0.8]])[kinds]
        noise = torch.randn(count, 3, 8, 8, generator=generator) * 0.08
        images = (colours[:, :, None, None] + noise).clamp(0, 1)
        self.images = torch.round(images * 255).to(torch.uint8)
        self.labels = nn.functional.one_hot(kinds, classes).to(torch.uint8)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index].float() / 255, self.labels[index], index


class BlobData(HashDataModule):
    name = "blobs"

    def setup(self, stage):
        self.class_names = ["red", "green", "blue"]
        self.train_set, self.query_set, self.database_set = Blobs(60, 0), Blobs(13, 1), Blobs(90, 2)

    def fingerprints(self):
        return {"train": "0", "query": "1", "database": "2"}


class TinyNet(nn.Module):
    """A smooth hash model of 8 bits in float32, the same at every call."""

    def __init__(self, bits=8):
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        self.convolution = nn.Conv2d(3, 6, 3, padding=1)
        self.linear = nn.Linear(6 * 4, bits)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)
        self.register_buffer("std", torch.tensor([0.25, 0.2, 0.5]))

    def forward(self, inputs):
        features = torch.tanh(self.convolution(inputs - 0.5))
        pooled = nn.functional.adaptive_avg_pool2d(features, 2).flatten(1)
        return self.linear(pooled) * 2


@pytest.fixture
def blobs():
    return BlobData(batch_size=12, eval_batch_size=32)


@pytest.fixture
def tiny():
    return TinyNet()


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with a small victim under the names of the demo, trained once for all workers."""
    base = tmp_path_factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "trained"
    place.mkdir(exist_ok=True)
    with (place / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (place / "checkpoints" / "demo" / "best.ckpt").is_file():
            folders = [f"--checkpoints={place / 'checkpoints'}", f"--runs={place / 'runs'}"]
            assert main(["fit", *SMALL_DATA, *SHORT_FIT, *folders]) == 0
    return place


@pytest.fixture
def with_victim(trained, tmp_path, monkeypatch):
    """A folder of one's own with the small victim in it, where the test then runs."""
    shutil.copytree(trained / "checkpoints", tmp_path / "checkpoints")
    monkeypatch.chdir(tmp_path)
    return tmp_path
