"""What a network sees of queries: as they are, or images that are resized and cropped."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2.functional import pil_to_tensor, resize, to_pil_image

from lightning_hash.data.pictures import jpeg_content, read_picture
from lightning_hash.functional import from_8bit


class View:
    """The network sees the queries as they are."""

    def __call__(self, queries: Tensor) -> Tensor:
        """Return inputs ``(B, ...)`` of queries ``(B, ...)`` in [0, 1], differentiable."""
        return queries

    def of_clean(self, queries: Tensor) -> Tensor:
        """Return the inputs ``(B, ...)`` that clean queries have in the data set."""
        return queries

    def of_files(self, images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return the inputs of queries that were saved as 8-bit files and read again.

        Args:
            images: uint8 ``(B, ...)``.
            dtype: of the result, floating.
        """
        return from_8bit(images, dtype)

    def of_picture(self, picture: Image.Image) -> Tensor:
        """Return the levels, uint8 ``(3, H, W)``, of the input that a picture becomes."""
        levels: Tensor = pil_to_tensor(picture)
        return levels


class ResizeAndCrop(View):
    """Resize and crop images of any size as a system does its files, with a gradient.

    Called with images it resizes as Pillow does, first the width and then the height, by torch's
    anti-aliased filters; only Pillow's rounding to whole levels after each is left out. (Pillow 13
    begins with the height where that is less work, which differs where bicubic overshoots.) Files
    are resized by Pillow itself.

    Args:
        transform: from an RGB picture to float32 ``(3, size, size)`` in [0, 1]; see
            :func:`lightning_hash.data.images.image_transform`.

    Example:
        >>> from lightning_hash.data.images import image_transform
        >>> view = ResizeAndCrop(image_transform(8, resize=10))
        >>> view(torch.rand(2, 3, 20, 30)).shape
        torch.Size([2, 3, 8, 8])
    """

    def __init__(self, transform: v2.Compose) -> None:
        self.transform = transform
        (self._resize,) = (each for each in transform.transforms if isinstance(each, v2.Resize))
        (self._crop,) = (each for each in transform.transforms if isinstance(each, v2.CenterCrop))

    def __call__(self, images: Tensor) -> Tensor:
        """Return network inputs.

        Args:
            images: ``(B, 3, H, W)`` floating in [0, 1].

        Returns:
            ``(B, 3, size, size)`` in [0, 1], differentiable; cut to that range where bicubic
            overshoots it.
        """
        before, kind = images.shape[-2:], self._resize.interpolation
        high, wide = self.resized(*before)
        if kind == InterpolationMode.NEAREST:
            rows, columns = _nearest(before[0], high), _nearest(before[1], wide)
            images = images[..., rows[:, None], columns]
        else:
            for size in ([before[0], wide], [high, wide]):
                images = resize(images, size, kind)
                if kind == InterpolationMode.BICUBIC:
                    images = images.clamp(0, 1)
        inputs: Tensor = self._crop(images)
        return inputs

    def resized(self, high: int, wide: int) -> tuple[int, int]:
        """Return height and width before the crop.

        Args:
            high: height of an image.
            wide: its width.
        """
        sides = list(self._resize.size)
        if len(sides) == 2:
            return sides[0], sides[1]
        (short,) = sides
        longer = int(short * max(high, wide) / min(high, wide))
        return (short, longer) if high <= wide else (longer, short)

    def of_clean(self, queries: Tensor) -> Tensor:
        """Return what the system makes of the files: queries are levels of 8 bits, over 255."""
        return self.of_files((queries * 255).round().to(torch.uint8), queries.dtype)

    def of_files(self, images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Return what Pillow makes of saved images: ``(B, 3, size, size)`` in [0, 1].

        Args:
            images: uint8 ``(B, 3, H, W)``.
            dtype: of the result, floating.
        """
        inputs = [self.transform(to_pil_image(image)) for image in images.cpu()]
        if not inputs:
            return self(from_8bit(images, dtype))
        return torch.stack(inputs).to(images.device, dtype)

    def of_picture(self, picture: Image.Image) -> Tensor:
        """Return the levels, uint8 ``(3, size, size)``, of what Pillow makes of a picture."""
        return super().of_picture(self._crop(self._resize(picture)))


def _nearest(size: int, wanted: int) -> Tensor:
    """Return which pixels ``(wanted,)`` of a side Pillow takes; it adds up steps, which round."""
    step = size / wanted
    steps = np.full(wanted, step)
    steps[0] = 0.5 * step
    return torch.from_numpy(steps.cumsum().astype(np.int64))


def jpeg_bytes(image: Tensor, quality: int) -> bytes:
    """Encode an image as JPEG; see :func:`lightning_hash.data.pictures.jpeg_content`.

    Args:
        image: uint8 ``(3, H, W)``.
        quality: from 1 to 100.
    """
    return jpeg_content(to_pil_image(image.cpu()), quality)


def after_jpeg(images: Tensor, quality: int) -> Tensor:
    """Save images as JPEG and read them again, as data sets do.

    Args:
        images: uint8 ``(B, 3, H, W)``.
        quality: from 1 to 100.

    Returns:
        uint8 ``(B, 3, H, W)``, on the device of ``images``.
    """
    read = (read_picture(io.BytesIO(jpeg_bytes(image, quality))) for image in images)
    again = [pil_to_tensor(picture) for picture in read]
    return torch.stack(again).to(images.device) if again else images
