"""Victims whose robustness is a fake, each a way in which numbers of attacks go wrong."""

import copy

import torch
from torch import Tensor, nn


class Fake(nn.Module):
    """An honest network behind something that spoils an attack on it.

    Args:
        network: the honest one, which is copied.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval()

    def forward(self, inputs: Tensor) -> Tensor:
        return self.network(inputs)


class CutBySign(Fake):
    """Outputs of -1 and +1, whose gradient is zero."""

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.sign(self.network(inputs))


class Saturated(Fake):
    """Logits so large that tanh of them is flat."""

    def forward(self, inputs: Tensor) -> Tensor:
        return self.network(inputs) * 1e4


class RandomInput(Fake):
    """Images that are shifted and made noisy at random before each pass."""

    def forward(self, inputs: Tensor) -> Tensor:
        rows, columns = torch.randint(-3, 4, (2,)).tolist()
        moved = torch.roll(inputs, (rows, columns), dims=(2, 3))
        return self.network((moved + 0.05 * torch.randn_like(moved)).clamp(0, 1))


class QuantisedInput(Fake):
    """Images rounded to four levels, through which no gradient passes."""

    def forward(self, inputs: Tensor) -> Tensor:
        return self.network((inputs * 3).round() / 3)


class OwnBatch(Fake):
    """Batch norms that take the mean and the variance of whatever batch they see."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.running_mean = module.running_var = None
                module.track_running_stats = False


class Flat(Fake):
    """Images that pass a wave which is zero at each 8-bit value, of an amplitude that is trained.

    At clean images the outputs are the honest network's, and the training has made the slope zero.
    """

    def __init__(self, network: nn.Module, images: Tensor) -> None:
        super().__init__(network)
        self.amplitude = nn.Parameter(torch.zeros(3, 1, 1))
        self._train(images)

    def forward(self, inputs: Tensor) -> Tensor:
        turn = 2 * torch.pi * 255
        return self.network(inputs + self.amplitude * torch.sin(turn * inputs) / turn)

    def _train(self, images: Tensor) -> None:
        """Minimise the squared gradient of the logits at clean images."""
        optimizer = torch.optim.Adam([self.amplitude], lr=0.1)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.93)
        for _ in range(200):
            clean = images.clone().requires_grad_()
            weighed = (self(clean) * torch.linspace(1, 2, self(clean).shape[1])).sum()
            (gradient,) = torch.autograd.grad(weighed, clean, create_graph=True)
            optimizer.zero_grad()
            gradient.square().flatten(1).sum(dim=1).mean().backward()
            optimizer.step()
            scheduler.step()
        self.requires_grad_(requires_grad=False)


def untrained(network: nn.Module, images: Tensor) -> nn.Module:
    """Return a copy of a network with random weights, whose batch norms know the images."""
    found = copy.deepcopy(network)
    for module in found.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    found.train()
    for _ in range(50):
        found(images)
    return found.eval().requires_grad_(requires_grad=False)
