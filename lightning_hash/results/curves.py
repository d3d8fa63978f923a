"""The curves of a run, as engine/callbacks/curves.py writes them."""

import math
from pathlib import Path
from typing import Any

from lightning_hash.utils.json_text import read_json

PAIRS = (("n", "precision_at_n"), ("recall", "precision"))


def read_curves(path: Path) -> list[dict[str, Any]]:
    """Read and check curves.

    Args:
        path: ``curves.json`` of a run.

    Returns:
        The curves: each has ``query``, ``label`` and, of one length, ``n`` and ``precision_at_n``,
        and ``recall`` and ``precision``, whose values are finite or ``None``; shares are in [0, 1].

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is damaged.
    """
    content = read_json(path, path.name, "run the attack again, or remove the file")
    curves = content.get("curves") if isinstance(content, dict) else None
    if not isinstance(curves, list) or not all(map(_is_curve, curves)):
        msg = "holds no curves of this version; run the attack again, or remove the file"
        raise ValueError(msg)
    return curves


def _is_curve(curve: Any) -> bool:
    """Return whether each pair of columns is there, of one length, of numbers and of shares."""
    if not isinstance(curve, dict):
        return False
    for first, second in PAIRS:
        places, values = curve.get(first), curve.get(second)
        if not (isinstance(places, list) and isinstance(values, list)):
            return False
        if len(places) != len(values) or not all(map(_is_number, [*places, *values])):
            return False
        shares = values if first == "n" else [*places, *values]
        if not all(each is None or 0 <= each <= 1 for each in shares):
            return False
    return isinstance(curve.get("query"), str) and isinstance(curve.get("label"), str)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and math.isfinite(value))
