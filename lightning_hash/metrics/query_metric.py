"""What all metrics of this package have in common: a value per query, and a score of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.utilities.exceptions import TorchMetricsUserError

from lightning_hash.metrics.rows import alike_everywhere, by_index, joined


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
    no value. A value is computed anew by each call, never kept, and the rows keep their types
    whatever the metric is cast to. An index counts once, so that torchmetrics' BootStrapper, which
    repeats queries, finds too small a spread: :meth:`score` has the standard error.

    Args:
        kwargs: those of torchmetrics.Metric.

    Attributes:
        name: what result rows and tables call it.
        reduction: ``"mean"`` or ``"max"``.
        query_columns: names of the states that belong to queries.

    Raises:
        ValueError: if values are to be kept (``compute_with_cache``).
    """

    name: str
    reduction: Literal["mean", "max"] = "mean"

    full_state_update = False
    is_differentiable = False

    columns: tuple[str, ...]
    query_columns: tuple[str, ...]

    def __init__(self, **kwargs: Any) -> None:
        if kwargs.get("compute_with_cache"):
            msg = (
                "compute_with_cache must be False: a kept value would not follow the database and "
                "the options; got True"
            )
            raise ValueError(msg)
        super().__init__(**{**kwargs, "compute_with_cache": False})
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

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Add queries and return the value of these alone, ranked against the same database.

        Args:
            args: those of ``update``.
            kwargs: those of ``update``.

        Raises:
            ValueError: see ``update`` and :meth:`query_values`.
            TorchMetricsUserError: between ``sync`` and ``unsync``.
        """
        if self._is_synced:
            msg = "the metric is synchronised; call unsync before it is given more queries"
            raise TorchMetricsUserError(msg)
        before = {column: getattr(self, column) for column in self.query_columns}
        for column in self.query_columns:
            setattr(self, column, [])
        try:
            self.update(*args, **kwargs)
            with self.sync_context(
                dist_sync_fn=self.dist_sync_fn, should_sync=self.dist_sync_on_step
            ):
                value = self._reduced(self.counted(self.query_values()))
        finally:
            for column, rows in before.items():
                setattr(self, column, [*rows, *getattr(self, column)])
        cache: Any = value
        self._forward_cache = cache  # what Lightning logs of a step
        return value

    def merge_state(self, incoming_state: dict[str, Any] | Metric) -> None:
        """Add the queries, and the database, of another metric.

        Args:
            incoming_state: a metric of this class, or its ``metric_state``.

        Raises:
            ValueError: if it is of another class.
            RuntimeError: if ``dist_sync_on_step`` is set.
        """
        super().merge_state(incoming_state)
        self._update_count += 1  # there is something to compute

    def reset_queries(self) -> None:
        """Forget the queries."""
        self.reset()

    @contextmanager
    def sync_context(self, *args: Any, should_unsync: bool = True, **kwargs: Any) -> Iterator[None]:
        """Hold the rows of all processes for a while; give them back after an error too.

        Args:
            args: those of :meth:`torchmetrics.Metric.sync`.
            should_unsync: whether to go back to the rows of this process.
            kwargs: those of :meth:`torchmetrics.Metric.sync`.
        """
        self.sync(*args, **kwargs)
        try:
            yield
        finally:
            self.unsync(should_unsync=self._is_synced and should_unsync)

    def _sync_dist(self, *args: Any, **kwargs: Any) -> None:
        """Gather; a process without rows takes part with none of the others' type and shape."""
        for column in self.columns:
            parts = getattr(self, column)
            setattr(self, column, alike_everywhere(parts, self.device))
        super()._sync_dist(*args, **kwargs)

    def _apply(
        self, fn: Callable[[Tensor], Tensor], exclude_state: Sequence[str] = ()
    ) -> nn.Module:
        """Move the rows; a cast would take bits of indices and numbers."""

        def move(tensor: Tensor) -> Tensor:
            moved = fn(tensor)
            return moved if moved.dtype == tensor.dtype else tensor.to(moved.device)

        return super()._apply(move, exclude_state)

    def _load_from_state_dict(self, state_dict: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(state_dict, *args, **kwargs)
        for column in self.columns:  # lists that grow: the caller's stay as they are
            rows = getattr(self, column)
            setattr(self, column, rows if isinstance(rows, Tensor) else list(rows))

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
        if sum(len(part) for part in self._parts(columns[0])) == 0:
            msg = f"{type(self).__name__} has no {what} items; call {call} before compute"
            raise ValueError(msg)
        _, *others = by_index(what, *(joined(getattr(self, column)) for column in columns))
        return tuple(others)

    def _parts(self, column: str) -> list[Tensor]:
        """Return the rows of a state, which is a single tensor once it is synchronised."""
        found: list[Tensor] | Tensor = getattr(self, column)
        return [found] if isinstance(found, Tensor) else found
