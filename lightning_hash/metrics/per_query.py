"""Means of one number per query, of no ranking."""

import inspect
from abc import abstractmethod
from typing import Any, Literal

import torch
from torch import Tensor

from lightning_hash.functional import linf, perceptibility
from lightning_hash.functional.checks import check_choice, check_rows
from lightning_hash.metrics.query_metric import QueryMetric

# What is known of a query: see AttackMetrics.update.
QUERY_COLUMNS = (
    "codes", "labels", "index", "clean_codes", "target_labels", "anchor_codes", "clean",
    "adversarial", "lengths", "goal",
)  # fmt: skip


class _Numbers(QueryMetric):
    """A float32 number and an index per query: 12 bytes on each process."""

    def __init__(self, **kwargs: Any) -> None:
        # A name of its own: MetricCollection lets metrics share states that look alike after one
        # batch, and the numbers of two metrics may, such as where nothing was changed.
        self.columns = self.query_columns = ("index", f"{type(self).__name__}_numbers")
        super().__init__(**kwargs)

    def query_values(self) -> Tensor:
        """Return the number of each query, float64 ``(Q,)``.

        Raises:
            ValueError: if there are no queries, or an index was given with different numbers.
        """
        (numbers,) = self._rows("query", self.columns)
        return numbers.double()

    def _add(self, numbers: Tensor, index: Tensor) -> None:
        check_rows(index, values=numbers)
        rows = index.to(torch.int64), numbers.detach().float()
        for column, values in zip(self.columns, rows, strict=True):
            self._parts(column).append(values)


class MeanByIndex(_Numbers):
    """Mean or maximum of one value per query, keyed by the query's index.

    Args:
        reduction: ``"mean"`` or ``"max"``.
        kwargs: those of torchmetrics.Metric.

    Raises:
        ValueError: if ``reduction`` is unknown.

    Example:
        >>> metric = MeanByIndex()
        >>> metric.update(torch.tensor([1.0, 3.0, 3.0]), torch.tensor([4, 7, 7]))
        >>> metric.compute()
        tensor(2., dtype=torch.float64)
    """

    def __init__(self, reduction: Literal["mean", "max"] = "mean", **kwargs: Any) -> None:
        check_choice("reduction", reduction, ("mean", "max"))
        super().__init__(**kwargs)
        self.reduction = reduction

    def update(self, values: Tensor, index: Tensor) -> None:
        """Add queries.

        Args:
            values: ``(B,)`` floating.
            index: ``(B,)`` integer; a repeated one counts once.

        Raises:
            ValueError: if a shape is wrong.
        """
        self._add(values, index)


class PerQueryMetric(_Numbers):
    """Base of metrics of queries that need no ranking: a number of codes or inputs.

    A metric of one's own is a subclass with a ``name`` and :meth:`values`, whose parameters are
    named after what it looks at (see :meth:`AttackMetrics.update`); where one without a default is
    not known, the metric is not measured.

    Args:
        kwargs: those of torchmetrics.Metric.

    Attributes:
        name: what result rows and tables call it.
        reduction: ``"mean"`` or ``"max"`` over the queries.
        needs: what :meth:`values` cannot do without.

    Raises:
        ValueError: if a parameter of :meth:`values` is nothing that is known of a query.

    Example:
        >>> class Range(PerQueryMetric):
        ...     name = "range"
        ...
        ...     def values(self, adversarial):
        ...         return adversarial.flatten(1).amax(dim=1) - adversarial.flatten(1).amin(dim=1)
        >>> metric = Range()
        >>> metric.update(torch.tensor([4, 7]), adversarial=torch.tensor([[0.0, 0.5], [0.25, 1]]))
        >>> metric.compute()
        tensor(0.6250, dtype=torch.float64)
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        parameters = inspect.signature(self.values).parameters.values()
        for parameter in parameters:
            what = f"{type(self).__name__}.values: parameter"
            check_choice(what, parameter.name, QUERY_COLUMNS)
        self.takes = frozenset(parameter.name for parameter in parameters)
        self.needs = frozenset(p.name for p in parameters if p.default is p.empty)

    @abstractmethod
    def values(self, *args: Any, **kwargs: Any) -> Tensor:
        """Return the number of each query of a batch, ``(B,)``."""

    def update(self, index: Tensor, **known: Tensor) -> None:
        """Add queries.

        Args:
            index: ``(B,)`` integer; a repeated one counts once.
            known: what :meth:`values` looks at, and maybe more.

        Raises:
            ValueError: if a shape is wrong.
        """
        known["index"] = index
        self._add(self.values(**{name: known[name] for name in known if name in self.takes}), index)


class HammingToClean(PerQueryMetric):
    """Mean Hamming distance to the codes of the clean queries."""

    name = "hamming_to_clean"
    higher_is_better = True

    def values(self, codes: Tensor, clean_codes: Tensor) -> Tensor:
        """Return the number of bits that differ, ``(B,)``."""
        return (codes != clean_codes).sum(dim=1)


class HammingToAnchor(PerQueryMetric):
    """Mean Hamming distance to the anchor codes of the targets."""

    name = "hamming_to_anchor"
    higher_is_better = False

    def values(self, codes: Tensor, anchor_codes: Tensor) -> Tensor:
        """Return the number of bits that differ, ``(B,)``."""
        return (codes != anchor_codes).sum(dim=1)


class Perceptibility(PerQueryMetric):
    """Mean of :func:`lightning_hash.functional.perceptibility`."""

    name = "perceptibility"
    higher_is_better = False

    def values(self, clean: Tensor, adversarial: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the root mean square of the change, ``(B,)``."""
        return perceptibility(clean, adversarial, lengths)


class Linf(PerQueryMetric):
    """Largest change of a value over all queries."""

    name = "linf"
    reduction = "max"
    higher_is_better = False

    def values(self, clean: Tensor, adversarial: Tensor) -> Tensor:
        """Return the largest change of each query, ``(B,)``."""
        return linf(clean, adversarial)
