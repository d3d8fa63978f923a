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


def estimate_statistics(network: nn.Module, passed: Callable[[], object]) -> None:
    """Let batch norms take their running statistics from a batch, as training would.

    With those they begin with, deep networks of random weights give one code to all items, which
    any network is better than.

    Args:
        network: in eval mode, which it is in again.
        passed: passes a batch through it.
    """
    norms = [
        module
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    ]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None  # the mean of what is passed, with no part of what was there
        norm.train()
    with torch.no_grad():
        passed()
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
        norm.eval()


def _reset(module: nn.Module) -> Callable[[], object] | None:
    found = getattr(module, "reset_parameters", None)
    return found if callable(found) else None
