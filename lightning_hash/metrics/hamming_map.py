"""MAP, t-MAP and precision at N as torchmetrics."""

from typing import Any, cast

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_hash.functional.average_precision import (
    Empty,
    Normalizer,
    Ties,
    average_precision,
    check_choice,
    check_labels,
    check_top_k,
    mean_of,
)
from lightning_hash.functional.hamming import check_codes
from lightning_hash.functional.precision import precision_at
from lightning_hash.metrics.rows import by_index, check_rows, joined

_COLUMNS = ("codes", "labels", "index")


class HammingMetric(Metric):
    """Base of metrics of queries ranked against a database.

    Each process keeps the rows it was given: K + C + 8 bytes per query and per database item. To
    compute, torchmetrics gathers all rows on every process; a database that every process has
    already (:meth:`set_database`) stays where it is.
    """

    known_codes: Tensor | None
    known_labels: Tensor | None

    full_state_update = False
    is_differentiable = False
    higher_is_better = True

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for side in ("query", "database"):
            for column in _COLUMNS:
                self.add_state(f"{side}_{column}", default=[], dist_reduce_fx="cat")
        for column in ("codes", "labels"):
            self.register_buffer(f"known_{column}", None, persistent=False)

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

    def set_database(self, codes: Tensor, labels: Tensor, index: Tensor) -> None:
        """Take the whole database, the same on every process, until it is set again.

        Args:
            codes: ``(N, K)`` of -1/+1, any real dtype.
            labels: ``(N, C)`` of 0/1.
            index: ``(N,)`` integer, the items' own numbers; a repeated one counts once.

        Raises:
            ValueError: if a value or a shape is wrong.
        """
        codes, labels, index = self._checked("database", codes, labels, index)
        _, self.known_codes, self.known_labels = by_index("database", index, codes, labels)

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

    def reset_queries(self) -> None:
        """Forget the queries and keep the database."""
        # reset() empties the lists in place, so keep copies.
        kept = {name: list(getattr(self, name)) for name in (f"database_{c}" for c in _COLUMNS)}
        self.reset()
        for name, parts in kept.items():
            setattr(self, name, parts)

    def _add(self, side: str, codes: Tensor, labels: Tensor, index: Tensor) -> None:
        for column, value in zip(_COLUMNS, self._checked(side, codes, labels, index), strict=True):
            cast("list[Tensor]", getattr(self, f"{side}_{column}")).append(value)

    def _checked(
        self, side: str, codes: Tensor, labels: Tensor, index: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        check_codes(f"{side} codes", codes)
        check_labels(f"{side} labels", labels)
        check_rows(index, codes=codes, labels=labels)
        columns = codes.to(torch.int8), labels.to(torch.uint8), index.to(torch.int64)
        codes, labels, index = (column.to(self.device) for column in columns)
        return codes, labels, index

    def _inputs(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return query codes, database codes, query labels and database labels, each item once."""
        codes, labels = self._rows("query")
        if self.known_codes is None or self.known_labels is None:
            database_codes, database_labels = self._rows("database")
        else:
            database_codes, database_labels = self.known_codes, self.known_labels
        return codes, database_codes, labels, database_labels

    def _rows(self, side: str) -> tuple[Tensor, Tensor]:
        """Return the codes and labels that were added, each item once, ordered by index."""
        if len(getattr(self, f"{side}_index")) == 0:
            call = "update" if side == "query" else "update_database"
            msg = f"{type(self).__name__} has no {side} items; call {call} before compute"
            raise ValueError(msg)
        index, codes, labels = (
            joined(getattr(self, f"{side}_{column}")) for column in ("index", "codes", "labels")
        )
        _, codes, labels = by_index(side, index, codes, labels)
        return codes, labels


class HammingMAP(HammingMetric):
    """Mean average precision of a ranking by Hamming distance (HAG Eq. 13).

    Args:
        top_k: ranks to look at; ``None`` is the whole database.
        normalizer: divide AP by the relevant items among the top_k (``"retrieved"``) or in the
            whole database (``"relevant"``).
        empty: a query without a relevant item in the top_k counts 0 (``"zero"``) or is left out
            (``"skip"``).
        ties: exact average over the orders inside each distance (``"expected"``) or by database
            index (``"stable"``).
        kwargs: those of torchmetrics.Metric.

    Attributes:
        n_empty: empty queries at the last compute.

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

    def __init__(
        self,
        top_k: int | None = None,
        normalizer: Normalizer = "retrieved",
        empty: Empty = "zero",
        ties: Ties = "expected",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_top_k("top_k", top_k)
        check_choice("normalizer", normalizer, ("retrieved", "relevant"))
        check_choice("empty", empty, ("zero", "skip"))
        check_choice("ties", ties, ("expected", "stable"))
        self.top_k, self.normalizer, self.empty, self.ties = top_k, normalizer, empty, ties
        self.n_empty: int | None = None

    def compute(self) -> Tensor:
        """Return MAP, a float64 scalar; NaN where every query is skipped.

        Raises:
            ValueError: if there are no queries or no database, they do not fit each other, or an
                index was given twice with different contents.
        """
        values = average_precision(
            *self._inputs(), top_k=self.top_k, normalizer=self.normalizer, ties=self.ties
        )
        self.n_empty = int(values.isnan().sum())
        return mean_of(values, self.empty)


class TargetedHammingMAP(HammingMAP):
    """t-MAP: MAP with the target label in place of the query's (DHTA 4.1).

    Arguments and options are those of :class:`HammingMAP`; higher is a better attack.
    """

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
        ties: ``"expected"`` or ``"stable"``.
        kwargs: those of torchmetrics.Metric.

    Raises:
        ValueError: if an option is wrong.
    """

    def __init__(self, n: int = 100, ties: Ties = "expected", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_top_k("n", n)
        check_choice("ties", ties, ("expected", "stable"))
        self.n, self.ties = n, ties

    def compute(self) -> Tensor:
        """Return the mean precision, a float64 scalar.

        Raises:
            ValueError: see :meth:`HammingMAP.compute`.
        """
        return precision_at(*self._inputs(), self.n, ties=self.ties).mean()
