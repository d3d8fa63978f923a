"""Losses of hash models, one file per method."""

from lightning_hash.losses.classes import ClassLoss
from lightning_hash.losses.csq import CSQLoss
from lightning_hash.losses.dch import DCHLoss
from lightning_hash.losses.deep_video import DeepVideoLoss
from lightning_hash.losses.dpsh import DPSHLoss
from lightning_hash.losses.greedyhash import GreedyHashLoss
from lightning_hash.losses.hash_centers import hash_centers
from lightning_hash.losses.hashnet import HashNetLoss
from lightning_hash.losses.pairs import PairLoss, balanced_mean
from lightning_hash.losses.pairwise import PairwiseLoss
from lightning_hash.losses.progress import FollowsProgress

__all__ = [
    "CSQLoss",
    "ClassLoss",
    "DCHLoss",
    "DPSHLoss",
    "DeepVideoLoss",
    "FollowsProgress",
    "GreedyHashLoss",
    "HashNetLoss",
    "PairLoss",
    "PairwiseLoss",
    "balanced_mean",
    "hash_centers",
]
