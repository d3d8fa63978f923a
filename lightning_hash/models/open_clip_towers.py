"""Hash models on the image towers of open_clip."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from torch import nn

from lightning_hash.models.pretrained import (
    Preprocessing,
    PretrainedNetwork,
    filter_of,
    load_pretrained_file,
    missing_package,
    unknown_name,
    weights_file,
)

PREFIX = "open_clip/"


def build_open_clip(backbone: str, bits: int, weights: str | None = None) -> PretrainedNetwork:
    """Build a hash model on the image tower of a network of open_clip.

    Args:
        backbone: ``open_clip/NAME``, such as ``open_clip/ViT-B-32``.
        bits: K.
        weights: ``None`` (random), a tag of the name such as ``laion2b_s34b_b79k`` or ``DEFAULT``
            for its first (downloaded by open_clip), or the path of a state dict in open_clip's
            names, of the whole network or of its image tower.

    Returns:
        The model; its hash layer sees the image's embedding, which is not normalised.

    Raises:
        FileNotFoundError: if the file of weights does not exist.
        ValueError: if open_clip is missing or does not know the name, or the weights do not fit,
            such as those of networks with QuickGELU in one with GELU.
    """
    clip, name = _open_clip(backbone)
    file = weights_file(weights)
    tag = None if file is not None else _tag(clip, name, backbone, weights)
    with _quiet():
        try:
            network = clip.create_model(name, pretrained=tag, pretrained_text=False)
        except (OSError, RuntimeError, ImportError) as error:
            said = " ".join(str(error).split())
            remedy = _remedy(clip, name, weights)
            msg = f"backbone {backbone}, weights {weights}: open_clip fails ({said:.300}); {remedy}"
            raise ValueError(msg) from error
    tower = network.visual
    if getattr(tower, "output_tokens", False):  # of CoCa, whose text reads the tokens
        tower.output_tokens = False
    if file is not None:
        load_pretrained_file(tower, file, backbone, ())
    width = int(clip.get_model_config(name)["embed_dim"])
    return PretrainedNetwork(
        backbone,
        tower,
        nn.Linear(width, bits),
        _preprocessing(clip, name, tag),
        pretrained=weights is not None,
    )


def open_clip_preprocessing(backbone: str) -> Preprocessing:
    """Return what a tower of open_clip was made for, without building it.

    Args:
        backbone: as :func:`build_open_clip` takes it.

    Raises:
        ValueError: if open_clip is missing or does not know the name.
    """
    clip, name = _open_clip(backbone)
    return _preprocessing(clip, name, None)


def _open_clip(backbone: str) -> tuple[Any, str]:
    try:
        import open_clip
    except ImportError as error:
        raise missing_package(backbone, "open_clip", error) from error
    name = backbone.removeprefix(PREFIX)
    if name not in open_clip.list_models():
        raise unknown_name(backbone, name, PREFIX, open_clip.list_models())
    return open_clip, name


def _tag(clip: Any, name: str, backbone: str, weights: str | None) -> str | None:
    tags: list[str] = clip.list_pretrained_tags_by_model(name)
    if weights == "DEFAULT" and tags:
        weights = tags[0]
    if weights is not None and weights not in tags:
        msg = (
            f"weights {weights!r} are unknown for {backbone}; give null, "
            f"{', '.join(['DEFAULT', *tags]) if tags else 'for it has no others,'} or the path of "
            "a .safetensors or .pth file"
        )
        raise ValueError(msg)
    if weights is not None:
        _check_activation(clip, name, weights, tags)
    return weights


def _check_activation(clip: Any, name: str, tag: str, tags: list[str]) -> None:
    """Refuse weights of networks with the other GELU, of which open_clip only warns."""
    own = bool(clip.get_model_config(name).get("quick_gelu", False))
    made = {each: bool(clip.get_pretrained_cfg(name, each).get("quick_gelu", own)) for each in tags}
    if made[tag] == own:
        return
    called = {True: "QuickGELU", False: "GELU"}
    other = f"{name}-quickgelu" if made[tag] else name.removesuffix("-quickgelu")
    ways = []
    if other in clip.list_models() and tag in clip.list_pretrained_tags_by_model(other):
        ways.append(f"--model.backbone {PREFIX}{other}")
    fits = [each for each in tags if made[each] == own]
    if fits:
        ways.append(f"weights that fit: {', '.join(fits)}")
    msg = (
        f"weights {tag} of {PREFIX}{name} were trained with {called[made[tag]]}, this network has "
        f"{called[own]}; give {', or '.join([*ways, 'null for random weights'])}"
    )
    raise ValueError(msg)


def _remedy(clip: Any, name: str, weights: str | None) -> str:
    """Say what helps where open_clip cannot build a network."""
    if "hf_model_name" in clip.get_model_config(name).get("text_cfg", {}):
        if find_spec("transformers") is None:
            return "its text tower is one of Hugging Face: pip install transformers"
        return f"its text tower is one of Hugging Face; take a name without, as {PREFIX}ViT-B-32"
    if weights is None:
        return f"take another name, as {PREFIX}ViT-B-32"
    return "give null for random weights, or a local file with --model.weights FILE"


def _preprocessing(clip: Any, name: str, tag: str | None) -> Preprocessing:
    """Return that of a tag of weights; by default of the name's first."""
    tags = clip.list_pretrained_tags_by_model(name)
    config = clip.get_pretrained_cfg(name, tag or tags[0]) if tags else {}
    size = clip.get_model_config(name)["vision_cfg"].get("image_size", 224)
    return Preprocessing(
        size=int(size[-1] if isinstance(size, list | tuple) else size),
        interpolation=filter_of(config.get("interpolation", "bicubic")),
        mean=tuple(map(float, config.get("mean", clip.OPENAI_DATASET_MEAN))),
        std=tuple(map(float, config.get("std", clip.OPENAI_DATASET_STD))),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep open_clip from warning of random weights, and from giving the root logger a handler."""
    root = logging.getLogger()
    handlers, disabled = list(root.handlers), root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(disabled)
        root.handlers[:] = handlers
