"""The baseline without an objective."""

from torch import Tensor

from lightning_hash.attacks.objectives.base import Objective
from lightning_hash.attacks.references import CleanLogits


class Noise(Objective):
    """No objective: uniform noise in the epsilon ball, the baseline of DHTA (4.2)."""

    name = "noise"
    iterative = False

    def __init__(self) -> None:
        super().__init__()
        self.reference = CleanLogits()

    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Return a zero loss per query."""
        return logits.new_zeros(len(logits))
