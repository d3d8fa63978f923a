"""Where candidates, items of the database, stand in the rankings of the queries of a class."""

from abc import abstractmethod
from typing import Any, Literal

from torch import Tensor

from lightning_hash.functional.candidates import Retrieval
from lightning_hash.functional.checks import check_choice, check_count
from lightning_hash.functional.labels import shares_label
from lightning_hash.metrics.per_query import PerQueryMetric

JudgedBy = Literal["own", "target"]


class CandidateMetric(PerQueryMetric):
    """Base of metrics of a candidate's rank, mean over the queries that share a label with it.

    The candidate takes the place of its item in the database. Ties count by their expectation over
    all orders.

    Args:
        retrieval: the queries and the database, which :attr:`retrieval` may be set to later.
        judged_by: the queries are those that share the candidate's own label (``"own"``) or the
            one that it is to be retrieved for (``"target"``).
        kwargs: those of torchmetrics.Metric.

    Raises:
        ValueError: if ``judged_by`` is unknown.
    """

    def __init__(
        self, retrieval: Retrieval | None = None, judged_by: JudgedBy = "target", **kwargs: Any
    ) -> None:
        check_choice("judged_by", judged_by, ("own", "target"))
        super().__init__(**kwargs)
        self.retrieval, self.judged_by = retrieval, judged_by

    @abstractmethod
    def of_ranks(self, nearer: Tensor, tied: Tensor, others: int) -> Tensor:
        """Return the number of each pair of candidate and query.

        Args:
            nearer: other items nearer to the query, float64 ``(B, Q)``.
            tied: other items as near, float64 ``(B, Q)``.
            others: other items there are.

        Returns:
            float64 ``(B, Q)``.
        """

    def values(
        self, codes: Tensor, labels: Tensor, index: Tensor, target_labels: Tensor | None = None
    ) -> Tensor:
        """Return the mean of each candidate over the queries of its class, ``(B,)``.

        Raises:
            ValueError: if queries and database, or targets, are not known.
        """
        judged = target_labels if self.judged_by == "target" else labels
        if self.retrieval is None or judged is None:
            msg = (
                f"{self.name} is of candidates and needs queries that retrieve them"
                f"{'' if judged is not None else ', and a target for each'}; give side: candidate "
                "to an attack, which has it already"
            )
            raise ValueError(msg)
        ranks = self.retrieval.ranks(codes.cpu(), index.cpu())
        numbers = self.of_ranks(*ranks, len(self.retrieval.codes) - 1)
        asking = shares_label(judged.cpu(), self.retrieval.query_labels).double()
        return ((numbers * asking).sum(dim=1) / asking.sum(dim=1)).to(codes.device)


class RankPercentile(CandidateMetric):
    """Mean share of the other items that come before the candidate: 0 is first, 1 is last.

    Example:
        >>> import torch
        >>> codes, labels = torch.tensor([[1, 1], [1, -1], [-1, -1]]), torch.eye(3)
        >>> metric = RankPercentile(Retrieval.of(codes[:1], labels[:1], codes, torch.arange(3)))
        >>> metric.update(
        ...     torch.tensor([2]), codes=codes[1:2], labels=labels[2:], target_labels=labels[:1]
        ... )
        >>> metric.compute()  # one item is nearer, one as near
        tensor(0.7500, dtype=torch.float64)
    """

    name = "rank_percentile"
    higher_is_better = False

    def of_ranks(self, nearer: Tensor, tied: Tensor, others: int) -> Tensor:
        """Return the expected share of the others that come before."""
        return (nearer + tied / 2) / others


class InTopK(CandidateMetric):
    """Mean share of the queries that have the candidate among their first k items.

    Args:
        k: ranks to look at.
        retrieval: see :class:`CandidateMetric`.
        judged_by: see :class:`CandidateMetric`.
        kwargs: those of torchmetrics.Metric.

    Raises:
        ValueError: if an option is wrong.
    """

    name = "in_top_k"
    higher_is_better = True

    def __init__(
        self,
        k: int = 100,
        retrieval: Retrieval | None = None,
        judged_by: JudgedBy = "target",
        **kwargs: Any,
    ) -> None:
        check_count("k", k)
        super().__init__(retrieval, judged_by, **kwargs)
        self.k = k

    def of_ranks(self, nearer: Tensor, tied: Tensor, others: int) -> Tensor:
        """Return the share of the orders of ties in which it is among the first k."""
        return ((self.k - nearer) / (tied + 1)).clamp(0, 1)
