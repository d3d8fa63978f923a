"""How visible a perturbation is."""

from torch import Tensor

from lightning_hash.functional.checks import check_inputs
from lightning_hash.functional.frames import frame_mask, per_frame


def perceptibility(clean: Tensor, adversarial: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Return sqrt(mean (x' - x)^2) per item (HAG IV-E, DHTA 4.4).

    Args:
        clean: ``(B, ...)`` in [0, 1].
        adversarial: ``(B, ...)`` in [0, 1].
        lengths: ``(B,)`` int, the frames of each clip ``(T, ...)``; those behind do not count.

    Returns:
        ``(B,)``; the mean is over all values of an item, channels included.

    Raises:
        ValueError: if the shapes differ.
    """
    squares = _difference(clean, adversarial).square()
    if lengths is None:
        return squares.mean(dim=1).sqrt()
    frames, values = clean.shape[1], clean.shape[2:].numel()
    squares = squares.view(-1, frames, values)
    kept = squares * per_frame(frame_mask(lengths, frames), squares)
    return (kept.sum(dim=(1, 2)) / (lengths * values)).sqrt()


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
    check_inputs(clean, adversarial)
    return (adversarial - clean).flatten(1)
