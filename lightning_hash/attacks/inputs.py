"""Random changes of the perturbed inputs before the victim sees them, for transfer."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from lightning_hash.attacks.draws import query_generator
from lightning_hash.utils.numbers import check_seed
from lightning_hash.utils.settings import Part


class DiverseInputs(Part, nn.Module):
    """Resize and pad each perturbed image by its own draw (after DI-FGSM, Xie et al., CVPR 2019).

    With a probability an image is shrunk, bilinearly, to a side drawn from [smallest S, S] and put
    at a place drawn inside S x S zeros, as in torchattacks and in SAAT's code. Deliberate
    differences to the authors' `input_diversity` (cihangxie/DI-2-FGSM): that one enlarges, by
    nearest neighbours, to a side in [299, 330) inside 330 x 330, which not every network takes, and
    draws once for a batch. Each draw here is a function of the seed, the iteration and the query's
    index.

    Args:
        probability: of a change; in [0, 1].
        smallest: least side as a fraction of the image's, in (0, 1].
        seed: seed of the draws.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> images = torch.rand(2, 3, 8, 8)
        >>> torch.equal(DiverseInputs(probability=0.0)(images, [5, 9], 0), images)
        True
    """

    def __init__(self, probability: float = 0.5, smallest: float = 0.9, seed: int = 0) -> None:
        super().__init__()
        if not 0 <= probability <= 1:
            msg = f"probability must be in [0, 1], got {probability}"
            raise ValueError(msg)
        if not 0 < smallest <= 1:
            msg = f"smallest must be in (0, 1], got {smallest}"
            raise ValueError(msg)
        check_seed("seed", seed)
        self.probability, self.smallest, self.seed = probability, smallest, seed

    def forward(self, images: Tensor, index: list[int], iteration: int) -> Tensor:
        """Change images.

        Args:
            images: ``(B, 3, H, W)``, or clips ``(B, T, 3, H, W)``, whose frames change alike.
            index: the queries' own indices, B of them.
            iteration: its number.

        Returns:
            The same shape, differentiable.

        Raises:
            ValueError: if these are no images.
        """
        if images.dim() not in (4, 5):
            msg = (
                "inputs: diverse inputs are for images (B, 3, H, W) or clips (B, T, 3, H, W), got "
                f"{tuple(images.shape)}"
            )
            raise ValueError(msg)
        changed = [
            self._one(image, query_generator(f"{self.seed}/diverse/{iteration}/{query}"))
            for image, query in zip(images, index, strict=True)
        ]
        return torch.stack(changed) if changed else images

    def _one(self, image: Tensor, generator: torch.Generator) -> Tensor:
        chance, size, top, left = torch.rand(4, generator=generator).tolist()
        if chance >= self.probability:
            return image
        height, width = image.shape[-2:]
        scale = self.smallest + (1 - self.smallest) * size
        sides = max(1, round(height * scale)), max(1, round(width * scale))
        frames = image.reshape(-1, *image.shape[-3:])
        small = interpolate(frames, sides, mode="bilinear", align_corners=False)
        small = small.view(*image.shape[:-2], *sides)
        above, before = round(top * (height - sides[0])), round(left * (width - sides[1]))
        return pad(small, (before, width - sides[1] - before, above, height - sides[0] - above))
