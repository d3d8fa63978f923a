"""Perturbations that each query has for itself."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lightning_hash.attacks.budget import Budget
from lightning_hash.attacks.perturbations.base import Perturbation
from lightning_hash.attacks.queries import ALL, Rows
from lightning_hash.functional.frames import largest_frames, per_frame


class PerQuery(Perturbation):
    """A perturbation for each query (both papers).

    Example:
        >>> from lightning_hash.attacks import LInf
        >>> images = torch.full((2, 3, 4, 4), 0.5)
        >>> perturbation = PerQuery(images, LInf("10/255"))
        >>> torch.equal(perturbation(images), images)
        True
    """

    def __init__(self, inputs: Tensor, budget: Budget, lengths: Tensor | None = None) -> None:
        super().__init__(inputs, budget, lengths)
        self.delta = nn.Parameter(torch.zeros_like(inputs))
        self._projection: Callable[[Tensor], Any] | None = None

    def forward(self, inputs: Tensor, rows: Rows = ALL) -> Tensor:
        """Return ``inputs + delta`` of some rows; frames that may not change have no gradient."""
        delta = self.delta[rows]
        if self.live is not None:
            delta = delta * per_frame(self.live[rows], delta)
        perturbed: Tensor = inputs[rows] + self.budget.in_pixels(delta)
        return perturbed

    @torch.no_grad()
    def project(self, inputs: Tensor) -> None:
        """Project in place."""
        if inputs.dim() == 5:  # bounds that are kept have twice the size of the clips
            self.budget.project(self.delta, inputs)
            self._confine()
            return
        if self._projection is None:
            self._projection = self.budget.projection(inputs)
        self._projection(self.delta)

    def values(self, inputs: Tensor) -> Tensor:
        """Return delta ``(B, ...)``."""
        return self.delta.detach()

    @torch.no_grad()
    def draw(self, inputs: Tensor, index: Tensor, seed: int) -> None:
        """Begin at uniform noise in the ball; see :meth:`Budget.draw`."""
        start = self.budget.draw(inputs.shape[1:], index, seed)
        self.delta.copy_(start.to(inputs.device))
        self.budget.project(self.delta, inputs)
        self._confine()

    def prepare(self, inputs: Tensor, gradient: Callable[[slice], Tensor]) -> None:
        """Take the layout of the inputs."""
        self._projection = None
        if inputs.dim() == 4 and not self.delta.is_contiguous(memory_format=_format(inputs)):
            self.delta.data = self.delta.data.contiguous(memory_format=_format(inputs))

    def _confine(self) -> None:
        if self.live is not None:
            self.delta.data.mul_(per_frame(self.live, self.delta))


class ChosenFrames(PerQuery):
    """A perturbation of some frames of each clip: those with the largest gradient.

    The frames are chosen by the loss of the clean query before the first iteration, and anew where
    an attack goes on: the choice does not depend on what was reached, on batches or on processes.

    Args:
        inputs: ``(B, T, 3, H, W)``.
        budget: the set it must stay in.
        lengths: ``(B,)`` int64, the frames of each clip, where these have several.
        count: frames of each clip.

    Raises:
        ValueError: if the inputs are no clips of ``count`` frames or more, or ``count`` is below 1.
    """

    passes_live_frames = True

    def __init__(
        self, inputs: Tensor, budget: Budget, lengths: Tensor | None = None, count: int = 1
    ) -> None:
        super().__init__(inputs, budget, lengths)
        if count < 1:
            msg = f"count must be at least 1, got {count}"
            raise ValueError(msg)
        if inputs.dim() != 5 or count > inputs.shape[1]:
            msg = (
                f"ChosenFrames of count {count} chooses frames of clips (T, 3, H, W) by their "
                f"gradient; got inputs {tuple(inputs.shape[1:])}"
            )
            raise ValueError(msg)
        self.count = count

    def prepare(self, inputs: Tensor, gradient: Callable[[slice], Tensor]) -> None:
        """Choose the frames."""
        live = self.live
        if live is None:
            live = torch.ones(inputs.shape[:2], dtype=torch.bool, device=inputs.device)
        chosen = live.clone()
        for row in range(len(inputs)):  # one at a time: memory holds a pass of one clip
            one = slice(row, row + 1)
            chosen[one] = largest_frames(gradient(one), self.count, live[one])
        self.live = chosen
        self._confine()  # of a random start


def _format(inputs: Tensor) -> torch.memory_format:
    last = inputs.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last and not inputs.is_contiguous() else torch.contiguous_format


class Given(PerQuery):
    """A perturbation that is there already, of an attack that has ended.

    Args:
        inputs: ``(B, ...)``.
        budget: the set that it is in.
        lengths: ``(B,)`` int64, the frames of each clip, where these have several.
        delta: ``(B, ...)``, the perturbation in the budget's space.

    Raises:
        ValueError: if it has another shape than the inputs.
    """

    context = PerQuery.context | {"delta"}

    def __init__(
        self, inputs: Tensor, budget: Budget, lengths: Tensor | None = None, *, delta: Tensor
    ) -> None:
        super().__init__(inputs, budget, lengths)
        if delta.shape != inputs.shape:
            msg = (
                f"the perturbations have the shape {tuple(delta.shape[1:])}, the queries "
                f"{tuple(inputs.shape[1:])}"
            )
            raise ValueError(msg)
        self.delta.data = delta.to(inputs)
