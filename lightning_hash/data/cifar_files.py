"""The 60,000 images of CIFAR-10, in the files in which they are passed around."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torchvision import datasets

from lightning_hash.utils.array_files import read_arrays
from lightning_hash.utils.label_values import to_labels

MATLAB = "cifar-10-batches-mat"
BATCHES = (*(f"data_batch_{number}.mat" for number in range(1, 6)), "test_batch.mat")
# Names of images and labels in one file: Keras', ADSH's, and plain ones.
PAIRS = (
    (("x_train", "y_train"), ("x_test", "y_test")),
    (("data_set", "dataset_L"), ("test_data", "test_L")),
    (("images", "labels"),),
    (("data", "labels"),),
)
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

Pool = tuple[NDArray[np.uint8], NDArray[np.int64]]


def read_cifar10(folder: str) -> Pool:
    """Read all images of CIFAR-10 and their classes.

    Args:
        folder: where torchvision's ``cifar-10-batches-py`` or the ``cifar-10-batches-mat`` of the
            same release lies, whose images stand in the same order; or one ``.npz`` or ``.mat``
            that holds ``x_train`` and ``y_train``, ``x_test`` and ``y_test`` (Keras), ``data_set``
            and ``dataset_L``, ``test_data`` and ``test_L`` (ADSH), or ``images`` and ``labels``.

    Returns:
        uint8 ``(N, 32, 32, 3)`` and class numbers ``(N,)``.

    Raises:
        FileNotFoundError: if there are none.
        ValueError: if a file cannot be read, or holds something else.
    """
    place = Path(folder)
    if place.is_file():
        return _from_arrays(read_arrays(place), place)
    if (place / MATLAB).is_dir():
        parts = [_from_arrays(read_arrays(place / MATLAB / name), place) for name in BATCHES]
    else:
        try:
            both = [datasets.CIFAR10(folder, train=train) for train in (True, False)]
        except RuntimeError as error:
            msg = (
                f"folder {folder}: no whole CIFAR-10 (cifar-10-batches-py, {MATLAB}, or one .npz "
                "or .mat) there; put torchvision's files there or say download: true"
            )
            raise FileNotFoundError(msg) from error
        parts = [(part.data, np.asarray(part.targets)) for part in both]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _from_arrays(arrays: Mapping[str, NDArray[Any]], path: Path) -> Pool:
    for pairs in PAIRS:
        if all(name in arrays for pair in pairs for name in pair):
            labels = [to_labels(arrays[name], f"{path}:{name}") for _, name in pairs]
            for rows, (_, name) in zip(labels, pairs, strict=True):
                if rows.ndim == 2 and (rows.sum(axis=1) != 1).any():
                    msg = f"{path}:{name}: each image must have one class, got rows of several"
                    raise ValueError(msg)
            numbers = np.concatenate([n.argmax(axis=1) if n.ndim == 2 else n for n in labels])
            images = np.concatenate([_images(arrays[name], f"{path}:{name}") for name, _ in pairs])
            if len(images) != len(numbers) or numbers.max() >= len(NAMES):
                msg = (
                    f"{path}: {len(images)} images, {len(numbers)} labels up to {numbers.max()}; "
                    f"each must have a class from 0 to {len(NAMES) - 1}"
                )
                raise ValueError(msg)
            return images, numbers
    there = ", ".join(f"{name} {value.shape}" for name, value in arrays.items()) or "none"
    known = "; ".join(", ".join(name for pair in pairs for name in pair) for pairs in PAIRS)
    msg = f"{path} holds no images and labels under names that are known ({known}), but {there}"
    raise ValueError(msg)


def _images(values: NDArray[Any], source: str) -> NDArray[np.uint8]:
    """Return images ``(N, 32, 32, 3)`` of rows of 3072, or of axes in another order."""
    shape = values.shape[1:]
    if values.dtype == np.uint8 and shape == (3072,):
        return values.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    if values.dtype == np.uint8 and shape == (3, 32, 32):
        return values.transpose(0, 2, 3, 1)
    if values.dtype == np.uint8 and values.shape[:3] == (32, 32, 3):  # MATLAB's
        return values.transpose(3, 0, 1, 2)
    if values.dtype != np.uint8 or shape != (32, 32, 3):
        msg = f"{source} must be uint8 (N, 32, 32, 3), got {values.dtype} {values.shape}"
        raise ValueError(msg)
    return values
