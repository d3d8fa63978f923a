"""Losses of hash models, one file per method."""

from lightning_hash.losses.pairwise import PairwiseLoss

__all__ = ["PairwiseLoss"]
