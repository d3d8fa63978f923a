"""DSDH: likelihood of pairs, and codes that a linear classifier reads."""

import torch
from torch import Tensor

from lightning_hash.functional import sign_code
from lightning_hash.losses.pairs import PairLoss, pair_likelihood
from lightning_hash.utils.numbers import check_weight

SWEEPS = 10  # over the bits, at most, as in the authors' train.m


class DSDHLoss(PairLoss):
    """Likelihood of pairs and the distance to discrete codes (Li et al., NeurIPS 2017, Eq. 7).

    J = -sum_ij (s_ij Theta_ij - log(1 + exp(Theta_ij))) + mu |Y - W^T B|^2 + nu |W|^2
    + eta |B - U|^2 with U = H and Theta_ij = u_i u_j / 2, divided by the number of pairs as in
    :class:`lightning_hash.losses.DPSHLoss`. In each step W is the ridge regression of the labels on
    the signs of the items that the batch is paired with, and B of the batch follows by discrete
    cyclic coordinate descent (:func:`discrete_codes`). Both are constants of the step, so the two
    terms in which H is not are left out of J. That is train.m of liqi-casia/DSDH-HashingCode, the
    authors' code, whose W is of the batch alone: ours is of all training items seen so far with
    ``--model.code_bank true``. (TreezzZ/DSDH_PyTorch and swuxyj/DeepHash-pytorch keep B of all
    items and solve once an epoch; the latter leaves out eta in what the network is trained with,
    and has nu = 1.)

    Args:
        mu: weight of the classification, positive.
        nu: weight of the regularisation, positive.
        eta: weight of the distance to the discrete codes, not negative.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> loss = DSDHLoss(eta=0.0)
        >>> loss(torch.tensor([[0.0], [2.0]]), torch.tensor([[1, 0], [0, 1]]))
        tensor(0.5516)
    """

    def __init__(self, mu: float = 1.0, nu: float = 0.1, eta: float = 55.0) -> None:
        super().__init__()
        check_weight("mu", mu, positive=True)
        check_weight("nu", nu, positive=True)
        check_weight("eta", eta)
        self.mu, self.nu, self.eta = mu, nu, eta

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        other_logits: Tensor | None = None,
        other_labels: Tensor | None = None,
    ) -> Tensor:
        """Compute the loss; see :meth:`PairLoss.forward`."""
        likelihood = super().forward(logits, labels, other_logits, other_labels)
        if other_logits is None or other_labels is None:
            other_logits, other_labels = logits, labels
        with torch.no_grad():
            ridge, weight = self.nu / self.mu, self.eta / self.mu
            classifier = ridge_regression(sign_code(other_logits), other_labels, ridge)
            codes = discrete_codes(logits, labels, classifier, weight)
        distance = (codes - logits).square().sum(dim=1).mean()
        return likelihood + self.eta / len(other_logits) * distance

    def of_pairs(self, logits: Tensor, others: Tensor, similar: Tensor) -> Tensor:
        """Compute the likelihood of the pairs."""
        return pair_likelihood(logits, others, similar)


def ridge_regression(codes: Tensor, labels: Tensor, ridge: float) -> Tensor:
    """Return W = (B^T B + ridge I)^-1 B^T Y, from which W^T b tells the labels of a code.

    Args:
        codes: ``(M, K)`` of -1/+1, any real dtype.
        labels: ``(M, C)`` of 0/1.
        ridge: positive.

    Returns:
        float64 ``(K, C)``.

    Example:
        >>> ridge_regression(torch.tensor([[1], [-1]]), torch.tensor([[1, 0], [0, 1]]), ridge=2.0)
        tensor([[ 0.2500, -0.2500]], dtype=torch.float64)
    """
    codes = codes.float()
    # Sums of whole numbers are exact in float32 up to 2^24 items.
    square, right = (codes.T @ codes).double(), (codes.T @ labels.float()).double()
    eye = torch.eye(len(square), dtype=square.dtype, device=square.device)
    # solve_ex, since solve waits for the device to say that a matrix has no inverse; this one has.
    classifier: Tensor = torch.linalg.solve_ex(square + ridge * eye, right)[0]
    return classifier


def discrete_codes(logits: Tensor, labels: Tensor, classifier: Tensor, weight: float) -> Tensor:
    """Lower |Y - B W|^2 + weight |B - U|^2 over codes B, one bit of all items after the other.

    Args:
        logits: ``(B, K)`` floating, U.
        labels: ``(B, C)`` of 0/1, Y.
        classifier: ``(K, C)``, W.
        weight: eta / mu, not negative.

    Returns:
        ``(B, K)`` of -1/+1, of the type of the logits; no change of one bit of one item lowers the
        sum, if ten sweeps over the bits are enough for that. They begin at codes of zeros.

    Example:
        >>> logits, classifier = torch.tensor([[0.1]]), torch.tensor([[0.5, -0.5]])
        >>> discrete_codes(logits, torch.tensor([[0, 1]]), classifier, weight=1.0)
        tensor([[-1.]])
    """
    wide = classifier.double()
    pull = weight * logits.double() + labels.double() @ wide.T
    gram = wide @ wide.T
    gram.fill_diagonal_(0)  # of a bit its own part falls out
    codes = torch.zeros_like(pull)
    for _ in range(SWEEPS):
        for bit in range(codes.shape[1]):
            rest = torch.addmv(pull[:, bit], codes, gram[:, bit], alpha=-1)
            codes[:, bit] = torch.where(rest > 0, 1.0, -1.0).to(codes.dtype)
    return codes.to(logits.dtype)
