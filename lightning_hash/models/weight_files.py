"""Weights of a file in a backbone, whose classifier is left out."""

from collections.abc import Callable, Sequence
from pathlib import Path

from pytorch_lightning.utilities import rank_zero_info
from torch import nn

from lightning_hash.models.state_dicts import (
    LAYER,
    find_by_name,
    read_state_dict,
    said_of_match,
    unused_names,
)


def load_weights(
    network: nn.Module,
    path: Path,
    backbone: str,
    classifiers: Sequence[str],
    rename: Callable[[str], str],
) -> None:
    """Load the weights of a file into a backbone.

    Args:
        network: the backbone.
        path: a state dict, see :func:`lightning_hash.models.state_dicts.read_state_dict`.
        backbone: its name, for the messages.
        classifiers: names of its last layers, which stay as they are.
        rename: turns a name of the file, without a prefix, into the network's.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read safely, or does not fit.
    """
    given = read_state_dict(path, "weights", backbone)
    left_out = (*(f"{name}." for name in classifiers), "hash_layer.")
    own = {k: v for k, v in network.state_dict().items() if not k.startswith(left_out)}
    source = f"weights {path} do not fit {backbone}"
    found = find_by_name(given, own, rename, source)
    # The classifier stays where it is, and so do a program's buffers and what wraps the network.
    unused = unused_names(given, found.names.values())
    names = {key: rename(key.removeprefix(found.prefix)) for key in unused}
    layers = {
        key for key, name in names.items()
        if key.startswith(found.prefix) and key.rpartition(".")[2] in LAYER
        and not name.startswith(left_out)
    }  # fmt: skip
    if found.missing or found.shapes or layers:
        msg = f"{source}: {found.difference(given, {*given} - layers)}"
        raise ValueError(msg)
    tensors = {name: given[key] for name, key in found.names.items()}
    network.load_state_dict({**network.state_dict(), **tensors})
    rank_zero_info(f"weights {path}: {said_of_match('name', found.prefix, unused)}")
