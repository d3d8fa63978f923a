"""Broken files, whatever their decoder makes of them, and files of kinds that nobody reads."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightning_hash.__main__ import main
from lightning_hash.data import FolderDataModule
from lightning_hash.data.check import check_data
from lightning_hash.data.pictures import picture_extensions, read_picture

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)
EXIF = Image.Exif()
EXIF[0x0112] = 6  # turned
EXIF[0x010E] = "a description that is long enough to be stored behind its tag"


def encoded(form, **options):
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, form, **options)
    return file.getvalue()


def png_chunk(kind, content):
    sums = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + sums


def with_chunk(kind, content):
    whole = encoded("PNG")
    return whole[:33] + png_chunk(kind, content) + whole[33:]


def bomb():
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"")


CUT_EXIF = b"Exif\0\0MM\0*\0\0"  # ends within its header
# Two entries; the orientation, which is 6, ends up behind a text where a number must stand.
WRONG_EXIF = (
    b"Exif\0\0MM\0*\0\0\0\x08\0\x02\x01N\0\x02\0\0\0>\0\0\0&\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"
    b"\0\0\0\0a description that is long enough to be stored behind its tag\0"
)
BROKEN = {
    "nothing": b"",
    "text": b"<html>404 Not Found</html>",
    "EXIF of a JPEG": encoded("JPEG", exif=WRONG_EXIF),
    "EXIF of a WebP": encoded("WEBP", exif=CUT_EXIF),
    "EXIF of a PNG": with_chunk(b"eXIf", CUT_EXIF[6:]),
    "EXIF without an order": encoded("WEBP", exif=b"Exif\0\0MM"),
    "a bomb": bomb(),
    "a compressed text that is none": with_chunk(b"zTXt", b"a\0\0broken"),
    "a profile that is none": with_chunk(b"iCCP", b"a\0\1broken"),
    **{f"half a {form}": encoded(form)[: len(encoded(form)) // 2]
       for form in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "JPEG2000")},
    "half an MPO": encoded("MPO")[:300],
}  # fmt: skip
WHOLE = ("a compressed text that is none",)  # which Pillow passes over


def folder_with(tmp_path, content, name="broken.jpg"):
    for kind in ("cat", "dog"):
        (tmp_path / kind).mkdir()
        for number in range(5):
            shifted = np.roll(PIXELS, number + 5 * (kind == "dog"), axis=0)
            Image.fromarray(shifted).save(tmp_path / kind / f"{number}.png")
    (tmp_path / "cat" / name).write_bytes(content)
    return {"folder": str(tmp_path), "train": "2 per class from all", "query": "rest of all",
            "database": "all", "size": 16}  # fmt: skip


def readable(content):
    try:
        read_picture(io.BytesIO(content))
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_a_broken_file_is_a_bad_image_and_no_more(tmp_path, kind):
    options = folder_with(tmp_path, BROKEN[kind])
    found = check_data(FolderDataModule(**options))
    bad = [finding for finding in found.findings if finding.what == "cannot be read"]
    if kind in WHOLE:
        assert bad == []
        return
    assert {(finding.split, finding.count) for finding in bad} >= {("database", 1)}
    assert "broken.jpg cannot be read" in bad[0].examples[0]
    assert "BytesIO" not in bad[0].examples[0]
    data = FolderDataModule(**options, on_bad_image="skip")
    with pytest.warns(UserWarning, match=r"1 of \d+ items left out; first: .*broken\.jpg"):
        data.setup("fit")
    assert len(data.database_set) == 10
    data = FolderDataModule(**options)
    data.setup("fit")
    with pytest.raises(ValueError, match=r"image .*broken\.jpg cannot be read \(.+\); mend it"):
        [data.database_set.picture(row) for row in range(11)]


@pytest.mark.parametrize(
    "error",
    [struct.error("unpack"), OverflowError("large"), SyntaxError("broken"), ZeroDivisionError("0"),
     IndexError("list"), KeyError(3), TypeError("None"), AttributeError("x"), RuntimeError("no"),
     MemoryError(), EOFError(), AssertionError(), RecursionError("deep"), UnicodeDecodeError(
         "ascii", b"x", 0, 1, "no"), zlib.error("-3"), NotImplementedError("later")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_whatever_a_decoder_raises(tmp_path, monkeypatch, error, capsys):
    options = folder_with(tmp_path, encoded("GIF"), "broken.gif")

    def load(self):
        raise error

    monkeypatch.setattr("PIL.GifImagePlugin.GifImageFile.load", load)
    line = [f"--data.{name}={value}" for name, value in options.items()]
    assert main(["check-data", "--data=FolderDataModule", *line]) == 1
    assert "cannot be read" in " ".join(capsys.readouterr().out.split())
    data = FolderDataModule(**options, on_bad_image="skip")
    with pytest.warns(UserWarning, match=r"1 of \d+ items left out; first: .*broken\.gif"):
        data.setup("fit")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "AVIF", "BMP", "PPM"])
def test_bytes_at_random_raise_nothing_else(form):
    random = np.random.default_rng(1)
    whole = encoded(form, **({"exif": EXIF} if form in ("PNG", "JPEG", "WEBP", "TIFF") else {}))
    for _ in range(60):
        content = bytearray(whole)
        for place in random.integers(0, min(len(whole), 200), 3):
            content[place] = random.integers(256)
        readable(bytes(content[: random.integers(1, len(whole) + 1)]))


def test_files_of_other_kinds_are_taken_or_named(tmp_path):
    options = folder_with(tmp_path, encoded("GIF"), "a.gif")
    Image.fromarray(PIXELS[::-1]).save(tmp_path / "cat" / "b.avif")
    (tmp_path / "cat" / "c.heic").write_bytes(b"no plugin for these")
    (tmp_path / "dog" / "d.HEIC").write_bytes(b"no plugin for these")
    (tmp_path / "dog" / "notes.txt").write_text("seen in May")
    assert ".heic" not in picture_extensions()
    data = FolderDataModule(**options)
    message = r"3 files are no images that can be read here and are left out \(2 \.heic, 1 \.txt\)"
    with pytest.warns(UserWarning, match=message):
        data.setup("fit")
    names = [Path(path).name for path in data.database_set.table.paths]
    pictures = [f"{number}.png" for number in range(5)]
    assert names == [*pictures, "a.gif", "b.avif", *pictures]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no video",
        b"\x00\x00\x00\x20ftypisom" + b"\xff" * 64,
        b"RIFF\x10\0\0\0AVI LIST",
        b"\x1aE\xdf\xa3" + b"\x80" * 40,
    ],
)
@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".mkv", ".npy"])
def test_broken_clips(tmp_path, content, suffix):
    pytest.importorskip("av")
    for kind in ("cat", "dog"):
        (tmp_path / kind).mkdir()
        for number in range(3):
            clip = np.random.default_rng(number).integers(0, 256, (3, 12, 12, 3))
            np.save(tmp_path / kind / f"{number}.npy", clip.astype(np.uint8))
    (tmp_path / "cat" / f"broken{suffix}").write_bytes(content)
    options = {"train": "1 per class from all", "query": "rest of all", "database": "all",
               "size": 8, "frames": 3}  # fmt: skip
    found = check_data(FolderDataModule(str(tmp_path), **options))
    assert {f.count for f in found.findings if f.what == "cannot be read"} == {1}
    data = FolderDataModule(str(tmp_path), **options, on_bad_image="skip")
    with pytest.warns(UserWarning, match=r"1 of \d items left out; first: .*broken"):
        data.setup("fit")


def test_a_frame_with_a_broken_exif_block(tmp_path):
    for kind in ("cat", "dog"):
        for clip in ("1", "2"):
            (tmp_path / kind / clip).mkdir(parents=True)
            for number in range(2):
                place = tmp_path / kind / clip / f"{number}.jpg"
                Image.fromarray(np.roll(PIXELS, number + int(clip))).save(place)
    (tmp_path / "cat" / "1" / "1.jpg").write_bytes(BROKEN["EXIF of a JPEG"])
    data = FolderDataModule(
        str(tmp_path), "1 per class from all", "rest of all", "all", frames=2, size=16,
        on_bad_image="skip",
    )  # fmt: skip
    with pytest.warns(UserWarning, match=r"1 of \d items left out; first: .*clip .*cat/1 cannot"):
        data.setup("fit")
