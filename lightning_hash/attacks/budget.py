"""The budget of a perturbation: its norm, its radius and the space that it is measured in."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from fractions import Fraction
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from lightning_hash.attacks.draws import query_generator
from lightning_hash.utils.settings import Part

EpsilonSpace = Literal["pixel", "normalized"]


class Budget(Part, nn.Module, ABC):
    """Base of budgets: a ball around the clean input, cut by the box [0, 1] of inputs.

    Args:
        epsilon: radius, a number or a fraction such as ``"10/255"``.
        space: ``"pixel"`` ([0, 1]) or ``"normalized"`` (after subtracting the victim's mean and
            dividing by its standard deviation); perturbation, gradient and step live in it.

    Attributes:
        epsilon: the radius as a number.
        space: its space.
        scale: pixels per unit of the space: ``None`` in pixel space; in normalised space the
            victim's standard deviations ``(C, 1, 1)``, once :meth:`bind` was called.
        per_value: whether the ball bounds each value by itself, so that means of values stay in it.

    Raises:
        ValueError: if epsilon is no number or out of its range, or the space is unknown.
    """

    scale: Tensor | None
    largest: ClassVar[float] = 1.0  # epsilon in pixel space
    per_value: ClassVar[bool] = False

    def __init__(self, epsilon: float | str, space: EpsilonSpace = "pixel") -> None:
        super().__init__()
        self.epsilon, self.space = parse_epsilon(epsilon, space, self.largest), space
        self.register_buffer("scale", None, persistent=False)

    def settings(self) -> dict[str, Any]:
        """Return the settings, with epsilon as a number however it was written."""
        return {**super().settings(), "epsilon": self.epsilon}

    def bind(self, network: nn.Module) -> None:
        """Take the scale of normalised space from a victim.

        Args:
            network: the victim's network, with a tensor ``std`` of one value per channel.

        Raises:
            ValueError: if the space is normalised and the network has no ``std``.
        """
        if self.space == "pixel":
            return
        std = getattr(network, "std", None)
        if not isinstance(std, Tensor):
            msg = (
                "epsilon_space 'normalized' needs a victim with a tensor attribute `std` (one "
                f"value per channel); {type(network).__name__} has none, give epsilon in pixel "
                "space"
            )
            raise ValueError(msg)
        self.scale = std.detach().float().reshape(-1, 1, 1)

    def in_pixels(self, perturbation: Tensor) -> Tensor:
        """Return what a perturbation ``(B, ...)`` adds to an input in [0, 1]."""
        # A product with 1 would cost one pass forward and one backward.
        return perturbation if self.scale is None else perturbation * self.scale

    def of_pixels(self, change: Tensor) -> Tensor:
        """Return in the budget's space what is added to inputs ``(B, ...)`` in [0, 1]."""
        return change if self.scale is None else change / self.scale

    @abstractmethod
    def project(self, perturbation: Tensor, clean: Tensor) -> None:
        """Project in place onto the ball, then onto the box.

        Args:
            perturbation: ``(B, ...)`` in the budget's space.
            clean: ``(B, ...)`` clean inputs in [0, 1].
        """

    def projection(self, clean: Tensor) -> Callable[[Tensor], Any]:
        """Return :meth:`project` for inputs that stay the same for many iterations."""
        return lambda perturbation: self.project(perturbation, clean)

    def box(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        """Return the lowest and the highest perturbation that keep inputs in [0, 1]."""
        # Dividing by a scale of 1 would be exact and cost two passes.
        down, up = -clean, 1 - clean
        return (down, up) if self.scale is None else (down / self.scale, up / self.scale)

    def confine(self, perturbation: Tensor) -> None:
        """Project in place onto the ball alone: what one perturbation for all inputs stays in.

        Args:
            perturbation: ``(1, ...)`` in the budget's space.

        Raises:
            ValueError: if this kind of budget has no ball without an input.
        """
        msg = f"budget {type(self).__name__} has no ball for one perturbation of all; give LInf"
        raise ValueError(msg)

    def steepest(self, gradient: Tensor) -> Tensor:
        """Return the direction of length 1, in the ball's norm, that ascends steepest.

        Args:
            gradient: ``(B, ...)`` in the budget's space; where it is 0 throughout, so is the
                direction.

        Raises:
            ValueError: if this kind of budget does not say.
        """
        msg = f"budget {type(self).__name__} has no steepest direction; give another step"
        raise ValueError(msg)

    def used(self, perturbation: Tensor, live: Tensor | None = None) -> Tensor | None:
        """Return the share of the budget that each perturbation uses.

        Args:
            perturbation: ``(B, ...)`` in the budget's space.
            live: bool ``(B, T)``, the frames of clips that may change; ``None`` where all may.

        Returns:
            ``(B,)`` from 0 to 1; ``None`` for a kind of budget that does not say.
        """
        return None

    @abstractmethod
    def draw(self, shape: torch.Size, index: Tensor, seed: int) -> Tensor:
        """Draw a perturbation of each query in the ball, by seed and query index alone.

        Args:
            shape: shape of one perturbation.
            index: ``(B,)`` int, the queries' own indices.
            seed: seed of the draws.

        Returns:
            float32 ``(B, *shape)``, not yet projected onto the box.
        """

    @abstractmethod
    def round_to_8bit(self, adversarial: Tensor, clean: Tensor) -> Tensor:
        """Round inputs ``(B, ...)`` in [0, 1] to uint8 without leaving the budget."""


class LInf(Budget):
    """The L-infinity ball: no value changes by more than epsilon (both papers).

    Example:
        >>> delta = torch.tensor([0.5, -0.5, 0.01])
        >>> LInf(0.03).project(delta, torch.tensor([0.99, 0.5, 0.5]))
        >>> delta
        tensor([ 0.0100, -0.0300,  0.0100])
    """

    per_value = True

    def confine(self, perturbation: Tensor) -> None:
        """Clamp in place onto the ball."""
        perturbation.clamp_(-self.epsilon, self.epsilon)

    def project(self, perturbation: Tensor, clean: Tensor) -> None:
        """Clamp in place onto the ball and the box (HAG Eq. 4)."""
        lowest, highest = self._bounds(clean)
        torch.clamp(perturbation, lowest, highest, out=perturbation)

    def projection(self, clean: Tensor) -> Callable[[Tensor], Any]:
        """Return the projection with its bounds computed once."""
        lowest, highest = self._bounds(clean)
        return lambda perturbation: perturbation.clamp_(lowest, highest)

    def steepest(self, gradient: Tensor) -> Tensor:
        """Return the sign of each value."""
        return gradient.sign()

    def used(self, perturbation: Tensor, live: Tensor | None = None) -> Tensor | None:
        """Return the mean |perturbation| over epsilon, of the frames that may change.

        Example:
            >>> LInf(0.5).used(torch.tensor([[0.5, -0.25], [0.0, 0.0]]))
            tensor([0.7500, 0.0000])
        """
        size = perturbation.detach().abs()
        if live is None:
            return size.flatten(1).mean(dim=1) / self.epsilon
        frames = size.flatten(2).mean(dim=2) * live
        return frames.sum(dim=1) / live.sum(dim=1).clamp(min=1) / self.epsilon

    def _bounds(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        """Return the lowest and the highest perturbation of each value."""
        down, up = self.box(clean)
        return down.clamp_(min=-self.epsilon), up.clamp_(max=self.epsilon)

    def draw(self, shape: torch.Size, index: Tensor, seed: int) -> Tensor:
        """Draw U(-epsilon, epsilon) noise."""
        if len(index) == 0:
            return torch.empty(0, *shape)
        draws = [torch.rand(shape, generator=query_generator(f"{seed}/{int(q)}")) for q in index]
        return (torch.stack(draws) * 2 - 1) * self.epsilon

    def radius(self) -> Tensor:
        """Return the largest change of each value in [0, 1] units; broadcasts against inputs."""
        return torch.as_tensor(self.epsilon * (1.0 if self.scale is None else self.scale))

    def round_to_8bit(self, adversarial: Tensor, clean: Tensor) -> Tensor:
        """Round to uint8 inside the ball; see :func:`round_to_8bit`."""
        radius = self.radius().to(clean.device)
        rounded = torch.empty_like(clean, dtype=torch.uint8)
        for row in range(len(clean)):  # one at a time: float64 has twice the size
            rounded[row] = round_to_8bit(adversarial[row], clean[row], radius)
        return rounded


def parse_epsilon(
    epsilon: float | str, space: EpsilonSpace = "pixel", largest: float = 1.0
) -> float:
    """Read an epsilon.

    Args:
        epsilon: a number or a fraction such as ``"10/255"``.
        space: ``"pixel"`` or ``"normalized"``.
        largest: that it may be in pixel space.

    Returns:
        The value; positive and finite.

    Raises:
        ValueError: if it is no number, out of range, or the space is unknown.

    Example:
        >>> parse_epsilon("51/255")
        0.2
    """
    if space not in ("pixel", "normalized"):
        msg = f"epsilon_space must be 'pixel' or 'normalized', got {space!r}"
        raise ValueError(msg)
    try:
        value = float(Fraction(epsilon)) if isinstance(epsilon, str) else float(epsilon)
    except (ValueError, ZeroDivisionError):
        msg = f"epsilon must be a number or a fraction such as '10/255', got {epsilon!r}"
        raise ValueError(msg) from None
    bounded = space == "pixel" and largest < float("inf")
    if not 0 < value < float("inf") or (bounded and value > largest):
        rule = f"in (0, {largest:g}] in pixel space" if bounded else "positive and finite"
        msg = f"epsilon must be {rule}, got {epsilon}"
        if value > 1 and bounded:
            msg += f"; on the 0..255 scale write '{epsilon}/255'"
        raise ValueError(msg)
    return value


def round_to_8bit(adversarial: Tensor, clean: Tensor, radius: Tensor | float) -> Tensor:
    """Round to 8 bits without leaving an L-infinity ball: what a saved image can hold.

    Args:
        adversarial: ``(...)`` in [0, 1].
        clean: ``(...)`` clean inputs in [0, 1].
        radius: largest |x' - x| in [0, 1] units; broadcasts against ``clean``.

    Returns:
        uint8: the nearest level within ``radius`` of the clean value. Where the radius is smaller
        than the way to any level, the level nearest to the clean value.

    Example:
        >>> clean = torch.tensor([100 / 255])
        >>> round_to_8bit(clean + 0.032, clean, 0.032)  # 0.032 = 8.16 / 255
        tensor([108], dtype=torch.uint8)
    """
    level = clean.double() * 255
    reach = torch.as_tensor(radius, dtype=torch.float64, device=clean.device) * 255
    slack = 1e-4  # levels: float32 images stand up to 1.5e-5 levels beside their true value
    lowest = torch.ceil(level - reach - slack)
    highest = torch.floor(level + reach + slack)
    out_of_reach = lowest > highest
    lowest = torch.where(out_of_reach, torch.round(level), lowest)
    highest = torch.where(out_of_reach, torch.round(level), highest)
    rounded = torch.round(adversarial.double() * 255)
    return torch.clamp(rounded, lowest, highest).clamp(0, 255).to(torch.uint8)
