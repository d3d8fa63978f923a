"""Random draws that neighbours, processes and resumption do not change."""

import hashlib

import torch


def query_generator(key: str) -> torch.Generator:
    """Return a generator that is a function of a key alone.

    Args:
        key: such as ``"seed/query index"`` or ``"seed/query index/iteration"``.
    """
    digest = hashlib.sha256(key.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
