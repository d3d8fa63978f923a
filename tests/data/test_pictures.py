"""What becomes of the pixels of a file: exactly what it holds, or a refusal."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from lightning_hash.data import ListDataModule
from lightning_hash.data.check import check_data
from lightning_hash.data.cifar10 import ArrayImages
from lightning_hash.data.images import image_transform
from lightning_hash.data.pictures import read_picture

RANDOM = np.random.default_rng(0)
GREY16 = RANDOM.integers(0, 65536, (5, 7)).astype(np.uint16)
GREY16[0, :4] = (0, 65535, 128, 129)  # 129 / 257 is nearer to 1
RGB8 = RANDOM.integers(0, 256, (5, 7, 3)).astype(np.uint8)


def saved(image, form="PNG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    file.seek(0)
    return file


def png16(values, colour_type):
    """Return a PNG of 16 bits, which Pillow does not write in colour."""

    def chunk(kind, content):
        sums = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + sums

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    return io.BytesIO(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )  # fmt: skip


def grey(levels):
    return np.repeat(levels[..., None], 3, axis=2)


NEAREST = np.round(GREY16 / 257).astype(np.uint8)
PALETTE = Image.fromarray(RGB8).quantize(16)
ALPHA = np.full((5, 7), 255, np.uint8)
HOLE = ALPHA.copy()
HOLE[2, 3] = 254
EXACT = {
    "16-bit PNG": (lambda: saved(Image.fromarray(GREY16)), grey(NEAREST)),
    "16-bit TIFF": (lambda: saved(Image.fromarray(GREY16), "TIFF"), grey(NEAREST)),
    "16-bit PGM": (lambda: saved(Image.fromarray(GREY16), "PPM"), grey(NEAREST)),
    "10-bit PGM": (
        lambda: io.BytesIO(b"P5 3 1 1023\n" + struct.pack(">3H", 1023, 512, 0)),
        grey(np.array([[255, 128, 0]], np.uint8)),
    ),
    "big-endian TIFF": (
        lambda: saved(Image.fromarray(GREY16.astype(">u2")), "TIFF"), grey(NEAREST)
    ),
    "grey": (lambda: saved(Image.fromarray(RGB8[..., 0])), grey(RGB8[..., 0])),
    "1 bit": (
        lambda: saved(Image.fromarray(RGB8[..., 0] > 127)),
        grey(np.where(RGB8[..., 0] > 127, 255, 0)),
    ),
    "RGB": (lambda: saved(Image.fromarray(RGB8)), RGB8),
    "RGB TIFF": (lambda: saved(Image.fromarray(RGB8), "TIFF"), RGB8),
    "palette": (lambda: saved(PALETTE), np.asarray(PALETTE.convert("RGB"))),
    "opaque RGBA": (lambda: saved(Image.fromarray(np.dstack([RGB8, ALPHA]))), RGB8),
    "opaque LA": (
        lambda: saved(Image.merge("LA", [Image.fromarray(RGB8[..., 0]), Image.fromarray(ALPHA)])),
        grey(RGB8[..., 0]),
    ),
    "CMYK TIFF": (
        lambda: saved(Image.merge("CMYK", [*Image.fromarray(RGB8).split(), Image.new("L", (7, 5))]),
                      "TIFF"),
        255 - RGB8,
    ),
    "still GIF": (lambda: saved(PALETTE, "GIF"), np.asarray(PALETTE.convert("RGB"))),
}  # fmt: skip


@pytest.mark.parametrize("kind", EXACT)
def test_pixels_are_those_of_the_file(kind):
    make, expected = EXACT[kind]
    picture = read_picture(make())
    assert picture.mode == "RGB"
    assert np.asarray(picture).tolist() == expected.tolist()


def frames(form):
    first, second = (Image.fromarray(RGB8 // step) for step in (1, 2))
    return saved(first, form, save_all=True, append_images=[second])


def inverted():
    return saved(Image.fromarray(GREY16), "TIFF", tiffinfo={262: 0})


DEEP = RANDOM.integers(0, 65536, (5, 7, 4))
REFUSED = {
    "16-bit RGB PNG": (lambda: png16(DEEP[..., :3], 2), "its colours have 16 bits"),
    "16-bit RGBA PNG": (lambda: png16(DEEP, 6), "its colours have 16 bits"),
    "16-bit LA PNG": (lambda: png16(DEEP[..., :2], 4), "its colours have 16 bits"),
    "float TIFF": (
        lambda: saved(Image.fromarray(RANDOM.random((5, 7)).astype(np.float32)), "TIFF"),
        "mode F, which has no stated range",
    ),
    "32-bit TIFF": (
        lambda: saved(Image.fromarray(GREY16.astype(np.int32)), "TIFF"),
        "have no stated range",
    ),
    "inverted 16-bit TIFF": (inverted, "are inverted"),
    "RGBA": (lambda: saved(Image.fromarray(np.dstack([RGB8, HOLE]))), "transparent in places"),
    "LA": (
        lambda: saved(Image.merge("LA", [Image.fromarray(RGB8[..., 0]), Image.fromarray(HOLE)])),
        "transparent in places",
    ),
    "palette with a hole": (lambda: saved(PALETTE, transparency=3), "transparent in places"),
    "animated GIF": (lambda: frames("GIF"), "holds 2 pictures"),
    "animated WebP": (lambda: frames("WEBP"), "holds 2 pictures"),
    "animated PNG": (lambda: frames("PNG"), "holds 2 pictures"),
    "pages": (lambda: frames("TIFF"), "holds 2 pictures"),
    "LAB": (lambda: saved(Image.new("LAB", (7, 5)), "TIFF"), "mode LAB"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_pixels_without_one_meaning_are_refused(kind):
    make, message = REFUSED[kind]
    with pytest.raises(ValueError, match=message):
        read_picture(make())


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 2, 3, 6, 8])
def test_pictures_stand_upright(form, orientation):
    pixels = np.zeros((16, 32, 3), np.uint8)
    pixels[:8, :8] = 255  # a white corner, top left as stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {} if form in ("PNG", "TIFF") else {"quality": 95}
    picture = read_picture(saved(Image.fromarray(pixels), form, exif=exif, **options))
    assert picture.size == ((16, 32) if orientation in (6, 8) else (32, 16))
    corners = np.asarray(picture).astype(int)[[2, 2, -3, -3], [2, -3, 2, -3], 0]
    # top left, top right, bottom left, bottom right
    assert int(corners.argmax()) == {1: 0, 2: 1, 3: 3, 6: 1, 8: 2}[orientation]


def test_check_data_counts_what_would_be_spoilt(tmp_path):
    for kind in ("16-bit PNG", "RGB", "grey"):
        (tmp_path / kind.replace(" ", "_")).write_bytes(EXACT[kind][0]().read())
    (tmp_path / "deep").write_bytes(REFUSED["16-bit RGB PNG"][0]().read())
    for name in ("train", "query", "database"):
        names = ["16-bit_PNG", "RGB", "grey", "deep"]
        (tmp_path / f"{name}.txt").write_text("".join(f"{each} 0 1\n" for each in names))
    found = {(f.split, f.what): f for f in check_data(ListDataModule(str(tmp_path))).findings}
    bad = found["database", "cannot be read"]
    assert (bad.count, bad.wrong) == (1, True)
    assert "its colours have 16 bits, of which 8 would be cut off" in bad.examples[0]
    data = ListDataModule(str(tmp_path), on_bad_image="skip", size=8)
    with pytest.warns(UserWarning, match="1 of 4 items left out"):
        data.setup("fit")
    image = data.train_set[0][0]  # 16 bits: not all white
    assert 0.2 < image.mean() < 0.8
    assert image.std() > 0.05


FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "nearest": Image.Resampling.NEAREST,
}
PHOTO = RANDOM.integers(0, 256, (61, 83, 3)).astype(np.uint8)


def levels(image):
    return (image * 255).round().to(torch.uint8)


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", [32, 96])
def test_interpolation_is_pillows(interpolation, size):
    made = image_transform(size, interpolation=interpolation)(Image.fromarray(PHOTO))
    expected = np.asarray(Image.fromarray(PHOTO).resize((size, size), FILTERS[interpolation]))
    assert torch.equal(
        (made * 255).round().to(torch.uint8), torch.tensor(expected).permute(2, 0, 1)
    )
    square = PHOTO[:61, :61]
    (held,) = ArrayImages(square[None], np.ones((1, 1), np.uint8), size, interpolation)
    expected = np.asarray(Image.fromarray(square).resize((size, size), FILTERS[interpolation]))
    assert levels(held[0]).tolist() == np.moveaxis(expected, 2, 0).tolist()


def test_filters_differ():
    made = [image_transform(32, interpolation=name)(Image.fromarray(PHOTO)) for name in FILTERS]
    assert all((made[a] != made[b]).any() for a, b in ((0, 1), (0, 2), (1, 2)))
    with pytest.raises(ValueError, match="interpolation must be one of bilinear, bicubic, nearest"):
        image_transform(interpolation="lanczos")


def test_the_way_of_the_public_lists():
    """HashNet's and DHTA's code: both sides, Pillow's default, a crop at 15.5, which rounds."""
    photo = Image.fromarray(np.tile(PHOTO, (5, 5, 1)))
    start = (256 - 224 - 1) / 2
    theirs = photo.resize((256, 256)).crop((start, start, start + 224, start + 224))
    ours = image_transform(224, 256, interpolation="bicubic")(photo)
    assert levels(ours).tolist() == np.moveaxis(np.asarray(theirs), 2, 0).tolist()
    # DeepHash-pytorch, CgAT and SAAT: the shorter side, torchvision's default.
    steps = [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()]
    ours = levels(image_transform(224, 256, keep_aspect=True)(photo))
    assert torch.equal(ours, levels(transforms.Compose(steps)(photo)))


def test_codes_of_another_interpolation_are_of_other_inputs(tmp_path):
    Image.fromarray(RGB8).save(tmp_path / "a.png")
    for name in ("train", "query", "database"):
        (tmp_path / f"{name}.txt").write_text("a.png 0 1\n")
    prints = []
    for name in FILTERS:
        data = ListDataModule(str(tmp_path), interpolation=name, size=8)
        data.setup("predict")
        assert data.interpolation == name
        prints.append(str(data.input_fingerprints("query")))
    assert len(set(prints)) == 3
