"""Metrics of retrieval under attack: torchmetrics with numbers from functional."""

from lightning_hash.metrics.attack_score import AttackScore
from lightning_hash.metrics.hamming_map import (
    HammingMAP,
    HammingMetric,
    HammingPrecision,
    TargetedHammingMAP,
)
from lightning_hash.metrics.mean_by_index import MeanByIndex

__all__ = [
    "AttackScore",
    "HammingMAP",
    "HammingMetric",
    "HammingPrecision",
    "MeanByIndex",
    "TargetedHammingMAP",
]
