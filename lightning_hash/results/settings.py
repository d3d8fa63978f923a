"""Settings as JSON: checked, looked up by dotted path, flattened and compared."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

DEEPEST = 50  # mappings and lists in each other


def as_json(value: Any, where: str) -> Any:
    """Return a copy that JSON can hold, with lists in place of tuples.

    Args:
        value: a mapping of strings, a list, a tuple, a string, a number, a bool or ``None``.
        where: its dotted path, for the error.

    Raises:
        ValueError: if it holds anything else, a number that is not finite or more than DEEPEST
            mappings and lists in each other; names the dotted path.

    Example:
        >>> as_json({"betas": (0.9, 0.999)}, "attack.step")
        {'betas': [0.9, 0.999]}
    """
    if where.count(".") > DEEPEST:
        msg = f"{where[:60]}... is nested too deeply"
        raise ValueError(msg)
    if isinstance(value, Mapping):
        wrong = next((key for key in value if not isinstance(key, str)), None)
        if wrong is not None:
            msg = f"{where} must have names as keys, got {wrong!r}"
            raise ValueError(msg)
        return {key: as_json(inner, f"{where}.{key}") for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(inner, f"{where}.{number}") for number, inner in enumerate(value)]
    if not (value is None or isinstance(value, bool | int | float | str)):
        msg = f"{where} must be JSON (a mapping, list, text, number, bool or null), got {value!r}"
        raise ValueError(msg)
    if isinstance(value, float) and not math.isfinite(value):
        msg = f"{where} must be finite, got {value}"
        raise ValueError(msg)
    return value


def canonical(value: Any) -> str:
    """Return one JSON text for all equal settings.

    The order of keys does not matter, nor whether a whole number is written as 1 or 1.0, nor
    whether a key is absent or its value is null.

    Args:
        value: JSON, as :func:`as_json` returns it.

    Example:
        >>> canonical({"lr": 1.0, "fused": None, "class": "SGD"})
        '{"class":"SGD","lr":1}'
    """
    return json.dumps(_reduced(value), sort_keys=True, separators=(",", ":"))


def look_up(mapping: Mapping[str, Any] | None, path: str) -> Any:
    """Return the value at a dotted path; ``None`` where a mapping or key is absent.

    Example:
        >>> look_up({"budget": {"epsilon": 0.1}}, "budget.epsilon")
        0.1
        >>> look_up({"step": None}, "step.lr")
    """
    found: Any = mapping
    for key in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(key)
    return found


def flatten(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return all values that are no mappings by their dotted paths.

    Args:
        mapping: JSON.
        prefix: path of the mapping itself.

    Example:
        >>> flatten({"name": "hag", "step": {"lr": 0.1, "betas": [0, 1]}}, "attack")
        {'attack.name': 'hag', 'attack.step.lr': 0.1, 'attack.step.betas': [0, 1]}
    """
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        path = f"{prefix}.{key}" if prefix else key
        flat.update(flatten(value, path) if isinstance(value, Mapping) else {path: value})
    return flat


def differences(first: Any, second: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Compare settings.

    Args:
        first: JSON.
        second: JSON.
        where: dotted path of both.

    Yields:
        The dotted path and both values of all that differs, as :func:`canonical` sees it; a part
        that the other has not is yielded whole.

    Example:
        >>> list(differences({"step": {"lr": 1, "beta": 2}}, {"step": {"lr": 1.0}}))
        [('step.beta', 2, None)]
    """
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for key in dict.fromkeys([*first, *second]):
            path = f"{where}.{key}" if where else key
            yield from differences(first.get(key), second.get(key), path)
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for number, (one, other) in enumerate(zip(first, second, strict=True)):
            yield from differences(one, other, f"{where}.{number}")
    elif canonical(first) != canonical(second):
        yield where, first, second


def _reduced(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _reduced(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_reduced(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
