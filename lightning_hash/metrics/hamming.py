"""MAP, t-MAP, precision at N and whatever else is measured of a ranking by Hamming distance."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric

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
    query_columns = tuple(f"query_{column}" for column in _COLUMNS)
    columns = (*query_columns, *(f"database_{column}" for column in _COLUMNS))

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
            ValueError: if a value or a shape is wrong, or the database was set whole.
        """
        if self.known_codes is not None:
            msg = (
                f"{type(self).__name__} has the whole database of set_database, to which "
                "update_database would add nothing; call set_database with all items"
            )
            raise ValueError(msg)
        self._add("database", codes, labels, index)

    def set_database(self, codes: Tensor, labels: Tensor, index: Tensor) -> None:
        """Take the whole database, the same on every process, until it is set again.

        It takes the place of what :meth:`update_database` added, and :meth:`reset` keeps it.

        Args:
            codes: ``(N, K)`` of -1/+1, any real dtype.
            labels: ``(N, C)`` of 0/1.
            index: ``(N,)`` integer, the items' own numbers; a repeated one counts once.

        Raises:
            ValueError: if a value or a shape is wrong.
        """
        index, codes, labels = self._checked("database", codes, labels, index)
        _, self.known_codes, self.known_labels = by_index("database", index, codes, labels)
        for column in _COLUMNS:
            setattr(self, f"database_{column}", [])

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

    def merge_state(self, incoming_state: dict[str, Any] | Metric) -> None:
        """Add the queries, and the database, of another metric.

        Args:
            incoming_state: a metric of this class, or its ``metric_state``.

        Raises:
            ValueError: if it is of another class, or ranks another database that was set whole.
            RuntimeError: if ``dist_sync_on_step`` is set.
        """
        if isinstance(incoming_state, type(self)):
            own, other = ((each.known_codes, each.known_labels) for each in (self, incoming_state))
            if not all(_same(*pair) for pair in zip(own, other, strict=True)):
                msg = (
                    f"merge_state: the {type(self).__name__} that comes in has another database; "
                    "call set_database with the same items on both"
                )
                raise ValueError(msg)
        super().merge_state(incoming_state)

    def reset_queries(self) -> None:
        """Forget the queries and keep the database."""
        # reset() empties the lists in place, so keep copies.
        names = [column for column in self.columns if column not in self.query_columns]
        kept = {name: list(getattr(self, name)) for name in names}
        self.reset()
        for name, parts in kept.items():
            setattr(self, name, parts)

    def _score(self, values: Tensor) -> Score:
        score = super()._score(values)
        return replace(score, n_empty=int(values.isnan().sum())) if self.has_empty else score

    def _values_of(self, metrics: Sequence["HammingMetric"]) -> list[Tensor]:
        codes, labels = self._rows("query", self.query_columns)
        database_codes, database_labels = self.known_codes, self.known_labels
        if database_codes is None or database_labels is None:
            database_codes, database_labels = self._rows(
                "database", [f"database_{column}" for column in _COLUMNS], "update_database"
            )
        place = codes.device  # that of the queries, which compute_on_cpu takes to the CPU
        ranking = make_ranking(codes, database_codes.to(place), labels, database_labels.to(place))
        return measure(ranking, [Measure(each.values, each.ranks) for each in metrics], self.ties)

    def _add(self, side: str, codes: Tensor, labels: Tensor, index: Tensor) -> None:
        columns = self.columns[:3] if side == "query" else self.columns[3:]
        for column, value in zip(columns, self._checked(side, codes, labels, index), strict=True):
            self._parts(column).append(value)

    def _checked(
        self, side: str, codes: Tensor, labels: Tensor, index: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        check_codes(f"{side} codes", codes)
        check_labels(f"{side} labels", labels)
        check_rows(index, codes=codes, labels=labels)
        columns = index.to(torch.int64), codes.to(torch.int8), labels.to(torch.uint8)
        index, codes, labels = (column.to(self.device) for column in columns)
        return index, codes, labels


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return torch.equal(one, other.to(one.device))


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

    # Names of its own: MetricCollection lets metrics share states that look alike after one batch,
    # and targets may be the queries' own labels there.
    query_columns = ("query_index", "query_codes", "query_target_labels")
    columns = (*query_columns, *HammingMetric.columns[3:])

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
