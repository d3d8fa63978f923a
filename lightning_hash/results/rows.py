"""Result rows: every number with its whole protocol."""

import dataclasses
import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning_hash.results.ranges import check_kind, check_ranges
from lightning_hash.results.settings import as_json, canonical, flatten, look_up
from lightning_hash.utils.json_text import read_json
from lightning_hash.utils.whole_file import write_whole

SCHEMA = 2
CLEAN, CEILING = "none", "anchor"
PARTS = ("attack", "transfer", "victim", "data", "ranking", "run")


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """One number and all that it depends on. What is unknown or has no meaning is ``None``.

    The mappings hold JSON; the names in them are those of the parts' own settings.

    Attributes:
        schema: version of this format.
        metric: name of the metric.
        value: the number.
        se: its standard error over the queries.
        n: queries that it is the mean of.
        iteration: iteration at which it was taken.
        queries: questions asked of the victim so far, mean per query, where they are counted.
        queries_finished: the same mean over those queries alone that ``n_finished`` counts: how
            many questions success took. ``None`` where there are none.
        quantized: whether the images had been rounded to 8 bits.
        jpeg: quality of the JPEG files that they were then saved as and read from; ``None`` where
            nothing is lost by saving, as in PNG.
        n_empty: queries without a relevant item in the top_k.
        n_finished: queries that were stepped no more when the number was taken, since their codes
            had nothing left to flip or had come as far as ``attack.stop_at``; ``None`` where all
            are stepped to the end.
        budget_used: mean share of the budget that the perturbations use, from 0 to 1: of an
            L-infinity ball the mean |perturbation| over epsilon. ``None`` where nothing was
            attacked, and of budgets that do not say.
        warnings: what keeps the number from being believed, one line each; ``None`` without.
        attack: ``name``, ``targeted``, ``iterations``, ``seed`` and the settings of the parts
            (``objective``, ``step``, ``budget``, ...). ``None`` is the clean query; ``name``
            ``anchor`` is the anchor code itself, the ceiling.
        transfer: where the perturbations were not made on the victim alone: ``sources``
            (``backbone-bits`` joined by +), ``sha256`` (of each of these victims), ``combination``
            (single, sum, clipped, average, best, joint), ``restarts`` and, of several put together,
            ``parts``: run, victims, whole attack and iteration of each.
        victim: ``name``, ``sha256``, ``backbone``, ``bits``, ``loss``.
        data: the data set, fingerprints and sizes of its splits, and how queries become inputs.
        ranking: ``relevance``, ``top_k``, ``normalizer``, ``empty``, ``ties``, ``precision_n``.
        run: what no number should depend on: ``kernels``, ``devices``, ``seconds``, ``version``...

    Raises:
        ValueError: if a field or a value in a mapping has a wrong type, is not finite or out of its
            range; names it.
    """

    schema: int = SCHEMA
    metric: str
    value: float
    se: float | None = None
    n: int
    iteration: int
    queries: float | None = None
    queries_finished: float | None = None
    quantized: bool
    jpeg: int | None = None
    n_empty: int | None = None
    n_finished: int | None = None
    budget_used: float | None = None
    warnings: list[str] | None = None
    attack: Mapping[str, Any] | None
    transfer: Mapping[str, Any] | None = None
    victim: Mapping[str, Any]
    data: Mapping[str, Any]
    ranking: Mapping[str, Any]
    run: Mapping[str, Any]

    def __post_init__(self) -> None:
        for field, kinds in _FIELD_KINDS.items():
            check_kind(field, getattr(self, field), kinds)
        if self.schema != SCHEMA:
            raise ValueError(_other_version(self.schema))
        for part in PARTS:
            if getattr(self, part) is not None:
                object.__setattr__(self, part, as_json(getattr(self, part), part))
        check_ranges(self)

    @property
    def name(self) -> str:
        """The attack's name; ``none`` is the clean query, ``anchor`` the ceiling."""
        return CLEAN if self.attack is None else str(self.attack["name"])

    @property
    def is_attack(self) -> bool:
        """Whether it is a number of an attack: neither of clean queries nor the ceiling."""
        return self.name not in (CLEAN, CEILING)

    def get(self, path: str) -> Any:
        """Return the value at a dotted path, such as ``attack.budget.epsilon``.

        Args:
            path: a field of the row, or a place in one of its mappings.

        Returns:
            The value; ``None`` where a mapping or key is absent.
        """
        field, _, inner = path.partition(".")
        value = getattr(self, field)
        return look_up(value, inner) if inner else value

    @cached_property
    def leaves(self) -> dict[str, str]:
        """The dotted path of every value in the mappings that is not null, as canonical JSON."""
        flat = {part: getattr(self, part) or {} for part in PARTS}
        known = {path: value for path, value in flatten(flat).items() if value is not None}
        return {path: canonical(known[path]) for path in sorted(known)}

    def key(self, *parts: str, without: Sequence[str] = ()) -> tuple[tuple[str, str], ...]:
        """Return what rows can be grouped by: equal for rows whose mappings are equal.

        Args:
            parts: names of mappings, such as ``attack``.
            without: dotted paths of values or of whole mappings to leave out.
        """
        return tuple(
            (path, text)
            for path, text in self.leaves.items()
            if path.partition(".")[0] in parts
            and not any(path == out or path.startswith(f"{out}.") for out in without)
        )


