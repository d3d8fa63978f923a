"""What all metrics of this package have in common: a value per query, and a score of them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor
from torchmetrics import Metric

from lightning_hash.metrics.rows import by_index, joined


@dataclass(frozen=True)
class Score:
    """A number over queries, and how far it can be believed.

    Attributes:
        value: the mean over the queries, or their maximum; NaN where no query is left.
        se: standard error of the mean, the standard deviation (by n - 1) over the root of n;
            ``None`` of a maximum and of fewer than two queries.
        n: the queries that the number is over.
        n_empty: queries without a value of their own, such as those of MAP without a relevant item
            in the top_k; ``None`` where every query has one.
    """

    value: float
    se: float | None
    n: int
    n_empty: int | None = None


class QueryMetric(Metric, ABC):
    """Base of metrics that are the mean, or the maximum, of one value per query.

    Rows are keyed by the query's index: order, batches, padding and the number of processes change
    no value.

    Attributes:
        name: what result rows and tables call it.
        reduction: ``"mean"`` or ``"max"``.
    """

    name: str
    reduction: Literal["mean", "max"] = "mean"

    full_state_update = False
    is_differentiable = False

    columns: ClassVar[tuple[str, ...]]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for column in self.columns:
            self.add_state(column, default=[], dist_reduce_fx="cat")

    @abstractmethod
    def query_values(self) -> Tensor:
        """Return the value of each query, float64 ``(Q,)``, NaN for one without a value.

        The states are those of this process, or of all where they are synchronised.

        Raises:
            ValueError: if there are no queries, or an index was given with different contents.
        """

    def counted(self, values: Tensor) -> Tensor:
        """Return the values that the number is over, ``(n,)``."""
        return values

    def compute(self) -> Tensor:
        """Return the mean or maximum, a float64 scalar; NaN where no query is left.

        Raises:
            ValueError: see :meth:`query_values`.
        """
        return self._reduced(self.counted(self.query_values()))

    def score(self) -> Score:
        """Return what :meth:`compute` returns, with its standard error.

        Raises:
            ValueError: see :meth:`query_values`.
        """
        with self._synchronised():
            return self._score(self.query_values())

    def reset_queries(self) -> None:
        """Forget the queries."""
        self.reset()

    def _synchronised(self) -> Any:
        """Hold the rows of all processes for a while."""
        return self.sync_context(dist_sync_fn=self.dist_sync_fn, should_sync=self.sync_on_compute)

    def _reduced(self, values: Tensor) -> Tensor:
        return values.mean() if self.reduction == "mean" else values.max()

    def _score(self, values: Tensor) -> Score:
        counted = self.counted(values)
        n, error = len(counted), None
        if self.reduction == "mean" and n > 1:
            error = float(counted.std()) / n**0.5
        return Score(float(self._reduced(counted)), error, n)

    def _rows(self, what: str, columns: Sequence[str], call: str = "update") -> tuple[Tensor, ...]:
        """Return columns of which the first is the index, each item once, ordered by index."""
        if len(getattr(self, columns[0])) == 0:
            msg = f"{type(self).__name__} has no {what} items; call {call} before compute"
            raise ValueError(msg)
        _, *others = by_index(what, *(joined(getattr(self, column)) for column in columns))
        return tuple(others)
