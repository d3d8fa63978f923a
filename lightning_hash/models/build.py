"""Networks from their descriptions."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from lightning_hash.models.backbones import build_model
from lightning_hash.models.network import HashNetwork
from lightning_hash.utils.memory import is_out_of_memory
from lightning_hash.utils.trust import import_named

NETWORKS = ("lightning_hash.models", "torch.nn", "torchvision.models")  # without trust


@contextmanager
def fits_memory(bits: int) -> Iterator[None]:
    """Say that a code is too long, where memory does not hold its hash layer.

    Raises:
        ValueError: naming the code length.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        msg = f"bits must leave a hash layer that memory holds, got {bits}; the papers have 16..128"
        raise ValueError(msg) from error


def build_network(
    backbone: str | dict[str, Any],
    bits: int,
    weights: str | None = None,
    architecture: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Build a network from its description.

    Args:
        backbone: a name that :func:`build_model` knows, or ``{"class_path": "package.Class",
            "init_args": {...}}`` for an ``nn.Module`` that turns ``(B, ...)`` inputs in [0, 1] into
            ``(B, bits)`` logits: one of this package, of torch.nn or of torchvision, or with trust
            (:func:`lightning_hash.utils.trust.trusting`) any that can be imported. A class with an
            argument ``bits`` or ``weights`` is given it, unless ``init_args`` has it.
        bits: code length K.
        weights: as in :func:`build_model`.
        architecture: as there.

    Returns:
        The network, on the CPU.

    Raises:
        ValueError: if the backbone is unknown, cannot be imported, needs trust or is no
            ``nn.Module``, or ``weights`` are given to a class that takes none.
    """
    if isinstance(backbone, str):
        return build_model(backbone, bits, weights, architecture)
    unknown = sorted(set(backbone) - {"class_path", "init_args"})
    if unknown:
        msg = (
            f"backbone: keys must be class_path and init_args, got {', '.join(unknown)} beside; "
            "the arguments of a class go below init_args in a config"
        )
        raise ValueError(msg)
    if bits < 1:
        msg = f"bits must be at least 1, got {bits}"
        raise ValueError(msg)
    path = str(backbone.get("class_path", ""))
    network_class = import_named(path, NETWORKS, f"backbone: class_path {path!r}")
    if not (isinstance(network_class, type) and issubclass(network_class, nn.Module)):
        msg = f"backbone: class_path {path!r} must name a subclass of torch.nn.Module"
        raise ValueError(msg)
    given = dict(backbone.get("init_args") or {})
    takes = inspect.signature(network_class).parameters
    for name, value in (("bits", bits), ("weights", weights)):
        if name in takes:
            given.setdefault(name, value)
    if weights is not None and given.get("weights") != weights:
        msg = f"weights go with a named backbone or a class that takes them; {path} has its own"
        raise ValueError(msg)
    try:
        return network_class(**given)
    except (TypeError, AttributeError, KeyError) as error:
        msg = f"backbone: init_args do not fit {path!r}: {error}"
        raise ValueError(msg) from error


def backbone_name(backbone: str | dict[str, Any], network: nn.Module | None = None) -> str:
    """Return the name or class path under which a backbone goes into tables.

    Args:
        backbone: its description.
        network: what was built of it; a :class:`HashNetwork` says its name.
    """
    if isinstance(network, HashNetwork):
        return network.backbone
    return backbone if isinstance(backbone, str) else str(backbone.get("class_path"))
