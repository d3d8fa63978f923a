"""Clips of several lengths in one tensor."""

import torch
from torch import Tensor


def frame_mask(lengths: Tensor, frames: int) -> Tensor:
    """Tell the frames of clips from the padding behind them.

    Args:
        lengths: ``(B,)`` int, the frames of each clip.
        frames: T, the frames of the tensor that holds them.

    Returns:
        bool ``(B, T)``, true where there is a frame.

    Example:
        >>> frame_mask(torch.tensor([1, 3]), 3).tolist()
        [[True, False, False], [True, True, True]]
    """
    return torch.arange(frames, device=lengths.device) < lengths[:, None]


def places_of(mask: Tensor) -> Tensor:
    """Return where a mask ``(B, T)`` is true, int64 ``(n,)`` places in the flattened mask."""
    return torch.nonzero(mask.flatten()).flatten()


def per_frame(mask: Tensor, clips: Tensor) -> Tensor:
    """Give a value per frame ``(B, T)`` the dimensions of clips ``(B, T, ...)``."""
    return mask.reshape(*mask.shape, *[1] * (clips.dim() - 2))


def largest_frames(gradients: Tensor, count: int, live: Tensor) -> Tensor:
    """Choose the frames of each clip with the largest gradient.

    Args:
        gradients: ``(B, T, ...)`` floating.
        count: how many of each clip; all of a clip that has fewer.
        live: bool ``(B, T)``, the frames to choose from.

    Returns:
        bool ``(B, T)``: the ``count`` live frames whose gradients have the largest L2 norm, the
        earlier of equal ones.

    Example:
        >>> gradients = torch.tensor([[[1.0], [-3.0], [2.0], [9.0]]])
        >>> largest_frames(gradients, 2, torch.tensor([[True, True, True, False]])).tolist()
        [[False, True, True, False]]
    """
    norms = torch.linalg.vector_norm(gradients.flatten(2), dim=2)
    order = torch.argsort(torch.where(live, norms, -1.0), dim=1, descending=True, stable=True)
    chosen = torch.zeros_like(live).scatter_(1, order[:, :count], value=True)
    return chosen & live
