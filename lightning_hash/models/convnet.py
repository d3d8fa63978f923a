"""The small network of the demo."""

from torch import nn

from lightning_hash.models.network import HashNetwork


def convnet(bits: int) -> HashNetwork:
    """Build six convolutions with batch norm and global pooling for inputs of about 64 x 64.

    The hash layer begins at eight times torch's own scale, so that tanh(H) leaves its linear part
    early in a short training.

    Args:
        bits: K.

    Returns:
        The network; 75 thousand parameters at 32 bits.

    Example:
        >>> import torch
        >>> convnet(32)(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 32])
    """
    layers: list[nn.Module] = []
    channels = 3
    for width, kernel, stride in (
        (16, 5, 2), (16, 3, 1), (32, 3, 2), (32, 3, 1), (64, 3, 2), (64, 3, 1),
    ):  # fmt: skip
        layers += [
            nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        channels = width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    hash_layer = nn.Linear(channels, bits)
    hash_layer.weight.data.mul_(8)
    return HashNetwork("convnet", nn.Sequential(*layers), hash_layer)
