"""The budget of a perturbation: its space, the projection onto it and rounding to 8 bits."""

from fractions import Fraction
from typing import Literal

import torch
from torch import Tensor

EpsilonSpace = Literal["pixel", "normalized"]


def parse_epsilon(epsilon: float | str, space: EpsilonSpace = "pixel") -> float:
    """Read an epsilon.

    Args:
        epsilon: a number or a fraction such as ``"10/255"``.
        space: ``"pixel"`` ([0, 1]) or ``"normalized"`` (after subtracting the mean and dividing by
            the standard deviation).

    Returns:
        The value; positive, and at most 1 in pixel space.

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
    if not 0 < value < float("inf") or (space == "pixel" and value > 1):
        rule = "in (0, 1] in pixel space" if space == "pixel" else "positive and finite"
        msg = f"epsilon must be {rule}, got {epsilon}"
        if value > 1 and space == "pixel":
            msg += f"; on the 0..255 scale write '{epsilon}/255'"
        raise ValueError(msg)
    return value


def project_(perturbation: Tensor, clean: Tensor, epsilon: float, scale: Tensor | float) -> Tensor:
    """Project a perturbation in place onto the epsilon ball, then onto the image box (HAG Eq. 4).

    Args:
        perturbation: ``(B, ...)`` in the declared space; changed in place.
        clean: ``(B, ...)`` clean inputs in [0, 1].
        epsilon: radius of the L-infinity ball in the declared space.
        scale: pixels per unit of the declared space: 1 in pixel space, the standard deviation per
            channel in normalised space; broadcasts against ``perturbation``.

    Returns:
        ``perturbation``, with every value in [-epsilon, epsilon] and ``clean + scale *
        perturbation`` in [0, 1].

    Example:
        >>> project_(torch.tensor([0.5, -0.5, 0.01]), torch.tensor([0.99, 0.5, 0.5]), 0.03, 1.0)
        tensor([ 0.0100, -0.0300,  0.0100])
    """
    lowest, highest = bounds(clean, epsilon, scale)
    return torch.clamp(perturbation, lowest, highest, out=perturbation)


def bounds(clean: Tensor, epsilon: float, scale: Tensor | float) -> tuple[Tensor, Tensor]:
    """Return what :func:`project_` clamps between; one pass where many projections use it.

    Args:
        clean: ``(B, ...)`` clean inputs in [0, 1].
        epsilon: radius of the L-infinity ball in the declared space.
        scale: pixels per unit of the declared space.

    Returns:
        The lowest and the highest perturbation, ``(B, ...)`` each.
    """
    # Dividing by a scale of 1 would be exact and cost two passes.
    plain = isinstance(scale, float) and scale == 1.0
    down, up = (-clean, 1 - clean) if plain else (-clean / scale, (1 - clean) / scale)
    return down.clamp_(min=-epsilon), up.clamp_(max=epsilon)


def round_to_8bit(adversarial: Tensor, clean: Tensor, epsilon: Tensor | float) -> Tensor:
    """Round to 8 bits without leaving the budget: what a saved image can hold.

    Args:
        adversarial: ``(B, ...)`` in [0, 1].
        clean: ``(B, ...)`` clean inputs in [0, 1].
        epsilon: largest |x' - x| in [0, 1] units; broadcasts against ``clean``.

    Returns:
        uint8 ``(B, ...)``: the nearest level within ``epsilon`` of the clean value. Where epsilon
        is smaller than the way to any level, the level nearest to the clean value.

    Example:
        >>> clean = torch.tensor([100 / 255])
        >>> round_to_8bit(clean + 0.032, clean, 0.032)  # 0.032 = 8.16 / 255
        tensor([108], dtype=torch.uint8)
    """
    level = clean.double() * 255
    radius = torch.as_tensor(epsilon, dtype=torch.float64, device=clean.device) * 255
    slack = 1e-4  # levels: float32 images stand up to 1.5e-5 levels beside their true value
    lowest = torch.ceil(level - radius - slack)
    highest = torch.floor(level + radius + slack)
    out_of_reach = lowest > highest
    lowest = torch.where(out_of_reach, torch.round(level), lowest)
    highest = torch.where(out_of_reach, torch.round(level), highest)
    rounded = torch.round(adversarial.double() * 255)
    return torch.clamp(rounded, lowest, highest).clamp(0, 255).to(torch.uint8)
