"""Perceptual hashes as victims, and photographs to try them on: no network, no gradient."""

import sys
from importlib.util import find_spec
from pathlib import Path

import imagehash
import numpy as np
import pdqhash
from numpy.typing import NDArray
from PIL import Image

PHOTOGRAPHS = (
    "astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "coffee.png",
    "coins.png", "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png",
    "motorcycle_left.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip


def pdq(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return 256 bits of each image; two match at a distance of at most 31."""
    return np.stack([pdqhash.compute(image)[0] for image in images]) > 0


def phash(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return 64 bits of each image; two match at a distance of at most 10, as is usual."""
    return np.stack([imagehash.phash(Image.fromarray(image)).hash.ravel() for image in images])


def package(name: str) -> Path | None:
    """Return the folder of a package, if it is installed."""
    spec = find_spec(name)
    return None if spec is None or spec.origin is None else Path(spec.origin).parent


def photographs(folder: Path, size: int = 512) -> None:
    """Write the photographs inside scikit-image, and scikit-learn where it is there, as squares."""
    folder.mkdir(parents=True, exist_ok=True)
    images = package("skimage")
    paths = [images / "data" / name for name in PHOTOGRAPHS] if images else []
    more = package("sklearn")
    paths += sorted((more / "datasets" / "images").glob("*.jpg")) if more else []
    for path in paths:
        image = Image.open(path).convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
        image.save(folder / f"{path.stem}.png")


if __name__ == "__main__":
    photographs(Path(sys.argv[1]))
