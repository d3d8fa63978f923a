"""Metrics of retrieval under attack: torchmetrics with numbers from functional."""

from lightning_hash.metrics.attack_metrics import AttackMetrics
from lightning_hash.metrics.candidates import CandidateMetric, InTopK, RankPercentile
from lightning_hash.metrics.hamming import (
    HammingMAP,
    HammingMetric,
    HammingPrecision,
    TargetedHammingMAP,
)
from lightning_hash.metrics.matching import (
    BitFlipRate,
    CollisionRate,
    CollisionSuccess,
    DetectionRate,
    FalseMatchRate,
    RecallAtOne,
)
from lightning_hash.metrics.per_query import MeanByIndex, PerQueryMetric
from lightning_hash.metrics.query_metric import QueryMetric, Score
from lightning_hash.metrics.ssim import SSIM

__all__ = [
    "SSIM",
    "AttackMetrics",
    "BitFlipRate",
    "CandidateMetric",
    "CollisionRate",
    "CollisionSuccess",
    "DetectionRate",
    "FalseMatchRate",
    "HammingMAP",
    "HammingMetric",
    "HammingPrecision",
    "InTopK",
    "MeanByIndex",
    "PerQueryMetric",
    "QueryMetric",
    "RankPercentile",
    "RecallAtOne",
    "Score",
    "TargetedHammingMAP",
]
