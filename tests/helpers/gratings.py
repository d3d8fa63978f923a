"""Images that a small network learns in seconds, and that 8/255 is enough to confuse it about."""

import math

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from lightning_hash.data import HashDataModule
from lightning_hash.models import build_model

SIDE, CLASSES, BITS = 32, 5, 16


class Gratings(Dataset):
    """Faint gratings, whose direction tells the class, in noise; on the 8-bit grid."""

    def __init__(self, count: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        kinds = torch.arange(count) % CLASSES
        angles = (kinds * math.pi / CLASSES)[:, None, None]
        phases = torch.rand(count, 1, 1, generator=generator) * 2 * math.pi
        rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
        along = rows * torch.cos(angles) + columns * torch.sin(angles)
        waves = 0.06 * torch.sin(along * 2 * math.pi / 8 + phases)
        noise = 0.08 * torch.randn(count, 3, SIDE, SIDE, generator=generator)
        images = (0.5 + waves[:, None] + noise).clamp(0, 1)
        self.images = torch.round(images * 255).to(torch.uint8)
        self.labels = nn.functional.one_hot(kinds, CLASSES).to(torch.uint8)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        return self.images[index].float() / 255, self.labels[index], index


class GratingData(HashDataModule):
    name = "gratings"

    def setup(self, stage):
        self.class_names = [str(number) for number in range(CLASSES)]
        self.train_set = Gratings(400, 0)
        self.query_set, self.database_set = Gratings(40, 1), Gratings(300, 2)

    def fingerprints(self):
        return {"train": "0", "query": "1", "database": "2"}


def trained_network() -> nn.Module:
    """Train a network whose codes are near one code for each class."""
    torch.manual_seed(0)
    network, data = build_model("convnet", bits=BITS), Gratings(400, 0)
    images, labels = data.images.float() / 255, data.labels.float()
    centers = torch.where(torch.randn(CLASSES, BITS) > 0, 1.0, -1.0)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(120):
        rows = torch.randperm(len(images))[:64]
        wanted = (labels[rows] @ centers + 1) / 2
        loss = nn.functional.binary_cross_entropy_with_logits(network(images[rows]), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval().requires_grad_(requires_grad=False)
