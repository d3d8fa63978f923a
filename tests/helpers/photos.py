"""Small image files of several sizes, whose colours tell the class."""

import numpy as np
import torch
from PIL import Image

from lightning_hash.data import FolderDataModule
from lightning_hash.data.pictures import ORIENTATION

SIZES = ((14, 20), (20, 14), (12, 12))  # height and width
COLOURS = {"red": (0.8, 0.3, 0.3), "green": (0.3, 0.8, 0.3), "blue": (0.3, 0.3, 0.8)}
COUNTS = {"train": 6, "query": 5, "database": 20}  # of each class


def write_photos(folder):
    """Write images into ``folder/SPLIT/CLASS``; one query lies on its side, as its EXIF says."""
    random = np.random.default_rng(0)
    for split, count in COUNTS.items():
        for number, (name, colour) in enumerate(COLOURS.items()):
            place = folder / split / name
            place.mkdir(parents=True)
            for item in range(count):
                shape = SIZES[(item + number) % len(SIZES)]
                values = np.array(colour) + random.normal(scale=0.15, size=(*shape, 3))
                levels = (values.clip(0, 1) * 255).round().astype(np.uint8)
                Image.fromarray(levels).save(place / f"{item}.png")
    turned = Image.fromarray(np.full((12, 30, 3), 180, np.uint8))
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    turned.save(folder / "query" / "red" / "9.jpg", exif=exif)
    return folder


def photo_data(folder, **options):
    """Return data that resize to 10, shorter side, and crop 8."""
    defaults = {
        "size": 8, "resize": 10, "keep_aspect": True, "interpolation": "bicubic",
        "eval_batch_size": 32, **{split: split for split in COUNTS},
    }  # fmt: skip
    return FolderDataModule(str(folder), **{**defaults, **options})


def read_photo(path):
    """Read a file as these data do, by Pillow alone."""
    with Image.open(path) as picture:
        high, wide = picture.height, picture.width
        first = 10 / min(high, wide)
        sides = [10 if each == min(high, wide) else int(first * each) for each in (wide, high)]
        small = picture.convert("RGB").resize(sides, Image.Resampling.BICUBIC)
    left, top = (round((each - 8) / 2) for each in small.size)
    crop = small.crop((left, top, left + 8, top + 8))
    return torch.from_numpy(np.array(crop)).movedim(-1, 0).float() / 255
