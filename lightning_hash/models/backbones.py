"""Hash models on the networks of torchvision, timm and open_clip."""

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torchvision.models
from torch import nn

from lightning_hash.models import open_clip_towers, timm_networks
from lightning_hash.models.convnet import convnet
from lightning_hash.models.network import HashNetwork
from lightning_hash.models.pooling import AdaptiveAveragePool
from lightning_hash.models.pretrained import PREFIXES, WAYS, Preprocessing
from lightning_hash.models.state_dicts import SUFFIXES, torchvision_name
from lightning_hash.models.weight_files import load_weights

TORCHVISION = (
    "alexnet",
    "vgg11", "vgg13", "vgg16", "vgg19",
    "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn",
    "resnet18", "resnet34", "resnet50", "resnet101",
)  # fmt: skip
BACKBONES = ("convnet", *TORCHVISION)


def build_model(
    backbone: str,
    bits: int,
    weights: str | None = None,
    architecture: Mapping[str, Any] | None = None,
) -> HashNetwork:
    """Build a hash model.

    Args:
        backbone: ``convnet``; a torchvision network: alexnet, vgg11/13/16/19 and their ``_bn``,
            resnet18/34/50/101; ``timm/NAME``, see
            :func:`lightning_hash.models.timm_networks.build_timm`; or ``open_clip/NAME``, see
            :func:`lightning_hash.models.open_clip_towers.build_open_clip`. The last layer of its
            classifier is replaced by K units, everything before it stays.
        bits: K.
        weights: ``None`` (random, nothing is downloaded), a torchvision name such as ``DEFAULT`` or
            ``IMAGENET1K_V1`` (downloaded by torchvision), or the path of a state dict of the
            torchvision network (``.pth``, ``.pt``, ``.bin``, ``.ckpt``, ``.tar``,
            ``.safetensors``), behind any one prefix; its last layer is left out. Of ``timm/`` and
            ``open_clip/`` as their functions take it.
        architecture: of a checkpoint whose backbone is described on the Hugging Face hub.

    Returns:
        The model: inputs ``(B, 3, H, W)`` in [0, 1], logits ``(B, K)``.

    Raises:
        FileNotFoundError: if the file of weights does not exist.
        ValueError: if the backbone is unknown, ``bits`` is below 1, or the weights do not fit or
            cannot be read safely.

    Example:
        >>> import torch
        >>> build_model("convnet", bits=16)(torch.rand(2, 3, 64, 64)).shape
        torch.Size([2, 16])
    """
    if backbone not in BACKBONES and not backbone.startswith(PREFIXES):
        near = difflib.get_close_matches(backbone, BACKBONES, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        msg = f"backbone {backbone!r} is unknown; {hint}known: {', '.join(BACKBONES)}, {WAYS}"
        raise ValueError(msg)
    if bits < 1:
        msg = f"bits must be at least 1, got {bits}"
        raise ValueError(msg)
    if backbone.startswith(timm_networks.PREFIX):
        return timm_networks.build_timm(backbone, bits, weights, architecture)
    if backbone.startswith(open_clip_towers.PREFIX):
        return open_clip_towers.build_open_clip(backbone, bits, weights)
    if backbone == "convnet":
        if weights is not None:
            msg = f"weights: convnet has no pretrained weights, got {weights!r}"
            raise ValueError(msg)
        return convnet(bits)
    constructor: Callable[..., nn.Module] = getattr(torchvision.models, backbone)
    from_file = weights is not None and Path(weights).suffix in SUFFIXES
    names = None if from_file or weights is None else _weights_enum(backbone, weights)
    network = constructor(weights=names)
    if from_file:
        load_weights(
            network, Path(str(weights)), backbone, (last_layer(network),),
            lambda name: torchvision_name(name, backbone),
        )  # fmt: skip
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


def last_layer(network: nn.Module) -> str:
    """Return the name of the classifier's last layer in one of torchvision's networks.

    Args:
        network: the network; its last layer may be an identity.
    """
    if hasattr(network, "fc"):
        return "fc"
    return f"classifier.{len(network.get_submodule('classifier')._modules) - 1}"


def _without_last_layer(network: nn.Module) -> tuple[nn.Module, int]:
    name = last_layer(network)
    layer = network.get_submodule(name)
    if not isinstance(layer, nn.Linear):
        msg = f"the last layer of the classifier is a {type(layer).__name__}, expected nn.Linear"
        raise TypeError(msg)
    parent, _, attribute = name.rpartition(".")
    setattr(network.get_submodule(parent), attribute, nn.Identity())
    return network, layer.in_features


def preprocessing_of(backbone: str) -> Preprocessing | None:
    """Return what a backbone was made for, without building it; ``None`` where nobody says.

    Args:
        backbone: as :func:`build_model` takes it.

    Raises:
        ValueError: if its library is missing or does not know it.
    """
    if backbone.startswith(timm_networks.PREFIX):
        return timm_networks.timm_preprocessing(backbone)
    if backbone.startswith(open_clip_towers.PREFIX):
        return open_clip_towers.open_clip_preprocessing(backbone)
    return None
