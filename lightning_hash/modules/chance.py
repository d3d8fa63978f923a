"""What a clean MAP is worth: that of a ranking at random beside it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_hash.functional import RankingOptions, average_precision
from lightning_hash.functional.options import counted

# Standard errors above chance from which on a MAP is more than chance; of fewer codes than LEAST
# the standard error itself is chance, and what is above chance is not doubted.
ERRORS, LEAST = 2, 5


def chance_of(labels: Tensor, database_labels: Tensor, ranking: RankingOptions) -> Tensor:
    """Return the AP that a ranking at random has on average, float64 ``(Q,)``.

    It is the exact average over all orders of the database. For a whole database it is close to the
    share of relevant items; with a ``top_k`` it depends on the normalizer too.

    Args:
        labels: ``(Q, C)`` of 0/1.
        database_labels: ``(N, C)`` of 0/1.
        ranking: top_k and normalizer.

    Example:
        >>> labels = torch.tensor([[1, 0]])
        >>> database = torch.tensor([[1, 0], [0, 1], [0, 1], [0, 1]])
        >>> chance_of(labels, database, RankingOptions(top_k=1))
        tensor([0.2500], dtype=torch.float64)
    """
    one, other = torch.ones(len(labels), 1), torch.ones(len(database_labels), 1)
    return average_precision(
        one, other, labels, database_labels, top_k=ranking.top_k, normalizer=ranking.normalizer
    )


@dataclass(frozen=True)
class Gain:
    """What a clean MAP is above that of a ranking at random.

    Attributes:
        clean: MAP of the clean queries.
        chance: that of a ranking at random, see :func:`chance_of`.
        error: standard error of the difference; ``None`` of too few queries.
        needed: the difference that is more than chance.
    """

    clean: float
    chance: float
    error: float | None
    needed: float

    @property
    def is_real(self) -> bool:
        """Whether the victim retrieves better than at random, as far as can be told."""
        return self.error is None or self.clean - self.chance > self.needed


def gain_over_chance(
    codes: Tensor,
    database_codes: Tensor,
    labels: Tensor,
    database_labels: Tensor,
    ranking: RankingOptions,
) -> Gain | None:
    """Compare clean MAP with a ranking at random.

    Args:
        codes: ``(Q, K)`` of -1/+1.
        database_codes: ``(N, K)`` of -1/+1.
        labels: ``(Q, C)`` of 0/1.
        database_labels: ``(N, C)`` of 0/1.
        ranking: options of MAP.

    Returns:
        The gain; ``None`` where no query has a relevant item.
    """
    chance = chance_of(labels, database_labels, ranking)
    if chance.isnan().all():
        return None
    clean = average_precision(
        codes, database_codes, labels, database_labels, top_k=ranking.top_k,
        normalizer=ranking.normalizer, ties=ranking.ties,
    )  # fmt: skip
    kept = ~clean.isnan() if ranking.empty == "skip" else torch.ones_like(clean, dtype=torch.bool)
    clean, chance = (counted(values[kept], "zero") for values in (clean, chance))
    gain = clean - chance
    error = _error_of_mean(gain, codes[kept])
    errors = ERRORS if len(torch.unique(codes[kept], dim=0)) >= LEAST else 0
    needed = errors * error if error else 0.0
    return Gain(float(clean.mean()), float(chance.mean()), error, needed)


def _error_of_mean(values: Tensor, codes: Tensor) -> float | None:
    """Return the standard error of a mean over queries, of which those of one code count as one.

    They retrieve one ranking, so that their values are no independent draws.
    """
    groups, group = torch.unique(codes, dim=0, return_inverse=True)
    if len(groups) < 2:
        return 0.0 if len(values) > 1 and float(values.mean()) <= 0 else None
    sums = values.new_zeros(len(groups)).index_add_(0, group, values - values.mean())
    spread = sums.square().sum() * len(groups) / (len(groups) - 1)
    return float(spread.sqrt()) / len(values)
