"""A watch for what others do to perturbations between the steps of an attack."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

_WORDS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class StepWatch:
    """Notice perturbations and options of rules that are not as the last step left them.

    A callback may do what it likes, and no row would say so. Bits are summed on the device, so that
    nothing waits for it before :meth:`check`.
    """

    def __init__(self) -> None:
        self._left: dict[int, tuple[list[Tensor], dict[str, Any]]] = {}
        self._changed: Tensor | None = None

    def begin(self, number: int, perturbation: nn.Module, optimizer: Optimizer) -> None:
        """Compare with what the last step of a batch left; nothing is known before the first."""
        if number in self._left:
            sums, options = self._left[number]
            for before, here in zip(sums, _sums(perturbation), strict=True):
                differs = (before != here) | (options != _options(optimizer))
                self._changed = differs if self._changed is None else self._changed | differs

    def end(self, number: int, perturbation: nn.Module, optimizer: Optimizer) -> None:
        """Note what a step of a batch has left."""
        self._left[number] = _sums(perturbation), _options(optimizer)

    def check(self, suspects: list[str]) -> None:
        """Raise if anything was changed.

        Args:
            suspects: names of those who may have done it.

        Raises:
            ValueError: naming them.
        """
        changed, self._changed = self._changed, None
        if changed is not None and bool(changed):
            msg = (
                "perturbations or the options of their rule were changed between two steps, and no "
                f"row would say so; leave the callback out that does it: {', '.join(suspects)}"
            )
            raise ValueError(msg)


def _sums(perturbation: nn.Module) -> list[Tensor]:
    """Return a whole number for each parameter that depends on all its bits, on its device."""
    return [
        _words(parameter.detach()).sum(dtype=torch.int64) for parameter in perturbation.parameters()
    ]


def _words(values: Tensor) -> Tensor:
    """Return the bits of values as whole numbers, eight bytes in one where they lie in a row."""
    size = values.element_size()
    if values.is_contiguous() and values.numel() % (8 // size) == 0:
        return values.flatten().view(torch.int64)  # seven times as fast to sum as int32
    return values.view(_WORDS[size])


def _options(optimizer: Optimizer) -> dict[str, Any]:
    return {
        f"{number}.{name}": value
        for number, group in enumerate(optimizer.param_groups)
        for name, value in group.items()
        if name != "params" and not isinstance(value, Tensor)
    }
