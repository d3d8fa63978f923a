"""Every attack on a victim, side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

from lightning_hash.reports.grid import Cell, Grid, Line
from lightning_hash.reports.lines import (
    Key,
    captions,
    cell_of,
    distinct_headings,
    distinct_names,
    final,
    grouped,
    in_order,
    of_draws,
    setting_key,
    setting_of,
    unended,
)
from lightning_hash.reports.papers import BITS, EPSILON, FRAMES, SIZE
from lightning_hash.reports.settings import differing_settings, one_for_all, warnings_of
from lightning_hash.reports.victims import add_checkpoints, checkpoint_of, victim_key
from lightning_hash.results.rows import CEILING, CLEAN, ResultRow
from lightning_hash.results.settings import canonical
from lightning_hash.results.tables import LABELS, bits_text, metric_label, metrics_of

# Name, metric, whether rounded to 8 bits, quality of the JPEG.
Column = tuple[str, str, bool, int | None]
COLUMNS: tuple[Column, ...] = (
    ("MAP", "map", False, None), ("MAP 8-bit", "map", True, None),
    ("t-MAP", "t_map", False, None), ("t-MAP 8-bit", "t_map", True, None),
    ("perceptibility", "perceptibility", False, None),
)  # fmt: skip
# Of perturbations that learn on the training split, beside the same of the queries.
LEARNED = {"train_map": "map", "train_t_map": "t_map"}


def overview_grids(rows: Sequence[ResultRow]) -> list[Grid]:
    """Lay out all attacks, a table for each victim and protocol.

    Args:
        rows: of any runs; those of transfers and of attacks on several victims are left out.

    Returns:
        The grids, no two of one heading: a line for the clean queries, one per attack and setting,
        and one for the ceiling of each size of anchor sets. Settings that lines differ in have
        columns. A metric that is none of COLUMNS and has no label has a column of its own.
    """
    panels = victim_panels(rows)
    firsts = [panel[0] for panel, _ in panels]
    abouts = [about for _, about in panels]
    said = captions(firsts, without=("victim.name",), headings=abouts)
    return [_grid(*panel, caption) for panel, caption in zip(panels, said, strict=True)]


def victim_panels(rows: Sequence[ResultRow]) -> list[tuple[list[ResultRow], str]]:
    """Put the attacks on each victim together, with its clean queries and ceilings.

    Args:
        rows: of any runs; those of transfers and of attacks on several victims are left out.

    Returns:
        The rows of each victim and protocol that was attacked, and a name for it, no two alike.
    """
    single = [row for row in rows if row.transfer is None]
    clean = [row for row in single if row.name == CLEAN]
    panels = []
    others = grouped(
        (row for row in single if row.name != CLEAN), lambda row: (_victim(row), _targets(row))
    )
    for panel in others:
        if any(row.is_attack for row in panel):
            victim, targets = _victim(panel[0]), _targets(panel[0])
            own = [
                r
                for r in clean
                if _victim(r) == victim and _targets(r) in (canonical(None), targets)
            ]
            panels.append([*panel, *of_draws(own, panel)])
    panels.sort(
        key=lambda rows: (
            *(str(rows[0].get(path)) for path in ("data.dataset", "victim.backbone")),
            in_order(rows[0].get(BITS)), checkpoint_of(rows[0]),
        )
    )  # fmt: skip
    firsts = [rows[0] for rows in panels]
    headings = add_checkpoints([_about(row) for row in firsts], firsts)
    abouts = distinct_headings(headings, [_shared(row) for row in firsts])
    return list(zip(panels, abouts, strict=True))


def _about(row: ResultRow) -> str:
    return f"{row.get('data.dataset')}, {row.get('victim.backbone')}, {bits_text(row.get(BITS))}"


def _victim(row: ResultRow) -> Key:
    return (*victim_key(row), *row.key("data", "ranking"))


def _targets(row: ResultRow) -> str:
    """Return how targets are chosen, as JSON text; ``null`` where it is not known."""
    return canonical(_rule(row))


def _rule(row: ResultRow) -> Any:
    """Return the settings that targets are chosen by, but for their number and seed."""
    targets = row.get("run.draw.targets" if row.attack is None else "attack.targets")
    if not isinstance(targets, Mapping):
        return targets
    return {key: value for key, value in targets.items() if key not in ("n_t", "seed")}


def _shared(row: ResultRow) -> dict[str, Any]:
    """Return what the numbers of a table share, beside the victim."""
    return {"data": row.data, "ranking": row.ranking, "targets": _rule(row)}


def _grid(panel: Sequence[ResultRow], about: str, caption: str) -> Grid:
    more = [metric for metric in metrics_of(panel) if metric not in LABELS]
    rounded = {row.metric for row in panel if row.quantized}
    jpegs = sorted({row.jpeg for row in panel if row.jpeg is not None}, reverse=True)
    learned = [metric for metric in metrics_of(panel) if metric in LEARNED]
    columns = [*COLUMNS, *((LABELS[metric], metric, False, None) for metric in learned)]
    for metric in more:
        label = metric_label(next(row for row in panel if row.metric == metric))
        columns += [(label, metric, False, None)]
        columns += [(f"{label} 8-bit", metric, True, None)] if metric in rounded else []
    columns += [
        (f"{LABELS[metric]} JPEG {jpeg}", metric, True, jpeg)
        for jpeg in jpegs
        for metric in ("map", "t_map")
        if any((row.metric, row.jpeg) == (metric, jpeg) for row in panel)
    ]

    def cells(rows: Sequence[ResultRow]) -> tuple[Cell | None, ...]:
        return tuple(
            cell_of([r for r in rows if (r.metric, r.quantized, r.jpeg) == tuple(wanted)])
            for _, *wanted in columns
        )

    ended = [row for row in final(panel) if row.is_attack]
    attacks = grouped(sorted(ended, key=_rank), setting_key)
    names = distinct_names([rows[0] for rows in attacks])
    clean = [row for row in panel if row.name == CLEAN]
    ceilings = [row for row in panel if row.name == CEILING]
    by_size = grouped(ceilings, lambda row: canonical(row.get(SIZE) or 0))
    by_size.sort(key=lambda rows: in_order(rows[0].get(SIZE) or 0))
    groups = [
        ("clean query", clean),
        *zip(names, attacks, strict=True),
        *((f"ceiling n_t={rows[0].get(SIZE) or 0}", rows) for rows in by_size),
    ]
    settings = differing_settings([rows for _, rows in groups])
    notes = [
        f"{name}: {setting_of(rows[0])}; {_cost(rows)}."
        for name, rows in zip(names, attacks, strict=True)
    ]
    notes += [f"{name}: {gap}." for name, rows in zip(names, attacks, strict=True)
              for gap in _gaps(rows)]  # fmt: skip
    notes += [note for rows in unended(panel) for note in _stopped(rows)]
    return Grid(
        title="Attacks",
        about=about,
        caption=caption,
        corner="attack",
        columns=tuple(name for name, *_ in columns),
        lines=tuple(
            Line(label, cells(rows), settings=tuple(texts[number] for texts in settings.values()))
            for number, (label, rows) in enumerate(groups)
        ),
        notes=(
            *notes,
            *warnings_of(dict(groups)),
            f"Victim: {checkpoint_of(panel[0])}.",
            *one_for_all(panel),
        ),
        settings=tuple(settings),
    )


def _gaps(rows: Sequence[ResultRow]) -> list[str]:
    """Say how far what was learnt on the training split falls short on queries."""
    said = []
    for learned, metric in LEARNED.items():
        there, here = (
            cell_of([row for row in rows if (row.metric, row.quantized) == (name, False)])
            for name in (learned, metric)
        )
        if there is not None and here is not None:
            said.append(
                f"{LABELS[metric]} {there.mean:.4f} on training images, {here.mean:.4f} on "
                f"queries, a gap of {here.mean - there.mean:+.4f}"
            )
    return said


def _stopped(rows: Sequence[ResultRow]) -> list[str]:
    """Say how far an attack has come that is not at its end."""
    last = max(rows, key=lambda row: row.iteration)
    reached = f"at iteration {last.iteration} of {last.get('attack.iterations')}"
    found = [row for row in rows if row.iteration == last.iteration and not row.quantized]
    values = [f"{LABELS.get(row.metric, row.metric)} {row.value:.4f}" for row in found]
    return [
        f"{last.name}: not at its end, no number.",
        f"{last.name} {reached}, seed {last.get('attack.seed')}: {', '.join(values)}; "
        f"{setting_of(last)}.",
    ]


def _cost(rows: Sequence[ResultRow]) -> str:
    """Say how long an attack took, how often it asked and how much of its budget it used."""
    seconds = max(row.get("run.seconds") or 0.0 for row in rows)
    asked = [row.queries for row in rows if row.queries is not None]
    questions = f"{max(asked):.6g} questions per query, " if asked else ""
    shares = [row.budget_used for row in rows if row.budget_used is not None]
    used = f"{max(shares):.0%} of the budget used, " if shares else ""
    return f"{used}{questions}{seconds:.1f} s on {rows[0].get('run.devices')}"


def _rank(row: ResultRow) -> tuple[Any, ...]:
    return (
        row.name,
        in_order(row.get(SIZE) or 0),
        in_order(row.get(EPSILON) or 0.0),
        in_order(row.get(FRAMES)),
    )
