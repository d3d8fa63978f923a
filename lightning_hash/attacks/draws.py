"""Random draws that neighbours, processes and resumption do not change."""

import hashlib

import torch
from torch import Tensor

# SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), in int64, whose products wrap as unsigned ones.
_GAMMA = -0x61C8864680B583EB
_MIXES = ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15), (31, 1))


def query_generator(key: str) -> torch.Generator:
    """Return a generator that is a function of a key alone.

    Args:
        key: such as ``"seed/query index"`` or ``"seed/query index/iteration"``.
    """
    digest = hashlib.sha256(key.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def query_draws(seed: int, index: Tensor, iteration: int, count: int) -> Tensor:
    """Draw a few numbers for each query, all at once and where the queries are.

    For what is drawn in every iteration, where a generator for each query would cost more than the
    pass; for a whole image :func:`query_generator` is the faster one.

    Args:
        seed: seed of the draws.
        index: ``(B,)`` int64, the queries' own indices.
        iteration: from 0.
        count: numbers for each query.

    Returns:
        float64 ``(B, count)``, uniform in [0, 1); a row is a function of seed, query index and
        iteration alone, on every device.

    Example:
        >>> together = query_draws(0, torch.tensor([7, 3]), 5, 2)
        >>> torch.equal(together[1:], query_draws(0, torch.tensor([3]), 5, 2))
        True
    """
    place = torch.arange(count, device=index.device)
    state = _mixed(
        _mixed(_mixed(index.to(torch.int64) + seed * 2**32) + iteration)[:, None] + place
    )
    return _shifted(state, 11).double() * 2.0**-53


def _mixed(values: Tensor) -> Tensor:
    mixed = values * _GAMMA
    for shift, factor in _MIXES:
        mixed = (mixed ^ _shifted(mixed, shift)) * factor
    return mixed


def _shifted(values: Tensor, count: int) -> Tensor:
    """Shift int64 to the right as if it had no sign."""
    shifted: Tensor = (values >> count) & (2 ** (64 - count) - 1)
    return shifted
