"""Photographs, and copies of them as they travel: ``python examples/copies.py FOLDER``."""

import sys
from pathlib import Path

from perceptual import photographs
from PIL import Image, ImageEnhance


def copies(folder: Path) -> None:
    """Write the photographs to FOLDER/database as NAME-0.png, and three copies to FOLDER/query."""
    photographs(folder / "database")
    (folder / "query").mkdir(exist_ok=True)
    for path in sorted((folder / "database").glob("*.png")):
        image = Image.open(path)
        name = f"{folder}/query/{path.stem}"
        image.save(f"{name}-1.jpg", quality=30)
        image.resize((160, 160)).resize(image.size).save(f"{name}-2.png")
        ImageEnhance.Brightness(image).enhance(1.3).save(f"{name}-3.png")
        path.rename(path.with_name(f"{path.stem}-0.png"))


if __name__ == "__main__":
    copies(Path(sys.argv[1]))
