"""Which kernels an attack's iterations run on, by measurement on the device at hand."""

import copy
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse
from torch.nn.functional import cosine_similarity
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from lightning_hash.utils.distributed import gather_objects
from lightning_hash.victims.victim import Victim

# Queries that the candidates are timed on: more where their pass takes less than SECONDS, for
# which small caches would flatter some.
QUERIES, SECONDS = 4, 0.1
# Passes of each candidate, where one takes less than a second, and how much faster than float32 it
# must be: what gains less is not worth a choice that may come out otherwise the next time.
ROUNDS, GAIN = 3, 1.1
# Least cosine between a candidate's gradient and that of float32.
COSINE = 0.9

log = logging.getLogger(__name__)
Loss = Callable[[Victim, Tensor], Tensor]


@dataclass(frozen=True)
class Kernels:
    """What the iterations run on.

    Attributes:
        short: convolutions and linear layers in bfloat16.
        channels_last: images and weights in the channels-last layout.
        folded: batch norms folded into the convolutions before them.
        compiled: run through ``torch.compile``.
    """

    short: bool = False
    channels_last: bool = False
    folded: bool = False
    compiled: bool = False

    def __str__(self) -> str:
        kind = "bfloat16" if self.short else "float32"
        names = ("channels_last", "folded", "compiled")
        return " ".join([kind, *(name for name in names if getattr(self, name))])

    def of(self, victim: Victim) -> Victim:
        """Return the victim on these kernels; a copy, unless they are float32 alone.

        Raises:
            ValueError: if batch norms are to be folded and there is none behind a convolution.
        """
        if self == Kernels():
            return victim
        network = _fold(victim.network) if self.folded else copy.deepcopy(victim.network)
        if self.short:
            _shorten(network)
        if self.channels_last:
            network.to(memory_format=torch.channels_last)
        if self.compiled:
            network.compile()
        found = Victim(
            network.eval().requires_grad_(requires_grad=False),
            victim.backbone, victim.bits, victim.loss, victim.name, victim.sha256, victim.members,
        )  # fmt: skip
        found.channels_last = self.channels_last
        return found


CANDIDATES = tuple(
    Kernels(short, channels_last, folded)
    for folded in (False, True)
    for short, channels_last in ((False, False), (False, True), (True, True))
)


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
    plain = CANDIDATES[0]
    network = plain.of(victim)
    few = inputs[:QUERIES].detach()
    exact = _gradient(network, few, loss).flatten()
    once = max(_seconds(network, few, loss), 1e-6)
    many = inputs[: max(QUERIES, int(QUERIES * SECONDS / once))].detach()
    rounds = ROUNDS if once < 1 else 1
    seconds = {}
    for kernels in CANDIDATES:  # one after the other: no two copies of the weights at a time
        try:
            network = kernels.of(victim).to(inputs.device)
            if kernels != plain and not _close(_gradient(network, few, loss).flatten(), exact):
                continue
            if len(many) > len(few):  # the first pass prepares weights and memory
                _gradient(network, many, loss)
        except Exception as error:  # whatever torch.fx, copies and foreign networks raise
            if kernels == plain and isinstance(error, torch.OutOfMemoryError):
                many = few  # the attack will halve its batch
                seconds[kernels] = min(_seconds(network, many, loss) for _ in range(rounds))
                continue
            if kernels == plain:
                raise
            log.debug("kernels %s left out: %s", kernels, error)
            continue
        seconds[kernels] = min(_seconds(network, many, loss) for _ in range(rounds))
    best = min(seconds, key=lambda kernels: seconds[kernels])
    gain = seconds[plain] / seconds[best]
    return (best, gain) if gain >= GAIN else (plain, 1.0)


def agree_on_kernels(victim: Victim, inputs: Tensor | None, loss: Loss) -> Kernels:
    """Choose kernels for all processes, and say so where it is not float32 as it comes.

    Args:
        victim: the victim, on its device.
        inputs: as in :func:`choose_kernels`; ``None`` on processes that do not measure.
        loss: as in :func:`choose_kernels`.

    Returns:
        The choice of rank 0; float32 where it does not measure.
    """
    chosen = (Kernels(), 1.0) if inputs is None else choose_kernels(victim, inputs, loss)
    kernels, gain = gather_objects(chosen)[0]
    if gain > 1:
        rank_zero_info(
            f"kernels: {kernels}, {gain:.1f} times as fast as float32 here; --model.tune false "
            "keeps float32"
        )
    found: Kernels = kernels
    return found


def _seconds(network: Victim, inputs: Tensor, loss: Loss) -> float:
    start = _now(inputs.device)
    _gradient(network, inputs, loss)
    return _now(inputs.device) - start


def _gradient(network: Victim, inputs: Tensor, loss: Loss) -> Tensor:
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


def _fold(network: nn.Module) -> nn.Module:
    """Return a copy without the batch norms that follow a convolution."""
    folded = _folded_parts(network)
    if _batch_norms(folded) == _batch_norms(network):
        msg = "folded: the network has no batch norm behind a convolution"
        raise ValueError(msg)
    return folded


def _folded_parts(network: nn.Module) -> nn.Module:
    """Fold the whole where it can be traced, or its parts."""
    if not _batch_norms(network):
        return network
    try:
        folded: nn.Module = fuse(network)
    except Exception:  # tracing ends in many types, such as that of a branch that depends on data
        folded = copy.deepcopy(network)  # what is not folded must not be the victim's own either
        for name, part in folded.named_children():
            setattr(folded, name, _folded_parts(part))
    return folded


def _batch_norms(network: nn.Module) -> int:
    return sum(isinstance(module, _BatchNorm) for module in network.modules())


def _shorten(network: nn.Module) -> None:
    """Give convolutions and linear layers bfloat16 weights, and cast what reaches them."""
    for module in network.modules():
        if isinstance(module, (_ConvNd, nn.Linear)):
            module.to(torch.bfloat16)
            module.register_forward_pre_hook(_to_bfloat16)


def _to_bfloat16(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return (inputs[0].to(torch.bfloat16), *inputs[1:])
