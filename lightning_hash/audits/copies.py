"""Copies of a network with other weights, which somebody's own should retrieve better than."""

import copy
from collections.abc import Callable

import torch
from torch import nn

COPIES = 5


def drawn_anew(network: nn.Module, seed: int) -> nn.Module | None:
    """Return a copy of a network whose modules have drawn their weights anew.

    The random state of the process stays as it was.

    Args:
        network: stays as it is.
        seed: of the draw.

    Returns:
        The copy; ``None`` where it cannot be copied, or no module of it has ``reset_parameters``.
    """
    try:
        found = copy.deepcopy(network)
    except (RuntimeError, TypeError, NotImplementedError):  # a program of others
        return None
    modules = [each for each in found.modules() if _reset(each) is not None]
    if not modules:
        return None
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for module in modules:
            reset = _reset(module)
            if reset is not None:
                reset()
    return found


def _reset(module: nn.Module) -> Callable[[], object] | None:
    found = getattr(module, "reset_parameters", None)
    return found if callable(found) else None
