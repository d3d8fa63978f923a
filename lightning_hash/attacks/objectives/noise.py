"""The baseline without an objective."""

from torch import Tensor

from lightning_hash.attacks.objectives.base import Objective, ReferenceState


class Noise(Objective):
    """No objective: uniform noise in the epsilon ball, the baseline of both papers."""

    name = "noise"
    targeted = False
    iterative = False

    def reference(self, state: ReferenceState) -> Tensor:
        """Return the clean logits ``(Q, K)``; they are not used."""
        return state.clean_logits

    def forward(self, logits: Tensor, reference: Tensor, alpha: float) -> Tensor:
        """Return a zero loss per query."""
        return logits.new_zeros(len(logits))
