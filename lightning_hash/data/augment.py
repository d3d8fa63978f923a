"""Augmentation of whole batches, with a draw per image."""

import torch
from torch import Tensor


class ColorJitter:
    """Change each image's brightness, contrast, saturation and white balance, and mirror half.

    torchvision's ColorJitter draws one factor for a whole batch. Draws come from torch's global
    generator of the batch's device.

    Args:
        strength: factors are uniform in [1 - strength, 1 + strength]; in [0, 1]. The white balance
            is a factor per channel.
        flip: probability of a horizontal mirror image.

    Raises:
        ValueError: if an argument is outside [0, 1].

    Example:
        >>> ColorJitter(strength=0.0, flip=1.0)(torch.tensor([0.25, 0.75]).expand(1, 3, 1, 2))[0, 0]
        tensor([[0.7500, 0.2500]])
    """

    def __init__(self, strength: float, flip: float = 0.5) -> None:
        for name, value in (("strength", strength), ("flip", flip)):
            if not 0 <= value <= 1:
                msg = f"{name} must be in [0, 1], got {value}"
                raise ValueError(msg)
        self.strength, self.flip = strength, flip

    def __call__(self, images: Tensor) -> Tensor:
        """Jitter images.

        Args:
            images: ``(B, 3, H, W)`` floating in [0, 1].

        Returns:
            A new tensor of the same shape in [0, 1].
        """
        draws = torch.rand(7, len(images), 1, 1, 1, device=images.device)
        factors = 1 + self.strength * (2 * draws[:6] - 1)
        brightness, contrast, saturation = factors[:3]
        images = (images * brightness).clamp(0, 1)
        mean = _grey(images).mean(dim=(2, 3), keepdim=True)
        images = torch.lerp(mean, images, contrast).clamp(0, 1)
        images = torch.lerp(_grey(images), images, saturation).clamp(0, 1)
        images = (images * torch.cat(list(factors[3:]), dim=1)).clamp(0, 1)
        return torch.where(draws[6] < self.flip, images.flip(3), images)


def _grey(images: Tensor) -> Tensor:
    weights = images.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)
