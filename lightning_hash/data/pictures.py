"""Picture files as 8-bit RGB: scaled exactly, or refused."""

import io
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from torchvision.datasets.folder import IMG_EXTENSIONS

from lightning_hash.utils.foreign_files import MOST_PIXELS, check_file, check_pixels

# Modes whose conversion to RGB is exact, or is the one that the public repositories use: a white
# mixed in for CMYK, JPEG's own for YCbCr.
EIGHT_BIT = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr")
WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # a TIFF tag, and its value for inverted greys
SEVERAL_PICTURES = ("MPO",)  # a camera's file: the photograph, then its previews
ORIENTATION = 0x0112  # the EXIF tag
MOST_BYTES = 2**30  # of a file
COUNTED = 2**20  # bytes of a GIF whose pictures are counted
# Others hand their content to programs (EPS to Ghostscript) or open a picture of any format within
# themselves (IPTC), or are none of pixels.
PICTURES = ("AVIF", "BMP", "DDS", "DIB", "GIF", "HEIF", "ICO", "JPEG", "JPEG2000", "JXL", "MPO",
            "PCX", "PNG", "PPM", "PSD", "QOI", "SGI", "TGA", "TIFF", "WEBP", "XBM")  # fmt: skip


@cache
def picture_formats() -> tuple[str, ...]:
    """Return the formats that pictures are read in, whatever a file is called.

    Pillow tells a format by the content, and hands some to other programs, EPS to Ghostscript.
    """
    Image.init()
    return tuple(form for form in Image.ID if form in PICTURES)


@cache
def picture_extensions() -> tuple[str, ...]:
    """Return the endings, in lower case, of the files that Pillow reads pictures from."""
    readable = (
        ending
        for ending, form in Image.registered_extensions().items()
        if form in Image.OPEN and form in PICTURES
    )
    return tuple(dict.fromkeys((*IMG_EXTENSIONS, *sorted(readable))))


def look_at_picture(content: bytes) -> tuple[str, bool]:
    """Return the mode of an image that can be decoded, and whether EXIF turns it.

    Args:
        content: of the file.

    Raises:
        ValueError: as :func:`read_picture`.
    """
    read_picture(io.BytesIO(content))
    with _opened(io.BytesIO(content)) as image:
        return image.mode, image.getexif().get(ORIENTATION, 1) != 1


def read_picture(file: Path | IO[bytes]) -> Image.Image:
    """Decode an image file, upright as its EXIF orientation says, as RGB.

    Greys of 16 bits become the nearest of 8: 65535 is 255. What has no one meaning in 8 bits per
    channel is refused.

    Args:
        file: a path, or an open file.

    Returns:
        The picture, of mode RGB.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no image, truncated, or broken in any way that its decoder chokes on;
            if its pixels are not opaque, float, integers without a stated range or colours of 16
            bits, or it holds several pictures; says what it is and what to do.
    """
    content = read_content(file) if isinstance(file, Path) else file.read()
    if not content:
        msg = "it is empty"
        raise ValueError(msg)
    try:
        return _decoded(io.BytesIO(content))
    except UnidentifiedImageError as error:
        msg = "no image that Pillow knows"
        raise ValueError(msg) from error
    except Exception as error:  # decoders of broken files raise whatever their parts do
        raise ValueError(one_line(error)) from error


def jpeg_content(picture: Image.Image, quality: int) -> bytes:
    """Encode a picture as JPEG, as Pillow does by default: colours at half the resolution.

    Args:
        picture: of mode RGB.
        quality: from 1 to 100.

    Returns:
        The content of a file, for :func:`read_picture`.
    """
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


def read_content(path: Path) -> bytes:
    """Read a picture file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no regular file, or has more bytes than a picture.
    """
    check_file(path, "it")
    size = path.stat().st_size
    if size > MOST_BYTES:
        msg = f"it has {size:,} bytes, and a picture has at most {MOST_BYTES:,}: save it smaller"
        raise ValueError(msg)
    return path.read_bytes()


def one_line(error: Exception) -> str:
    """Return what an exception says, and its kind where it is none of a reader's own."""
    text = " ".join(str(error).split())
    own = isinstance(error, ValueError | OSError) and text
    return text if own else f"{type(error).__name__} {text}".strip()


def _opened(file: IO[bytes]) -> ImageFile.ImageFile:
    """Open a picture, by its content, of a kind that has pixels: Ghostscript, say, is never run."""
    try:
        return Image.open(file, formats=picture_formats())
    except Image.DecompressionBombError as error:
        msg = f"it has more than {MOST_PIXELS:,} pixels, which are not decoded: save it smaller"
        raise ValueError(msg) from error


def _decoded(file: io.BytesIO) -> Image.Image:
    with _opened(file) as image:
        problem = _problem(image, len(file.getbuffer()))
        if problem is not None:
            raise ValueError(problem)
        deep = image.mode.startswith("I")
        upright = ImageOps.exif_transpose(image)
    if deep:
        levels = np.asarray(upright).astype(np.int64)
        return Image.fromarray(((levels + 128) // 257).astype(np.uint8)).convert("RGB")
    if upright.has_transparency_data:
        if upright.convert("RGBA").getchannel("A").getextrema()[0] != 255:
            msg = "it is transparent in places, and what shows behind is not said: flatten it"
            raise ValueError(msg)
        return upright.convert("RGBA").convert("RGB")
    return upright.convert("RGB")


def _problem(image: ImageFile.ImageFile, size: int) -> str | None:
    """Say what keeps an opened image of so many bytes, not yet decoded, from being 8-bit RGB."""
    check_pixels(*image.size)
    if image.format == "GIF" and size > COUNTED and getattr(image, "is_animated", False):
        count: int | str = "several"  # to count them takes long
    else:
        count = getattr(image, "n_frames", 1)
    if count not in (0, 1) and image.format not in SEVERAL_PICTURES:
        return f"it holds {count} pictures, and an item is one: save the one that is meant"
    layout = _layout(image)
    if image.mode.startswith("I"):
        # Pillow itself scales greys of a PGM to 16 bits.
        known = image.format == "PPM" or any(part.startswith("I;16") for part in layout)
        if not known or {"I;16S", "I;16BS"} & {*layout}:
            return f"its greys ({image.mode}, {layout[0]}) have no stated range: save it in 8 bits"
        if getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO:
            return "its greys of 16 bits are inverted (WhiteIsZero): save it in 8 bits"
        if "transparency" in image.info:
            return "it has 16 bits and a transparent grey: save it in 8 bits"
        return None
    if any(";16" in part or part == "SGI16" for part in layout):
        return "its colours have 16 bits, of which 8 would be cut off: save it in 8 bits"
    if image.mode not in (*EIGHT_BIT, *WITH_ALPHA):
        return f"its pixels are of mode {image.mode}, which has no stated range: save it in 8 bits"
    return None


def _layout(image: ImageFile.ImageFile) -> list[str]:
    """Return how the file stores its pixels, in Pillow's names."""
    if not image.tile:
        return [image.mode]
    args: Any = image.tile[0][3]
    parts = args if isinstance(args, (tuple, list)) else [args]
    return [*(str(part) for part in parts if isinstance(part, str)), str(image.tile[0][0])]
