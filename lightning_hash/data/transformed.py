"""The queries of a data set under harmless transforms, as a data set."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from lightning_hash.data.base import HashDataModule, Item
from lightning_hash.data.eight_bit import EightBitImages
from lightning_hash.data.harmless import TRANSFORMS, VERSION
from lightning_hash.data.queries import QueryData
from lightning_hash.data.views import View
from lightning_hash.functional import from_8bit

CLEAN = "none"


@dataclass(frozen=True)
class Variant:
    """A transform at one strength.

    Attributes:
        transform: its name, or ``"none"``: the query as it is.
        strength: how strong; ``None`` of the query as it is.
    """

    transform: str = CLEAN
    strength: float | str | None = None


def variants_of(names: Sequence[str]) -> list[Variant]:
    """Return the query as it is, and each strength of some transforms.

    Args:
        names: of the transforms, each once.

    Raises:
        ValueError: if there is no such transform, none, or one is there twice.
    """
    for name in names:
        if name not in TRANSFORMS:
            msg = f"transforms must be among {', '.join(TRANSFORMS)}, got {name!r}"
            raise ValueError(msg)
    if not names or len(set(names)) < len(names):
        msg = f"transforms must be one or several different names, got {list(names)}"
        raise ValueError(msg)
    return [
        Variant(),
        *(Variant(name, strength) for name in names for strength in TRANSFORMS[name].strengths),
    ]


class TransformedQueries(EightBitImages):
    """Q queries times V variants; item ``q * V + v`` is variant v of the q-th query.

    Args:
        items: the query set, of colour images.
        rows: which of its items, and so Q.
        variants: what becomes of each.
        seed: see :class:`lightning_hash.data.harmless.Harmless`.
        view: what the network sees of that.
    """

    def __init__(
        self,
        items: Dataset[Item],
        rows: Sequence[int],
        variants: Sequence[Variant],
        seed: int,
        view: View | None = None,
    ) -> None:
        self.items, self.rows, self.variants, self.seed = items, list(rows), variants, seed
        self.view = View() if view is None else view
        self.labels = torch.zeros(len(self), 0, dtype=torch.uint8)  # those of the queries are known
        self._last: tuple[int, Image.Image] | None = None

    def __len__(self) -> int:
        return len(self.rows) * len(self.variants)

    def image(self, index: int) -> Tensor:
        """Return what the network sees of a variant of a query, uint8 ``(3, H, W)``."""
        place, number = divmod(index, len(self.variants))
        query, variant = self.rows[place], self.variants[number]
        if self._last is None or self._last[0] != query:  # a file is decoded once
            self._last = query, Image.fromarray(self._pixels(query).movedim(0, -1).numpy())
        picture = self._last[1]
        if variant.strength is not None:
            transform = TRANSFORMS[variant.transform]
            picture = transform(picture, variant.strength, self.seed, query)
        return self.view.of_picture(picture)

    def scale(self, images: Tensor) -> Tensor:
        """Scale as the query set does."""
        return (
            self.items.scale(images)
            if isinstance(self.items, EightBitImages)
            else from_8bit(images)
        )

    def _pixels(self, query: int) -> Tensor:
        if isinstance(self.items, EightBitImages):
            return self.items.image(query).contiguous()
        image = torch.as_tensor(self.items[query][0])
        return (image * 255).round().clamp(0, 255).to(torch.uint8).contiguous()


class TransformedData(HashDataModule):
    """A data module whose queries are those of another under harmless transforms.

    Args:
        queries: which of its queries, set up, and in which size they are transformed.
        variants: what becomes of each.
        seed: see :class:`TransformedQueries`.

    Raises:
        ValueError: if the inputs are no colour images.
    """

    def __init__(self, queries: QueryData, variants: Sequence[Variant], seed: int) -> None:
        source = queries.source
        super().__init__(eval_batch_size=source.eval_batch_size, num_workers=source.num_workers)
        self.source, self.name = source, source.name
        self.class_names, self.interpolation = source.class_names, source.interpolation
        shape = tuple(source.query_set[0][0].shape)
        if len(shape) != 3 or shape[0] != 3:
            msg = f"data must be of colour images (3, H, W), its inputs are {shape}"
            raise ValueError(msg)
        self.query_set = self.transformed = TransformedQueries(
            queries.items, queries.queries.indices, variants, seed, queries.view
        )
        self.database_set = source.database_set
        self.seed = seed

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input."""
        return tuple(self.source.query_set[0][0].shape)

    def fingerprints(self) -> dict[str, str]:
        """Return those of the source, of the queries with what becomes of them."""
        found = dict(self.source.fingerprints())
        found["query"] = f"{found['query']} harmless {VERSION} seed {self.seed}"
        return found

    def input_fingerprints(self, split: str) -> dict[str, str]:
        """Return those of the source."""
        return self.source.input_fingerprints(split)

    def paths_of(self, split: str) -> tuple[str, ...]:
        """Return those of the source; none of the queries, which are no files."""
        return () if split == "query" else self.source.paths_of(split)


def labels_of_rows(source: HashDataModule, rows: Sequence[int]) -> Tensor:
    """Return the labels of some queries, uint8 ``(Q, C)``."""
    chosen: Any = list(rows)
    return source.labels_of("query")[chosen]
