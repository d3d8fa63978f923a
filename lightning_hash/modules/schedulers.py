"""Learning-rate schedules whose length is known only when the Trainer is."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR


class OneCycle(OneCycleLR):
    """torch's OneCycleLR in the form ``(optimizer, total_steps)`` that HashModule calls.

    Args:
        optimizer: a group whose learning rate is a fraction of the optimizer's keeps that fraction.
        total_steps: steps of the whole training.
        max_lr: the peak; ``None`` takes the optimizer's own learning rate.
        pct_start: share of the steps in which the rate rises, in (0, 1).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        max_lr: float | None = None,
        pct_start: float = 0.3,
    ) -> None:
        base = optimizer.defaults["lr"]
        scale = 1.0 if max_lr is None else max_lr / base
        peaks = [group["lr"] * scale for group in optimizer.param_groups]
        super().__init__(optimizer, peaks, total_steps=total_steps, pct_start=pct_start)
