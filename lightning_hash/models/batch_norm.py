"""Hash models with a batch norm behind the hash layer (OrthoHash)."""

import torch.nn.functional as F
from torch import Tensor, nn

from lightning_hash.models.backbones import build_model
from lightning_hash.models.network import HashNetwork


class BatchNormNetwork(HashNetwork):
    """A hash network whose logits are normalised, so that each bit is balanced.

    The network of OrthoHash (Hoe et al., NeurIPS 2021, 3.3; models/alexnet.py of kamwoh/orthohash):
    a hash layer without a bias and a batch norm. Deliberate difference: a batch of one item is
    normalised by the running statistics, in training too.

    Args:
        bits: K.
        features: a backbone of ``fit`` by name, whose features are taken.
        weights: of that backbone, as ``weights`` of ``fit``.

    Raises:
        ValueError: if the backbone or its weights are wrong.

    Example:
        >>> import torch
        >>> network = BatchNormNetwork(16, features="convnet")
        >>> network(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 16])
        >>> network.backbone
        'convnet-bn'
    """

    def __init__(self, bits: int, features: str = "alexnet", weights: str | None = None) -> None:
        base = build_model(features, bits, weights)
        hash_layer = NormalizedLinear(base.hash_layer.in_features, bits)
        mean, std = tuple(base.mean.tolist()), tuple(base.std.tolist())
        super().__init__(
            f"{features}-bn", base.extractor, hash_layer, mean, std, pretrained=base.pretrained
        )


class NormalizedLinear(nn.Linear):
    """A linear layer without a bias, and a batch norm of what it gives.

    Args:
        in_features: D.
        out_features: K.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.norm = nn.BatchNorm1d(out_features)

    def forward(self, features: Tensor) -> Tensor:
        """Return the normalised ``(B, K)`` of features ``(B, D)``."""
        values = super().forward(features)
        norm = self.norm
        if self.training and len(values) == 1:
            return F.batch_norm(
                values, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
            )
        normalized: Tensor = norm(values)
        return normalized
