"""Harmless transforms: what they do to a picture, and what decides it."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_hash.data import SampleClips, SamplePhotos
from lightning_hash.data.harmless import TRANSFORMS, VERSION
from lightning_hash.data.queries import QueryData
from lightning_hash.data.tensor_data import TensorData
from lightning_hash.data.transformed import (
    TransformedData,
    TransformedQueries,
    Variant,
    variants_of,
)
from tests.reference.harmless import crop_box


@pytest.fixture
def picture():
    """48 x 32, smooth, with an edge."""
    y, x = np.mgrid[:32, :48]
    pixels = np.stack([5 * x, 7 * y, 128 + 60 * np.sign(x - 20)], axis=2)
    return Image.fromarray(pixels.astype(np.uint8))


def apply(name, picture, strength, seed=0, query=0):
    return TRANSFORMS[name](picture, strength, seed, query)


def difference(a, b):
    return np.abs(np.asarray(a, int) - np.asarray(b, int))


def test_the_lists_of_version_1():
    assert VERSION == "1"
    assert {name: each.strengths for name, each in TRANSFORMS.items()} == {
        "jpeg": (95, 90, 80, 70, 60, 50, 40, 30, 20, 10),
        "resize": (0.9, 0.75, 0.5, 0.25, 0.125),
        "crop": (0.98, 0.95, 0.9, 0.8, 0.7, 0.5),
        "rotate": (1, 2, 5, 10, 20, 45, 90, 180),
        "flip": ("horizontal", "vertical"),
        "brightness": (0.9, 1.1, 0.75, 1.25, 0.5, 1.5),
        "contrast": (0.9, 1.1, 0.75, 1.25, 0.5, 1.5),
        "blur": (0.5, 1, 2, 4),
        "text": (5, 10, 20, 30),
    }


@pytest.mark.parametrize("size", [(50, 1), (1, 50), (1, 1), (2, 3)])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_pictures_of_tiny_sides(name, size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    for strength in TRANSFORMS[name].strengths:
        for query in range(3):
            found = apply(name, Image.fromarray(pixels), strength, query=query)
            assert (found.size, found.mode) == (size, "RGB")


@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_strength_keeps_the_size_and_changes_the_picture(name, picture):
    before = np.array(picture)
    for strength in TRANSFORMS[name].strengths:
        found = apply(name, picture, strength)
        assert (found.size, found.mode) == (picture.size, "RGB")
        assert name == "blur" or difference(found, picture).any(), strength
    assert np.array_equal(picture, before)


@pytest.mark.parametrize("name", ["jpeg", "resize", "crop", "rotate", "blur", "text"])
def test_the_strongest_changes_more_than_the_mildest(name, picture):
    changes = [
        difference(apply(name, picture, strength), picture).mean()
        for strength in (TRANSFORMS[name].strengths[0], TRANSFORMS[name].strengths[-1])
    ]
    assert changes[1] > 2 * changes[0]


def test_jpeg_is_pillows(picture):
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=30)
    assert np.array_equal(apply("jpeg", picture, 30), Image.open(file).convert("RGB"))


def test_resize_goes_through_the_small_picture(picture):
    small = picture.resize((24, 16), Image.Resampling.BILINEAR)
    expected = small.resize((48, 32), Image.Resampling.BILINEAR)
    assert np.array_equal(apply("resize", picture, 0.5), expected)


@pytest.mark.parametrize("share", [0.98, 0.7, 0.5])
def test_crop_is_the_box_that_is_drawn(picture, share):
    crop = TRANSFORMS["crop"].apply
    places = set()
    for draws in ((0.0, 0.0), (0.999, 0.999), (0.4, 0.8)):
        box = crop_box(picture.size, share, draws)
        assert min(box) >= 0
        assert (box[2] <= 48, box[3] <= 32) == (True, True)
        places.add(box)
        expected = picture.crop(box).resize((48, 32), Image.Resampling.BILINEAR)
        assert np.array_equal(crop(picture, share, draws), expected)
    assert len(places) == 3 or share == 0.98


def test_flips_and_right_angles_move_pixels_alone(picture):
    pixels = np.array(picture)
    assert np.array_equal(apply("flip", picture, "horizontal"), pixels[:, ::-1])
    assert np.array_equal(apply("flip", picture, "vertical"), pixels[::-1])
    assert np.array_equal(apply("rotate", picture, 180), pixels[::-1, ::-1])
    square = picture.crop((0, 0, 32, 32))
    turned = [np.rot90(np.array(square), turns) for turns in (1, 3)]
    found = np.array(apply("rotate", square, 90))
    assert any(np.array_equal(found, each) for each in turned)


def test_brightness_and_contrast_by_hand():
    grey = Image.fromarray(np.array([[[100] * 3, [200] * 3]], np.uint8))
    assert np.array(apply("brightness", grey, 0.5))[0, :, 0].tolist() == [50, 100]
    assert np.array(apply("brightness", grey, 1.5))[0, :, 0].tolist() == [150, 255]
    # Around the mean grey of 150.
    assert np.array(apply("contrast", grey, 0.5))[0, :, 0].tolist() == [125, 175]


def test_blur_is_a_share_of_the_shorter_side():
    """A point becomes a Gaussian: its middle is 1 / (2 pi sigma^2) of it."""
    pixels = np.zeros((100, 200, 3), np.uint8)
    pixels[50, 100] = 255
    found = np.array(apply("blur", Image.fromarray(pixels), 1))[50, 100, 0]
    assert found == pytest.approx(255 / (2 * np.pi), abs=2)


def test_text_is_as_high_as_its_strength(picture):
    big = picture.resize((400, 300))
    for percent in (5, 10, 20):
        rows = np.flatnonzero(difference(apply("text", big, percent), big).any(axis=(1, 2)))
        letters = rows[-1] - rows[0] + 1
        assert 0.6 * percent * 3 < letters < 1.3 * percent * 3


def test_draws_are_a_function_of_seed_query_and_strength(picture):
    one = apply("crop", picture, 0.7, seed=3, query=5)
    assert np.array_equal(one, apply("crop", picture, 0.7, seed=3, query=5))
    others = [apply("crop", picture, 0.7, *pair) for pair in ((4, 5), (3, 6), (3, 7))]
    assert sum(difference(one, each).any() for each in others) >= 2
    turns = {apply("rotate", picture, 45, 0, query).getpixel((3, 16)) for query in range(20)}
    assert len(turns) == 2


def test_items_are_the_queries_variants_in_turn():
    data = SamplePhotos(n_train=2, n_query=6, n_database=4, size=16)
    data.setup("predict")
    variants = variants_of(["flip", "crop"])
    assert variants[:3] == [Variant(), Variant("flip", "horizontal"), Variant("flip", "vertical")]
    items = TransformedQueries(data.query_set, [4, 1], variants, seed=2)
    assert len(items) == 2 * 9
    for place, query in enumerate((4, 1)):
        pixels = data.query_set.image(query)
        assert torch.equal(items.image(9 * place), pixels)
        assert torch.equal(items.image(9 * place + 1), pixels.flip(-1))
        cropped = apply("crop", Image.fromarray(pixels.movedim(0, -1).numpy()), 0.98, 2, query)
        assert np.array_equal(items.image(9 * place + 3).movedim(0, -1), cropped)
    assert torch.equal(items[9][0], data.query_set[1][0])
    assert items[9][2] == 9


def test_floats_are_rounded_to_8_bits_first():
    images = torch.rand(2, 3, 8, 8)
    data = TensorData((images, None), (images, None))
    queries = QueryData(data, None, query_index=[1])
    queries.setup("predict")
    found = TransformedData(queries, variants_of(["flip"]), 0).query_set
    assert torch.equal(found.image(0), (images[1] * 255).round().to(torch.uint8))
    assert found[0][0].max() <= 1


def test_clips_and_greys_are_refused():
    clips = SampleClips(n_train=2, n_query=2, n_database=2)
    clips.setup("predict")
    greys = TensorData((torch.rand(2, 1, 8, 8), None), (torch.rand(2, 1, 8, 8), None))
    for data in (clips, greys):
        queries = QueryData(data, None)
        queries.setup("predict")
        with pytest.raises(ValueError, match=r"data must be of colour images \(3, H, W\)"):
            TransformedData(queries, variants_of(["flip"]), 0)


@pytest.mark.parametrize(
    ("names", "said"),
    [(["jpg"], "among jpeg, resize, .*got 'jpg'"), ([], "one or several different names, got"),
     (["flip", "flip"], "different names, got")],
)  # fmt: skip
def test_unknown_transforms_are_refused(names, said):
    with pytest.raises(ValueError, match=said):
        variants_of(names)
