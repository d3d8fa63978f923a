"""DPSH: maximum likelihood on pairs, and a penalty on what the sign takes away."""

from torch import Tensor

from lightning_hash.functional import sign_code
from lightning_hash.losses.pairs import PairLoss, pair_likelihood
from lightning_hash.utils.numbers import check_weight


class DPSHLoss(PairLoss):
    """Negative log likelihood of pairs (Li, Wang and Kang, IJCAI 2016).

    J = -sum_ij (s_ij Theta_ij - log(1 + exp(Theta_ij))) + eta sum_i ||b_i - u_i||^2 with u = H,
    b = sign(u), Theta_ij = u_i u_j / 2 and s_ij = 1 where a label is shared, else 0; divided by the
    number of pairs, as the authors do. So eta weighs the less the more items an item is paired
    with: eta / M of the mean squared distance to the code. That is the loss of `DPSH_algo` of
    jiangqy/DPSH-pytorch, where M are all training items: those not seen yet have u = 0 there.

    Args:
        eta: weight of the penalty, not negative.

    Raises:
        ValueError: if ``eta`` is negative.

    Example:
        >>> import torch
        >>> loss = DPSHLoss(eta=0.0)
        >>> loss(torch.tensor([[0.0], [2.0]]), torch.tensor([[1, 0], [0, 1]]))
        tensor(0.5516)
    """

    def __init__(self, eta: float = 10.0) -> None:
        super().__init__()
        check_weight("eta", eta)
        self.eta = eta

    def of_pairs(self, logits: Tensor, others: Tensor, similar: Tensor) -> Tensor:
        """Compute J over the number of pairs."""
        likelihood = pair_likelihood(logits, others, similar)
        distance = (sign_code(logits) - logits).square().sum(dim=1).mean()
        return likelihood + self.eta / len(others) * distance
