"""The network of example 03; yours stands here."""

from torch import Tensor, nn


class OwnModel(nn.Module):
    """Images in [0, 1] become logits ``(B, bits)``, whose signs are the code."""

    def __init__(self, bits: int = 32) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 32, 5, stride=2), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2), nn.BatchNorm2d(64), nn.ReLU(),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        )  # fmt: skip
        self.hash_layer = nn.Linear(64 * 4, bits)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.hash_layer(self.body(inputs))
        return logits
