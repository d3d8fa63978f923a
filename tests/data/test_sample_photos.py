import time
from pathlib import Path

import numpy as np
import pytest
import skimage
import torch
from PIL import Image

from lightning_hash.data import SamplePhotos
from lightning_hash.data.sample_photos import PHOTOGRAPHS, SPLITS

SMALL = {"n_train": 400, "n_query": 100, "n_database": 400}


def make(**options):
    data = SamplePhotos(**{**SMALL, **options})
    data.setup("fit")
    return data


@pytest.fixture(scope="module")
def data():
    return make()


@pytest.fixture(scope="module")
def multi():
    return make(multi_label=True)


def sets(data):
    return dict(zip(SPLITS, (data.train_set, data.query_set, data.database_set), strict=True))


def file_of(number):
    return Path(skimage.__file__).parent / "data" / list(PHOTOGRAPHS.values())[number]


@pytest.mark.parametrize("fixture", ["data", "multi"])
def test_no_pixel_of_a_photograph_is_in_two_splits(fixture, request):
    """Paint each split's boxes in the file's own pixels, with the reach of the resizing filter."""
    data = request.getfixturevalue(fixture)
    for number in range(10):
        with Image.open(file_of(number)) as image:
            width, height = image.size
        scale = data.SHORT_SIDE / min(width, height)
        reach = 3 * max(1.0, 1 / scale)  # Lanczos looks three (target) pixels far
        painted = {}
        for split, crops in sets(data).items():
            painted[split] = np.zeros((height, width), bool)
            for crop in {c for source in crops.sources for c in source if c.photograph == number}:
                left, top = ((edge + 0.5) / scale - reach for edge in (crop.left, crop.top))
                right = (crop.left + crop.side - 0.5) / scale + reach
                bottom = (crop.top + crop.side - 0.5) / scale + reach
                # Pixel i has its centre at i + 0.5: it counts if the centre is within reach.
                columns = slice(max(0, int(np.ceil(left - 0.5))), int(np.floor(right - 0.5)) + 1)
                rows = slice(max(0, int(np.ceil(top - 0.5))), int(np.floor(bottom - 0.5)) + 1)
                painted[split][rows, columns] = True
            assert painted[split].any()
        assert not (painted["train"] & painted["query"]).any()
        assert not (painted["train"] & painted["database"]).any()
        assert not (painted["query"] & painted["database"]).any()


def test_image_is_the_box_that_is_recorded_for_it(data):
    for crops in sets(data).values():
        for index in (0, 17, 99):
            (crop,) = crops.sources[index]
            with Image.open(file_of(crop.photograph)) as image:
                photograph = image.convert("RGB")
            scale = 384 / min(photograph.size)
            size = tuple(round(side * scale) for side in photograph.size)
            photograph = photograph.resize(size, Image.Resampling.LANCZOS)
            assert crop.left + crop.side <= size[0]
            assert crop.top + crop.side <= size[1]
            box = (crop.left, crop.top, crop.left + crop.side, crop.top + crop.side)
            expected = np.asarray(photograph.crop(box).resize((64, 64), Image.Resampling.BILINEAR))
            assert (crops.images[index].permute(1, 2, 0).numpy() == expected).all()
            assert crops.labels[index].nonzero().flatten().tolist() == [crop.photograph]


def test_item_lies_on_the_8_bit_grid(data):
    image, labels, index = data.query_set[7]
    assert (image.dtype, image.shape, index) == (torch.float32, (3, 64, 64), 7)
    assert (labels.dtype, labels.shape) == (torch.uint8, (10,))
    assert torch.equal((image * 255).round() / 255, image)
    assert image.max() > 0.2
    assert image.max() <= 1


