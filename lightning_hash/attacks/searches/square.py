"""Square: a window of one colour at a random place."""

import math

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from lightning_hash.attacks.draws import query_draws
from lightning_hash.attacks.searches.proposals import Proposal, Proposals

# Once 10,000 proposals / all of them exceed these, the windows' area is halved.
HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
# Proposals are counted from 0; the start is drawn by another number.
START = -1


class Square(Proposals):
    """Square attack in the L-infinity ball (Andriushchenko et al., ECCV 2020, Alg. 1 and 2).

    It begins at vertical stripes of plus or minus epsilon. Each proposal sets a square window of
    every image to plus or minus epsilon, one sign for each channel. Every query has its own window,
    where AutoAttack draws one for the whole batch; windows reach the last row and column, which the
    public code never changes; ties are accepted, see :class:`Proposals`. Frames of a clip get the
    same window.

    Args:
        params: a perturbation's only parameter, ``(B, ..., C, H, W)``.
        share: share of the area that the first windows have, in (0, 1]; 0.8 in AutoAttack, 0.05 in
            the paper.
        seed: seed of the draws.

    Raises:
        ValueError: if ``share`` is out of its range.
    """

    def __init__(self, params: ParamsT, share: float = 0.8, seed: int = 0) -> None:
        if not 0 < share <= 1:
            msg = f"share must be in (0, 1], got {share}"
            raise ValueError(msg)
        super().__init__(params, {"share": share})
        self.share, self.seed = share, seed

    def start(self, delta: Tensor) -> None:
        """Set stripes: one sign for each channel and column."""
        channels, width = delta.shape[-3], delta.shape[-1]
        draws = query_draws(self.seed, self.queries.index, START, channels * width)
        signs = _signs(draws, delta).view(len(delta), channels, 1, width)
        delta.copy_(self.perturbation.budget.epsilon * _of_frames(signs, delta))

    def propose(self, delta: Tensor, number: int) -> Proposal:
        """Return a window of each query; see :meth:`Proposals.propose`."""
        *_, channels, height, width = delta.shape
        side = window_side(self.share, number, self.iterations, height, width)
        draws = query_draws(self.seed, self.queries.index, number, 2 + channels)
        down, right = (
            _run(draws[:, place], size, side) for place, size in ((0, height), (1, width))
        )
        image = torch.arange(len(delta), device=delta.device)[:, None, None]
        pixels = delta.movedim(-3, -1)  # (B, [T,] H, W, C), a view
        values = self.perturbation.budget.epsilon * _signs(draws[:, 2:], delta)[:, None, None]
        if delta.dim() == 5:
            pixels, values = pixels.movedim(1, 3), values[:, :, :, None]
        return Proposal(pixels, (image, down[:, :, None], right[:, None, :]), values)


def window_side(share: float, number: int, iterations: int, height: int, width: int) -> int:
    """Return the side of a proposal's window.

    Args:
        share: of the area, that the first windows have.
        number: of the proposal, from 0.
        iterations: questions in all.
        height: of the images.
        width: of the images.

    Example:
        >>> [window_side(0.8, number, 2000, 32, 32) for number in (0, 2, 3, 11)]
        [29, 29, 20, 14]
    """
    halved = sum(10_000 * number // iterations > after for after in HALVED_AFTER)
    side = round(math.sqrt(share / 2**halved * height * width))
    return max(1, min(side, height, width))


def _run(draws: Tensor, size: int, side: int) -> Tensor:
    """Return int64 ``(B, side)``, places in a row that begin anywhere they have room."""
    first = (draws * (size - side + 1)).long()[:, None]
    return first + torch.arange(side, device=draws.device)


def _signs(draws: Tensor, like: Tensor) -> Tensor:
    return torch.where(draws < 0.5, -1.0, 1.0).to(like.dtype)


def _of_frames(values: Tensor, delta: Tensor) -> Tensor:
    """Return ``(B, C, H, W)`` as it broadcasts against images or clips."""
    return values if delta.dim() == 4 else values[:, None]
