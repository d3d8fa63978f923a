"""Harmless transforms of an image: what happens to copies of it before any attacker.

Each has a fixed list of strengths, the mildest first. :data:`VERSION` counts up with any change of
the lists or of what a transform does, so that numbers of one version can be compared.
"""

import io
import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from lightning_hash.data.pictures import jpeg_content, read_picture

VERSION = "1"
TEXT = "SAMPLE"
Draw = tuple[float, float]  # uniform in [0, 1)


@dataclass(frozen=True)
class Harmless:
    """A transform and its strengths.

    Attributes:
        name: its name.
        unit: what a strength is.
        strengths: the mildest first.
        apply: called with an RGB picture, a strength and two draws; returns a picture of the same
            size.
    """

    name: str
    unit: str
    strengths: tuple[float | str, ...]
    apply: Callable[[Image.Image, Any, Draw], Image.Image]

    def __call__(
        self, picture: Image.Image, strength: float | str, seed: int, query: int
    ) -> Image.Image:
        """Transform a picture.

        Args:
            picture: RGB.
            strength: one of ``strengths``.
            seed: of what is drawn: the side that a crop or a rotation is on, the place of a text.
            query: number of the query; what is drawn is a function of seed, query, name and
                strength alone.

        Returns:
            A picture of the same size.
        """
        key = zlib.crc32(f"{self.name} {strength}".encode())
        first, second = np.random.default_rng([seed, query, key]).random(2).tolist()
        return self.apply(picture, strength, (first, second))


def _jpeg(picture: Image.Image, quality: int, draw: Draw) -> Image.Image:
    """Save as JPEG and read again."""
    return read_picture(io.BytesIO(jpeg_content(picture, quality)))


def _resize(picture: Image.Image, factor: float, draw: Draw) -> Image.Image:
    """Make both sides shorter by a factor, and as long as before again."""
    width, height = picture.size
    small = [max(1, round(height * factor)), max(1, round(width * factor))]
    return _sized(_sized(picture, small), [height, width])


def _crop(picture: Image.Image, share: float, draw: Draw) -> Image.Image:
    """Keep a share of both sides, at a place that is drawn, and enlarge it to the whole."""
    width, height = picture.size
    w, h = max(1, round(width * share)), max(1, round(height * share))
    left, top = math.floor(draw[0] * (width - w + 1)), math.floor(draw[1] * (height - h + 1))
    return _sized(picture.crop((left, top, left + w, top + h)), [height, width])


def _rotate(picture: Image.Image, degrees: float, draw: Draw) -> Image.Image:
    """Turn around the centre to a side that is drawn; corners become black, size stays."""
    angle = degrees if draw[0] < 0.5 else -degrees
    found: Image.Image = F.rotate(picture, angle, InterpolationMode.BILINEAR)
    return found


def _flip(picture: Image.Image, way: str, draw: Draw) -> Image.Image:
    found: Image.Image = (F.hflip if way == "horizontal" else F.vflip)(picture)
    return found


def _brightness(picture: Image.Image, factor: float, draw: Draw) -> Image.Image:
    found: Image.Image = F.adjust_brightness(picture, factor)
    return found


def _contrast(picture: Image.Image, factor: float, draw: Draw) -> Image.Image:
    found: Image.Image = F.adjust_contrast(picture, factor)
    return found


def _blur(picture: Image.Image, percent: float, draw: Draw) -> Image.Image:
    """Blur by a Gaussian whose sigma is a percentage of the shorter side.

    Its kernel reaches three sigma, or to the end of a side: edges are mirrored, at most once.
    """
    sigma = percent / 100 * min(picture.size)
    reach = math.ceil(3 * sigma)
    sides = [2 * min(reach, side - 1) + 1 for side in picture.size]
    found: Image.Image = F.gaussian_blur(picture, sides, [sigma, sigma])
    return found


def _text(picture: Image.Image, percent: float, draw: Draw) -> Image.Image:
    """Write white letters with a black edge, so high in percent of the shorter side."""
    written = picture.copy()
    pen = ImageDraw.Draw(written)
    size = max(1.0, percent / 100 * min(picture.size))
    font, edge = ImageFont.load_default(size), max(1, round(size / 12))
    left, top, right, bottom = pen.textbbox((0, 0), TEXT, font=font, stroke_width=edge)
    free = (picture.width - (right - left), picture.height - (bottom - top))
    place = [
        max(0.0, room) * at - start for room, at, start in zip(free, draw, (left, top), strict=True)
    ]
    pen.text(
        (round(place[0]), round(place[1])), TEXT, fill="white", font=font, stroke_width=edge,
        stroke_fill="black",
    )  # fmt: skip
    return written


def _sized(picture: Image.Image, size: list[int]) -> Image.Image:
    found: Image.Image = F.resize(picture, size, InterpolationMode.BILINEAR)
    return found


_FACTORS = (0.9, 1.1, 0.75, 1.25, 0.5, 1.5)
TRANSFORMS = {
    each.name: each
    for each in (
        Harmless("jpeg", "quality", (95, 90, 80, 70, 60, 50, 40, 30, 20, 10), _jpeg),
        Harmless("resize", "share of each side", (0.9, 0.75, 0.5, 0.25, 0.125), _resize),
        Harmless("crop", "share of each side", (0.98, 0.95, 0.9, 0.8, 0.7, 0.5), _crop),
        Harmless("rotate", "degrees", (1, 2, 5, 10, 20, 45, 90, 180), _rotate),
        Harmless("flip", "axis", ("horizontal", "vertical"), _flip),
        Harmless("brightness", "factor", _FACTORS, _brightness),
        Harmless("contrast", "factor", _FACTORS, _contrast),
        Harmless("blur", "sigma, % of the shorter side", (0.5, 1, 2, 4), _blur),
        Harmless("text", "height, % of the shorter side", (5, 10, 20, 30), _text),
    )
}
