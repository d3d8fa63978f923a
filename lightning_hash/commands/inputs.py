"""Size and interpolation of the data, where the victim's network says what it was made for."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.utilities import rank_zero_info

from lightning_hash.models.backbones import preprocessing_of
from lightning_hash.utils.escapes import visible
from lightning_hash.utils.foreign_files import check_size
from lightning_hash.utils.json_text import brief
from lightning_hash.victims.checkpoints import CHECKPOINT_KEY, read_checkpoint
from lightning_hash.victims.hub import HUB, entry_of_hub

NAMES = ("size", "interpolation")
WHO = "source"  # beside them: who says it, for the message


def fill_inputs(data: Any, given: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Give the data what a network was made for, where the user says nothing of it.

    Args:
        data: option ``data``, parsed; its ``init_args`` are changed.
        given: what the user gave, by dotted name (:func:`lightning_hash.commands.given_options`).
        wanted: ``size`` and ``interpolation``, and ``source``; nothing where nobody says.
    """
    options = getattr(data, "init_args", None) or {}
    new = {
        option: wanted[option]
        for option in NAMES
        if option in options and wanted.get(option) not in (None, options[option])
        and f"data.{option}" not in given and not (option == "size" and "data.resize" in given)
    }  # fmt: skip
    for option, value in new.items():
        options[option] = value
    if new:
        said = " ".join(f"--data.{option} {value}" for option, value in new.items())
        rank_zero_info(visible(f"data: {said}, {wanted[WHO]}"))


def inputs_of_backbone(backbone: Any) -> dict[str, Any]:
    """Return what :func:`fill_inputs` takes of a backbone; nothing where nobody says.

    Args:
        backbone: a name, or what else ``model.backbone`` may be.

    Raises:
        ValueError: if its library is missing or does not know it.
    """
    found = preprocessing_of(backbone) if isinstance(backbone, str) else None
    if found is None:
        return {}
    return {**{name: getattr(found, name) for name in NAMES}, WHO: f"as {backbone} was made for"}


def inputs_of_victim(victim: Any) -> dict[str, Any]:
    """Return what :func:`fill_inputs` takes of a victim.

    It is what a checkpoint of ours was trained with, here or on the hub, or what the backbone of
    a state dict was made for.

    Args:
        victim: option ``model.victim``: of a list, the first that says it.

    Returns:
        Nothing where nobody says; a victim that cannot be read is left to its own reader.

    Raises:
        ValueError: if the library of its backbone is missing or does not know it, or a checkpoint
            says what no data could have had.
    """
    for each in _members(victim):
        options = each if isinstance(each, Mapping) else {"source": each}
        source = options.get("source")
        if isinstance(source, str) and source.startswith(HUB):
            # The hub is not asked where its reader refuses other options.
            found = _of_hub(source) if set(options) <= {"source", "bits"} else {}
        elif isinstance(each, Mapping):
            found = inputs_of_backbone(each.get("backbone"))
        else:
            found = _of_checkpoint(each) if isinstance(each, str | Path) else {}
        if found:
            return found
    return {}


def inputs_of_entry(
    entry: Mapping[str, Any], called: str, remedy: str = "make it anew with fit"
) -> dict[str, Any]:
    """Return what our own entry in a checkpoint says of the inputs of the training.

    Args:
        entry: the entry.
        called: the checkpoint, for the message.
        remedy: likewise.

    Raises:
        ValueError: if it says what no data could have had, or what no memory holds.
    """
    inputs = entry.get("inputs") or {}
    size = inputs.get("size") if isinstance(inputs, Mapping) else None
    kind = inputs.get("interpolation") if isinstance(inputs, Mapping) else None
    if not inputs:
        return {}
    if type(size) is not int or size < 1 or not (kind is None or isinstance(kind, str)):
        msg = f"{called}: inputs cannot be {brief(inputs)}; {remedy}"
        raise ValueError(msg)
    check_size(4 * 3 * size**2, f"{called}: an input of size {size}")
    who = f"as {called.rpartition(': ')[2]} was trained with"
    return {"size": size, "interpolation": kind, WHO: who}


def _members(victim: Any) -> Iterator[Any]:
    if isinstance(victim, list | tuple):
        for each in victim:
            yield from _members(each)
    else:
        yield victim.as_dict() if hasattr(victim, "as_dict") else victim


def _of_hub(source: str) -> dict[str, Any]:
    try:
        entry = entry_of_hub(source)
    except (ValueError, OSError):
        return {}
    return inputs_of_entry(entry, f"victim {source}", "push it again")


def _of_checkpoint(path: str | Path) -> dict[str, Any]:
    if not Path(path).is_file():
        return {}
    try:
        checkpoint = read_checkpoint(Path(path), "victim", "python -m lightning_hash fit")
    except (ValueError, OSError):
        return {}
    return inputs_of_entry(checkpoint[CHECKPOINT_KEY], f"victim {path}")
