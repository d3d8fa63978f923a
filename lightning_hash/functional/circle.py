"""The circle loss of codes that stand for labels."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

# Stands for a pair that is not there; a real one is within 3 gamma of 0.
NONE = -1e4


def circle_loss(similarity: Tensor, shared: Tensor, gamma: float = 1.0) -> Tensor:
    """Return THA's circle loss of pairs (Wang et al., arXiv 2105.07553; Sun et al., CVPR 2020).

    log(1 + sum over strangers n of exp(gamma [s_n + 2] s_n) times sum over relatives p of
    exp(-gamma [2 - s_p] s_p)), s the similarity, brackets weights without a gradient. Deliberate
    differences to the authors' code: all pairs count, of which its mask drops those below the
    diagonal of the rectangle, and the 1 of the formula stays.

    Args:
        similarity: ``(B, N)`` in [-1, 1].
        shared: bool ``(B, N)``, whether a pair shares a label.
        gamma: scale, at most 1000.

    Returns:
        A scalar; 0 where all pairs or none share a label.

    Example:
        >>> circle_loss(torch.tensor([[1.0, -1.0]]), torch.tensor([[True, False]]))
        tensor(0.1269)
    """
    weight = torch.where(shared, similarity - 2, similarity + 2).detach()
    exponents = gamma * weight * similarity
    strangers, relatives = (
        exponents.masked_fill(mask, NONE).flatten().logsumexp(0) for mask in (shared, ~shared)
    )
    return softplus(strangers + relatives)
