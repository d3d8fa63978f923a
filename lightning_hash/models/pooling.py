"""Pooling whose gradient repeats itself on GPUs."""

from typing import cast

from torch import Tensor, nn


class AdaptiveAveragePool(nn.AdaptiveAvgPool2d):
    """Adaptive average pooling that does nothing where nothing is to be averaged.

    CUDA's kernel adds gradients in the order in which threads end, and torch refuses it where
    ``deterministic`` is set, also where the features have the output's size already, as those of
    AlexNet and VGG at 224 pixels, or are one value per channel, as VGG's at 32 pixels.
    """

    def forward(self, features: Tensor) -> Tensor:
        """Return the averages ``(..., h, w)`` of features ``(..., H, W)``."""
        height, width = cast(tuple[int, int], self.output_size)
        size = features.shape[-2:]
        if size == (height, width):
            return features
        if size == (1, 1):
            return features.expand(*features.shape[:-2], height, width)
        return super().forward(features)
