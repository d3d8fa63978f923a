"""A victim's network as attacks and encoders run it."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental.optimization import fuse
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from lightning_hash.models.network import call_network
from lightning_hash.victims.victim import Victim


class FrozenNetwork(nn.Module):
    """Run a victim in eval mode, whatever the Trainer asks for, and return logits of float32.

    Args:
        victim: whose network.
        compile: run it through ``torch.compile``.
        channels_last: keep weights and images in the channels-last layout.
        folded: run a copy whose batch norms are folded into the convolutions before them, in those
            parts of the network that ``torch.fx`` can trace; there must be one.
        short: run a copy whose convolutions and linear layers have bfloat16 weights and inputs;
            what stands before the first of them, such as the normalisation, stays in float32.

    Attributes:
        bits: K; ``None`` before the first batch, where the victim does not say it.

    Raises:
        ValueError: if ``folded`` finds no batch norm to fold; by a call, if the network does not
            return ``(B, K)``.
    """

    def __init__(
        self,
        victim: Victim,
        *,
        compile: bool = False,
        channels_last: bool = False,
        folded: bool = False,
        short: bool = False,
    ) -> None:
        super().__init__()
        self.network = victim.network
        if folded:
            self.network = _fold(victim.network)
        elif short:
            self.network = copy.deepcopy(victim.network)
        self.bits = victim.bits
        self.channels_last = channels_last
        if short:
            _shorten(self.network)
        if channels_last:
            self.network.to(memory_format=torch.channels_last)
        if compile:
            self.network.compile()
        self.eval()

    def train(self, mode: bool = True) -> "FrozenNetwork":
        """Stay in eval mode."""
        super().train(mode=False)
        return self

    def lay_out(self, inputs: Tensor) -> Tensor:
        """Return inputs in the layout that the network runs on."""
        if self.channels_last and inputs.dim() == 4:
            return inputs.contiguous(memory_format=torch.channels_last)
        return inputs

    def forward(self, inputs: Tensor, *lengths: Tensor) -> Tensor:
        """Return H(x).

        Args:
            inputs: ``(B, ...)`` in [0, 1]; B may be 0 once K is known.
            lengths: of clips; see :func:`lightning_hash.models.network.call_network`.

        Returns:
            ``(B, K)``, float32 where the network computes in a shorter type.

        Raises:
            ValueError: if the network returns another shape, or takes no lengths.
        """
        if len(inputs) == 0 and self.bits is not None:
            return inputs.flatten(1).sum(dim=1, keepdim=True).expand(-1, self.bits)
        logits: Tensor = call_network(self.network, inputs, *lengths)
        if logits.dim() != 2 or len(logits) != len(inputs):
            msg = (
                f"victim: must return logits of shape ({len(inputs)}, K), got {tuple(logits.shape)}"
            )
            raise ValueError(msg)
        self.bits = logits.shape[1]
        return logits.float() if logits.dtype in (torch.bfloat16, torch.float16) else logits


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
