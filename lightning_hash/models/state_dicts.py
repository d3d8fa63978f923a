"""State dicts that others saved: read without unpickling anything, and matched with our names."""

import pickle
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from lightning_hash.utils.foreign_files import check_file
from lightning_hash.utils.plain_load import load_plain

SUFFIXES = (".pth", ".pt", ".safetensors", ".bin", ".ckpt", ".tar")
# Where training programs keep the network in their files, beside optimizer and average.
KEYS = ("state_dict", "model", "net", "network", "model_state_dict", "model_state")
# What wrappers of torch put in front of a part's names; that of the whole is any prefix.
WRAPPERS = re.compile(
    r"(?<=\.)(module|_orig_mod|_forward_module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)
# Batch norm's counter: evaluation does not use it, and old files lack it.
COUNTER = ".num_batches_tracked"
# The entries of torch's layers; others are buffers of a program's own.
LAYER = ("weight", "bias", "running_mean", "running_var")
# Layers of torchvision's ResNets in their order, as a Sequential of them numbers them.
RESNET = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
# Names of a kind, and unused names, in a message.
SHOWN, UNUSED = 3, 10

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Found:
    """The tensors of a network in a file.

    Attributes:
        prefix: what stands in front of their names.
        names: the file's names by the network's.
        missing: the network's names that the file has not.
        shapes: the network's names whose tensors have another shape there.
    """

    prefix: str
    names: dict[str, str]
    missing: list[str]
    shapes: list[str]

    def difference(self, given: State, left_out: Iterable[str] = ()) -> str:
        """Say what does not fit.

        Args:
            given: what the file holds.
            left_out: its names that are not wanted and may be there.
        """
        extra = sorted(set(given).difference(self.names.values(), left_out))
        return (
            f"{len(self.missing)} keys missing {self.missing[:SHOWN]}, {len(extra)} unexpected "
            f"{extra[:SHOWN]}, {len(self.shapes)} of another shape {self.shapes[:SHOWN]}"
        )


def read_state_dict(path: Path, argument: str, backbone: str) -> dict[str, Tensor]:
    """Read a state dict without unpickling anything.

    Args:
        path: a ``.safetensors`` file, or one that torch.save wrote: a state dict, or a mapping that
            holds one under ``state_dict``, ``model``, ``net`` or, where it is the only one, any
            key.
        argument: name of the argument, for the messages.
        backbone: whose weights they are, for the messages.

    Returns:
        Tensors by name, on the CPU, in the file's order, without batch norms' counters. What
        DataParallel, ``torch.compile`` and their like put into the midst of names is taken off.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is truncated, holds pickled code or several state dicts, or is none.
    """
    check_file(path, f"{argument} {path}")
    if not path.is_file():
        msg = f"{argument} {path} does not exist; give the path of a state dict of {backbone}"
        raise FileNotFoundError(msg)
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            with warnings.catch_warnings():
                # A damaged file can pretend to a pickle protocol that torch then warns of.
                warnings.filterwarnings("ignore", message="Detected pickle protocol")
                content = load_plain(path)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        what = "pickled code?" if found is None else found[1]
        msg = (
            f"{argument} {path} holds more than tensors ({what}), so it was not loaded; "
            "save it again with torch.save(model.state_dict(), ...)"
        )
        raise ValueError(msg) from error
    except Exception as error:  # a damaged pickle ends in any of a dozen types
        msg = (
            f"{argument} {path} is truncated or no state dict ({type(error).__name__}: {error}); "
            "copy or save it again"
        )
        raise ValueError(msg) from error
    states = dict(_states(content))
    known = [place for place in states if place.rpartition(".")[2] in KEYS]
    places = known or list(states)
    if not places:
        msg = f"{argument} {path} is no state dict: a mapping of names to tensors is needed"
        raise ValueError(msg)
    if len(places) > 1:
        msg = (
            f"{argument} {path} holds {len(places)} state dicts, under {', '.join(places)}; save "
            "the one that is meant by itself"
        )
        raise ValueError(msg)
    state = states[places[0]]
    return {WRAPPERS.sub("", k): v for k, v in state.items() if not k.endswith(COUNTER)}


def _states(content: Any, place: str = "", depth: int = 2) -> Iterator[tuple[str, State]]:
    """Return the state dicts in a mapping and under its keys, with their dotted places."""
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        return
    nested = any(isinstance(value, (Mapping, list, tuple)) for value in content.values())
    tensors = {key: value for key, value in content.items() if isinstance(value, Tensor)}
    if not nested and any(tensor.dim() for tensor in tensors.values()):
        yield place, tensors
    elif depth:
        for key, value in content.items():
            yield from _states(value, f"{place}.{key}" if place else key, depth - 1)


def torchvision_name(name: str, backbone: str) -> str:
    """Turn the name of a tensor, without a prefix, into torchvision's.

    Args:
        name: as it stands in a model of ours, of DeepHash-pytorch, HashNet, DHTA, CgAT, SAAT,
            pytorch_deephash or DSDH_PyTorch, or in a Sequential of torchvision's layers.
        backbone: the backbone.

    Example:
        >>> torchvision_name("hash_layer.classifier3.bias", "vgg11")
        'classifier.3.bias'
        >>> torchvision_name("4.0.conv1.weight", "resnet18")
        'layer1.0.conv1.weight'
    """
    name = re.sub(r"^(extractor\.|feature_layers\.(?=\d))", "", name)
    if backbone.startswith("resnet"):
        head, _, rest = name.partition(".")
        return f"{RESNET[int(head)]}.{rest}" if head.isdigit() and int(head) < 8 else name
    if backbone.startswith(("alexnet", "vgg")):
        first, second = (1, 4) if backbone == "alexnet" else (0, 3)
        for pattern, place in (
            (r"cl1\.", f"classifier.{first}."),
            (r"cl2\.", f"classifier.{second}."),
            (r"(?:classifier|hash_layer|remain|[12])\.(?:classifier)?(\d+)\.", r"classifier.\1."),
            (r"0\.(\d+)\.", r"features.\1."),
        ):
            name, count = re.subn(f"^{pattern}", place, name)
            if count:
                break
    return name


def find_by_name(given: State, own: State, rename: Callable[[str], str], source: str) -> Found:
    """Find a network's tensors in a file by their names, behind any one prefix.

    Args:
        given: what the file holds.
        own: the network's tensors; batch norms' counters are not looked for.
        rename: turns a name of the file, without the prefix, into the network's.
        source: the file, for the messages.

    Returns:
        What fits; else what is nearest.

    Raises:
        ValueError: if different tensors fit.
    """
    wanted = [name for name in own if not name.endswith(COUNTER)]
    ways = [_behind(prefix, given, own, wanted, rename, source) for prefix in prefixes(given)]
    complete = [way for way in ways if not way.missing]
    fitting = [way for way in complete if not way.shapes] or complete
    if not fitting:
        return max(ways, key=lambda way: len(way.names))
    first, *others = fitting
    for other in others:
        if not all(torch.equal(given[first.names[n]], given[other.names[n]]) for n in wanted):
            raise ValueError(several_ways(source, first.prefix, other.prefix))
    return first


def several_ways(source: str, one: str, other: str) -> str:
    """Return the message about two parts of a file that fit, and differ."""
    return (
        f"{source}: fits in several ways: {one!r} and {other!r} are different networks or layers "
        "of it; save the one that is meant by itself"
    )


def said_of_match(how: str, prefix: str, unused: list[str]) -> str:
    """Say how tensors were matched, by ``"name"`` or ``"order"``, and which are left over."""
    behind = f" behind the prefix {prefix!r}" if prefix else ""
    more = f" and {len(unused) - UNUSED} more" if len(unused) > UNUSED else ""
    left = f"; unused: {', '.join(unused[:UNUSED])}{more}" if unused else ""
    return f"weights matched by {how}{behind}{left}"


def prefixes(given: State) -> list[str]:
    """Return what may stand in front of a network's names: nothing, or the first parts of names."""
    found = {""}
    for name in given:
        parts = name.split(".")
        found.update(".".join(parts[:end]) + "." for end in range(1, len(parts) - 1))
    return sorted(found, key=lambda prefix: (prefix.count("."), prefix))


def _behind(
    prefix: str, given: State, own: State, wanted: list[str],
    rename: Callable[[str], str], source: str,
) -> Found:  # fmt: skip
    names: dict[str, str] = {}
    kept = set(wanted)
    for key in given:
        if not key.startswith(prefix):
            continue
        name = rename(key.removeprefix(prefix))
        if name not in kept:
            continue
        before = names.setdefault(name, key)
        if torch.equal(given[before], given[key]):
            continue
        # DSDH_PyTorch counts its hash layer anew: of classifier.0 and hash_layer.0 one has a place.
        fits = [given[each].shape == own[name].shape for each in (before, key)]
        if fits[0] == fits[1]:
            raise ValueError(several_ways(source, before, key))
        names[name] = before if fits[0] else key
    return Found(
        prefix,
        names,
        [name for name in wanted if name not in names],
        [name for name, key in names.items() if given[key].shape != own[name].shape],
    )


def layers_of(given: State) -> dict[str, dict[str, Tensor]]:
    """Return the tensors of each layer of a file: ``{layer: {entry: tensor}}``."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in given.items():
        layer, _, entry = name.rpartition(".")
        if entry in LAYER:
            found.setdefault(layer, {})[entry] = tensor
    return found


def unused_names(given: State, used: Iterable[str]) -> list[str]:
    """Return the names that nothing takes, but those of layers that are registered twice."""
    taken = set(used)
    known = layers_of({name: given[name] for name in taken})
    by_shape: dict[Any, list[dict[str, Tensor]]] = {}
    for entries in known.values():
        by_shape.setdefault(_shapes(entries), []).append(entries)
    twice: set[str] = set()
    for layer, entries in layers_of(given).items():
        same = by_shape.get(_shapes(entries), ())
        if any(all(torch.equal(entries[e], other[e]) for e in entries) for other in same):
            twice.update(f"{layer}.{entry}" if layer else entry for entry in entries)
    return [name for name in given if name not in taken and name not in twice]


def _shapes(entries: Mapping[str, Tensor]) -> Any:
    return frozenset((entry, tuple(tensor.shape)) for entry, tensor in entries.items())
