import numpy as np
import pytest
from torchvision import datasets

from lightning_hash.data import CIFAR10DataModule


class Small:
    """Stands for torchvision's CIFAR10: 60,000 tiny images that tell their own number."""

    classes = ("a", "b", "c", "d", "e", "f", "g", "h", "i", "j")

    def __init__(self, root, train=True, download=False):
        count, first = (50_000, 0) if train else (10_000, 50_000)
        number = np.arange(first, first + count)
        self.data = np.zeros((count, 8, 8, 3), np.uint8)
        self.data[:, 0, 0, 0], self.data[:, 0, 0, 1] = number // 256, number % 256
        self.targets = [int(n) % 10 for n in number]


def numbers(images):
    pixels = images.images[:, 0, 0].astype(int)
    return pixels[:, 0] * 256 + pixels[:, 1]


@pytest.mark.parametrize(
    ("protocol", "sizes", "train_in_database"),
    [
        ("cifar10", (5000, 1000, 54_000), False),
        ("cifar10-1", (5000, 1000, 59_000), True),
        ("cifar10-2", (50_000, 10_000, 50_000), True),
    ],
)
def test_protocols(monkeypatch, protocol, sizes, train_in_database):
    monkeypatch.setattr(datasets, "CIFAR10", Small)
    data = CIFAR10DataModule("x", protocol, size=8)
    data.setup("fit")
    sets = (data.train_set, data.query_set, data.database_set)
    assert tuple(map(len, sets)) == sizes
    train, query, database = map(numbers, sets)
    assert np.isin(train, database).all() == train_in_database
    assert np.isin(train, database).any() == train_in_database
    assert not np.isin(query, database).any()
    assert not np.isin(query, train).any()
    assert (data.query_set.labels.sum(0) == sizes[1] // 10).all()
    image, labels, index = data.query_set[17]
    assert (image.shape, index) == ((3, 8, 8), 17)
    assert labels.argmax() == query[17] % 10
    assert (data.name, data.n_leaked) == (protocol, 0)


def test_seed_draws(monkeypatch):
    monkeypatch.setattr(datasets, "CIFAR10", Small)
    prints = []
    for seed in (0, 0, 1):
        data = CIFAR10DataModule("x", seed=seed, size=16)
        data.setup("fit")
        prints.append(data.fingerprints())
    assert data.train_set[0][0].shape == (3, 16, 16)
    assert prints[0] == prints[1]
    assert prints[0]["query"] != prints[2]["query"]


def test_absent_files_and_unknown_protocols(tmp_path):
    with pytest.raises(FileNotFoundError, match="no whole CIFAR-10"):
        CIFAR10DataModule(str(tmp_path)).setup("fit")
    with pytest.raises(ValueError, match="protocol must be one of cifar10, cifar10-1, cifar10-2"):
        CIFAR10DataModule(str(tmp_path), "cifar100")
    with pytest.raises(ValueError, match="size must be at least 8, got 4"):
        CIFAR10DataModule(str(tmp_path), size=4)
