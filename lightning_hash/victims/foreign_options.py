"""The options of a victim that others trained, as a user writes them."""

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from lightning_hash.utils.json_text import brief
from lightning_hash.victims.foreign import load_foreign

_TEXTS = ("source", "backbone", "output")


def check_options(given: Mapping[Any, Any]) -> None:
    """Check names and types of the options of :func:`lightning_hash.victims.load_foreign`.

    Args:
        given: what stands under ``victim``.

    Raises:
        ValueError: naming the option that is missing, unknown or of a wrong type.
    """
    known = inspect.signature(load_foreign).parameters
    for name in given:
        if name not in known:
            near = get_close_matches(str(name), known, n=1)
            offer = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            msg = f"victim: unknown option {brief(name)}; {offer}"
            raise ValueError(msg)
    if "source" not in given:
        msg = f"victim: source is missing, the file or function of a foreign model; got {given}"
        raise ValueError(msg)
    for name in _TEXTS:
        value = given.get(name)
        if not (isinstance(value, str) and value) and (name == "source" or value is not None):
            msg = f"victim: {name} must be a text, got {brief(value)}"
            raise ValueError(msg)
    bits = given.get("bits")
    if bits is not None and (not isinstance(bits, int) or isinstance(bits, bool) or bits < 1):
        msg = f"victim: bits must be a positive whole number, got {brief(bits)}"
        raise ValueError(msg)
