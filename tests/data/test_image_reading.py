"""Image files are read as the codes of a database were."""

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_hash.data import FolderDataModule, SampleClips, SamplePhotos
from lightning_hash.data.image_reading import (
    ImageReading,
    find_images,
    reading_of_codes,
    reading_of_data,
)


def picture(path, width=40, height=30, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(
    "options",
    [
        {"size": 16},
        {"size": 16, "resize": 20},
        {"size": 16, "resize": 20, "keep_aspect": True},
        {"size": 8, "interpolation": "bicubic"},
        {"size": 8, "interpolation": "nearest", "keep_aspect": True},
    ],
)
def test_a_file_becomes_what_its_data_set_makes_of_it(tmp_path, options):
    picture(tmp_path / "d" / "a.png")
    picture(tmp_path / "d" / "b.png", 30, 50, 1)
    data = FolderDataModule(str(tmp_path / "d"), **options)
    data.setup("predict")
    said = {"transform": data.input_fingerprints("query")["transform"], "inputs": ""}
    for reading in (reading_of_codes(said), reading_of_data(data)):
        assert reading == ImageReading(**{"resize": options["size"], **options})
        for row, name in enumerate(("a.png", "b.png")):
            assert torch.equal(reading.read(tmp_path / "d" / name), data.query_set[row][0])


def test_an_image_of_the_inputs_size_is_a_file_or_an_input(tmp_path):
    path = picture(tmp_path / "d" / "a.png", 16, 16)
    pixels = torch.from_numpy(np.array(Image.open(path))).movedim(-1, 0)
    reading = ImageReading(16, resize=20, keep_aspect=True)
    assert torch.equal(reading.read(path, "input"), pixels.float() / 255)
    data = FolderDataModule(str(tmp_path / "d"), size=16, resize=20, keep_aspect=True)
    data.setup("predict")
    assert torch.equal(reading.read(path, "file"), data.query_set[0][0])
    assert not torch.equal(reading.read(path, "file"), reading.read(path, "input"))
    with pytest.raises(ValueError, match="network's input, 16x16, and files are resized to 20"):
        reading.read(path)
    for same in (ImageReading(16), ImageReading(16, resize=16)):  # nothing is resized or cropped
        torch.testing.assert_close(same.read(path), pixels.float() / 255, atol=1e-7, rtol=0)


def test_codes_of_no_files_say_their_size():
    data = SamplePhotos(n_train=2, n_query=2, n_database=2, size=32)
    data.setup("predict")
    made_with = data.input_fingerprints("database")
    assert reading_of_codes(made_with) == reading_of_data(data) == ImageReading(32)


@pytest.mark.parametrize(
    "made_with",
    [
        {},
        {"transform": "Compose( Resize(size=[8, 8], interpolation=InterpolationMode.BILINEAR, "
         "antialias=True) CenterCrop(size=(8, 8)) Posterize(bits=2) )"},
        {"transform": "Compose( Resize(size=[4, 4], interpolation=InterpolationMode.BILINEAR, "
         "antialias=True) CenterCrop(size=(4, 4)) PILToTensor() ToDtype(scale=True) )"},
        {"inputs": "Own (3, 8, 9)"},
        {"inputs": "Own (16,)"},
        {"inputs": "Own (3, 64, 64) lanczos"},
    ],
)  # fmt: skip
def test_another_way_of_reading_is_not_guessed(made_with):
    assert reading_of_codes(made_with) is None


def test_clips_are_refused():
    with pytest.raises(ValueError, match="codes are those of clips"):
        reading_of_codes({"reading": "ClipReading(frames=3)"})
    data = SampleClips(n_train=2, n_query=2, n_database=2)
    data.setup("predict")
    assert reading_of_data(data) is None


def test_folders_are_listed_in_order(tmp_path):
    for name in ("b/2.png", "b/1.JPG", "a.png", ".hidden/x.png", "b/.y.png"):
        picture(tmp_path / name)
    (tmp_path / "b" / "notes.txt").write_text("x")
    names = [str(path.relative_to(tmp_path)) for path in find_images([tmp_path])]
    assert names == ["a.png", "b/1.JPG", "b/2.png"]
    assert find_images([tmp_path / "a.png", tmp_path / "b"])[0] == tmp_path / "a.png"


def test_what_is_no_image_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"image folder .*empty holds no images"):
        find_images([tmp_path / "empty"])
    with pytest.raises(FileNotFoundError, match=r"image .*absent\.png does not exist"):
        find_images([tmp_path / "absent.png"])
    with pytest.raises(ValueError, match="at least one file or folder, got none"):
        find_images([])
    with pytest.raises(ValueError, match=r"image .*a\.png cannot be read \(no image"):
        ImageReading(8).read(tmp_path / "a.png")
    with pytest.raises(ValueError, match="size must be at least 8"):
        ImageReading(4)
