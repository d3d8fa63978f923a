"""Which kernels an attack's iterations run on, by measurement on the device at hand."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from lightning_hash.models.frozen import FrozenNetwork
from lightning_hash.models.victim import Victim

# Queries that the candidates are timed on, rounds, and how much faster one must be than float32:
# what gains less is not worth a choice that may come out otherwise the next time.
QUERIES, ROUNDS, GAIN = 4, 2, 1.25
# Least cosine between a candidate's gradient and that of float32.
COSINE = 0.9

Loss = Callable[[FrozenNetwork, Tensor], Tensor]


@dataclass(frozen=True)
class Kernels:
    """What the iterations run on.

    Attributes:
        short: convolutions and linear layers in bfloat16.
        channels_last: images and weights in the channels-last layout.
    """

    short: bool = False
    channels_last: bool = False

    def __str__(self) -> str:
        layout = " channels_last" if self.channels_last else ""
        return ("bfloat16" if self.short else "float32") + layout

    def network(self, victim: Victim) -> FrozenNetwork:
        """Return the victim's network on these kernels."""
        return FrozenNetwork(victim, channels_last=self.channels_last, short=self.short)


CANDIDATES = (Kernels(), Kernels(channels_last=True), Kernels(short=True, channels_last=True))


def choose_kernels(victim: Victim, inputs: Tensor, loss: Loss) -> tuple[Kernels, float]:
    """Time forward and backward passes of a few queries on each candidate.

    Candidates that fail, or whose gradient points elsewhere than that of float32, are left out.

    Args:
        victim: the victim, on its device.
        inputs: ``(B, C, H, W)`` float32 images; the first few are used.
        loss: ``(network, inputs) -> scalar``.

    Returns:
        The fastest and how many times as fast as float32 it was.
    """
    inputs = inputs[:QUERIES].detach()
    networks, gradients = {}, {}
    for kernels in CANDIDATES:
        try:
            network = kernels.network(victim).to(inputs.device)
            gradients[kernels] = _gradient(network, inputs, loss).flatten()
        except (RuntimeError, NotImplementedError, TypeError, AttributeError):
            continue  # scripted and exported programs cannot be copied and cast
        networks[kernels] = network
    plain = CANDIDATES[0]
    usable = {
        kernels: network
        for kernels, network in networks.items()
        if kernels == plain or _close(gradients[kernels], gradients[plain])
    }
    seconds = dict.fromkeys(usable, math.inf)
    for _ in range(ROUNDS):
        for kernels, network in usable.items():
            start = _now(inputs.device)
            _gradient(network, inputs, loss)
            seconds[kernels] = min(seconds[kernels], _now(inputs.device) - start)
    victim.network.to(memory_format=torch.contiguous_format)
    best = min(seconds, key=lambda kernels: seconds[kernels])
    gain = seconds[plain] / seconds[best]
    return (best, gain) if gain >= GAIN else (plain, 1.0)


def _gradient(network: FrozenNetwork, inputs: Tensor, loss: Loss) -> Tensor:
    laid_out = network.lay_out(inputs).requires_grad_()
    (gradient,) = torch.autograd.grad(loss(network, laid_out), laid_out)
    return gradient


def _close(gradient: Tensor, plain: Tensor) -> bool:
    if not gradient.isfinite().all():
        return False
    alike = cosine_similarity(gradient.double(), plain.double(), dim=0) >= COSINE
    return bool(alike) or not plain.any()


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
