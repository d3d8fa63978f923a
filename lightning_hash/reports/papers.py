"""The numbered tables of both papers: which rows stand where."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightning_hash.results.rows import ResultRow
from lightning_hash.results.tables import bits_text, format_epsilon

BITS, EPSILON, SIZE = "victim.bits", "attack.budget.epsilon", "attack.targets.n_t"
THRESHOLD, FRAMES = "attack.objective.threshold", "attack.perturbation.count"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which rows make a line, or a line for each value of a field.

    Attributes:
        label: the line's name; with ``{}`` for the value of ``by``.
        attack: name of the attack, ``none`` for clean queries.
        metric: the number.
        by: the dotted path with a line for each of its values.
    """

    label: str
    attack: str
    metric: str
    by: str | None = None


@dataclass(frozen=True, kw_only=True)
class NumberedTable:
    """A table of a paper.

    Attributes:
        name: of the experiment, as in configs/papers.
        title: its number and what it shows.
        choices: the lines.
        column: the dotted path that columns differ in.
        least: numbers below which it is no line.
        heading: makes a column's name of the value there.
        corner: what the lines are.
        prefer: values at dotted paths; other values are left out where there are these.
        shown: values of ``by`` to show, beside that of the end; empty shows all.
        where: whether a row may be in it.
        scale: factor of the numbers.
        digits: behind the point.
    """

    name: str
    title: str
    choices: Sequence[Choice]
    column: str = BITS
    least: int = 1
    heading: Callable[[Any], str] = bits_text
    corner: str = "method"
    prefer: Mapping[str, Any]
    shown: Sequence[int] = ()
    where: Callable[[ResultRow], bool] = lambda _: True
    scale: float = 1.0
    digits: int = 4


HAG_SETTING = {EPSILON: 10 / 255, THRESHOLD: 0.5, FRAMES: None}
DHTA_SETTING = {EPSILON: 0.032, SIZE: 9, FRAMES: None}


def _closed(row: ResultRow) -> bool:
    return row.get("data.target_database") in (None, "database")


def _comparison(metric: str) -> list[Choice]:
    found = [("Original", "none"), ("Noise", "noise"), ("P2P", "p2p"), ("DHTA", "dhta")]
    return [Choice(label=label, attack=attack, metric=metric) for label, attack in found]


CLEAN_MAP = Choice(label="Original, MAP", attack="none", metric="map")
PERCENT: dict[str, Any] = {"scale": 100.0, "digits": 2, "where": _closed}
ITERATIONS = (0, 10, 50, 100, 500, 1000, 1500, 2000)
TABLES = (
    NumberedTable(
        name="hag_table1",
        title="HAG Table I, MAP at different iterations", corner="iteration",
        choices=[
            Choice(label="0", attack="none", metric="map"),
            Choice(label="{}", attack="hag", metric="map", by="iteration"),
        ],
        prefer=HAG_SETTING, shown=ITERATIONS,
    ),
    NumberedTable(
        name="hag_table2",
        title="HAG Table II, perceptibility at different iterations (in thousandths)",
        choices=[Choice(label="{}", attack="hag", metric="perceptibility", by="iteration")],
        corner="iteration", prefer=HAG_SETTING, scale=1000.0, shown=ITERATIONS,
    ),
    NumberedTable(
        name="hag_table3",
        title="HAG Table III, MAP after HAG and after HAG*, whose alpha is always 1",
        choices=[
            Choice(label="HAG*", attack="hag-star", metric="map"),
            Choice(label="HAG", attack="hag", metric="map"),
        ],
        prefer=HAG_SETTING,
    ),
    NumberedTable(
        name="dhta_table1",
        title="DHTA Tables 1, 2 and 7, t-MAP of targeted attacks and MAP (%)",
        choices=[*_comparison("t_map"), CLEAN_MAP], prefer=DHTA_SETTING, **PERCENT,
    ),
    NumberedTable(
        name="dhta_table3",
        title="DHTA Tables 3 and 4, t-MAP of DHTA at different iterations (%)",
        choices=[Choice(label="{}", attack="dhta", metric="t_map", by="iteration")],
        corner="iteration", prefer=DHTA_SETTING, shown=ITERATIONS, **PERCENT,
    ),
    NumberedTable(
        name="dhta_perceptibility",
        title="DHTA 4.4, perceptibility of DHTA, on average over all lengths (in thousandths)",
        choices=[Choice(label="DHTA", attack="dhta", metric="perceptibility")],
        prefer=DHTA_SETTING, scale=1000.0, digits=2, where=_closed,
    ),
    NumberedTable(
        name="dhta_table5",
        title="DHTA Table 5, MAP after all attacks (%)",
        choices=[*_comparison("map"), Choice(label="HAG", attack="hag", metric="map")],
        prefer={**DHTA_SETTING, THRESHOLD: 0.5}, **PERCENT,
    ),
    NumberedTable(
        name="dhta_table6",
        title="DHTA Table 6, t-MAP of DHTA with targets of an open set (%)",
        choices=[Choice(label="DHTA (n_t={})", attack="dhta", metric="t_map", by=SIZE)],
        prefer={EPSILON: 0.032}, scale=100.0, digits=2,
        where=lambda row: row.get("data.target_database") in ("open_set", "both"),
    ),
    NumberedTable(
        name="dhta_table8",
        title="DHTA Table 8, t-MAP of DHTA against ε (%)", column=EPSILON, least=2,
        choices=[Choice(label="{} bits", attack="dhta", metric="t_map", by=BITS)],
        heading=lambda epsilon: f"ε = {format_epsilon(epsilon, None)}", corner="",
        prefer={SIZE: 9}, **PERCENT,
    ),
    NumberedTable(
        name="dhta_table9",
        title="DHTA Table 9, t-MAP of the feature-based attack and DHTA (%)",
        choices=[
            Choice(label="Feature-based Attack", attack="feature", metric="t_map"),
            Choice(label="DHTA", attack="dhta", metric="t_map"),
        ],
        prefer=DHTA_SETTING, **PERCENT,
    ),
)  # fmt: skip
