"""Queries and a database that are in memory."""

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from lightning_hash.data.base import HashDataModule
from lightning_hash.functional.checks import check_tensor
from lightning_hash.utils.settings import sha256_of

Pair = tuple[Tensor, Tensor | None]


class TensorData(HashDataModule):
    """Queries and a database as tensors.

    Args:
        queries: images ``(Q, C, H, W)``, floating in [0, 1] or uint8, or clips ``(Q, T, C, H, W)``;
            and labels, ``(Q, L)`` of 0/1 or ``(Q,)`` class numbers, or ``None`` where there are
            none.
        database: images ``(N, ...)`` and labels, likewise.

    Raises:
        TypeError: if images or labels are no tensors.
        ValueError: if images are neither, of different shapes, or labels do not go with them.
    """

    name = "tensors"

    def __init__(self, queries: Pair, database: Pair) -> None:
        super().__init__()
        images = [_images(what, given[0]) for what, given in _named(queries, database)]
        if images[0].shape[1:] != images[1].shape[1:]:
            msg = (
                "queries and database must be of one shape, got "
                f"{tuple(images[0].shape[1:])} and {tuple(images[1].shape[1:])}"
            )
            raise ValueError(msg)
        labels = _labels(queries, database)
        self.class_names = [str(column) for column in range(labels[0].shape[1])]
        self.tensors = dict(
            zip(("query", "database"), zip(images, labels, strict=True), strict=True)
        )
        sets: list[Any] = [
            _Items(*self.tensors[split], torch.arange(len(self.tensors[split][0])))
            for split in ("query", "database")
        ]
        self.query_set, self.database_set = sets

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.tensors["query"][0].shape[1:])

    def fingerprints(self) -> dict[str, str]:
        """Return a sha256 over the tensors of each split; there is no training split."""
        found = {
            split: sha256_of(dict(zip(("images", "labels"), pair, strict=True)))
            for split, pair in self.tensors.items()
        }
        return {"train": "", **found}


class _Items(TensorDataset):
    """Images, labels and index; ``labels`` as other data sets have them."""

    @property
    def labels(self) -> Tensor:
        return self.tensors[1]


def _named(queries: Pair, database: Pair) -> tuple[tuple[str, Pair], tuple[str, Pair]]:
    return ("queries", queries), ("database", database)


def _images(what: str, images: Tensor) -> Tensor:
    check_tensor(what, images)
    if images.dtype == torch.uint8:
        images = images.float() / 255
    inside = images.is_floating_point() and images.dim() in (4, 5) and len(images) > 0
    if not (inside and images.min() >= 0 and images.max() <= 1):
        found = f"{images.dtype} {tuple(images.shape)}"
        if inside:
            found += f" in [{images.min():.4g}, {images.max():.4g}]"
        msg = (
            f"{what} must be images (N, C, H, W) or clips (N, T, C, H, W), uint8 or floating in "
            f"[0, 1], at least one, got {found}"
        )
        raise ValueError(msg)
    return images.detach().cpu()


def _labels(queries: Pair, database: Pair) -> list[Tensor]:
    given = [pair[1] for pair in (queries, database)]
    sizes = [len(pair[0]) for pair in (queries, database)]
    if all(each is None for each in given):
        return [torch.zeros(size, 0, dtype=torch.uint8) for size in sizes]
    found: list[Tensor] = []
    for (what, _), labels, size in zip(_named(queries, database), given, sizes, strict=True):
        if labels is not None:
            check_tensor(f"{what}: labels", labels)
        if labels is None or len(labels) != size or labels.dim() not in (1, 2):
            msg = (
                f"{what}: labels must be (N, L) of 0/1 or (N,) class numbers for N = {size} "
                f"images, and those of both or of neither, got "
                f"{None if labels is None else tuple(labels.shape)}"
            )
            raise ValueError(msg)
        found.append(labels.detach().cpu())
    if all(each.dim() == 1 for each in found):
        for (what, _), numbers in zip(_named(queries, database), found, strict=True):
            if numbers.is_floating_point() or numbers.dtype == torch.bool or numbers.min() < 0:
                msg = f"{what}: class numbers must be whole, from 0 on, got {numbers.dtype}"
                raise ValueError(msg)
        classes = 1 + int(max(each.max() for each in found))
        return [torch.nn.functional.one_hot(each.long(), classes).byte() for each in found]
    widths = {tuple(each.shape[1:]) for each in found}
    if len(widths) > 1 or any(((each != 0) & (each != 1)).any() for each in found):
        shapes = " and ".join(str(tuple(each.shape)) for each in found)
        ranges = " and ".join(f"[{float(each.min()):g}, {float(each.max()):g}]" for each in found)
        msg = (
            "labels of queries and database must be of 0 and 1, in the same columns, got "
            f"{shapes} in {ranges}"
        )
        raise ValueError(msg)
    return [each.to(torch.uint8) for each in found]
