"""What the numbers of a report say, in a few sentences and one chart."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightning_hash.reports.grid import DEVIATION, SE, Cell
from lightning_hash.reports.lines import cell_of, distinct_names, final, grouped, setting_key
from lightning_hash.reports.overview import victim_panels
from lightning_hash.reports.papers import SIZE
from lightning_hash.results.rows import CEILING, CLEAN, ResultRow
from lightning_hash.results.settings import canonical
from lightning_hash.results.tables import LABELS

MUCH, SOME = 0.75, 0.25  # shares of what an attack could reach
MOST = 8  # attacks in the chart
DIGITS = 3
NO_VICTIM = "No attack on a single victim is among these runs: there is no verdict."
NOT_ENDED = "No attack has come to its end: there is no verdict yet."


@dataclass(frozen=True, kw_only=True)
class Bars:
    """An attack in the chart: one metric before and after.

    Attributes:
        label: the attack.
        metric: MAP, or t-MAP of a targeted attack.
        clean: of the clean queries.
        attacked: of the attacked queries.
    """

    label: str
    metric: str
    clean: Cell
    attacked: Cell


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a report says first.

    Attributes:
        headline: what the attacks do to the victim.
        sentences: what else is to be known.
        about: which victim and data the chart is of.
        bars: the chart.
        shown: the rows of the attacks that the headline names, the first at its front.
    """

    headline: str
    sentences: tuple[str, ...] = ()
    about: str = ""
    bars: tuple[Bars, ...] = ()
    shown: tuple[ResultRow, ...] = ()

    @property
    def alt(self) -> str:
        """The chart in words."""
        said = [
            f"{bars.label}: {bars.metric} {_text(bars.clean)} clean, "
            f"{_text(bars.attacked)} attacked"
            for bars in self.bars
        ]
        return f"{self.about}. {'; '.join(said)}."

    @property
    def note(self) -> str:
        """What stands behind the numbers; nothing where they are single ones."""
        cells = [cell for each in self.bars for cell in (each.clean, each.attacked)]
        errors = SE if any(cell.se is not None for cell in cells) else ""
        deviations = DEVIATION if any(cell.deviation is not None for cell in cells) else ""
        return " ".join(filter(None, (errors, deviations)))


@dataclass(frozen=True)
class _Attack:
    name: str
    rows: Sequence[ResultRow]

    @property
    def targeted(self) -> bool:
        return bool(self.rows[0].get("attack.targeted"))

    @property
    def iterative(self) -> bool:
        """Whether it is an attack and no baseline, which has no iterations."""
        return bool(self.rows[0].get("attack.iterations"))

    def cell(self, metric: str) -> Cell | None:
        return cell_of([row for row in self.rows if row.metric == metric])


def verdict_of(rows: Sequence[ResultRow]) -> Verdict:
    """Say what the attacks of some runs do, before rounding to 8 bits.

    Args:
        rows: of any runs.

    Returns:
        The verdict on the victim with the most attacks that have ended, the first of several; what
        else there is in a sentence. A difference counts from two standard errors on, where they
        are known.
    """
    panels = victim_panels(rows)
    if not panels:
        return Verdict(headline=NO_VICTIM)
    attacks = [_attacks(panel) for panel, _ in panels]
    number = max(range(len(panels)), key=lambda place: (len(attacks[place]), -place))
    (panel, about), found = panels[number], attacks[number]
    if not found:
        return Verdict(headline=NOT_ENDED)
    clean = {metric: _clean(panel, metric) for metric in ("map", "t_map")}
    said: list[str] = []
    shown: list[ResultRow] = []
    strongest = _strongest(found)
    if strongest is not None:
        said.append(_of_map(strongest, clean["map"]))
        shown.append(strongest.rows[0])
    aimed = _aimed(found)
    if aimed is not None:
        said.append(_of_targets(aimed, clean["t_map"], _ceiling(panel, aimed)))
        shown.append(aimed.rows[0])
    for each in found:
        cell = each.cell("map")
        if not each.iterative and cell is not None:
            said.append(f"{each.name}, without iterations, leaves MAP at {_text(cell)}.")
    if not said:
        return Verdict(headline=f"{about}: neither MAP nor t-MAP was measured.")
    doubted = [each.name for each in found if any(row.warnings for row in each.rows)]
    if doubted:
        said.append(f"Doubted by their own checks, see the warnings: {', '.join(doubted)}.")
    others = [each for place, each in enumerate(attacks) if place != number]
    said += _of_others([each for each in map(_strongest, others) if each is not None])
    bars = _bars(found, clean)
    if len(bars) < len(found):
        said.append(f"The chart has {len(bars)} of {len(found)} attacks.")
    return Verdict(
        headline=f"{about}: {said[0]}", sentences=tuple(said[1:]), about=about, bars=bars,
        shown=tuple(shown),
    )  # fmt: skip


def _attacks(panel: Sequence[ResultRow]) -> list[_Attack]:
    """Return the attacks of a victim that have ended, one for each setting."""
    ended = [row for row in final(panel) if row.is_attack and not row.quantized]
    groups = grouped(sorted(ended, key=lambda row: row.name), setting_key)
    names = distinct_names([rows[0] for rows in groups])
    return [_Attack(name, rows) for name, rows in zip(names, groups, strict=True)]


