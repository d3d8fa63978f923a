"""Pure functions on tensors: the maths of both papers and of Hamming evaluation."""

from lightning_hash.functional.average_precision import average_precision, mean_average_precision
from lightning_hash.functional.candidates import Retrieval, distance_counts
from lightning_hash.functional.circle import circle_loss
from lightning_hash.functional.codes import anchor_code, bit_correlation, code_balance, sign_code
from lightning_hash.functional.eight_bit import from_8bit
from lightning_hash.functional.frames import frame_mask, largest_frames
from lightning_hash.functional.hamming import hamming_distance
from lightning_hash.functional.label_codes import center_code, mainstay_code, majority_code
from lightning_hash.functional.labels import pairwise_similarity, shares_label
from lightning_hash.functional.matching import MatchCurve, match_curve
from lightning_hash.functional.options import RankingOptions
from lightning_hash.functional.perceptibility import linf, perceptibility
from lightning_hash.functional.precision import (
    precision_at,
    precision_at_n_curve,
    precision_recall_curve,
    retrieval_curves,
)
from lightning_hash.functional.ranking import Measure, RankedChunk, make_ranking, measure
from lightning_hash.functional.thresholds import random_match_rate

__all__ = [
    "MatchCurve",
    "Measure",
    "RankedChunk",
    "RankingOptions",
    "Retrieval",
    "anchor_code",
    "average_precision",
    "bit_correlation",
    "center_code",
    "circle_loss",
    "code_balance",
    "distance_counts",
    "frame_mask",
    "from_8bit",
    "hamming_distance",
    "largest_frames",
    "linf",
    "mainstay_code",
    "majority_code",
    "make_ranking",
    "match_curve",
    "mean_average_precision",
    "measure",
    "pairwise_similarity",
    "perceptibility",
    "precision_at",
    "precision_at_n_curve",
    "precision_recall_curve",
    "random_match_rate",
    "retrieval_curves",
    "shares_label",
    "sign_code",
]