def _kinds(annotation: Any) -> tuple[type, ...]:
    """Return the types that a field accepts; a whole number also passes for a float."""
    members = (
        typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    )
    kinds = tuple(typing.get_origin(member) or member for member in members)
    return (*kinds, int) if float in kinds else kinds


_FIELD_KINDS = {
    name: _kinds(annotation) for name, annotation in typing.get_type_hints(ResultRow).items()
}


def _other_version(schema: Any) -> str:
    return (
        f"schema must be {SCHEMA}, got {schema!r}: made by another version of this program; run "
        "the attack again"
    )


def write_results(path: Path, rows: Sequence[ResultRow]) -> None:
    """Write rows as a JSON list, atomically: whoever reads meanwhile sees the old file or the new.

    Args:
        path: the file; what was there before stays if anything fails.
        rows: the rows.

    Raises:
        OSError: if the file cannot be written.
    """
    text = json.dumps([dataclasses.asdict(row) for row in rows], indent=1, allow_nan=False)
    write_whole(path, f"{text}\n".encode())


def read_results(path: Path) -> list[ResultRow]:
    """Read what :func:`write_results` wrote.

    Args:
        path: the file.

    Returns:
        The rows.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no JSON list of result rows, or two rows contradict each other; names
            the row and the field.
    """
    try:
        content = read_json(path, str(path), "run it again, or remove the file")
    except FileNotFoundError as error:
        msg = f"{path} does not exist; python -m lightning_hash attack writes one at its end"
        raise FileNotFoundError(msg) from error
    if not isinstance(content, list):
        msg = f"{path} must hold a list of result rows, got {type(content).__name__}"
        raise ValueError(msg)
    rows = []
    for number, entry in enumerate(content):
        try:
            rows.append(_row(entry))
        except ValueError as error:
            msg = f"{path}, row {number}: {error}"
            raise ValueError(msg) from error
    _check_together(rows, path)
    return rows


def _check_together(rows: Sequence[ResultRow], path: Path) -> None:
    """Refuse two values of one number: one of them was changed by hand, or added."""
    seen: dict[Any, int] = {}
    for number, row in enumerate(rows):
        parts = row.key("attack", "transfer", "victim", "data", "ranking")
        key = row.metric, row.iteration, row.quantized, row.jpeg, parts
        first = seen.setdefault(key, number)
        if rows[first].value != row.value:
            msg = (
                f"{path}, row {number}: {row.metric} at iteration {row.iteration} is {row.value}, "
                f"but {rows[first].value} in row {first}, which is of the same settings; run it "
                "again, or remove the wrong one"
            )
            raise ValueError(msg)


def _row(entry: Any) -> ResultRow:
    if not isinstance(entry, dict):
        msg = f"must be a mapping, got {type(entry).__name__}"
        raise ValueError(msg)
    if entry.get("schema") != SCHEMA:
        raise ValueError(_other_version(entry.get("schema")))
    fields = {field.name: field for field in dataclasses.fields(ResultRow)}
    unknown = [name for name in entry if name not in fields]
    if unknown:
        msg = f"unknown field {unknown[0]!r}; known are {', '.join(fields)}"
        raise ValueError(msg)
    for name, field in fields.items():
        if name not in entry and field.default is dataclasses.MISSING:
            msg = f"field {name} is missing"
            raise ValueError(msg)
    return ResultRow(**entry)
