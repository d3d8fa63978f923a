"""The shape of every hash model: normalise, extract features, hash."""

import inspect
from typing import Any, Self

import torch
from torch import Tensor, nn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CASTS = "_casts_its_inputs"  # attribute of modules whose layers cast what reaches them


class HashNetwork(nn.Module):
    """Features and a linear hash layer, with the normalisation inside.

    Args:
        backbone: name of the features.
        features: ``(B, 3, H, W)`` normalised to ``(B, D)``.
        hash_layer: ``(B, D)`` to ``(B, K)``.
        mean: mean of each input channel, in [0, 1].
        std: standard deviation of each input channel, positive.
        pretrained: whether the features carry pretrained weights.

    Attributes:
        bits: K.
        mean: ``(3,)`` buffer.
        std: ``(3,)`` buffer.
        frozen: whether the layers before the hash layer are neither trained nor change in training.

    Example:
        >>> network = HashNetwork("pixels", nn.Flatten(), nn.Linear(12, 8))
        >>> network(torch.rand(5, 3, 2, 2)).shape
        torch.Size([5, 8])
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: str,
        features: nn.Module,
        hash_layer: nn.Linear,
        mean: tuple[float, ...] = IMAGENET_MEAN,
        std: tuple[float, ...] = IMAGENET_STD,
        pretrained: bool = False,
    ) -> None:
        super().__init__()
        self.backbone, self.bits, self.pretrained = backbone, hash_layer.out_features, pretrained
        self.extractor, self.hash_layer = features, hash_layer
        self.frozen = False
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def normalize(self, images: Tensor) -> Tensor:
        """Subtract the mean and divide by the standard deviation of each channel."""
        return (images - self.mean.view(-1, 1, 1)) / self.std.view(-1, 1, 1)

    def features(self, inputs: Tensor, *lengths: Tensor) -> Tensor:
        """Return what the hash layer sees.

        Args:
            inputs: ``(B, 3, H, W)`` floating in [0, 1].
            lengths: of clips; see :func:`call_network`.

        Returns:
            ``(B, D)``.
        """
        features: Tensor = self.extractor(self.normalize(inputs), *lengths)
        return features.flatten(1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits H(x).

        Args:
            inputs: ``(B, 3, H, W)`` floating in [0, 1].

        Returns:
            ``(B, K)``, before any activation.
        """
        logits: Tensor = self.hash_layer(self.features(inputs))
        return logits

    def freeze(self) -> None:
        """Keep what :meth:`pretrained_parameters` names, and statistics of batch norms, as is."""
        self.frozen = True
        for parameter in self.pretrained_parameters():
            parameter.requires_grad = False
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; frozen layers stay in eval mode."""
        super().train(mode)
        if self.frozen:
            self.extractor.eval()
        return self

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Return the parameters before the hash layer."""
        return list(self.extractor.parameters())

    def new_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the hash layer."""
        return list(self.hash_layer.parameters())


def call_network(network: nn.Module, inputs: Tensor, *lengths: Tensor) -> Any:
    """Pass a batch through a network.

    Args:
        network: called with the inputs and, where there are lengths, with them.
        inputs: ``(B, ...)``.
        lengths: nothing, or ``(B,)`` int64: how many of the T frames of each clip ``(B, T, ...)``
            there are; zeros fill the rest.

    Returns:
        What the network returns.

    Raises:
        ValueError: if there are lengths and the network takes none.
    """
    if lengths and not _takes_lengths(network):
        msg = (
            f"{type(network).__name__} takes no lengths, and these clips have several; pass clips "
            "of one length (data: short: repeat), or give its forward a second argument `lengths`"
        )
        raise ValueError(msg)
    return network(as_taken(network, inputs), *lengths)


def as_taken(network: nn.Module, inputs: Tensor) -> Tensor:
    """Return inputs in the number type of a network that has one, other than float32, throughout.

    Args:
        network: such as ``network.half()``; one that is marked by :data:`CASTS` or of several types
            gets its inputs as they are.
        inputs: ``(B, ...)`` floating.
    """
    first = next((p for p in network.parameters() if p.is_floating_point()), None)
    if first is None or first.dtype == torch.float32 or vars(network).get(CASTS):
        return inputs
    tensors = (*network.parameters(), *network.buffers())
    if any(t.dtype != first.dtype for t in tensors if t.is_floating_point()):
        return inputs
    return inputs.to(first.dtype)


def _takes_lengths(network: nn.Module) -> bool:
    try:
        parameters = inspect.signature(network.forward).parameters.values()
    except (TypeError, ValueError):  # scripts have no signature
        return True
    return any(p.name == "lengths" or p.kind == p.VAR_POSITIONAL for p in parameters)
