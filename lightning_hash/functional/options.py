"""How a ranking becomes a number: the options of every retrieval metric, each in one place."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from lightning_hash.functional.checks import check_choice, check_count, check_top_k

Normalizer = Literal["retrieved", "relevant"]
Empty = Literal["zero", "skip"]
Ties = Literal["expected", "stable"]
NORMALIZERS, EMPTIES, TIES = ("retrieved", "relevant"), ("zero", "skip"), ("expected", "stable")


@dataclass(frozen=True)
class RankingOptions:
    """What MAP, t-MAP, precision at N and every other ranked metric of a run are computed with.

    Args:
        top_k: ranks that MAP and t-MAP look at; ``None`` or more than the database has is the whole
            database.
        normalizer: AP is divided by the relevant items among the top_k (``"retrieved"``) or in the
            whole database (``"relevant"``, HAG Eq. 13 as printed).
        empty: a query without a relevant item in the top_k counts 0 (``"zero"``) or is left out
            (``"skip"``).
        ties: items at one distance count by the exact average over all their orders
            (``"expected"``) or in the order of the database (``"stable"``).
        precision_n: N of precision at N.

    Raises:
        ValueError: if an option is out of its range.

    Example:
        >>> RankingOptions(top_k=None).ties
        'expected'
    """

    top_k: int | None = 1000
    normalizer: Normalizer = "retrieved"
    empty: Empty = "zero"
    ties: Ties = "expected"
    precision_n: int = 100

    def __post_init__(self) -> None:
        check_top_k("top_k", self.top_k)
        check_choice("normalizer", self.normalizer, NORMALIZERS)
        check_choice("empty", self.empty, EMPTIES)
        check_choice("ties", self.ties, TIES)
        check_count("precision_n", self.precision_n)


def counted(values: Tensor, empty: Empty) -> Tensor:
    """Return what a mean over queries is taken of.

    Args:
        values: ``(Q,)`` floating, NaN for an empty query.
        empty: see :class:`RankingOptions`.

    Returns:
        ``(Q,)`` with 0 in place of NaN, or without the empty queries.
    """
    return values.nan_to_num(0.0) if empty == "zero" else values[~values.isnan()]
