"""All numbers of an attack at one iteration."""

from collections.abc import Iterable

from torch import Tensor, nn

from lightning_hash.functional import linf, perceptibility
from lightning_hash.functional.average_precision import Empty, Normalizer, Ties
from lightning_hash.metrics.hamming_map import (
    HammingMAP,
    HammingMetric,
    HammingPrecision,
    TargetedHammingMAP,
)
from lightning_hash.metrics.mean_by_index import MeanByIndex


class AttackScore(nn.Module):
    """MAP, t-MAP, precision at N, Hamming distances and the size of the perturbation.

    Args:
        top_k: ranks that MAP and t-MAP look at; ``None`` is the whole database.
        normalizer: see :class:`HammingMAP`.
        empty: see :class:`HammingMAP`.
        ties: see :class:`HammingMAP`.
        precision_n: N of precision at N.
    """

    def __init__(
        self,
        top_k: int | None = 1000,
        normalizer: Normalizer = "retrieved",
        empty: Empty = "zero",
        ties: Ties = "expected",
        precision_n: int = 100,
    ) -> None:
        super().__init__()
        self.map = HammingMAP(top_k=top_k, normalizer=normalizer, empty=empty, ties=ties)
        self.t_map = TargetedHammingMAP(top_k=top_k, normalizer=normalizer, empty=empty, ties=ties)
        self.precision_at_n = HammingPrecision(n=precision_n)
        self.hamming_to_clean = MeanByIndex()
        self.hamming_to_anchor = MeanByIndex()
        self.perceptibility = MeanByIndex()
        self.linf = MeanByIndex(reduction="max")

    def set_database(self, codes: Tensor, labels: Tensor, index: Tensor) -> None:
        """Take the items that MAP and precision rank; see :meth:`HammingMAP.set_database`."""
        for metric in (self.map, self.precision_at_n):
            metric.set_database(codes, labels, index)

    def set_target_database(self, codes: Tensor, labels: Tensor, index: Tensor) -> None:
        """Take the items that t-MAP ranks; see :meth:`HammingMAP.set_database`."""
        self.t_map.set_database(codes, labels, index)

    def update(
        self,
        codes: Tensor,
        labels: Tensor,
        index: Tensor,
        *,
        clean_codes: Tensor | None = None,
        target_labels: Tensor | None = None,
        anchor_codes: Tensor | None = None,
        clean: Tensor | None = None,
        adversarial: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> None:
        """Add queries. What is left out is not measured.

        Args:
            codes: ``(B, K)`` of -1/+1, the codes to score.
            labels: ``(B, C)`` of 0/1.
            index: ``(B,)`` int.
            clean_codes: ``(B, K)``, codes of the clean queries.
            target_labels: ``(B, C)`` of 0/1.
            anchor_codes: ``(B, K)`` of -1/+1.
            clean: ``(B, ...)`` clean inputs in [0, 1].
            adversarial: ``(B, ...)`` what was sent instead, in [0, 1].
            lengths: ``(B,)`` int, the frames of clips.
        """
        self.map.update(codes, labels, index)
        self.precision_at_n.update(codes, labels, index)
        if target_labels is not None:
            self.t_map.update(codes, target_labels, index)
        if clean_codes is not None:
            self.hamming_to_clean.update((codes != clean_codes).sum(dim=1).float(), index)
        if anchor_codes is not None:
            self.hamming_to_anchor.update((codes != anchor_codes).sum(dim=1).float(), index)
        if clean is not None and adversarial is not None:
            self.perceptibility.update(perceptibility(clean, adversarial, lengths), index)
            self.linf.update(linf(clean, adversarial), index)

    def compute(self, names: Iterable[str]) -> dict[str, float]:
        """Compute some of the metrics; every process must name the same.

        Args:
            names: attribute names of the metrics.

        Returns:
            Their values by name.
        """
        return {name: float(getattr(self, name).compute()) for name in names}

    def reset_queries(self) -> None:
        """Forget the queries, keep the database."""
        for metric in self.children():
            if isinstance(metric, (HammingMetric, MeanByIndex)):
                metric.reset_queries()
