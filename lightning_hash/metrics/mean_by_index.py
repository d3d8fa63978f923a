"""The mean of one number per query."""

from typing import Any, Literal

import torch
from torch import Tensor
from torchmetrics import Metric

from lightning_hash.functional.average_precision import check_choice
from lightning_hash.metrics.rows import by_index, check_rows, joined


class MeanByIndex(Metric):
    """Mean or maximum of one value per query, keyed by the query's index.

    Each process keeps 12 bytes per query.

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

    full_state_update = False
    is_differentiable = False
    higher_is_better = None

    values: list[Tensor]
    index: list[Tensor]

    def __init__(self, reduction: Literal["mean", "max"] = "mean", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_choice("reduction", reduction, ("mean", "max"))
        self.reduction = reduction
        self.add_state("values", default=[], dist_reduce_fx="cat")
        self.add_state("index", default=[], dist_reduce_fx="cat")

    def update(self, values: Tensor, index: Tensor) -> None:
        """Add queries.

        Args:
            values: ``(B,)`` floating.
            index: ``(B,)`` integer; a repeated one counts once.

        Raises:
            ValueError: if a shape is wrong.
        """
        check_rows(index, values=values)
        self.values.append(values.detach().float())
        self.index.append(index.to(torch.int64))

    def compute(self) -> Tensor:
        """Return the mean or maximum, a float64 scalar.

        Raises:
            ValueError: if there are no queries, or an index was given with different values.
        """
        if len(self.index) == 0:
            msg = "MeanByIndex has no queries; call update before compute"
            raise ValueError(msg)
        _, values = by_index("query", joined(self.index), joined(self.values))
        values = values.double()
        return values.mean() if self.reduction == "mean" else values.max()

    def reset_queries(self) -> None:
        """Forget everything; the same as ``reset``."""
        self.reset()