def test_sizes_and_balance(data):
    for split, crops in sets(data).items():
        assert len(crops) == SMALL[f"n_{split}"]
        assert (crops.labels.sum(0) == len(crops) // 10).all()
        assert (crops.labels.sum(1) == 1).all()
    # In random order: a batch holds many photographs.
    assert len(data.train_set.labels[:50].argmax(1).unique()) >= 8
    assert data.num_classes == 10
    assert data.input_shape == (3, 64, 64)
    assert len(set(data.class_names)) == 10


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(data):
    again, other = make(), make(seed=1)
    for split, crops in sets(data).items():
        assert torch.equal(crops.images, sets(again)[split].images)
        assert torch.equal(crops.labels, sets(again)[split].labels)
        assert crops.sources == sets(again)[split].sources
        assert not torch.equal(crops.images, sets(other)[split].images)
    assert again.fingerprints() == data.fingerprints()
    assert set(data.fingerprints().values()).isdisjoint(other.fingerprints().values())
    assert list(data.fingerprints()) == list(SPLITS)
    assert len(set(data.fingerprints().values())) == 3


def test_the_global_generators_have_no_part_in_it(data):
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    assert make().fingerprints() == data.fingerprints()


def test_set_up_twice_keeps_the_sets(data):
    before = data.train_set
    data.setup("test")
    assert data.train_set is before


def test_composites_carry_both_labels_and_single_crops_exist(multi):
    assert multi.name != SamplePhotos(**SMALL).name
    for crops in sets(multi).values():
        counts = crops.labels.sum(1)
        assert set(counts.tolist()) == {1, 2}
        assert 0.35 < (counts == 2).float().mean() < 0.65
        for labels, source in zip(crops.labels, crops.sources, strict=True):
            photographs = [crop.photograph for crop in source]
            assert len(set(photographs)) == len(photographs)
            assert labels.nonzero().flatten().tolist() == sorted(photographs)


def test_composite_shows_both_photographs(multi):
    crops = multi.train_set
    index = next(i for i, source in enumerate(crops.sources) if len(source) == 2)
    image = crops.images[index].permute(1, 2, 0).numpy()
    halves = []
    for crop in crops.sources[index]:
        with Image.open(file_of(crop.photograph)) as file:
            photograph = file.convert("RGB")
        scale = 384 / min(photograph.size)
        size = tuple(round(side * scale) for side in photograph.size)
        box = (crop.left, crop.top, crop.left + crop.side, crop.top + crop.side)
        photograph = photograph.resize(size, Image.Resampling.LANCZOS).crop(box)
        halves.append(np.asarray(photograph.resize((64, 64), Image.Resampling.BILINEAR)))
    columns = [(image[:, x] == halves[0][:, x]).all() for x in range(64)]
    seam = columns.index(False)
    assert 22 <= seam <= 42
    assert (image[:, :seam] == halves[0][:, :seam]).all()
    assert (image[:, seam:] == halves[1][:, seam:]).all()


def test_multi_label_relevance_is_more_than_equality(multi):
    labels = multi.query_set.labels.float()
    shared = (labels @ labels.T > 0) & (torch.cdist(labels, labels) > 0)
    assert shared.any()


def test_leaked_queries_are_counted(data):
    database = {image.numpy().tobytes() for image in data.database_set.images}
    expected = sum(image.numpy().tobytes() in database for image in data.query_set.images)
    assert data.n_leaked == expected


def test_photograph_that_is_missing_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(skimage, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(FileNotFoundError, match=r"astronaut\.png is missing; .*install"):
        make()


def test_built_in_seconds_without_network(monkeypatch):
    def refuse(*args, **kwargs):
        pytest.fail("a socket was opened")

    monkeypatch.setattr("socket.socket", refuse)
    start = time.process_time()
    SamplePhotos().setup("fit")
    assert time.process_time() - start < 8  # 1 s on an idle core


@pytest.mark.parametrize(
    ("argument", "value", "least"),
    [("n_train", 0, 1), ("n_query", 0, 1), ("n_database", -1, 1), ("size", 4, 8), ("seed", -1, 0)],
)
def test_arguments_out_of_range(argument, value, least):
    with pytest.raises(ValueError, match=f"{argument} must be at least {least}, got {value}"):
        SamplePhotos(**{argument: value})


@pytest.mark.parametrize("jitter", [-0.1, 1.1])
def test_jitter_out_of_range(jitter):
    with pytest.raises(ValueError, match=rf"must be in \[0, 1\], got {jitter}"):
        SamplePhotos(jitter=jitter)


def test_open_photographs_are_in_no_other_split():
    data = SamplePhotos(n_train=40, n_query=16, n_database=40, n_open=20)
    data.setup("fit")
    assert data.labels_of("database").shape == (40, 8)
    assert data.labels_of("open_set").sum(dim=0).tolist() == [10, 10]
    assert len(set(data.class_names) | set(data.open_class_names)) == 10
    assert set(data.fingerprints()) == {"train", "query", "database", "open_set"}
    with pytest.raises(ValueError, match="n_open must not be negative, got -1"):
        SamplePhotos(n_open=-1)
