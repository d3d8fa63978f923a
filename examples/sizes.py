"""Photographs cut into image files of three sizes: ``python examples/sizes.py FOLDER``."""

import random
import sys
from pathlib import Path

import skimage
from PIL import Image

from lightning_hash.data.sample_photos import PHOTOGRAPHS

SIZES = ((320, 240), (240, 320), (256, 256))
COUNTS = {"train": 20, "query": 10, "database": 50}  # of each photograph


def cut(folder: Path) -> None:
    """Write FOLDER/SPLIT/PHOTOGRAPH/NUMBER.jpg, cut from places that a seed decides."""
    draw = random.Random(0)
    images = Path(skimage.__file__).parent / "data"
    for name, file in PHOTOGRAPHS.items():
        photograph = Image.open(images / file).convert("RGB")
        photograph = photograph.resize((640, round(640 * photograph.height / photograph.width)))
        for split, count in COUNTS.items():
            place = folder / split / name
            place.mkdir(parents=True, exist_ok=True)
            for number in range(count):
                width, height = draw.choice(SIZES)
                left = draw.randrange(photograph.width - width + 1)
                top = draw.randrange(photograph.height - height + 1)
                piece = photograph.crop((left, top, left + width, top + height))
                piece.save(place / f"{number:02}.jpg", quality=92)


if __name__ == "__main__":
    cut(Path(sys.argv[1]))
