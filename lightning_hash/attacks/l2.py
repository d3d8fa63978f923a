"""The L2 ball."""

import math

import torch
from torch import Tensor

from lightning_hash.attacks.budget import Budget
from lightning_hash.attacks.draws import query_generator
from lightning_hash.attacks.per_row import per_row


class L2(Budget):
    """The L2 ball: the change of a whole input has at most the length epsilon.

    The radius belongs to a size of inputs: 0.5 for 32 x 32, about 3 for 224 x 224.

    Example:
        >>> delta = torch.tensor([[3.0, 4.0]])
        >>> L2(0.5).project(delta, torch.tensor([[0.8, 0.5]]))
        >>> delta
        tensor([[0.2000, 0.4000]])
    """

    largest = math.inf

    def confine(self, perturbation: Tensor) -> None:
        """Shorten in place to the ball."""
        # A hair inside: the product is rounded.
        share = (self.epsilon * (1 - 1e-6) / _length(perturbation)).clamp(max=1)
        perturbation.mul_(per_row(share, perturbation))

    def project(self, perturbation: Tensor, clean: Tensor) -> None:
        """Shorten in place to the ball, then clamp to the box, which shortens further."""
        self.confine(perturbation)
        lowest, highest = self.box(clean)
        torch.clamp(perturbation, lowest, highest, out=perturbation)

    def steepest(self, gradient: Tensor) -> Tensor:
        """Return the gradient at length 1; 0 where it is 0."""
        length = _length(gradient)
        return gradient / per_row(length.clamp(min=torch.finfo(length.dtype).tiny), gradient)

    def used(self, perturbation: Tensor, live: Tensor | None = None) -> Tensor:
        """Return the length over epsilon.

        Example:
            >>> L2(0.5).used(torch.tensor([[0.3, -0.4], [0.0, 0.1]]))
            tensor([1.0000, 0.2000])
        """
        return _length(perturbation.detach()) / self.epsilon

    def draw(self, shape: torch.Size, index: Tensor, seed: int) -> Tensor:
        """Draw uniformly in the ball: a normal direction, at the n-th root of a uniform length."""
        drawn = torch.empty(len(index), *shape)
        for row, query in enumerate(index):
            generator = query_generator(f"{seed}/{int(query)}")
            direction = torch.randn(shape, generator=generator)
            share = torch.rand((), generator=generator) ** (1 / direction.numel())
            drawn[row] = direction / direction.norm() * share * self.epsilon
        return drawn

    def round_to_8bit(self, adversarial: Tensor, clean: Tensor) -> Tensor:
        """Round to the nearest levels; where that leaves the ball, some inward.

        Those are moved whose other level is nearest too, no more than are needed. Where the ball
        holds no such image, the levels nearest to the clean values.
        """
        scale = 1.0 if self.scale is None else self.scale.double().to(clean.device)
        rounded = torch.empty_like(clean, dtype=torch.uint8)
        for row in range(len(clean)):  # one at a time: float64 has twice the size
            change = adversarial[row].double() * 255
            rounded[row] = _inside(change, clean[row].double() * 255, self.epsilon * 255, scale)
        return rounded


def _inside(wanted: Tensor, clean: Tensor, radius: float, scale: Tensor | float) -> Tensor:
    """Round one input, in levels, so that its change over ``scale`` has at most a length."""
    slack = 1e-6 * radius  # float32 images stand beside their true values

    def squares(levels: Tensor) -> Tensor:
        return ((levels - clean) / scale).square()

    nearest = wanted.round().clamp(0, 255)
    excess = float(squares(nearest).sum()) - (radius + slack) ** 2
    if excess <= 0:
        return nearest.to(torch.uint8)
    inward = nearest - (nearest - clean).sign()
    gain = (squares(nearest) - squares(inward)).clamp(min=0).flatten()
    cost = torch.where(gain > 0, (inward - wanted).abs().flatten(), torch.inf)
    order = cost.argsort(stable=True)
    needed = int((gain[order].cumsum(dim=0) < excess).sum()) + 1
    moved = torch.zeros_like(gain, dtype=torch.bool)
    moved[order[:needed]] = True
    found = torch.where(moved.view_as(nearest) & (gain > 0).view_as(nearest), inward, nearest)
    if float(squares(found).sum()) > (radius + slack) ** 2:
        found = clean.round()
    return found.to(torch.uint8)


def _length(values: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(values.flatten(1), dim=1)
    return length