def _clean(panel: Sequence[ResultRow], metric: str) -> Cell | None:
    return cell_of([row for row in panel if (row.name, row.metric) == (CLEAN, metric)])


def _ceiling(panel: Sequence[ResultRow], attack: _Attack) -> Cell | None:
    """Return t-MAP of anchor codes of as many items as the attack's."""
    size = canonical(attack.rows[0].get(SIZE))
    found = [row for row in panel if (row.name, row.metric) == (CEILING, "t_map")]
    return cell_of([row for row in found if canonical(row.get(SIZE)) == size])


def _strongest(attacks: Sequence[_Attack]) -> _Attack | None:
    """Return the attack with the lowest MAP: an untargeted one where there is any."""
    found = [each for each in attacks if each.iterative and each.cell("map") is not None]
    untargeted = [each for each in found if not each.targeted]
    return min(untargeted or found, key=lambda each: _mean(each.cell("map")), default=None)


def _aimed(attacks: Sequence[_Attack]) -> _Attack | None:
    """Return the targeted attack with the highest t-MAP."""
    found = [
        each
        for each in attacks
        if each.targeted and each.iterative and each.cell("t_map") is not None
    ]
    return max(found, key=lambda each: _mean(each.cell("t_map")), default=None)


def _of_map(attack: _Attack, clean: Cell | None) -> str:
    """Say what becomes of MAP."""
    cell = attack.cell("map")
    assert cell is not None  # that of _strongest
    if clean is None:
        return f"after {attack.name} MAP is {_text(cell)}; of the clean queries it is not known."
    if _alike(clean, cell):
        return (
            f"{attack.name} does not change retrieval measurably, MAP is {_text(cell)}, and "
            f"{_text(clean)} of the clean queries."
        )
    if cell.mean > clean.mean:
        return (
            f"{attack.name} does not harm retrieval, MAP rises from {_text(clean)} to "
            f"{_text(cell)}."
        )
    lost = 1 - cell.mean / clean.mean
    verb = "breaks" if lost >= MUCH else "weakens" if lost >= SOME else "hardly weakens"
    return (
        f"{attack.name} {verb} retrieval, MAP falls from {_text(clean)} to {_text(cell)}, by "
        f"{lost:.0%}."
    )


def _of_targets(attack: _Attack, clean: Cell | None, ceiling: Cell | None) -> str:
    """Say how far queries retrieve what their targets do."""
    cell = attack.cell("t_map")
    assert cell is not None  # that of _aimed
    top = "" if ceiling is None else f"; the anchor code itself has {_text(ceiling)}"
    if clean is None:
        return f"{attack.name} reaches a t-MAP of {_text(cell)}{top}."
    if _alike(clean, cell) or cell.mean <= clean.mean:
        return (
            f"{attack.name} does not steer queries to their targets, t-MAP is {_text(cell)}, and "
            f"{_text(clean)} of the clean queries{top}."
        )
    reach = (1.0 if ceiling is None else ceiling.mean) - clean.mean
    share = (cell.mean - clean.mean) / reach if reach > 0 else 1.0
    how = "steers" if share >= MUCH else "partly steers" if share >= SOME else "hardly steers"
    return (
        f"{attack.name} {how} queries to their targets, t-MAP rises from {_text(clean)} to "
        f"{_text(cell)}{top}."
    )


def _of_others(strongest: Sequence[_Attack]) -> list[str]:
    """Say what is left of MAP on the other victims."""
    values = [_mean(each.cell("map")) for each in strongest]
    if not values:
        return []
    if len(values) == 1:
        return [f"On one other victim or protocol the strongest attack leaves MAP {values[0]:.3f}."]
    return [
        f"On {len(values)} other victims or protocols the strongest attack on each leaves MAP "
        f"between {min(values):.3f} and {max(values):.3f}."
    ]


def _bars(attacks: Sequence[_Attack], clean: Mapping[str, Cell | None]) -> tuple[Bars, ...]:
    """Return the chart: MAP of untargeted attacks, then t-MAP of targeted ones, by name.

    Of more than MOST those with the largest changes.
    """
    found = []
    for each in sorted(attacks, key=lambda each: each.targeted):
        metric = "t_map" if each.targeted and each.iterative else "map"
        before, after = clean[metric], each.cell(metric)
        if before is not None and after is not None:
            found.append(Bars(label=each.name, metric=LABELS[metric], clean=before, attacked=after))
    by_change = sorted(found, key=lambda bars: -abs(bars.attacked.mean - bars.clean.mean))
    return tuple(bars for bars in found if bars in by_change[:MOST])


def _alike(one: Cell, other: Cell) -> bool:
    """Return whether two means are within two standard errors of their difference."""
    return abs(one.mean - other.mean) <= 2 * math.hypot(_error(one), _error(other))


def _error(cell: Cell) -> float:
    if cell.deviation is not None:
        return cell.deviation / math.sqrt(len(cell.values))
    return cell.se or 0.0


def _mean(cell: Cell | None) -> float:
    return math.nan if cell is None else cell.mean


def _text(cell: Cell) -> str:
    return cell.text(1.0, DIGITS)
