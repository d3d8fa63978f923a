"""How alike the changed images look: SSIM."""

from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from lightning_hash.functional.checks import check_inputs
from lightning_hash.functional.frames import frame_mask
from lightning_hash.metrics.per_query import PerQueryMetric

WINDOW = 11


class SSIM(PerQueryMetric):
    """Mean structural similarity of the clean and the changed inputs (Wang et al., TIP 2004).

    Gaussian windows of 11 x 11 pixels, sigma 1.5, that lie inside of the image as theirs; K1 = 0.01
    and K2 = 0.03 with values in [0, 1]; the mean over windows and channels. Of clips it is the mean
    over the frames that there are. 1 is no change. Ask for it by ``--model.metrics+=SSIM``.

    Example:
        >>> import torch
        >>> image = torch.arange(12 * 12).view(1, 1, 12, 12) / 144
        >>> metric = SSIM()
        >>> metric.update(torch.tensor([0]), clean=image, adversarial=(image + 0.1).clamp(0, 1))
        >>> round(float(metric.compute()), 4)
        0.9831
    """

    name = "ssim"
    higher_is_better = True

    def values(self, clean: Tensor, adversarial: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the similarity of each query, ``(B,)``.

        Args:
            clean: ``(B, C, H, W)``, or ``(B, T, C, H, W)`` of clips, in [0, 1].
            adversarial: of the same shape.
            lengths: ``(B,)`` int, the frames of each clip; those behind do not count.

        Raises:
            ValueError: if the shapes differ, or a side is below 11 pixels.
        """
        check_inputs(clean, adversarial)
        height, width = clean.shape[-2:]
        if clean.dim() not in (4, 5) or min(height, width) < WINDOW:
            msg = (
                f"SSIM compares images in windows of {WINDOW} x {WINDOW} pixels, got inputs of "
                f"{tuple(clean.shape[1:])}; leave it out"
            )
            raise ValueError(msg)
        one, other = (each.flatten(0, -4).float() for each in (clean, adversarial))
        # Its mean has windows over a mirrored edge in it, the map lets them be left out.
        _, windows = structural_similarity_index_measure(
            one, other, data_range=1.0, return_full_image=True
        )
        edge = WINDOW // 2
        inside = windows[..., edge : height - edge, edge : width - edge]
        similar = inside.flatten(1).mean(dim=1).view(len(clean), -1)
        if lengths is None:
            return similar.mean(dim=1)
        live = frame_mask(lengths, similar.shape[1])
        return (similar * live).sum(dim=1) / lengths
