import numpy as np
import pytest
from torchvision import datasets

from lightning_hash.data import CIFAR10DataModule
from lightning_hash.data.cifar_files import read_cifar10


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


POOL = np.random.default_rng(0).integers(0, 256, (120, 32, 32, 3)).astype(np.uint8)
KINDS = np.arange(120) % 10


def written(folder, form):
    """Write the pool as a release or a repository does; return what ``folder`` is then."""
    planes = POOL.transpose(0, 3, 1, 2)
    if form == "keras.npz":
        np.savez(
            folder / form, x_train=POOL[:100], y_train=KINDS[:100, None],
            x_test=POOL[100:], y_test=KINDS[100:, None],
        )  # fmt: skip
    elif form == "planes.npz":
        np.savez(folder / form, images=planes, labels=np.eye(10, dtype=int)[KINDS])
    elif form == "cifar-10.mat":  # ADSH's DataPrepare.m: rows, columns, channels, images
        images = POOL.transpose(1, 2, 3, 0)
        pytest.importorskip("scipy.io").savemat(
            folder / form,
            {"data_set": images[..., :100], "dataset_L": KINDS[:100, None],
             "test_data": images[..., 100:], "test_L": KINDS[100:, None]},
        )  # fmt: skip
    else:  # Toronto's own, a row of 3072 for each image
        (folder / form).mkdir()
        names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
        for number, name in enumerate(names):
            part = slice(20 * number, 20 * number + 20)
            rows = {"data": planes[part].reshape(20, 3072), "labels": KINDS[part, None]}
            pytest.importorskip("scipy.io").savemat(
                folder / form / f"{name}.mat", {**rows, "batch_label": name}
            )
        return folder
    return folder / form


@pytest.mark.parametrize(
    "form", ["keras.npz", "planes.npz", "cifar-10.mat", "cifar-10-batches-mat"]
)
def test_other_files_of_the_same_images(tmp_path, form):
    images, numbers = read_cifar10(str(written(tmp_path, form)))
    assert np.array_equal(images, POOL)
    assert numbers.tolist() == KINDS.tolist()


def test_files_of_other_images(tmp_path):
    np.savez(tmp_path / "a.npz", pictures=POOL, labels=KINDS)
    with pytest.raises(ValueError, match=r"no images and labels .* but pictures \(120, 32"):
        read_cifar10(str(tmp_path / "a.npz"))
    np.savez(tmp_path / "b.npz", images=POOL / 255, labels=KINDS)
    with pytest.raises(ValueError, match=r"b\.npz:images must be uint8 .* got float64"):
        read_cifar10(str(tmp_path / "b.npz"))
    np.savez(tmp_path / "c.npz", images=POOL, labels=KINDS + 1)
    with pytest.raises(ValueError, match=r"labels up to 10; each must have a class from 0 to 9"):
        read_cifar10(str(tmp_path / "c.npz"))
