"""What the values of a result row must be: their types, and the range of those that have one."""

import math
import types
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from lightning_hash.utils.json_text import brief

SLACK = 1e-6  # of means that are rounded
LARGEST = 1e100  # sums of a few such numbers are finite
_NULL: type = types.NoneType
# Shares, whatever is ranked; other metrics are of any size.
_SHARES = (
    "map", "t_map", "precision_at_n", "rank_percentile", "in_top_k", "train_map", "train_t_map",
)  # fmt: skip
_DISTANCES = ("hamming_to_clean", "hamming_to_anchor")


class Inner(NamedTuple):
    """What stands at a place in the mappings of a row.

    Attributes:
        kinds: its types.
        least: its lowest value, of a number.
    """

    kinds: tuple[type, ...]
    least: float | None = None


# Inside the mappings anything may stand; these values are computed with, compared or printed.
INNER: dict[str, Inner] = {
    "attack.name": Inner((str,)),
    "attack.targeted": Inner((bool, _NULL)),
    "attack.iterations": Inner((int, _NULL), 0),
    "attack.seed": Inner((int, _NULL)),
    "attack.budget": Inner((Mapping, _NULL)),
    "attack.budget.epsilon": Inner((float, int, _NULL), 0),
    "attack.step": Inner((Mapping, _NULL)),
    "attack.objective": Inner((Mapping, _NULL)),
    "attack.targets": Inner((Mapping, _NULL)),
    "attack.perturbation": Inner((Mapping, _NULL)),
    "transfer.sources": Inner((str,)),
    "transfer.combination": Inner((str,)),
    "victim.name": Inner((str, _NULL)),
    "victim.backbone": Inner((str, _NULL)),
    "victim.sha256": Inner((str, _NULL)),
    "victim.loss": Inner((str, _NULL)),
    "victim.bits": Inner((int, _NULL), 1),
    "data.dataset": Inner((str, _NULL)),
    "data.input_shape": Inner((list, _NULL)),
    "data.n_query": Inner((int, _NULL), 1),
    "data.n_database": Inner((int, _NULL), 0),
    "data.n_asking": Inner((int, _NULL), 1),
    "data.target_database": Inner((str, _NULL)),
    "data.database_codes": Inner((str, _NULL)),
    "ranking.top_k": Inner((int, _NULL), 1),
    "ranking.precision_n": Inner((int, _NULL), 1),
    "ranking.normalizer": Inner((str, _NULL)),
    "ranking.empty": Inner((str, _NULL)),
    "ranking.ties": Inner((str, _NULL)),
    "run.kernels": Inner((str, _NULL)),
    "run.precision": Inner((str, _NULL)),
    "run.seconds": Inner((float, int, _NULL), 0),
}


class Row(Protocol):
    """A result row."""

    def get(self, path: str) -> Any:
        """Return the value of a field, or at a dotted path in a mapping."""


def check_kind(path: str, value: Any, kinds: tuple[type, ...]) -> None:
    """Check the type of a value, and that a number is one.

    Args:
        path: its dotted path.
        value: what stands there.
        kinds: what may stand there.

    Raises:
        ValueError: if it is of another type, or not finite.
    """
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        names = " or ".join("null" if kind is _NULL else kind.__name__ for kind in kinds)
        msg = f"{path} must be {names}, got {brief(value)}"
        raise ValueError(msg)
    if isinstance(value, float) and not math.isfinite(value):
        msg = f"{path} must be finite, got {value}"
        raise ValueError(msg)


def check_ranges(row: Row) -> None:
    """Check that the values of a row can be what they say.

    Args:
        row: a row whose fields have the right types.

    Raises:
        ValueError: naming the first that cannot.
    """
    for path, inner in INNER.items():
        if row.get(path.partition(".")[0]) is None:
            continue
        value = row.get(path)
        check_kind(path, value, inner.kinds)
        if inner.least is not None and value is not None:
            check_range(path, value, inner.least)
    n, iteration, warnings = (row.get(name) for name in ("n", "iteration", "warnings"))
    check_range("value", row.get("value"), *_range_of(row))
    check_range("n", n, 1, row.get("data.n_query") or LARGEST)
    check_range("iteration", iteration, 0)
    for name, most in (
        ("se", LARGEST), ("queries", LARGEST), ("queries_finished", LARGEST),
        ("n_empty", n), ("n_finished", n), ("budget_used", 1.0),
    ):  # fmt: skip
        if row.get(name) is not None:
            check_range(name, row.get(name), 0, most)
    if row.get("jpeg") is not None:
        check_range("jpeg", row.get("jpeg"), 1, 100)
    iterations = row.get("attack.iterations")
    # Of several attacks put together each has its own.
    if iterations is not None and row.get("transfer") is None and iteration > iterations:
        msg = f"iteration must be at most attack.iterations, {iterations}, got {iteration}"
        raise ValueError(msg)
    sides = row.get("data.input_shape") or []
    if not all(isinstance(side, int) and side > 0 for side in sides):
        msg = f"data.input_shape must hold positive whole numbers, got {brief(sides)}"
        raise ValueError(msg)
    if not all(isinstance(each, str) for each in warnings or []):
        msg = f"warnings must be texts, got {brief(warnings)}"
        raise ValueError(msg)
    if not row.get("metric") or row.get("attack.name") == "":
        msg = "metric and attack.name must not be empty"
        raise ValueError(msg)


def _range_of(row: Row) -> tuple[float, float]:
    metric = row.get("metric")
    if metric in _SHARES or metric == "linf":
        return 0, 1
    if metric in _DISTANCES:
        return 0, row.get("victim.bits") or LARGEST
    if metric == "perceptibility":
        return 0, LARGEST
    if metric == "ssim":
        return -1, 1
    return -LARGEST, LARGEST


def check_range(path: str, value: float, least: float, most: float = LARGEST) -> None:
    """Check that a number is in its range, but for rounding.

    Args:
        path: its dotted path.
        value: the number.
        least: the lowest that may stand there.
        most: the highest.

    Raises:
        ValueError: if it is out of the range.
    """
    if not least - SLACK <= value <= most + SLACK:
        rule = f"at least {least:g}" if most == LARGEST else f"from {least:g} to {most:g}"
        msg = f"{path} must be {rule}, got {brief(value)}"
        raise ValueError(msg)
