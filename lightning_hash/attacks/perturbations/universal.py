"""One perturbation for all images."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from lightning_hash.attacks.budget import Budget
from lightning_hash.attacks.perturbations.base import Perturbation
from lightning_hash.attacks.queries import ALL, Rows


class Universal(Perturbation):
    """One delta for all images: x' = clamp(x + delta, 0, 1) (Moosavi-Dezfooli et al., CVPR 2017).

    It learns on the training split and is scored on the queries. Of its own resolution it is
    resized bilinearly to the images (Li et al., ICCV 2019: 1024 x 1024), half-pixel centres and no
    smoothing, which leaves it in an L-infinity budget. Each frame of a clip gets the same delta.

    Args:
        inputs: ``(B, C, H, W)`` or ``(B, T, C, H, W)``, whose shape counts; without ``size`` inputs
            of any shape.
        budget: the set delta must stay in.
        lengths: of clips; not used.
        size: side of delta in pixels; ``None`` is the size of the images.

    Raises:
        ValueError: if ``size`` is below 1 or the inputs no images, or the budget bounds the whole
            change of an input where delta is resized, or added to each frame.

    Example:
        >>> from lightning_hash.attacks import LInf
        >>> images = torch.full((2, 3, 4, 4), 0.5)
        >>> universal = Universal(images, LInf("10/255"), size=8)
        >>> universal.delta.shape, universal(images).shape
        (torch.Size([1, 3, 8, 8]), torch.Size([2, 3, 4, 4]))
    """

    shared = True

    def __init__(
        self,
        inputs: Tensor,
        budget: Budget,
        lengths: Tensor | None = None,
        size: int | None = None,
    ) -> None:
        super().__init__(inputs, budget)
        clips, name = inputs.dim() == 5, type(budget).__name__
        if size is not None and (size < 1 or inputs.dim() not in (4, 5)):
            msg = (
                "size must be a side of at least 1 pixel for images (C, H, W), or null, got "
                f"{size} for inputs {tuple(inputs.shape[1:])}"
            )
            raise ValueError(msg)
        if not budget.per_value and (clips or size is not None):
            what = "each frame of a clip" if clips else f"images after resizing from size {size}"
            msg = (
                f"Universal: budget {name} bounds the change of a whole input, and delta is added "
                f"to {what}; give LInf{'' if clips else ', or leave size out'}"
            )
            raise ValueError(msg)
        shape = inputs.shape[2:] if clips else inputs.shape[1:]
        if size is not None:
            shape = torch.Size([*shape[:-2], size, size])
        self.delta = nn.Parameter(inputs.new_zeros(1, *shape))

    def forward(self, inputs: Tensor, rows: Rows = ALL) -> Tensor:
        """Return the images plus delta, cut to [0, 1]; see :meth:`Perturbation.forward`."""
        return (inputs[rows] + self.alone(inputs)).clamp(0, 1)

    def alone(self, inputs: Tensor) -> Tensor:
        """Return delta ``(1, C, H, W)`` in [0, 1] units, resized to the images."""
        delta = self.budget.in_pixels(self.delta)
        if delta.dim() == 4 and delta.shape[-2:] != inputs.shape[-2:]:
            sides = list(inputs.shape[-2:])
            delta = interpolate(delta, sides, mode="bilinear", align_corners=False)
        return delta

    @torch.no_grad()
    def project(self, inputs: Tensor) -> None:
        """Project in place onto the ball; the box [0, 1] of an image is kept by :meth:`forward`."""
        self.budget.confine(self.delta)

    def values(self, inputs: Tensor) -> Tensor:
        """Return what is left of delta on each of the inputs ``(B, ...)``."""
        return self.budget.of_pixels(self(inputs) - inputs).detach()

    @torch.no_grad()
    def draw(self, inputs: Tensor, index: Tensor, seed: int) -> None:
        """Begin at one draw in the ball, which the seed decides; see :meth:`Budget.draw`."""
        start = self.budget.draw(self.delta.shape[1:], index.new_zeros(1), seed)
        self.delta.copy_(start.to(self.delta))
        self.budget.confine(self.delta)

    @torch.no_grad()
    def picture(self) -> Tensor | None:
        """Return delta around grey, its largest change at 0 or 1; of images alone."""
        if self.delta.dim() != 4:
            return None
        delta = self.budget.in_pixels(self.delta)[0]
        largest = delta.abs().max().clamp(min=torch.finfo(delta.dtype).tiny)
        return (0.5 + delta / (2 * largest)).clamp(0, 1)
