"""The options of a model that others trained, as a config or a command line gives them."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from lightning_hash.utils.nearest import offer


def check_victim_options(given: Mapping[str, Any], load: Callable[..., Any]) -> None:
    """Refuse options that are none, or of another type, before a file is opened.

    Args:
        given: the options.
        load: what takes them.

    Raises:
        ValueError: naming the option and those there are.
        TypeError: if a value is of another type.

    Example:
        >>> check_victim_options({"source": "a.pth", "bitz": 16}, lambda source, bits=None: None)
        Traceback (most recent call last):
        ...
        ValueError: victim.bitz: there is no such option; there are: bits, source
    """
    known = [
        name
        for name, parameter in inspect.signature(load).parameters.items()
        if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    for name in given:
        if name not in known:
            msg = f"victim.{name}: there is no such option; {offer(str(name), known)}"
            raise ValueError(msg)
    if "source" not in given:
        msg = f"victim: source is missing beside {', '.join(map(str, given)) or 'nothing'}; give it"
        raise ValueError(msg)
    for name in ("source", "backbone", "output", "output_node", "layout", "head"):
        value = given.get(name)
        if not isinstance(value, str) and (value is not None or name == "source"):
            msg = f"victim.{name} must be a text, got {value!r}"
            raise TypeError(msg)
    bits = given.get("bits")
    if bits is not None and (isinstance(bits, bool) or not isinstance(bits, int) or bits < 1):
        msg = f"victim.bits must be a whole number from 1 on, got {bits!r}"
        raise ValueError(msg)
