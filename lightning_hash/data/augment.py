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


class FlipShift:
    """Mirror and shift every image by its own draw; the border is mirrored.

    Draws come from torch's global generator of the batch's device.

    Args:
        shift: largest shift along each side, as a fraction of the side; in [0, 0.5].
        flip: probability of a horizontal mirror image.

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> FlipShift(shift=0.0, flip=1.0)(torch.tensor([0.25, 0.75]).expand(1, 3, 1, 2))[0, 0]
        tensor([[0.7500, 0.2500]])
    """

    def __init__(self, shift: float = 0.1, flip: float = 0.5) -> None:
        if not 0 <= shift <= 0.5:
            msg = f"shift must be in [0, 0.5], got {shift}"
            raise ValueError(msg)
        if not 0 <= flip <= 1:
            msg = f"flip must be in [0, 1], got {flip}"
            raise ValueError(msg)
        self.shift, self.flip = shift, flip

    def __call__(self, images: Tensor) -> Tensor:
        """Flip and shift images.

        Args:
            images: ``(B, 3, H, W)`` floating; or clips ``(B, T, 3, H, W)``, each by one draw.

        Returns:
            A new tensor of the same shape.
        """
        if images.dim() == 5:
            moved: Tensor = self(images.flatten(1, 2)).view_as(images)
            return moved
        batch, _, height, width = images.shape
        draws = torch.rand(3, batch, 1, device=images.device)
        rows = self._places(height, draws[0])
        columns = self._places(width, draws[1])
        columns = torch.where(draws[2] < self.flip, width - 1 - columns, columns)
        number = torch.arange(batch, device=images.device)[:, None, None]
        shifted = images.permute(0, 2, 3, 1)[number, rows[:, :, None], columns[:, None, :]]
        return shifted.permute(0, 3, 1, 2)

    def _places(self, side: int, draw: Tensor) -> Tensor:
        """Return ``(B, side)``: which pixel along a side lands at each place."""
        most = int(self.shift * side)
        shift = (draw * (2 * most + 1)).long() - most
        places = torch.arange(side, device=draw.device) + shift
        places = places.abs()
        return torch.where(places >= side, 2 * (side - 1) - places, places)


def _grey(images: Tensor) -> Tensor:
    red, green, blue = images.unbind(1)  # numbers of Python: a tensor of them would be copied
    return (0.299 * red + 0.587 * green + 0.114 * blue).unsqueeze(1)
