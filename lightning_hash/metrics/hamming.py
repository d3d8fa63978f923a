"""MAP, t-MAP, precision at N and whatever else is measured of a ranking by Hamming distance."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import torch
from torch import Tensor

from lightning_hash.functional.average_precision import chunk_average_precision
from lightning_hash.functional.checks import (
    check_choice,
    check_codes,
    check_count,
    check_labels,
    check_rows,
    check_top_k,
)
from lightning_hash.functional.options import (
    EMPTIES,
    NORMALIZERS,
    TIES,
    Empty,
    Normalizer,
    Ties,
    counted,
)
from lightning_hash.functional.precision import chunk_precision
from lightning_hash.functional.ranking import Measure, RankedChunk, make_ranking, measure
from lightning_hash.metrics.query_metric import QueryMetric, Score
from lightning_hash.metrics.rows import by_index

_COLUMNS = ("index", "codes", "labels")


class HammingMetric(QueryMetric):
    """Base of metrics of queries ranked against a database by Hamming distance.

    A metric of one's own is a subclass with a ``name`` and :meth:`values`. Each process keeps the
    rows it was given: K + C + 8 bytes per query and per database item. To compute, torchmetrics
    gathers all rows on every process; a database that every process has already
    (:meth:`set_database`) stays where it is.

    Args:
        empty: a query whose value is NaN counts 0 (``"zero"``) or is left out (``"skip"``).
        ties: exact average over the orders inside each distance (``"expected"``) or by database
            index (``"stable"``).
        kwargs: those of torchmetrics.Metric.

    Attributes:
        name: what result rows and tables call it.
        judged_by: relevant is what shares a label of the query (``"own"``) or the label that an
            attack aims at (``"target"``).
        ranks: how many first ranks :meth:`values` looks at; ``None`` is the whole database.
        has_empty: whether a query may have no value; if so, scores say how many had none.

    Raises:
        ValueError: if an option is wrong.

    Example:
        >>> class RecallAtTwo(HammingMetric):
        ...     name, ranks = "recall_at_2", 2
        ...
        ...     def values(self, chunk):
        ...         return chunk.hits_at(2) / chunk.n_relevant
        >>> metric = RecallAtTwo()
        >>> codes, labels = torch.tensor([[1, 1], [1, -1]]), torch.tensor([[1, 0], [1, 0]])
        >>> metric.update_database(codes, labels, torch.tensor([0, 1]))
        >>> metric.update(codes, labels, torch.tensor([0, 1]))
        >>> metric.score()
        Score(value=1.0, se=0.0, n=2, n_empty=0)
    """

    judged_by: Literal["own", "target"] = "own"
    ranks: int | None = None
    has_empty: bool = True

    known_codes: Tensor | None
    known_labels: Tensor | None

    higher_is_better = True
    columns = tuple(f"{side}_{column}" for side in ("query", "database") for column in _COLUMNS)

    def __init__(self, empty: Empty = "zero", ties: Ties = "expected", **kwargs: Any) -> None:
        check_choice("empty", empty, EMPTIES)
        check_choice("ties", ties, TIES)
        super().__init__(**kwargs)
        self.empty: Empty = empty
        self.ties: Ties = ties
        for column in ("codes", "labels"):
            self.register_buffer(f"known_{column}", None, persistent=False)

    @abstractmethod
    def values(self, chunk: RankedChunk) -> Tensor:
        """Return the values of some queries.

        Args:
            chunk: the queries, ranked.

        Returns:
            float64 ``(q,)``; NaN for a query without a value.
        """

    def update_database(self, codes: Tensor, labels: Tensor, index: Tensor) -> None:
        """Add items of the database.

        Args:
            codes: ``(B, K)`` of -1/+1, any real dtype.
            labels: ``(B, C)`` of 0/1.
            index: ``(B,)`` integer, the items' own numbers; a repeated one counts once.

        Raises:
            ValueError: if a value or a shape is wrong.
        """
        self._add("database", codes, labels, index)
        self._computed = None

    def set_database(self, codes: Tensor, labels: Tensor, index: Tensor) -> None:
        """Take the whole database, the same on every process, until it is set again.

        Args:
            codes: ``(N, K)`` of -1/+1, any real dtype.
            labels: ``(N, C)`` of 0/1.
            index: ``(N,)`` integer, the items' own numbers; a repeated one counts once.

        Raises:
            ValueError: if a value or a shape is wrong.
        """
        index, codes, labels = self._checked("database", codes, labels, index)
        _, self.known_codes, self.known_labels = by_index("database", index, codes, labels)
        self._computed = None

    def update(self, codes: Tensor, labels: Tensor, index: Tensor) -> None:
        """Add queries.

        Args:
            codes: ``(B, K)`` of -1/+1, any real dtype.
            labels: ``(B, C)`` of 0/1; what is relevant shares at least one.
            index: ``(B,)`` integer, the queries' own numbers; a repeated one counts once.

        Raises:
            ValueError: if a value or a shape is wrong.
        """
        self._add("query", codes, labels, index)

    def query_values(self) -> Tensor:
        """Return the value of each query, float64 ``(Q,)``, NaN for one without a value.

        Raises:
            ValueError: if there are no queries or no database, they do not fit each other, or an
                index was given twice with different contents.
        """
        return self._values_of([self])[0]

    def scores(self, metrics: Sequence["HammingMetric"]) -> list[Score]:
        """Score metrics on the queries, the database and the ``ties`` of this one, ranked once.

        Args:
            metrics: what to compute.

        Returns:
            A score for each.

        Raises:
            ValueError: see :meth:`query_values`.
        """
        with self._synchronised():
            values = self._values_of(metrics)
        return [each._score(part) for each, part in zip(metrics, values, strict=True)]

    def counted(self, values: Tensor) -> Tensor:
        """Return the values with 0 in place of NaN, or without NaN, as ``empty`` says."""
        return counted(values, self.empty)

    def reset_queries(self) -> None:
        """Forget the queries and keep the database."""
        # reset() empties the lists in place, so keep copies.
        names = [column for column in self.columns if column.startswith("database")]
        kept = {name: list(getattr(self, name)) for name in names}
        self.reset()
        for name, parts in kept.items():
            setattr(self, name, parts)

    def _score(self, values: Tensor) -> Score:
        score = super()._score(values)
        return replace(score, n_empty=int(values.isnan().sum())) if self.has_empty else score

    def _values_of(self, metrics: Sequence["HammingMetric"]) -> list[Tensor]:
        codes, labels = self._rows("query", [f"query_{column}" for column in _COLUMNS])
        database_codes, database_labels = self.known_codes, self.known_labels
        if database_codes is None or database_labels is None:
            database_codes, database_labels = self._rows(
                "database", [f"database_{column}" for column in _COLUMNS], "update_database"
            )
        ranking = make_ranking(codes, database_codes, labels, database_labels)
        return measure(ranking, [Measure(each.values, each.ranks) for each in metrics], self.ties)

    def _add(self, side: str, codes: Tensor, labels: Tensor, index: Tensor) -> None:
        for column, value in zip(_COLUMNS, self._checked(side, codes, labels, index), strict=True):
            cast("list[Tensor]", getattr(self, f"{side}_{column}")).append(value)

    def _checked(
        self, side: str, codes: Tensor, labels: Tensor, index: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        check_codes(f"{side} codes", codes)
        check_labels(f"{side} labels", labels)
        check_rows(index, codes=codes, labels=labels)
        columns = index.to(torch.int64), codes.to(torch.int8), labels.to(torch.uint8)
        index, codes, labels = (column.to(self.device) for column in columns)
        return index, codes, labels


class HammingMAP(HammingMetric):
    """Mean average precision of a ranking by Hamming distance (HAG Eq. 13).

    Args:
        top_k: ranks to look at; ``None`` is the whole database.
        normalizer: divide AP by the relevant items among the top_k (``"retrieved"``) or in the
            whole database (``"relevant"``).
        empty: see :class:`HammingMetric`; empty is a query without a relevant item in the top_k.
        ties: see :class:`HammingMetric`.
        kwargs: those of torchmetrics.Metric.

    Raises:
        ValueError: if an option is wrong.

    Example:
        >>> metric = HammingMAP(top_k=2)
        >>> codes = torch.tensor([[1, 1], [1, -1]])
        >>> labels = torch.tensor([[0, 1], [1, 0]])
        >>> metric.update_database(codes, labels, torch.tensor([0, 1]))
        >>> metric.update(codes[:1], labels[1:], torch.tensor([0]))
        >>> metric.compute()
        tensor(0.5000, dtype=torch.float64)
    """

    name = "map"

    def __init__(
        self,
        top_k: int | None = None,
        normalizer: Normalizer = "retrieved",
        empty: Empty = "zero",
        ties: Ties = "expected",
        **kwargs: Any,
    ) -> None:
        check_top_k("top_k", top_k)
        check_choice("normalizer", normalizer, NORMALIZERS)
        super().__init__(empty, ties, **kwargs)
        self.ranks, self.normalizer = top_k, normalizer

    def values(self, chunk: RankedChunk) -> Tensor:
        """Return the average precision of some queries; NaN for empty ones."""
        return chunk_average_precision(chunk, self.ranks, self.normalizer)


class TargetedHammingMAP(HammingMAP):
    """t-MAP: MAP with the target label in place of the query's (DHTA 4.1).

    Arguments and options are those of :class:`HammingMAP`; higher is a better attack.
    """

    name = "t_map"
    judged_by = "target"

    def update(self, codes: Tensor, target_labels: Tensor, index: Tensor) -> None:
        """Add queries.

        Args:
            codes: ``(B, K)`` of -1/+1, any real dtype.
            target_labels: ``(B, C)`` of 0/1, the labels that the attack aims at.
            index: ``(B,)`` integer, the queries' own numbers; a repeated one counts once.

        Raises:
            ValueError: if a value or a shape is wrong.
        """
        self._add("query", codes, target_labels, index)


class HammingPrecision(HammingMetric):
    """Mean share of relevant items among the first n (topN-precision, HAG IV-B).

    Args:
        n: ranks to look at.
        ties: see :class:`HammingMetric`.
        kwargs: those of torchmetrics.Metric.

    Raises:
        ValueError: if an option is wrong.
    """

    name = "precision_at_n"
    has_empty = False

    def __init__(self, n: int = 100, ties: Ties = "expected", **kwargs: Any) -> None:
        check_count("n", n)
        super().__init__(ties=ties, **kwargs)
        self.n = self.ranks = n

    def values(self, chunk: RankedChunk) -> Tensor:
        """Return the precision at n of some queries."""
        return chunk_precision(chunk, self.n)
