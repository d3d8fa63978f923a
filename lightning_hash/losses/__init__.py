"""Losses of hash models, one file per method."""

from lightning_hash.losses.bihalf import BiHalfLoss, bi_half_code
from lightning_hash.losses.classes import CenterLoss, ClassLoss
from lightning_hash.losses.csq import CSQLoss
from lightning_hash.losses.dch import DCHLoss
from lightning_hash.losses.deep_video import DeepVideoLoss
from lightning_hash.losses.dpn import DPNLoss
from lightning_hash.losses.dpsh import DPSHLoss
from lightning_hash.losses.dsdh import DSDHLoss
from lightning_hash.losses.dsh import DSHLoss
from lightning_hash.losses.dtsh import DTSHLoss
from lightning_hash.losses.greedyhash import GreedyHashLoss
from lightning_hash.losses.hash_centers import hash_centers
from lightning_hash.losses.hashnet import HashNetLoss
from lightning_hash.losses.hyp2 import HyP2Loss
from lightning_hash.losses.idhn import IDHNLoss
from lightning_hash.losses.orthohash import OrthoHashLoss
from lightning_hash.losses.pairs import PairLoss, balanced_mean
from lightning_hash.losses.pairwise import PairwiseLoss
from lightning_hash.losses.progress import FollowsProgress
from lightning_hash.losses.separated_centers import gilbert_varshamov_distance, separated_centers

__all__ = [
    "BiHalfLoss",
    "CSQLoss",
    "CenterLoss",
    "ClassLoss",
    "DCHLoss",
    "DPNLoss",
    "DPSHLoss",
    "DSDHLoss",
    "DSHLoss",
    "DTSHLoss",
    "DeepVideoLoss",
    "FollowsProgress",
    "GreedyHashLoss",
    "HashNetLoss",
    "HyP2Loss",
    "IDHNLoss",
    "OrthoHashLoss",
    "PairLoss",
    "PairwiseLoss",
    "balanced_mean",
    "bi_half_code",
    "gilbert_varshamov_distance",
    "hash_centers",
    "separated_centers",
]
