"""Hash models on the networks of timm."""

from collections.abc import Mapping
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
from lightning_hash.utils.json_text import brief

PREFIX = "timm/"
HUB = "hf-hub:"
QUICK_GELU = "quickgelu"
# What a description from elsewhere may say: a network's shape and inputs, but no file, address or
# object.
CONFIG = ("architecture", "tag", "classifier", "first_conv", "num_classes", "input_size",
          "fixed_input_size", "interpolation", "crop_pct", "crop_mode", "pool_size", "mean",
          "std")  # fmt: skip
NOT_ARGUMENTS = ("pretrained", "checkpoint", "cache_dir", "features_only", "num_classes",
                 "scriptable", "exportable", "no_jit", "in_chans")  # fmt: skip


def build_timm(
    backbone: str,
    bits: int,
    weights: str | None = None,
    architecture: Mapping[str, Any] | None = None,
) -> PretrainedNetwork:
    """Build a hash model on a network of timm, without its classifier.

    Args:
        backbone: ``timm/NAME``, with a tag of weights behind a dot where it has several
            (``timm/vit_small_patch14_dinov2.lvd142m``), or ``timm/hf-hub:ORGANISATION/NAME``, whose
            description is read from the hub.
        bits: K.
        weights: ``None`` (random), ``DEFAULT`` (those of the name's tag, downloaded by timm), or
            the path of a state dict in timm's names.
        architecture: of a network of the hub, what :class:`PretrainedNetwork` has kept of it;
            nothing is then downloaded.

    Returns:
        The model; its hash layer sees what timm's classifier would. Vision transformers take other
        sizes than their own, where timm resizes their position embeddings.

    Raises:
        FileNotFoundError: if the file of weights does not exist.
        ValueError: if timm is missing or does not know the name, or the weights do not fit,
            such as those of networks with QuickGELU in one with GELU.
    """
    timm = _timm(backbone)
    file = weights_file(weights)
    if file is None and weights not in (None, "DEFAULT"):
        msg = (
            f"weights {weights!r} are unknown for {backbone}; give null, DEFAULT (the tag stands "
            "in the name: timm/NAME.TAG) or the path of a .safetensors or .pth file"
        )
        raise ValueError(msg)
    source: Mapping[str, Any]
    if backbone.startswith(f"{PREFIX}{HUB}"):
        given = _described(timm, backbone) if architecture is None else architecture
        source = _checked(timm, given, backbone)
    else:
        source = _described(timm, backbone)
    if weights == "DEFAULT" and source["config"] is None:
        _check_activation(timm, source["name"])
    options = {**source["arguments"], "num_classes": 0, "pretrained": weights == "DEFAULT"}
    if source["config"] is not None:
        place = {"hf_hub_id": backbone.removeprefix(PREFIX + HUB), "source": "hf-hub"}
        options["pretrained_cfg"] = {**source["config"], **place}
    try:
        network = _create(timm, source["name"], options)
    except OSError as error:
        raise _no_download(backbone, error) from error
    classifiers = network.pretrained_cfg.get("classifier") or ()
    if file is not None:
        names = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers)
        load_pretrained_file(network, file, backbone, names)
    width = int(getattr(network, "head_hidden_size", None) or network.num_features)
    return PretrainedNetwork(
        backbone,
        network,
        nn.Linear(width, bits),
        _preprocessing(timm, network.pretrained_cfg),
        dict(source) if source["config"] is not None else None,
        pretrained=weights is not None,
    )


def timm_preprocessing(backbone: str) -> Preprocessing:
    """Return what a network of timm was made for, without building it.

    Args:
        backbone: as :func:`build_timm` takes it.

    Raises:
        ValueError: if timm is missing or does not know the name.
    """
    timm = _timm(backbone)
    source = _described(timm, backbone)
    config = source["config"]
    if config is not None:
        config = _checked(timm, source, backbone)["config"]
    else:
        config = timm.get_pretrained_cfg(source["name"]).to_dict()
    return _preprocessing(timm, config)


