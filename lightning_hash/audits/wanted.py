"""What an audit is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from lightning_hash.audits.suite import V1, Suite
from lightning_hash.audits.threats import Threat
from lightning_hash.functional import RankingOptions
from lightning_hash.utils.numbers import check_seed
from lightning_hash.victims.kernels import read_kernels


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What is audited, and how.

    Attributes:
        threats: threat models, the first of which the card's sentence is about.
        suite: the version of the suite.
        n_queries: queries, drawn by ``seed``; the suite's number where it is ``None``.
        seed: of the draws.
        batch_size: queries at a time.
        ranking: options of MAP and t-MAP.
        kernels: what the iterations run on, as in :class:`lightning_hash.AttackModule`.
        checkpoint_every: iterations between two checkpoints of a member; ``None`` is once a minute.
        curve: epsilons of the curve of MAP; those of :func:`epsilons_of` where it is ``None``.
        smallest: whether the smallest epsilon of each query is looked for.

    Raises:
        ValueError: if a number is out of its range, or kernels are unknown.
    """

    threats: Sequence[Threat]
    suite: Suite = V1
    n_queries: int | None = None
    seed: int = 0
    batch_size: int = 100
    ranking: RankingOptions = field(default_factory=RankingOptions)
    kernels: str = "auto"
    checkpoint_every: int | None = None
    curve: Sequence[str] | None = None
    smallest: bool = False

    def __post_init__(self) -> None:
        check_seed("seed", self.seed)
        read_kernels(self.kernels)
        for name in ("n_queries", "batch_size", "checkpoint_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                msg = f"{name} must be at least 1, got {value}"
                raise ValueError(msg)
