"""What the networks of timm and open_clip have in common: an input that suits them."""

import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from lightning_hash.models.network import HashNetwork
from lightning_hash.models.state_dicts import SUFFIXES
from lightning_hash.models.weight_files import load_weights

PREFIXES = ("timm/", "open_clip/")
FILTERS = ("bilinear", "bicubic", "nearest")  # that images are resized by here
# How a message names the ways to other networks.
WAYS = (
    "timm/NAME and timm/hf-hub:ORGANISATION/NAME (pip install 'lightning-hash[timm]'), "
    "open_clip/NAME (pip install 'lightning-hash[open_clip]'), a class of yours "
    "({class_path: ...}); a finished model is a victim of attack: {source: model.onnx}, "
    "hf-hub:ORGANISATION/NAME, a function {source: module:function, output: codes}"
)


class Preprocessing(NamedTuple):
    """What a network was made for.

    Attributes:
        size: side of its input in pixels.
        interpolation: Pillow's filter by which images are resized, ``bilinear``, ``bicubic`` or
            ``nearest``.
        mean: of each channel of inputs in [0, 1], which is subtracted.
        std: of each channel, which is divided by.
    """

    size: int
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


class PretrainedNetwork(HashNetwork):
    """A hash layer on the pooled features of a network of timm or open_clip.

    Args:
        backbone: its name, with the library's prefix.
        features: ``(B, 3, H, W)`` normalised to ``(B, D)``.
        hash_layer: ``(B, D)`` to ``(B, K)``.
        preprocessing: what it was made for; mean and standard deviation are applied within.
        architecture: what it is built of without the network, where its name alone does not tell.
        pretrained: whether the features carry pretrained weights.
    """

    def __init__(
        self,
        backbone: str,
        features: nn.Module,
        hash_layer: nn.Linear,
        preprocessing: Preprocessing,
        architecture: dict[str, Any] | None = None,
        pretrained: bool = False,
    ) -> None:
        mean, std = preprocessing.mean, preprocessing.std
        super().__init__(backbone, features, hash_layer, mean, std, pretrained)
        self.preprocessing, self.architecture = preprocessing, architecture

    def features(self, inputs: Tensor, *lengths: Tensor) -> Tensor:
        """Return what the hash layer sees, ``(B, D)``; as :meth:`HashNetwork.features`.

        Raises:
            ValueError: if the network does not take inputs of this size.
        """
        try:
            return super().features(inputs, *lengths)
        except AssertionError as error:  # how both libraries refuse a size
            size = self.preprocessing.size
            msg = (
                f"backbone {self.backbone} does not take inputs of {tuple(inputs.shape[-2:])} "
                f"({' '.join(str(error).split())}); give --data.size {size}"
            )
            raise ValueError(msg) from error


def weights_file(weights: str | None) -> Path | None:
    """Return the path of a file of weights; ``None`` for a name of weights, or without any."""
    return Path(weights) if weights is not None and Path(weights).suffix in SUFFIXES else None


def load_pretrained_file(
    network: nn.Module, path: Path, backbone: str, classifiers: Sequence[str]
) -> None:
    """Load a file in the library's own names; those of a model of ours have ``extractor.`` before.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read safely, or does not fit.
    """
    load_weights(network, path, backbone, classifiers, lambda name: name)


def filter_of(interpolation: str) -> str:
    """Return the nearest filter that images are resized by here."""
    return interpolation if interpolation in FILTERS else "bicubic"


def missing_package(backbone: str, extra: str, error: ImportError) -> ValueError:
    """Return the error of a library that is not installed."""
    msg = (
        f"backbone {backbone}: {extra} cannot be imported ({error}): "
        f"pip install 'lightning-hash[{extra}]'"
    )
    return ValueError(msg)


def unknown_name(backbone: str, name: str, prefix: str, known: Iterable[str]) -> ValueError:
    """Return the error of a name that a library does not have, with those that look like it."""
    names = list(known)
    words = [part for part in re.split(r"[^a-z0-9]+", name.lower()) if part]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or [
        other for other in names if words and words[0] in other.lower()
    ]
    offered = ", ".join(f"{prefix}{other}" for other in near[:3])
    hint = f"did you mean {offered}?" if offered else f"there are {len(names)} names"
    return ValueError(f"backbone {backbone!r} is unknown to {prefix.rstrip('/')}; {hint}")
