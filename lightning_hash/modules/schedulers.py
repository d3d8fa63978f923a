"""Learning-rate schedules whose length is known only when the Trainer is."""

import itertools
from collections.abc import Sequence
from fractions import Fraction

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR, MultiStepLR, OneCycleLR

from lightning_hash.utils.numbers import check_weight


class OneCycle(OneCycleLR):
    """torch's OneCycleLR in the form ``(optimizer, total_steps)`` that HashModule calls.

    Args:
        optimizer: a group whose learning rate is a fraction of the optimizer's keeps that fraction.
        total_steps: steps of the whole training.
        max_lr: the peak; ``None`` takes the optimizer's own learning rate.
        pct_start: share of the steps in which the rate rises, in (0, 1).

    Raises:
        ValueError: if an argument is out of its range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        max_lr: float | None = None,
        pct_start: float = 0.3,
    ) -> None:
        if max_lr is not None:
            check_weight("max_lr", max_lr, positive=True)
        if not 0 < pct_start < 1:
            msg = f"pct_start must be in (0, 1), got {pct_start}"
            raise ValueError(msg)
        base = optimizer.defaults["lr"]
        scale = 1.0 if max_lr is None else max_lr / base
        peaks = [group["lr"] * scale for group in optimizer.param_groups]
        super().__init__(optimizer, peaks, total_steps=total_steps, pct_start=pct_start)


class StepDecay(MultiStepLR):
    """torch's MultiStepLR in the form ``(optimizer, total_steps)`` that HashModule calls.

    Args:
        optimizer: every group's learning rate is multiplied.
        total_steps: steps of the whole training.
        starts: where the rate falls, as fractions of the steps, numbers or such as ``"1/9"``;
            strictly rising, inside (0, 1).
        gamma: what the rate is multiplied by each time, in (0, 1].

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> schedule = StepDecay(optimizer, 10, starts=[0.5, 0.8], gamma=0.5)
        >>> for _ in range(8):
        ...     optimizer.step()
        ...     schedule.step()
        >>> schedule.get_last_lr()
        [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        starts: Sequence[float | str] = (0.5, 0.75),
        gamma: float = 0.1,
    ) -> None:
        try:
            places = [Fraction(start) for start in starts]
        except (ValueError, ZeroDivisionError):
            places = [Fraction(-1)]
        inside = all(0 < place < 1 for place in places)
        if not inside or any(a >= b for a, b in itertools.pairwise(places)):
            msg = (
                "starts must be numbers or fractions such as '1/9' that rise strictly inside "
                f"(0, 1), got {list(starts)}"
            )
            raise ValueError(msg)
        if not 0 < gamma <= 1:
            msg = f"gamma must be in (0, 1], got {gamma}"
            raise ValueError(msg)
        milestones = [max(1, round(place * total_steps)) for place in places]
        super().__init__(optimizer, milestones, gamma=gamma)


class ExponentialDecay(ExponentialLR):
    """torch's ExponentialLR in the form ``(optimizer, total_steps)`` that HashModule calls.

    Args:
        optimizer: every group's learning rate is multiplied.
        total_steps: steps of the whole training.
        last: rate of the last step, as a fraction of the first's, in (0, 1].

    Raises:
        ValueError: if ``last`` is out of its range.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        >>> schedule = ExponentialDecay(optimizer, 3, last=0.01)
        >>> for _ in range(2):
        ...     optimizer.step()
        ...     schedule.step()
        >>> schedule.get_last_lr()
        [0.01...]
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, last: float = 1e-4) -> None:
        if not 0 < last <= 1:
            msg = f"last must be in (0, 1], got {last}"
            raise ValueError(msg)
        super().__init__(optimizer, gamma=last ** (1 / max(1, total_steps - 1)))
