"""What a user may name as the victim."""

from pathlib import Path
from typing import Any

from torch import nn

from lightning_hash.utils.trust import check_no_grant, needs_trust, trusting
from lightning_hash.victims.borrow import unwrapped
from lightning_hash.victims.foreign import load_foreign
from lightning_hash.victims.hub import HUB, load_from_hub
from lightning_hash.victims.joint import join_victims
from lightning_hash.victims.options import check_victim_options
from lightning_hash.victims.victim import Victim, load_victim

DEFAULT_VICTIM = "checkpoints/demo/best.ckpt"
# A path, options, or a list of both; from Python also a module, which no parser may look for: of a
# union with nn.Module it would open the file.
Given = str | dict[str, Any] | list[Any] | Any


def as_victim(given: Any, *, trust: bool = False) -> Victim:
    """Turn what the user gave into a victim; a module of the user's is not changed.

    Args:
        given: the path of a checkpoint of ``fit``, or ``hf-hub:owner/name``; the options of
            :func:`lightning_hash.victims.load_foreign`; a HashModule; or any nn.Module that turns
            inputs in [0, 1] into ``(B, K)`` logits; or a list of these, which are joined.
        trust: let a file or function that is named run code, see
            :func:`lightning_hash.victims.load_foreign`.

    Returns:
        The victim.

    Raises:
        TypeError: if it is none of these.
        FileNotFoundError: if a file does not exist.
        ValueError: if a file cannot be read or does not fit, or needs trust.
    """
    with trusting(trust):
        return _resolve(given)


def _resolve(given: Any) -> Victim:
    if isinstance(given, Victim):
        return given
    if isinstance(given, (list, tuple)):
        return join_victims([_resolve(member) for member in given])
    if isinstance(given, str) and given.startswith(HUB):
        return load_from_hub(given)
    if isinstance(given, (str, Path)):
        return load_victim(given)
    if isinstance(given, dict):
        check_no_grant(given, "victim")
        if "class_path" in given:
            needs_trust(f"victim: class path {given['class_path']}", "is imported and built")
        check_victim_options(given, load_foreign)
        return load_foreign(**given)
    if isinstance(given, nn.Module):
        given = unwrapped(given)
    if hasattr(given, "as_victim"):
        victim: Victim = given.as_victim()
        return victim
    if isinstance(given, nn.Module):
        return Victim(given)
    msg = (
        "victim must be the path of a checkpoint, the options of a foreign model or an nn.Module "
        f"(a function: one that calls it), got {type(given).__name__}"
    )
    raise TypeError(msg)
