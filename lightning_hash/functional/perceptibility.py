"""How visible a perturbation is."""

from torch import Tensor


def perceptibility(clean: Tensor, adversarial: Tensor) -> Tensor:
    """Return sqrt(mean (x' - x)^2) per item (HAG IV-E, DHTA 4.4).

    Args:
        clean: ``(B, ...)`` in [0, 1].
        adversarial: ``(B, ...)`` in [0, 1].

    Returns:
        ``(B,)``; the mean is over all values of an item, channels included.

    Raises:
        ValueError: if the shapes differ.
    """
    return _difference(clean, adversarial).square().mean(dim=1).sqrt()


def linf(clean: Tensor, adversarial: Tensor) -> Tensor:
    """Return the largest |x' - x| per item.

    Args:
        clean: ``(B, ...)`` in [0, 1].
        adversarial: ``(B, ...)`` in [0, 1].

    Returns:
        ``(B,)``.

    Raises:
        ValueError: if the shapes differ.
    """
    return _difference(clean, adversarial).abs().amax(dim=1)


def _difference(clean: Tensor, adversarial: Tensor) -> Tensor:
    if clean.shape != adversarial.shape or clean.dim() < 2:
        msg = (
            "clean and adversarial must have one shape (B, ...), "
            f"got {tuple(clean.shape)} and {tuple(adversarial.shape)}"
        )
        raise ValueError(msg)
    return (adversarial - clean).flatten(1)
