"""Hash layers in closed form: from the features of a training set, without labels or gradient."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from lightning_hash.utils.numbers import check_seed

SMALLEST_SHARE = 1e-10  # of the largest variance; below it float32 features hold rounding errors


class ClosedForm(ABC):
    """A hash layer that is computed.

    Its logits are a linear map of centred features, (x - mean) W, scaled by one positive number so
    that their root mean square over the training items is 1: no bit depends on that number, and
    attacks through tanh(alpha H) find logits of the usual size.

    Args:
        seed: of its random draws.
    """

    def __init__(self, seed: int = 0) -> None:
        check_seed("seed", seed)
        self.seed = seed

    @abstractmethod
    def directions(self, features: Tensor, bits: int, generator: torch.Generator) -> Tensor:
        """Return W.

        Args:
            features: ``(N, D)`` float64, centred.
            bits: K.
            generator: what random numbers are drawn from.

        Returns:
            ``(D, K)`` float64.
        """

    def solve(self, features: Tensor, bits: int) -> tuple[Tensor, Tensor]:
        """Return weight and bias of the hash layer.

        Args:
            features: ``(N, D)`` floating, one row per training item.
            bits: K.

        Returns:
            ``(K, D)`` and ``(K,)``, float64.

        Raises:
            ValueError: if there are fewer than two items, a feature is not finite, all items have
                the same features, or K is more than the features have.
        """
        if features.dim() != 2 or len(features) < 2:
            msg = f"head {type(self).__name__}: needs 2 training items, got {len(features)}"
            raise ValueError(msg)
        features = features.double()
        if not features.isfinite().all():
            msg = f"head {type(self).__name__}: features of training items are not finite"
            raise ValueError(msg)
        mean = features.mean(dim=0)
        centred = features - mean
        generator = torch.Generator().manual_seed(self.seed)
        found = self.directions(centred, bits, generator)
        scale = (centred @ found).square().mean().sqrt()
        if not scale > 0:
            msg = f"head {type(self).__name__}: all {len(features)} items have the same features"
            raise ValueError(msg)
        found = found / scale
        return found.T.contiguous(), -(mean @ found)


class PCA(ClosedForm):
    """Principal components, turned by a random rotation (Moummad et al., arXiv 2509.14427).

    W = V_K R: the K leading eigenvectors of the features' covariance, and a random orthogonal R of
    shape (K, K), which spreads the variance over the bits.

    Args:
        rotate: ``False`` leaves R out: the first bits then hold most of the variance.
        seed: of R.

    Example:
        >>> weight, bias = PCA(rotate=False).solve(torch.tensor([[3.0, 0.0], [1.0, 0.0]]), bits=1)
        >>> weight, bias
        (tensor([[1., 0.]], dtype=torch.float64), tensor([-2.], dtype=torch.float64))
    """

    def __init__(self, rotate: bool = True, seed: int = 0) -> None:
        super().__init__(seed)
        self.rotate = rotate

    def directions(self, features: Tensor, bits: int, generator: torch.Generator) -> Tensor:
        """Return V_K R.

        Raises:
            ValueError: if without R a bit would be the sign of rounding errors.
        """
        components = principal_components(features, bits)
        if self.rotate:
            return components @ random_rotation(bits, generator)
        variances = (features @ components).square().mean(dim=0)
        rank = int((variances > SMALLEST_SHARE * variances[0]).sum())
        if 0 < rank < bits:
            msg = (
                f"bits must be at most {rank} with rotate: false, got {bits}: the features vary in "
                "no further direction; take fewer, or rotate: true"
            )
            raise ValueError(msg)
        return components


class ITQ(ClosedForm):
    """Iterative quantization (Gong and Lazebnik, CVPR 2011).

    From V = X V_K, the K leading principal components of the items, and a random rotation R it
    lowers ||B - V R||_F (Eq. 2) by turns: B = sign(V R); then, with the singular value
    decomposition B^T V = S Omega S'^T, R = S' S^T.

    Args:
        iterations: rounds; the authors take 50.
        seed: of the first R.
    """

    def __init__(self, iterations: int = 50, seed: int = 0) -> None:
        super().__init__(seed)
        if iterations < 1:
            msg = f"iterations must be at least 1, got {iterations}"
            raise ValueError(msg)
        self.iterations = iterations

    def directions(self, features: Tensor, bits: int, generator: torch.Generator) -> Tensor:
        """Return V_K R after the last round."""
        components = principal_components(features, bits)
        items, rotation = features @ components, random_rotation(bits, generator)
        for _ in range(self.iterations):
            codes = torch.where(items @ rotation >= 0, 1.0, -1.0).double()
            left, _, right = torch.linalg.svd(codes.T @ items)
            rotation = right.T @ left.T
        return components @ rotation


class LSH(ClosedForm):
    """Random projections of centred features (Charikar, STOC 2002): W of standard normal numbers.

    K may be larger than D.
    """

    def directions(self, features: Tensor, bits: int, generator: torch.Generator) -> Tensor:
        """Return W."""
        return torch.randn(features.shape[1], bits, generator=generator, dtype=torch.float64)


def principal_components(features: Tensor, bits: int) -> Tensor:
    """Return the leading eigenvectors of the covariance of centred features.

    Args:
        features: ``(N, D)`` float64, centred.
        bits: K, at most D and at most N - 1.

    Returns:
        ``(D, K)`` float64, the largest eigenvalue first; the largest entry of each, by its absolute
        value, is positive.

    Raises:
        ValueError: if K is larger.
    """
    items, width = features.shape
    if bits > min(width, items - 1):
        msg = (
            f"bits must be at most {min(width, items - 1)} for principal components of {items} "
            f"items with {width} features, got {bits}; take fewer, or head LSH"
        )
        raise ValueError(msg)
    vectors: Tensor = torch.linalg.eigh(features.T @ features / items)[1]
    found = vectors[:, -bits:].flip(1)
    largest = found.gather(0, found.abs().argmax(dim=0, keepdim=True))
    return found * largest.sign()


def random_rotation(bits: int, generator: torch.Generator) -> Tensor:
    """Return an orthogonal matrix, drawn evenly from all of them.

    Args:
        bits: K.
        generator: what it is drawn from.

    Returns:
        ``(K, K)`` float64: the Q of a QR decomposition of normal numbers, with R's signs taken off
        (Mezzadri, arXiv math-ph/0609050).
    """
    normal = torch.randn(bits, bits, generator=generator, dtype=torch.float64)
    rotation, upper = torch.linalg.qr(normal)
    found: Tensor = rotation * upper.diagonal().sign()
    return found
