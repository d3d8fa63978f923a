"""The space that perturbations live in, and their budget in it."""

import torch
from torch import Tensor, nn

from lightning_hash.attacks.projection import (
    EpsilonSpace,
    bounds,
    parse_epsilon,
    round_to_8bit,
)


class PerturbationSpace(nn.Module):
    """The L-infinity ball of a perturbation, in [0, 1] or in the victim's normalised space.

    Args:
        epsilon: largest change of a value, a number or a fraction such as ``"10/255"``.
        space: ``"pixel"`` or ``"normalized"``.
        network: the victim, whose ``std`` (one value per channel) scales the normalised space.

    Attributes:
        epsilon: the radius as a number.
        space: its space.

    Raises:
        ValueError: if epsilon is out of its range, or the network has no tensor ``std``.
    """

    scale: Tensor | None

    def __init__(self, epsilon: float | str, space: EpsilonSpace, network: nn.Module) -> None:
        super().__init__()
        self.epsilon, self.space = parse_epsilon(epsilon, space), space
        scale = None
        if space == "normalized":
            std = getattr(network, "std", None)
            if not isinstance(std, Tensor):
                msg = (
                    "epsilon_space 'normalized' needs a victim with a tensor attribute `std` (one "
                    f"value per channel); {type(network).__name__} has none, give epsilon in pixel "
                    "space"
                )
                raise ValueError(msg)
            scale = std.detach().float().reshape(-1, 1, 1)
        self.register_buffer("scale", scale, persistent=False)

    def in_pixels(self, perturbation: Tensor) -> Tensor:
        """Return what a perturbation ``(B, ...)`` adds to an image."""
        # A product with 1 would cost one pass forward and one backward.
        return perturbation if self.scale is None else perturbation * self.scale

    def bounds(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        """Return the least and largest perturbation of each value; see :func:`bounds`."""
        return bounds(clean, self.epsilon, 1.0 if self.scale is None else self.scale)

    def round_to_8bit(self, adversarial: Tensor, clean: Tensor) -> Tensor:
        """Round images ``(B, ...)`` to uint8 inside the budget; see :func:`round_to_8bit`."""
        budget = torch.as_tensor(self.epsilon * (1.0 if self.scale is None else self.scale))
        rounded = torch.empty_like(clean, dtype=torch.uint8)
        for row in range(len(clean)):  # one at a time: float64 has twice the size
            rounded[row] = round_to_8bit(adversarial[row], clean[row], budget)
        return rounded
