from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning.accelerators import CPUAccelerator, CUDAAccelerator
from pytorch_lightning.plugins import DoublePrecision, Precision

from lightning_hash.data import FolderDataModule, SamplePhotos
from lightning_hash.data.base import HashDataModule
from lightning_hash.data.cifar10 import ArrayImages
from lightning_hash.data.eight_bit import EightBitImages
from lightning_hash.data.queries import QueryData
from lightning_hash.data.split_data import SplitData

NOISE = np.random.default_rng(0).integers(0, 256, (24, 20, 24, 3), dtype=np.uint8)


def photos(tmp_path):
    return SamplePhotos(n_train=2, n_query=3, n_database=7, size=16, eval_batch_size=4)


def files(tmp_path):
    """Pictures that are resized on one side more than on the other, then cropped."""
    for number, pixels in enumerate(NOISE):
        path = tmp_path / "photos" / f"{number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return FolderDataModule(
        str(tmp_path / "photos"), "2 from all", "3 from all", "rest of all", size=12, resize=16,
        eval_batch_size=4,
    )  # fmt: skip


class Arrays(HashDataModule):
    """CIFAR-10's items, resized from 20 x 24, without its files."""

    name = "arrays"

    def setup(self, stage):
        labels = np.eye(3, dtype=np.uint8)[np.arange(24) % 3]
        self.class_names = ["a", "b", "c"]
        self.train_set = self.query_set = self.database_set = ArrayImages(NOISE, labels, 16)

    def fingerprints(self):
        return {"train": "", "query": "", "database": ""}


def arrays(tmp_path):
    return Arrays(eval_batch_size=5)


@pytest.mark.parametrize("make", [photos, files, arrays])
@pytest.mark.parametrize(
    ("precision", "dtype"), [(Precision(), torch.float32), (DoublePrecision(), torch.float64)]
)
def test_uint8_travels_and_the_inputs_are_the_items(tmp_path, make, precision, dtype):
    source = make(tmp_path)
    data = SplitData(source, ("query", "database"))
    data.trainer = SimpleNamespace(accelerator=CPUAccelerator(), precision_plugin=precision)
    data.setup("predict")
    for number, loader in enumerate(data.predict_dataloader()):
        items = source.dataset(data.splits[number])
        assert isinstance(items, EightBitImages)
        seen = 0
        for batch in loader:
            assert batch[0].dtype == torch.uint8
            # What Lightning does to a batch on its way.
            inputs, labels, index = data.on_after_batch_transfer(
                precision.convert_input(batch), number
            )
            assert inputs.dtype == dtype
            for row, place in enumerate(index.tolist()):
                item, item_labels, _ = items[place]
                assert item.dtype == torch.float32
                assert torch.equal(inputs[row], item.to(dtype))
                assert torch.equal(labels[row], item_labels)
            seen += len(index)
        assert seen == len(items)


def test_scaling_is_a_division_and_that_of_files_torchvisions_product(tmp_path):
    """They differ in the last bit of half of the values, and codes may hang on it."""
    values = torch.arange(256, dtype=torch.uint8).view(1, 16, 16).expand(3, 16, 16)
    source = files(tmp_path)
    source.setup("predict")
    by_division = ArrayImages(NOISE, np.eye(24, dtype=np.uint8), 16).scale(values)
    by_product = source.query_set.scale(values)
    assert torch.equal(by_division, values.float() / 255)
    assert torch.equal(by_product, values.float() * (1 / 255))
    assert not torch.equal(by_division, by_product)
    picture = source.query_set.picture(0)
    assert torch.equal(source.query_set[0][0], source.transform(picture))


def test_other_inputs_travel_as_they_are(blobs):
    data = SplitData(blobs, ("query",))
    data.setup("predict")
    batch = next(iter(data.predict_dataloader()[0]))
    assert batch[0].dtype == torch.float32
    assert data.on_after_batch_transfer(batch, 0) is batch


@pytest.mark.parametrize("make", [photos, lambda _: None])
@pytest.mark.parametrize(("accelerator", "pinned"), [(CPUAccelerator, False),
                                                     (CUDAAccelerator, True)])  # fmt: skip
def test_batches_are_pinned_for_cuda(tmp_path, blobs, make, accelerator, pinned):
    data = SplitData(make(tmp_path) or blobs, ("query",))
    data.setup("predict")
    data.trainer = SimpleNamespace(accelerator=accelerator())
    (loader,) = data.predict_dataloader()
    assert loader.pin_memory is pinned
    assert not loader.persistent_workers


