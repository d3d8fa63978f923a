"""Hash models on torchvision's networks."""

import difflib
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision.models
from safetensors.torch import load_file
from torch import Tensor, nn

from lightning_hash.models.convnet import convnet
from lightning_hash.models.network import HashNetwork
from lightning_hash.models.pooling import AdaptiveAveragePool

TORCHVISION = (
    "alexnet",
    "vgg11", "vgg13", "vgg16", "vgg19",
    "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn",
    "resnet18", "resnet34", "resnet50", "resnet101",
)  # fmt: skip
BACKBONES = ("convnet", *TORCHVISION)


def build_model(backbone: str, bits: int, weights: str | None = None) -> HashNetwork:
    """Build a hash model.

    Args:
        backbone: ``convnet`` or a torchvision network: alexnet, vgg11/13/16/19 and their ``_bn``,
            resnet18/34/50/101. The last layer of its classifier is replaced by K units, everything
            before it stays.
        bits: K.
        weights: ``None`` (random, nothing is downloaded), a torchvision name such as ``DEFAULT`` or
            ``IMAGENET1K_V1`` (downloaded by torchvision), or the path of a ``.pth`` or
            ``.safetensors`` state dict of the torchvision network; its last layer is left out.

    Returns:
        The model: inputs ``(B, 3, H, W)`` in [0, 1], logits ``(B, K)``.

    Raises:
        FileNotFoundError: if the file of weights does not exist.
        ValueError: if the backbone is unknown, ``bits`` is below 1, or the weights do not fit or
            cannot be read safely.

    Example:
        >>> build_model("convnet", bits=16)(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 16])
    """
    if backbone not in BACKBONES:
        near = difflib.get_close_matches(backbone, BACKBONES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        msg = f"backbone {backbone!r} is unknown; {hint}known: {', '.join(BACKBONES)}"
        raise ValueError(msg)
    if bits < 1:
        msg = f"bits must be at least 1, got {bits}"
        raise ValueError(msg)
    if backbone == "convnet":
        if weights is not None:
            msg = f"weights: convnet has no pretrained weights, got {weights!r}"
            raise ValueError(msg)
        return convnet(bits)
    constructor: Callable[..., nn.Module] = getattr(torchvision.models, backbone)
    from_file = weights is not None and Path(weights).suffix in (".pth", ".pt", ".safetensors")
    names = None if from_file or weights is None else _weights_enum(backbone, weights)
    network = constructor(weights=names)
    if from_file:
        _load_file(network, Path(str(weights)), backbone)
    pool = getattr(network, "avgpool", None)
    if isinstance(pool, nn.AdaptiveAvgPool2d) and pool.output_size != (1, 1):
        network.avgpool = AdaptiveAveragePool(pool.output_size)
    features, width = _without_last_layer(network)
    hash_layer = nn.Linear(width, bits)
    return HashNetwork(backbone, features, hash_layer, pretrained=weights is not None)


def _weights_enum(backbone: str, name: str) -> Any:
    known = torchvision.models.get_model_weights(backbone)
    # vgg16's IMAGENET1K_FEATURES hold no classifier, and are made for another normalisation.
    usable = [member for member in known.__members__ if not member.endswith("_FEATURES")]
    if name not in usable:
        msg = (
            f"weights {name!r} are unknown for {backbone}; give null, {', '.join(usable)}, "
            "or the path of a .pth or .safetensors file"
        )
        raise ValueError(msg)
    return known[name]


def _last_layer(network: nn.Module) -> str:
    """Return the name of the classifier's last layer in torchvision's networks."""
    if hasattr(network, "fc"):
        return "fc"
    return f"classifier.{len(network.get_submodule('classifier')._modules) - 1}"


def _without_last_layer(network: nn.Module) -> tuple[nn.Module, int]:
    name = _last_layer(network)
    layer = network.get_submodule(name)
    if not isinstance(layer, nn.Linear):
        msg = f"the last layer of the classifier is a {type(layer).__name__}, expected nn.Linear"
        raise TypeError(msg)
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, nn.Identity())
    return network, layer.in_features


def read_state_dict(path: Path, argument: str, backbone: str) -> dict[str, Tensor]:
    """Read a state dict without unpickling anything.

    Args:
        path: a ``.safetensors`` file, or one that torch.save wrote; a state dict under
            ``state_dict`` or ``model`` in it is found.
        argument: name of the argument, for the messages.
        backbone: whose weights they are, for the messages.

    Returns:
        Tensors by name, on the CPU, in the file's order.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is truncated, holds pickled code or is no state dict.
    """
    if not path.is_file():
        msg = f"{argument} {path} does not exist; give the path of a state dict of {backbone}"
        raise FileNotFoundError(msg)
    try:
        if path.suffix == ".safetensors":
            state: dict[str, Tensor] = load_file(path)
        else:
            with warnings.catch_warnings():
                # A damaged file can pretend to a pickle protocol that torch then warns of.
                warnings.filterwarnings("ignore", message="Detected pickle protocol")
                state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        msg = (
            f"{argument} {path} holds more than tensors (pickled code?), so it was not loaded; "
            "save it again with torch.save(model.state_dict(), ...)"
        )
        raise ValueError(msg) from error
    except Exception as error:  # a damaged pickle ends in any of a dozen types
        msg = (
            f"{argument} {path} is truncated or no state dict ({type(error).__name__}: {error}); "
            "copy or save it again"
        )
        raise ValueError(msg) from error
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]  # type: ignore[assignment]
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in state.items()
    ):
        msg = f"{argument} {path} is no state dict: a mapping of names to tensors is needed"
        raise ValueError(msg)
    return state


def _load_file(network: nn.Module, path: Path, backbone: str) -> None:
    state = read_state_dict(path, "weights", backbone)
    last = _last_layer(network)
    kept = {key: value for key, value in state.items() if not key.startswith(f"{last}.")}
    own = network.state_dict()
    wanted = {key for key in own if not key.startswith(f"{last}.")}
    # Files of torchvision's early days lack batch norm's counters, which evaluation does not use.
    needed = {key for key in wanted if not key.endswith(".num_batches_tracked")}
    missing, extra = sorted(needed - kept.keys()), sorted(kept.keys() - wanted)
    shapes = sorted(key for key in wanted & kept.keys() if own[key].shape != kept[key].shape)
    if missing or extra or shapes:
        msg = (
            f"weights {path} do not fit {backbone}: {len(missing)} keys missing {missing[:3]}, "
            f"{len(extra)} unexpected {extra[:3]}, {len(shapes)} of another shape {shapes[:3]}"
        )
        raise ValueError(msg)
    network.load_state_dict({**own, **kept})
