"""DCH: cross entropy of a Cauchy distribution, which pulls similar codes into a small ball."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_hash.losses.pairs import PairLoss, balanced_mean
from lightning_hash.utils.numbers import check_weight

# Below this distance, a thousandth of a bit, dissimilar pairs are pushed apart no further: the
# gradient of log(1 + gamma / d) has no bound.
NEAREST = 1e-3


class DCHLoss(PairLoss):
    """Cauchy cross entropy and Cauchy quantisation (Cao et al., CVPR 2018, Eq. 7 to 9).

    L = sum_ij w_ij (s_ij log(d_ij / gamma) + log(1 + gamma / d_ij))
    + weight sum_i log(1 + d(|h_i|, 1) / gamma) with h = tanh(H), d = K/2 (1 - cos) (Eq. 6), w_ij
    such that similar and dissimilar pairs weigh the same (Eq. 2), s_ij = 1 where a label is shared,
    else 0; each sum as a mean. Deliberate differences to thulab/DeepHash, the authors' code: that
    one has the squared distance |h_i - h_j|^2, a penalty mean (|h| - 1)^2, dissimilar pairs of
    weight 1 and no pairs of an item with itself.

    Args:
        gamma: scale of the Cauchy distribution in bits, positive.
        quantization_weight: lambda of Eq. 7, not negative.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> loss = DCHLoss(gamma=1.0, quantization_weight=0.0)
        >>> loss(torch.tensor([[9.0, 9.0], [9.0, -9.0]]), torch.tensor([[1, 0], [0, 1]]))
        tensor(0.6931)
    """

    def __init__(self, gamma: float = 20.0, quantization_weight: float = 0.1) -> None:
        super().__init__()
        check_weight("gamma", gamma, positive=True)
        check_weight("quantization_weight", quantization_weight)
        self.gamma, self.quantization_weight = gamma, quantization_weight

    def of_pairs(self, logits: Tensor, others: Tensor, similar: Tensor) -> Tensor:
        """Compute L of the pairs."""
        bits = logits.shape[1]
        codes, other_codes = (F.normalize(torch.tanh(h), dim=1) for h in (logits, others))
        distance = bits / 2 * (1 - codes @ other_codes.T).clamp(min=0)
        # log(d / gamma) + log(1 + gamma / d) without the infinities at d = 0.
        together = torch.log1p(distance / self.gamma)
        apart = torch.log1p(self.gamma / distance.clamp(min=NEAREST))
        loss = balanced_mean(torch.where(similar, together, apart), similar)
        to_vertex = bits / 2 * (1 - codes.abs().sum(dim=1) / bits**0.5).clamp(min=0)
        return loss + self.quantization_weight * torch.log1p(to_vertex / self.gamma).mean()
