"""What changes as an attack goes on: the hash activation's slope, and the rate of a step rule."""

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch.optim import Optimizer

from lightning_hash.utils.numbers import check_weight
from lightning_hash.utils.settings import Part


class AlphaSchedule(Part):
    """Alpha of tanh(alpha H(x)) as a step function of the iteration (HAG Eq. 10, DHTA Eq. 9).

    Iterations are counted in fractions of the whole attack.

    The default is that of both papers: 0.1 for the first half, then 0.2, 0.3, 0.5, 0.7 and 1.0
    for a tenth each (1000 and 5 x 200 iterations out of 2000).

    Args:
        values: the alphas, each in (0, 1].
        starts: where each begins, as a fraction of the iterations; starts at 0, strictly rising,
            below 1; as many as ``values``.

    Raises:
        ValueError: if the two lists do not fit each other or a value is out of its range.

    Example:
        >>> schedule = AlphaSchedule()
        >>> [schedule(i, 2000) for i in (0, 999, 1000, 1999)]
        [0.1, 0.1, 0.2, 1.0]
        >>> AlphaSchedule([1.0], [0.0])(3, 10)
        1.0
    """

    def __init__(
        self,
        values: Sequence[float] = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0),
        starts: Sequence[float] = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9),
    ) -> None:
        if len(values) != len(starts) or not values:
            msg = (
                "values and starts must be lists of one length, not empty, "
                f"got {len(values)} and {len(starts)} entries"
            )
            raise ValueError(msg)
        if any(not 0 < value <= 1 for value in values):
            msg = f"values must lie in (0, 1], got {list(values)}"
            raise ValueError(msg)
        rising = all(a < b for a, b in itertools.pairwise(starts))
        if starts[0] != 0 or not rising or starts[-1] >= 1:
            msg = f"starts must begin at 0, rise strictly and stay below 1, got {list(starts)}"
            raise ValueError(msg)
        self.values = tuple(float(value) for value in values)
        self.starts = tuple(float(start) for start in starts)

    def __call__(self, iteration: int, iterations: int) -> float:
        """Return alpha.

        Args:
            iteration: the iteration about to run, from 0.
            iterations: length of the whole attack, at least 1.

        Returns:
            The last of ``values`` whose start has been reached.
        """
        alpha = self.values[0]
        for value, start in zip(self.values, self.starts, strict=True):
            if iteration < start * iterations - 1e-9:
                break
            alpha = value
        return alpha


class RateDecay(Part):
    """A factor of the step rule's rate that falls by as much in every iteration.

    Li et al. (ICCV 2019) step by a tenth of epsilon times e^(-0.01 i) in pass i, from 0.

    Args:
        decay: d of e^(-d i), not negative.

    Raises:
        ValueError: if ``decay`` is negative or not finite.

    Example:
        >>> round(RateDecay()(100, 200), 4)
        0.3679
    """

    def __init__(self, decay: float = 0.01) -> None:
        check_weight("decay", decay)
        self.decay = decay

    def __call__(self, iteration: int, iterations: int) -> float:
        """Return the factor.

        Args:
            iteration: the iteration about to run, from 0; of a shared perturbation the pass.
            iterations: length of the whole attack.
        """
        return math.exp(-self.decay * iteration)


@contextmanager
def at_rate(optimizer: Optimizer, factor: float) -> Iterator[None]:
    """Multiply the rates ``lr`` of a step rule, where it has any, and give them back as they were.

    Args:
        optimizer: the rule.
        factor: of each.
    """
    groups = [group for group in optimizer.param_groups if "lr" in group]
    rates = [group["lr"] for group in groups]
    for group in groups:
        group["lr"] = factor * group["lr"]
    try:
        yield
    finally:
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate
