"""A patch: one square for all images, whose values are free."""

from fractions import Fraction
from math import sqrt
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from lightning_hash.attacks.box import Box
from lightning_hash.attacks.budget import Budget
from lightning_hash.attacks.draws import query_draws, query_generator
from lightning_hash.attacks.perturbations.base import Perturbation
from lightning_hash.attacks.queries import ALL, Rows
from lightning_hash.utils.numbers import check_seed

Place = Literal["fixed", "random"]


class Patch(Perturbation):
    """One square that stands in the place of some pixels of each image (AdvHash, MM 2021).

    Its values are anything in [0, 1]: the budget is the whole box. AdvHash: 5 % of the area, of 224
    x 224 pixels the rows and columns 150 to 199. Each frame of a clip has it at the same place.

    Args:
        inputs: ``(B, C, H, W)`` or ``(B, T, C, H, W)``, whose shape counts.
        budget: a :class:`Box`.
        lengths: of clips; not used.
        area: its share of the image's area, in (0, 1]; the side is rounded to pixels.
        side: its side in pixels, in the place of ``area``.
        place: ``"fixed"``, or ``"random"``: a draw for each image and iteration, uniform over the
            places inside the image, by seed, the image's own index and iteration alone. Scores
            draw for the iterations that were run, a place that no image has learnt at.
        top: of a fixed place the first row: pixels if a whole number, otherwise a share of the
            height, a number or a fraction such as ``"150/224"``, rounded to pixels.
        left: the first column, likewise of the width.
        seed: seed of the random places.

    Raises:
        ValueError: if an argument is out of its range, the inputs are no images, the budget is none
            of a patch, or the patch is larger than the image or leaves it.

    Example:
        >>> images = torch.full((2, 3, 8, 8), 0.25)
        >>> patch = Patch(images, Box(), side=2, top=0, left="1/2")
        >>> patch(images)[0, 0, 0]
        tensor([0.2500, 0.2500, 0.2500, 0.2500, 0.5000, 0.5000, 0.2500, 0.2500],
               grad_fn=<SelectBackward0>)
    """

    shared = True
    corner: Tensor

    def __init__(
        self,
        inputs: Tensor,
        budget: Budget,
        lengths: Tensor | None = None,
        area: float = 0.05,
        side: int | None = None,
        place: Place = "fixed",
        top: int | float | str = "150/224",
        left: int | float | str = "150/224",
        seed: int = 0,
    ) -> None:
        super().__init__(inputs, budget)
        if inputs.dim() not in (4, 5):
            msg = f"Patch covers pixels of images (C, H, W), got inputs {tuple(inputs.shape[1:])}"
            raise ValueError(msg)
        if not isinstance(budget, Box):
            msg = (
                "Patch has any values in [0, 1], no ball around the image: give budget Box, got "
                f"{type(budget).__name__}"
            )
            raise ValueError(msg)
        if place not in get_args(Place):
            msg = f"place must be 'fixed' or 'random', got {place!r}"
            raise ValueError(msg)
        check_seed("seed", seed)
        height, width = inputs.shape[-2:]
        self.side = _side(area, side, height, width)
        self.place, self.seed = place, seed
        self.share = self.side**2 / (height * width)
        given = (("top", top, height), ("left", left, width))
        corner = [0, 0]
        if place == "fixed":
            corner = [_corner(name, value, size, self.side) for name, value, size in given]
        self.register_buffer("corner", torch.tensor([corner]), persistent=False)
        self.patch = nn.Parameter(inputs.new_full((1, inputs.shape[-3], self.side, self.side), 0.5))
        self._drawn: Tensor | None = None

    def settings(self) -> dict[str, Any]:
        """Return the settings, with the side and the share of the area that it really has."""
        return {**super().settings(), "pixels": self.side, "share_of_area": round(self.share, 6)}

    def expect(self, index: Tensor, iteration: int) -> None:
        """Draw the places of these images; see :meth:`Perturbation.expect`."""
        if self.place == "random":
            self._drawn = query_draws(self.seed, index, iteration, 2)

    def forward(self, inputs: Tensor, rows: Rows = ALL) -> Tensor:
        """Return the images with the patch on them; see :meth:`Perturbation.forward`.

        Raises:
            ValueError: if its places are random and nobody has said whose the inputs are.
        """
        images: Tensor = inputs[rows].clone()
        pixels = images.movedim(-3, -1)  # (n, [T,] H, W, C), a view
        span = torch.arange(self.side, device=images.device)
        corners = self._corners(inputs)[rows]
        down, right = (corners[:, axis, None] + span for axis in (0, 1))
        image = torch.arange(len(images), device=images.device)[:, None, None]
        values = self.patch[0].movedim(0, -1)
        if images.dim() == 5:
            pixels = pixels.movedim(1, 3)  # (n, H, W, T, C)
            values = values[:, :, None]
        pixels[image, down[:, :, None], right[:, None, :]] = values
        return images

    @torch.no_grad()
    def project(self, inputs: Tensor) -> None:
        """Clamp the values to [0, 1]."""
        self.patch.clamp_(0, 1)

    def values(self, inputs: Tensor) -> Tensor:
        """Return by what the inputs ``(B, ...)`` change."""
        perturbed: Tensor = self(inputs)
        return (perturbed - inputs).detach()

    @torch.no_grad()
    def draw(self, inputs: Tensor, index: Tensor, seed: int) -> None:
        """Begin at values drawn uniformly in [0, 1], which the seed decides."""
        generator = query_generator(f"{seed}/patch")
        self.patch.copy_(torch.rand(self.patch.shape, generator=generator))

    def picture(self) -> Tensor | None:
        """Return the patch."""
        return self.patch.detach()[0].clamp(0, 1)

    def _corners(self, inputs: Tensor) -> Tensor:
        """Return the first row and column on each of the inputs, int64 ``(B, 2)``."""
        if self.place == "fixed":
            return self.corner.expand(len(inputs), 2)
        if self._drawn is None or len(self._drawn) != len(inputs):
            msg = (
                "Patch: its places are random, by the image's index and the iteration: call "
                "expect(index, iteration) before it perturbs"
            )
            raise ValueError(msg)
        free = (size - self.side + 1 for size in inputs.shape[-2:])
        columns = [self._drawn[:, axis] * count for axis, count in enumerate(free)]
        return torch.stack(columns, dim=1).long()


def _side(area: float, side: int | None, height: int, width: int) -> int:
    """Return the side in pixels of a patch that is inside an image."""
    if not 0 < area <= 1:
        msg = f"area must be in (0, 1], a share of the image's area, got {area}"
        raise ValueError(msg)
    found = round(sqrt(area * height * width)) if side is None else side
    if found < 1:
        got = f"side {side}" if side is not None else f"area {area}, less than one pixel"
        msg = f"Patch must have a side of at least 1 pixel, got {got}"
        raise ValueError(msg)
    if found > min(height, width):
        got = f"side {side}" if side is not None else f"area {area}, a side of {found}"
        msg = f"Patch is larger than the image of {height} x {width}: got {got}; give less"
        raise ValueError(msg)
    return found


def _corner(name: str, given: int | float | str, size: int, side: int) -> int:
    """Return the first row, or column, of a patch at a fixed place."""
    whole = isinstance(given, int) and not isinstance(given, bool)
    try:
        share = Fraction(given)
    except (ValueError, ZeroDivisionError, TypeError, OverflowError):
        msg = f"{name} must be pixels or a share such as '150/224', got {given!r}"
        raise ValueError(msg) from None
    first = int(share) if whole else round(share * size)
    if first < 0 or first + side > size:
        msg = (
            f"{name}: a patch of {side} pixels from pixel {first} on leaves the image of {size}; "
            f"give at most {size - side}, got {given!r}"
        )
        raise ValueError(msg)
    return first
