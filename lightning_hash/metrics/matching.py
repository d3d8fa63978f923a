"""Metrics of near-duplicate search: what is found within a threshold on the Hamming distance."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lightning_hash.functional.matching import detected, false_matches, recall_at_one
from lightning_hash.functional.options import counted
from lightning_hash.functional.ranking import RankedChunk
from lightning_hash.metrics.hamming import HammingMetric
from lightning_hash.metrics.per_query import PerQueryMetric


def _check_threshold(threshold: int) -> None:
    if isinstance(threshold, bool) or threshold < 0:
        msg = f"threshold must be a number of bits from 0 on, got {threshold}"
        raise ValueError(msg)


class _Matching(HammingMetric):
    """Base of rates of the queries that can be found, or mistaken: others are always left out."""

    def counted(self, values: Tensor) -> Tensor:
        """Return the values without NaN, whatever ``empty`` says."""
        return counted(values, "skip")


class _AtThreshold(_Matching):
    """Base of what is counted within T bits.

    Args:
        threshold: T, the largest distance at which two codes match, not negative.
        kwargs: those of :class:`HammingMetric`.

    Raises:
        ValueError: if T is negative, or larger than the codes are long.
    """

    what: str

    def __init__(self, threshold: int, **kwargs: Any) -> None:
        _check_threshold(threshold)
        super().__init__(**kwargs)
        self.threshold = threshold
        self.name = f"{self.what}_at_{threshold}"

    def at_threshold(self, values: Tensor) -> Tensor:
        """Return the column of T of ``(q, K + 1)``."""
        bits = values.shape[1] - 1
        if self.threshold > bits:
            msg = f"{self.name}: threshold {self.threshold} is more than the {bits} bits of a code"
            raise ValueError(msg)
        return values[:, self.threshold]


class DetectionRate(_AtThreshold):
    """Share of the queries that match a relevant item: one within T bits.

    Queries without a relevant item, which nothing could find, are always left out. The name is
    ``detection_at_T``.

    Args:
        threshold: T, the largest distance at which two codes match; PDQ's is 31.
        kwargs: those of :class:`HammingMetric`.

    Raises:
        ValueError: if T is negative, or larger than the codes are long.

    Example:
        >>> import torch
        >>> metric = DetectionRate(1)
        >>> codes, labels = torch.tensor([[1, 1], [1, -1], [-1, -1]]), torch.eye(3).long()
        >>> metric.update_database(codes, labels, torch.arange(3))
        >>> metric.update(codes[:2], labels[[1, 2]], torch.arange(2))  # 1 bit away, and 1
        >>> metric.compute()
        tensor(1., dtype=torch.float64)
    """

    what = "detection"

    def values(self, chunk: RankedChunk) -> Tensor:
        """Return whether each query matches a relevant item."""
        return self.at_threshold(detected(chunk))


class FalseMatchRate(_AtThreshold):
    """Share of the items that are not relevant and match all the same: within T bits.

    The mean over the queries but those to which all items are relevant; of random codes it is
    :func:`lightning_hash.functional.random_match_rate`. The name is ``false_match_at_T``.

    Args:
        threshold: T, the largest distance at which two codes match.
        kwargs: those of :class:`HammingMetric`.

    Raises:
        ValueError: if T is negative, or larger than the codes are long.
    """

    what = "false_match"
    higher_is_better = False

    def values(self, chunk: RankedChunk) -> Tensor:
        """Return the share of the other items that each query matches."""
        return self.at_threshold(false_matches(chunk))


class RecallAtOne(_Matching):
    """Share of the queries whose first item is relevant; equal distances count by expectation.

    Queries without a relevant item are always left out.
    """

    name, ranks = "recall_at_1", 1

    def values(self, chunk: RankedChunk) -> Tensor:
        """Return the relevance of the first item."""
        return recall_at_one(chunk)


class CollisionRate(_Matching):
    """Share of the queries with the very code of an item that is not relevant.

    Queries to which all items are relevant are always left out.
    """

    name = "collision_rate"
    higher_is_better = False

    def values(self, chunk: RankedChunk) -> Tensor:
        """Return whether an item that is not relevant is 0 bits away."""
        others = chunk.items - chunk.hits
        return (others[:, 0] > 0).double().masked_fill(others.sum(dim=1) == 0, math.nan)


class CollisionSuccess(PerQueryMetric):
    """Share of the queries within T bits of the code that a targeted attack is to reach.

    The name is ``collision_at_T``. Not measured of untargeted attacks.

    Args:
        threshold: T, the largest distance at which two codes match, not negative.
        kwargs: those of torchmetrics.Metric.

    Raises:
        ValueError: if T is negative.
    """

    higher_is_better = True

    def __init__(self, threshold: int, **kwargs: Any) -> None:
        _check_threshold(threshold)
        super().__init__(**kwargs)
        self.threshold = threshold
        self.name = f"collision_at_{threshold}"

    def values(self, codes: Tensor, goal: Tensor) -> Tensor:
        """Return whether each code is within T bits of its goal, ``(B,)``."""
        return ((codes != goal).sum(dim=1) <= self.threshold).double()


class BitFlipRate(PerQueryMetric):
    """Mean share of the bits that differ from the codes of the clean queries."""

    name = "bit_flip_rate"
    higher_is_better = True

    def values(self, codes: Tensor, clean_codes: Tensor) -> Tensor:
        """Return the share of the bits that differ, ``(B,)``."""
        return (codes != clean_codes).double().mean(dim=1)


def matching_metrics(thresholds: Sequence[int], bits: int) -> list[HammingMetric]:
    """Return what a search for near-duplicates is measured by; nothing without thresholds.

    Args:
        thresholds: distances up to which codes match, each once.
        bits: K.

    Raises:
        ValueError: if a threshold is no distance of such codes, or is there twice.
    """
    for threshold in thresholds:
        if not 0 <= threshold <= bits or thresholds.count(threshold) > 1:
            msg = f"match_at must be different distances from 0 to {bits} bits, got {threshold}"
            raise ValueError(msg)
    if not thresholds:
        return []
    rates = [kind(each) for each in thresholds for kind in (DetectionRate, FalseMatchRate)]
    return [*rates, RecallAtOne(), CollisionRate()]
