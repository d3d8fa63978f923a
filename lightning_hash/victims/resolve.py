"""What a user may name as the victim."""

from pathlib import Path
from typing import Any

from torch import nn

from lightning_hash.victims.borrow import unwrapped
from lightning_hash.victims.foreign import load_foreign
from lightning_hash.victims.foreign_options import check_options
from lightning_hash.victims.joint import join_victims
from lightning_hash.victims.victim import Victim, load_victim

DEFAULT_VICTIM = "checkpoints/demo/best.ckpt"


def as_victim(given: Any) -> Victim:
    """Turn what the user gave into a victim; a module of the user's is not changed.

    Args:
        given: the path of a checkpoint of ``fit``; the options of
            :func:`lightning_hash.victims.load_foreign`; a HashModule; or any nn.Module that turns
            inputs in [0, 1] into ``(B, K)`` logits; or a list of these, which are joined.

    Returns:
        The victim.

    Raises:
        TypeError: if it is none of these.
        FileNotFoundError: if a file does not exist.
        ValueError: if a file cannot be read or does not fit.
    """
    if isinstance(given, Victim):
        return given
    if isinstance(given, (list, tuple)):
        return join_victims([as_victim(member) for member in given])
    if isinstance(given, (str, Path)):
        return load_victim(given)
    if isinstance(given, dict):
        check_options(given)
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