def _timm(backbone: str) -> Any:
    try:
        import timm
        import timm.data
        import timm.models
    except ImportError as error:
        raise missing_package(backbone, "timm", error) from error
    return timm


def _described(timm: Any, backbone: str) -> dict[str, Any]:
    """Return name, arguments and, of a network of the hub, timm's description of a network."""
    name = backbone.removeprefix(PREFIX)
    if name.startswith(HUB):
        try:
            config, name, arguments = timm.models.load_model_config_from_hf(name.removeprefix(HUB))
        except (OSError, RuntimeError, ValueError) as error:
            raise _no_download(backbone, error) from error
        return {"name": name, "arguments": dict(arguments or {}), "config": dict(config)}
    base, _, tag = name.partition(".")
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{base}*")]
    if not timm.is_model(base) or ":" in name or "/" in name or (tag and tag not in tags):
        known = timm.list_pretrained(f"{base}.*") or timm.list_models()
        raise unknown_name(backbone, name, PREFIX, known)
    return {"name": name, "arguments": {}, "config": None}


def _check_activation(timm: Any, name: str) -> None:
    """Refuse weights of CLIP that were trained with QuickGELU, of which timm has a note alone."""
    notes = getattr(timm.get_pretrained_cfg(name), "notes", None) or ()
    if QUICK_GELU in name or not any(QUICK_GELU in str(note).lower() for note in notes):
        return
    other = name.replace("_clip_", f"_clip_{QUICK_GELU}_")
    known = timm.list_pretrained(other)
    msg = (
        f"weights of {PREFIX}{name} were trained with QuickGELU, this network has GELU; give "
        f"{f'--model.backbone {PREFIX}{other}' if known else 'another tag'}, or null for random "
        "weights"
    )
    raise ValueError(msg)


def _checked(timm: Any, source: Any, backbone: str) -> dict[str, Any]:
    """Return a description from the hub or a checkpoint, of what may stand in it.

    Raises:
        ValueError: if it is none, or its arguments name files or are no plain values.
    """
    parts = [source.get(k) for k in ("name", "arguments", "config")] if _is_dict(source) else []
    plain = len(parts) == 3 and _is_dict(parts[1]) and _is_dict(parts[2]) and _is_plain(parts[1])
    known = plain and isinstance(parts[0], str) and ":" not in parts[0] and timm.is_model(parts[0])
    bad = [name for name in (parts[1] if plain else ()) if str(name).startswith(NOT_ARGUMENTS)]
    if not known or bad:
        what = f"its arguments may not name {bad[0]!r}" if bad else f"{brief(source)} is none"
        msg = f"backbone {backbone}: its description must be that of a network of timm; {what}"
        raise ValueError(msg)
    name, arguments, config = parts
    kept = {key: config[key] for key in CONFIG if key in config and _is_plain(config[key])}
    return {"name": name, "arguments": dict(arguments), "config": kept}


def _is_dict(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_plain(inner) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _create(timm: Any, name: str, options: dict[str, Any]) -> Any:
    """Build a network; a vision transformer so that it takes inputs of any size."""
    try:
        return timm.create_model(name, **{"dynamic_img_size": True, **options})
    except TypeError as error:
        if "dynamic_img_size" not in str(error):
            raise
    return timm.create_model(name, **options)


def _preprocessing(timm: Any, config: Mapping[str, Any]) -> Preprocessing:
    found = timm.data.resolve_data_config({}, pretrained_cfg=dict(config))
    return Preprocessing(
        size=int(found["input_size"][-1]),
        interpolation=filter_of(str(found["interpolation"])),
        mean=tuple(map(float, found["mean"])),
        std=tuple(map(float, found["std"])),
    )


def _no_download(backbone: str, error: Exception) -> ValueError:
    said = " ".join(str(error).split())
    msg = (
        f"backbone {backbone}: the download failed ({type(error).__name__}: {said:.200}); give a "
        "local file with --model.weights FILE, or null for random weights"
    )
    return ValueError(msg)
