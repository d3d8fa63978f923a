"""Victims from the state dict of a named backbone, under whatever names others gave it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from pytorch_lightning.utilities import rank_zero_info

from lightning_hash.models.backbones import TORCHVISION, build_model, last_layer
from lightning_hash.models.network import HashNetwork
from lightning_hash.models.state_dicts import (
    COUNTER,
    Found,
    State,
    find_by_name,
    layers_of,
    prefixes,
    read_state_dict,
    said_of_match,
    several_ways,
    torchvision_name,
    unused_names,
)

HASH = "hash_layer"
HASH_WEIGHT, HASH_BIAS = f"{HASH}.weight", f"{HASH}.bias"


def network_of_state_dict(path: Path, backbone: str, bits: int) -> HashNetwork:
    """Build a named backbone with the weights of a state dict.

    Tensors are matched by name: torchvision's names and those of the hashing repositories, behind
    any one prefix; the hash layer may have any name where it is the only layer of its shape. Where
    names do not tell, tensors are taken in their order, and each must have the kind and the shape
    of ours. Which was done is said, and which tensors are left over.

    Args:
        path: the file; see :func:`lightning_hash.models.state_dicts.read_state_dict`.
        backbone: as in :func:`lightning_hash.models.build_model`.
        bits: K.

    Returns:
        The network, on the CPU.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, does not fit, or fits in several ways; names the tensors.
    """
    given = read_state_dict(path, "victim", backbone)
    network = build_model(backbone, bits)
    own = {
        name.removeprefix("extractor."): tensor
        for name, tensor in network.state_dict().items()
        if name not in ("mean", "std") and not name.endswith(COUNTER)
    }
    last = last_layer(network.extractor) if backbone in TORCHVISION else HASH
    file = _File(f"victim {path}", given, own, backbone, last)
    names, how, prefix = file.match()
    network.load_state_dict(
        {
            name if name in (HASH_WEIGHT, HASH_BIAS) else f"extractor.{name}": file.given[key]
            for name, key in names.items()
        },
        strict=False,
    )
    unused = unused_names(file.given, names.values())
    rank_zero_info(f"{file.source}: {said_of_match(how, prefix, unused)}")
    return network


@dataclass(frozen=True)
class _File:
    """A state dict, and the network that it is to be the weights of.

    Attributes:
        source: the file, for the messages.
        given: what it holds.
        own: the network's tensors by name.
        backbone: the network's name.
        last: torchvision's name of its last layer.
    """

    source: str
    given: State
    own: State
    backbone: str
    last: str

    def match(self) -> tuple[dict[str, str], str, str]:
        """Return the file's names by the network's, how they were found, and their prefix."""
        found = self.by_name
        if found.missing or found.shapes:
            names, prefix = self.in_order()
            return names, "order", prefix
        layer = self.hash_layer()
        names = {**found.names, HASH_WEIGHT: f"{layer}.weight", HASH_BIAS: f"{layer}.bias"}
        self.check_path(names, layer)
        return names, "name", found.prefix

    @cached_property
    def by_name(self) -> Found:
        """The features, as far as their names tell."""
        features = {k: v for k, v in self.own.items() if k not in (HASH_WEIGHT, HASH_BIAS)}
        return find_by_name(self.given, features, self._rename, self.source)

    def hash_layer(self) -> str:
        """Return the name of the hash layer: the only one of its shape, or one that is so called.

        Raises:
            ValueError: if there is none, or several.
        """
        rest = unused_names(self.given, self.by_name.names.values())
        fits, called = [], []
        left = layers_of({name: self.given[name] for name in rest})
        for layer, entries in left.items():
            if not {"weight", "bias"} <= entries.keys():
                continue
            called += [layer] if self._is_called_last(layer) else []
            if all(entries[e].shape == self.own[f"{HASH}.{e}"].shape for e in ("weight", "bias")):
                fits.append(layer)
        named = [layer for layer in fits if layer in called] or fits
        for other in named[1:]:
            if not torch.equal(left[named[0]]["weight"], left[other]["weight"]):
                raise ValueError(several_ways(self.source, named[0], other))
        if named:
            return named[0]
        if called:
            raise ValueError(self._misfit(f"{called[0]}.weight", HASH_WEIGHT))
        msg = (
            f"{self.source}: no layer with a bias and weights "
            f"{tuple(self.own[HASH_WEIGHT].shape)}, the hash layer of {self.backbone} with "
            f"{self._bits} bits; left are {list(left) or 'none'}"
        )
        raise ValueError(msg)

    def check_path(self, names: dict[str, str], layer: str) -> None:
        """Refuse left-over layers of the backbone, or that may stand between features and code.

        Raises:
            ValueError: naming the first.
        """
        width = self.own[HASH_WEIGHT].shape[1]
        model, prefix = layer.rpartition(".")[0], self.by_name.prefix
        parts = {name.partition(".")[0] for name in self.own}
        for name in unused_names(self.given, names.values()):
            if name.rpartition(".")[2] != "weight":
                continue
            shape = tuple(self.given[name].shape)
            part = self._rename(name.removeprefix(prefix)).partition(".")[0]
            if name.startswith(prefix) and part in parts:
                msg = (
                    f"{self.source}: {self.backbone} has no {name} {shape}; give the backbone that "
                    "it was trained with, or the network itself (source: module:function)"
                )
                raise ValueError(msg)
            inside = not model or name.startswith(f"{model}.")
            if inside and (
                shape[:1] == (width,) or shape in ((self._bits,), (self._bits, self._bits))
            ):
                msg = (
                    f"{self.source}: {name} {shape} may stand between the features and the code, "
                    f"where {self.backbone} has {layer} alone; give the network itself "
                    "(source: module:function)"
                )
                raise ValueError(msg)

    def in_order(self) -> tuple[dict[str, str], str]:
        """Return the file's names by the network's, in their order, and their prefix.

        Raises:
            ValueError: if kinds or shapes do not fit, or several parts of the file do.
        """
        counted = []
        for prefix in prefixes(self.given):
            keys = _once({k: v for k, v in self.given.items() if k.startswith(prefix)})
            if len(keys) == len(self.own):
                counted.append((dict(zip(self.own, keys, strict=True)), prefix))
        fits = [way for way in counted if self._first_misfit(way[0]) is None]
        if fits:
            (names, prefix), *others = fits
            for other, another in others:
                if not all(torch.equal(self.given[names[n]], self.given[other[n]]) for n in names):
                    raise ValueError(several_ways(self.source, prefix, another))
            return names, prefix
        found = self.by_name
        if not counted or len(found.names) > len(found.missing):
            called = [k for k in self.given if self._is_called_last(k.rpartition(".")[0])]
            msg = (
                f"{self.source}: {len(self.given)} tensors, {self.backbone} with {self._bits} bits "
                f"has {len(self.own)}; first {list(self.given)[:3]}; by name "
                f"{found.difference(self.given, called)}"
            )
            raise ValueError(msg)
        names = counted[0][0]
        misfit = str(self._first_misfit(names))
        why = ""
        if list(self.given) == sorted(self.given):
            why = "; its names are not known, and sorted, so that their order says nothing"
        raise ValueError(self._misfit(names[misfit], misfit) + why)

    @property
    def _bits(self) -> int:
        return len(self.own[HASH_BIAS])

    def _rename(self, name: str) -> str:
        return torchvision_name(name, self.backbone)

    def _is_called_last(self, layer: str) -> bool:
        name = self._rename(f"{layer.removeprefix(self.by_name.prefix)}.weight")
        return name.removesuffix(".weight") in (HASH, f"{HASH}.hash", self.last)

    def _first_misfit(self, names: dict[str, str]) -> str | None:
        for name, key in names.items():
            kinds = name.rpartition(".")[2], key.rpartition(".")[2]
            if kinds[0] != kinds[1] or self.own[name].shape != self.given[key].shape:
                return name
        return None

    def _misfit(self, key: str, name: str) -> str:
        return (
            f"{self.source}: {key} {tuple(self.given[key].shape)} does not fit {self.backbone}'s "
            f"{name} {tuple(self.own[name].shape)}; are backbone and bits ({self._bits}) right?"
        )


def _once(given: State) -> list[str]:
    """Return the names of tensors without those that were there before under another name."""
    seen: set[tuple[object, ...]] = set()
    names = []
    for name, tensor in given.items():
        place = tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape
        if place not in seen or not tensor.numel():
            names.append(name)
        seen.add(place)
    return names
