"""What an attack's iterations run on: number type, layout, folded batch norms, compilation."""

import contextlib
import copy
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.fx.experimental.optimization import fuse
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from lightning_hash.functional.checks import check_choice
from lightning_hash.models.network import CASTS, HashNetwork
from lightning_hash.victims.borrow import reduced_precision, set_eval
from lightning_hash.victims.victim import Victim

AUTO, FASTEST = "auto", "fastest"
# Names of an option and of result rows, and the fields that they stand for.
NAMES = {
    "bfloat16": "short",
    "tf32": "tf32",
    "channels_last": "channels_last",
    "folded": "folded",
    "compile": "compiled",
}


@dataclass(frozen=True)
class Kernels:
    """What the iterations run on.

    Attributes:
        short: convolutions and linear layers in bfloat16.
        channels_last: images and weights in the channels-last layout.
        folded: batch norms folded into the convolutions before them.
        compiled: run through ``torch.compile``.
        tf32: products of float32 numbers in TensorFloat-32, on devices that have it.

    Example:
        >>> str(Kernels(channels_last=True, folded=True))
        'float32 channels_last folded'
    """

    short: bool = False
    channels_last: bool = False
    folded: bool = False
    compiled: bool = False
    tf32: bool = False

    def __str__(self) -> str:
        names = [name for name, field in NAMES.items() if getattr(self, field)]
        return " ".join(names if self.short or self.tf32 else ["float32", *names])

    @property
    def exact(self) -> bool:
        """Whether nothing is computed in a shorter type than float32."""
        return not (self.short or self.tf32)

    def of(self, victim: Victim) -> Victim:
        """Return the victim on these kernels; a copy, unless nothing in it changes.

        Raises:
            ValueError: if the network cannot be put on them: batch norms are to be folded and there
                is none behind a convolution, or it can neither be copied nor cast.
        """
        if not (self.short or self.channels_last or self.folded or self.compiled):
            return victim
        try:
            network = self._on(victim.network)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # whatever torch.fx, copies and foreign networks raise
            msg = f"kernels {self}: {victim.backbone} cannot be put on them ({error}); name others"
            raise ValueError(msg) from error
        set_eval(network)
        found = Victim(
            network.requires_grad_(requires_grad=False),
            victim.backbone, victim.bits, victim.loss, victim.name, victim.sha256, victim.members,
        )  # fmt: skip
        found.channels_last, found.call = self.channels_last, victim.call
        return found

    @contextlib.contextmanager
    def arithmetic(self) -> Iterator[None]:
        """Let the device multiply as these kernels do."""
        if not self.tf32:
            yield
            return
        with reduced_precision():
            yield

    def _on(self, network: nn.Module) -> nn.Module:
        if self.folded or self.compiled:
            _check_names(network)
        network = _fold(network) if self.folded else copy.deepcopy(network)
        if self.short:
            _shorten(network)
        if self.channels_last:
            network.to(memory_format=torch.channels_last)
        if self.compiled:
            network.compile()
        return network


def _check_names(network: nn.Module) -> None:
    """Refuse names of layers that are more: torch.fx writes them into code that is run."""
    for name, _ in network.named_modules():
        if name and not re.fullmatch(r"(?a:[\w.]+)", name):
            msg = f"layers must have plain names, got {name!r}"
            raise ValueError(msg)


def read_kernels(given: str | Sequence[str]) -> Kernels | str:
    """Read the option ``kernels``.

    Args:
        given: ``"auto"``, ``"fastest"``, or names: a list, or a text of them as in result rows.

    Returns:
        The kernels; ``"auto"`` and ``"fastest"`` are left to a choice.

    Raises:
        ValueError: if a name is unknown, or two types are asked for.

    Example:
        >>> read_kernels("float32 channels_last") == read_kernels(["channels_last"])
        True
    """
    names = given.replace(",", " ").split() if isinstance(given, str) else list(given)
    if names in ([AUTO], [FASTEST]):
        return names[0]
    for name in names or [""]:
        check_choice("kernels", name, ("float32", *NAMES, AUTO, FASTEST))
    types = [name for name in ("float32", "bfloat16", "tf32") if name in names]
    if len(types) > 1 or AUTO in names or FASTEST in names:
        msg = f"kernels must be {AUTO}, {FASTEST}, or one number type and layouts, got {given!r}"
        raise ValueError(msg)
    return Kernels(**{field: name in names for name, field in NAMES.items()})


def batch_norms(network: nn.Module) -> int:
    """Return how many batch norms a network has."""
    return sum(isinstance(module, _BatchNorm) for module in network.modules())


def widest_convolution(network: nn.Module) -> int:
    """Return the channels that the widest convolution makes; 0 without any that is known."""
    widths = [module.out_channels for module in network.modules() if isinstance(module, _ConvNd)]
    return max(widths, default=0)


def _fold(network: nn.Module) -> nn.Module:
    """Return a copy without the batch norms that follow a convolution."""
    folded = _folded_parts(network)
    if batch_norms(folded) == batch_norms(network):
        msg = "folded: the network has no batch norm behind a convolution"
        raise ValueError(msg)
    return folded


def _folded_parts(network: nn.Module) -> nn.Module:
    """Fold the whole where it can be traced, or its parts; a known hash layer stays known."""
    if not batch_norms(network):
        return network
    if not isinstance(network, HashNetwork):
        with contextlib.suppress(Exception):  # tracing ends in many types, a branch on data in one
            folded: nn.Module = fuse(network)
            return folded
    parts = copy.deepcopy(network)  # what is not folded must not be the victim's own either
    for name, part in parts.named_children():
        setattr(parts, name, _folded_parts(part))
    return parts


def _shorten(network: nn.Module) -> None:
    """Give convolutions and linear layers bfloat16 weights, and cast what reaches them."""
    for module in network.modules():
        if isinstance(module, (_ConvNd, nn.Linear)):
            module.to(torch.bfloat16)
            module.register_forward_pre_hook(_to_bfloat16)
        vars(module)[CASTS] = True


def _to_bfloat16(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return (inputs[0].to(torch.bfloat16), *inputs[1:])