@pytest.mark.parametrize(("accelerator", "pinned"), [(CPUAccelerator, False),
                                                     (CUDAAccelerator, True)])  # fmt: skip
def test_batches_of_fit_and_test_are_pinned_for_cuda(blobs, accelerator, pinned):
    trainer = SimpleNamespace(accelerator=accelerator(), world_size=1, global_rank=0)
    blobs.trainer = trainer
    blobs.setup("fit")
    blobs.setup("test")
    loaders = [blobs.train_dataloader(), *blobs.val_dataloader(), *blobs.test_dataloader()]
    assert [loader.pin_memory for loader in loaders] == [pinned] * 5


@pytest.mark.parametrize("selected_on", ["validation", "test"])
@pytest.mark.parametrize("make", [photos, files, arrays])
def test_fit_and_test_move_uint8_to_a_gpu_and_train_on_the_items(tmp_path, make, selected_on):
    """The loaders' batches, on their way to a GPU and to none, end as the same numbers."""
    found = []
    for accelerator in (CPUAccelerator(), CUDAAccelerator()):
        data = make(tmp_path)
        data.selected_on = selected_on
        data.train_transform = None
        trainer = SimpleNamespace(
            accelerator=accelerator, world_size=1, global_rank=0, precision_plugin=Precision()
        )
        data.trainer = trainer
        data.setup("fit")
        data.setup("test")
        seen = []
        for stage, loaders in (
            ("training", [data.training_loader(data.train_set)]),
            ("validating", data.val_dataloader() if selected_on == "test" else []),
            ("testing", data.test_dataloader()),
        ):
            vars(trainer).update(dict.fromkeys(("training", "validating", "testing"), False))
            setattr(trainer, stage, True)
            for number, loader in enumerate(loaders):
                items = [loader.dataset[i] for i in range(len(loader.dataset))]
                batch = loader.collate_fn(items)
                seen.append(batch[0].dtype)
                found.append(data.on_after_batch_transfer(batch, number)[0])
        wanted = torch.uint8 if isinstance(accelerator, CUDAAccelerator) else torch.float32
        assert set(seen) == {wanted}
    half = len(found) // 2
    assert half >= 3
    for here, there in zip(found[:half], found[half:], strict=True):
        assert here.dtype == there.dtype == torch.float32
        assert torch.equal(here, there)


@pytest.mark.parametrize(
    ("selected_on", "stage", "splits"),
    [
        ("validation", "training", ["train"]), ("validation", "validating", ["train", "database"]),
        ("validation", "testing", ["query", "database"]),
        ("test", "validating", ["query", "database"]),
    ],
)  # fmt: skip
def test_a_batch_is_scaled_as_its_own_split_is(tmp_path, selected_on, stage, splits):
    data = photos(tmp_path)
    data.setup("fit")
    data.setup("test")
    data.selected_on, data.train_transform = selected_on, None
    stages = dict.fromkeys(("training", "validating", "testing"), False)
    data.trainer = SimpleNamespace(precision_plugin=Precision(), **{**stages, stage: True})
    scaled = []
    for split in ("train", "query", "database"):
        data.dataset(split).scale = lambda images, split=split: scaled.append(split) or images
    for number in range(len(splits)):
        data.on_after_batch_transfer((torch.zeros(1, 3, 16, 16, dtype=torch.uint8),), number)
    assert scaled == splits


@pytest.mark.parametrize("make", [photos, files, arrays])
def test_a_shared_perturbation_learns_on_the_items(tmp_path, make, monkeypatch):
    """They travel to a GPU as uint8, and are in [0, 1] when the attack sees them."""
    monkeypatch.setattr("lightning_hash.data.base.is_copied", lambda trainer: True)
    data = QueryData(make(tmp_path), n_queries=2)
    data.trainer = SimpleNamespace(
        accelerator=CPUAccelerator(), precision_plugin=Precision(), training=True, world_size=1,
        global_rank=0, current_epoch=0,
    )  # fmt: skip
    data.setup("fit")
    data.learns = True
    loader = data.train_dataloader()
    seen = 0
    for batch in torch.utils.data.DataLoader(loader.dataset, batch_size=3):
        assert batch[0].dtype == torch.uint8
        inputs, labels, index, *_ = data.on_after_batch_transfer(batch, 0)
        for image, label, number in zip(inputs, labels, index, strict=True):
            item = data.source.train_set[int(number)]
            assert torch.equal(image, item[0])
            assert torch.equal(label, item[1])
            seen += 1
    assert seen == len(data.source.train_set)
    data.learns = False
    assert data.on_after_batch_transfer(7, 0) == 7
