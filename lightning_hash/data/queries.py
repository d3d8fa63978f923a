"""The queries under attack, and the loaders an attack runs on."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_info
from torch.utils.data import Dataset, Subset, default_collate

from lightning_hash.data.base import HashDataModule, Item, collate_of
from lightning_hash.data.image_data import ImageDataModule
from lightning_hash.data.transfer import arrived
from lightning_hash.data.views import View
from lightning_hash.utils.array_files import read_index
from lightning_hash.utils.numbers import check_seed

DRAWN = 100  # queries, where nothing is said about them (DHTA)
Resolution = Literal["input", "original"]


class BatchNumbers:
    """A loader that yields the numbers of this process's batches of queries.

    The queries themselves stay on the device, so that an iteration of the attack moves nothing.

    Args:
        numbers: the batch numbers, counted over all processes.
    """

    def __init__(self, numbers: range) -> None:
        self.numbers = numbers

    def __iter__(self) -> Iterator[int]:
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: an attack goes on at the beginning of an iteration."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take nothing."""


class QueryData(pl.LightningDataModule):
    """Queries of a data module's query set, drawn or chosen, in fixed batches.

    Of ``split`` ``"database"`` they are candidates: items of the database, which are attacked as
    queries otherwise are.

    Batches are formed over all queries first and then dealt to the processes in turn, so that a
    query's neighbours are the same under any number of processes. All processes take as many turns;
    in the last one a process may have a batch of no queries.

    Args:
        source: the data.
        n_queries: at most how many queries, drawn by seed without replacement; ``None`` takes all.
        batch_size: queries per batch.
        seed: seed of the draw.
        query_index: which queries, in this order, instead of a draw: their indices in the query
            set, or a file of them.
        split: whose items they are: ``"query"``, ``"database"``, or ``"train"``, where what was
            learnt on them is measured.
        resolution: ``"input"``, as the network takes them, or ``"original"``: image files in their
            own size, those of one size in a batch, which ``view`` resizes and crops.

    Attributes:
        queries: the queries as the network takes them, a subset of the split; set by ``setup``.
        items: the whole split as it is attacked; set by ``setup``.
        view: what the network sees of that; set by ``setup``.
        chosen: the indices of ``query_index``; ``None`` where the queries are drawn.
        learns: whether the training loader is that of the source: a shared perturbation learns on
            its training items.

    Raises:
        FileNotFoundError: if the file of ``query_index`` does not exist.
        ValueError: if ``n_queries`` or ``batch_size`` is below 1, or ``query_index`` is no list of
            different indices, or of another number than ``n_queries``.
    """

    def __init__(
        self,
        source: HashDataModule,
        n_queries: int | None = DRAWN,
        batch_size: int = 100,
        seed: int = 0,
        query_index: list[int] | str | None = None,
        split: str = "query",
        resolution: Resolution = "input",
    ) -> None:
        super().__init__()
        if resolution not in get_args(Resolution):
            msg = f"resolution must be 'input' or 'original', got {resolution!r}"
            raise ValueError(msg)
        if n_queries is not None and n_queries < 1:
            msg = f"n_queries must be at least 1 or null, got {n_queries}"
            raise ValueError(msg)
        if batch_size < 1:
            msg = f"batch_size must be at least 1, got {batch_size}"
            raise ValueError(msg)
        self.source, self.split, self.resolution = source, split, resolution
        check_seed("seed", seed)
        self.n_queries, self.batch_size, self.seed = n_queries, batch_size, seed
        self.chosen = None if query_index is None else read_index("query_index", query_index)
        if self.chosen is not None and n_queries not in (None, DRAWN, len(self.chosen)):
            msg = (
                f"n_queries {n_queries}: query_index names {len(self.chosen)}; leave n_queries out"
            )
            raise ValueError(msg)
        self.learns = False

    def prepare_data(self) -> None:
        """Prepare the source."""
        self.source.prepare_data()

    def setup(self, stage: str) -> None:
        """Take the queries that are chosen, or draw them: all, where there are too few.

        Raises:
            ValueError: if the query set has none of an index that is chosen, or its items have no
                size of their own where they are taken in that.
        """
        if hasattr(self, "queries"):
            return
        self.source.setup("predict")
        self.queries = self._choose()
        rows = range(len(self.queries))
        self.items: Dataset[Item] = self.queries.dataset
        self.view, self._batches = View(), _chunks(rows, self.batch_size)
        if self.resolution == "original":
            if not isinstance(self.source, ImageDataModule):
                msg = (
                    "resolution: original takes image files in their own size, and "
                    f"{self.source.name} has none; give data of image files"
                )
                raise ValueError(msg)
            self.items, self.view = images, _ = self.source.originals(self.split)
            of_size: dict[tuple[int, int], list[int]] = {}
            for row, number in enumerate(self.queries.indices):
                of_size.setdefault(images.picture(number).size, []).append(row)
            self._batches = [
                batch for found in of_size.values() for batch in _chunks(found, self.batch_size)
            ]

    def _choose(self) -> Subset[Item]:
        """Return the queries, as the network takes them."""
        query_set: Dataset[Item] = self.source.dataset(self.split)
        total = len(query_set)  # type: ignore[arg-type]
        what = "queries" if self.split == "query" else "database items"
        if self.chosen is not None:
            if max(self.chosen) >= total:
                msg = (
                    f"query_index: {max(self.chosen)} is none of the {total} {what} of "
                    f"{self.source.name}, which count from 0; give the {self.split} set that "
                    "it belongs to"
                )
                raise ValueError(msg)
            return Subset(query_set, self.chosen)
        wanted = total if self.n_queries is None else min(self.n_queries, total)
        if self.n_queries is not None and self.n_queries > total and self.split != "train":
            msg = f"n_queries {self.n_queries}: the {self.split} set has {total}, all are taken"
            rank_zero_info(msg)
        generator = torch.Generator().manual_seed(self.seed)
        positions = torch.randperm(total, generator=generator)[:wanted].sort().values
        return Subset(query_set, positions.tolist())

    @property
    def fingerprint(self) -> dict[str, str] | None:
        """What tells chosen queries from others; ``None`` where a seed says which they are."""
        if self.chosen is None:
            return None
        text = " ".join(map(str, self.chosen))
        return {"sha256": hashlib.sha256(text.encode()).hexdigest()}

    @property
    def n_batches(self) -> int:
        """Batches over all processes."""
        return len(self._batches)

    @property
    def local_batches(self) -> range:
        """Numbers of the batches dealt to this process; those from n_batches on are empty."""
        rank, world = 0, 1
        if self.trainer is not None:
            rank, world = self.trainer.global_rank, self.trainer.world_size
        turns = -(-self.n_batches // world)
        return range(rank, turns * world, world)

    def load_batch(self, number: int) -> list[Any]:
        """Load one batch of queries.

        Args:
            number: its number over all processes.

        Returns:
            ``[queries (B, ...), labels (B, C), index (B,)]``, and the ``lengths (B,)`` of clips
            that have several; of a batch beyond the last B is 0.
        """
        rows = self._batches[number] if number < self.n_batches else []
        collate = collate_of(self.queries) or default_collate
        indices = [self.queries.indices[row] for row in rows or [0]]
        batch: list[Any] = collate([self.items[index] for index in indices])
        return batch if rows else [part[:0] for part in batch]

    def train_dataloader(self) -> Any:
        """Return the numbers of this process's batches, or its share of the training items."""
        if self.learns:
            self.source.trainer = self.trainer
            return self.source.training_loader(self.source.train_set)
        return BatchNumbers(self.local_batches)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Scale training images that travelled as uint8; see :class:`HashDataModule`."""
        if not (self.learns and self.trainer is not None and self.trainer.training):
            return batch
        inputs, *rest = batch
        if inputs.dtype == torch.uint8:
            inputs = arrived(inputs, self.source.dataset("train"), self.trainer)
        return inputs, *rest

    def test_dataloader(self) -> BatchNumbers:
        """Return the numbers of this process's batches."""
        return BatchNumbers(self.local_batches)


def _chunks(rows: Sequence[int], size: int) -> list[Sequence[int]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
