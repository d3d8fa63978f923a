"""Figures of numbers against a setting: HAG Fig. 6, DHTA Fig. 7, and frames attacked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from lightning_hash.reports.figure import COLOURS, TARGETED, Plot, add_legend, make_axes
from lightning_hash.reports.lines import (
    captions,
    cell_of,
    distinct_headings,
    final,
    grouped,
    left_out_note,
    of_draws,
    preferred,
    protocol_key,
    setting_key,
    setting_of,
)
from lightning_hash.reports.papers import DHTA_SETTING, EPSILON, FRAMES, SIZE, THRESHOLD
from lightning_hash.reports.victims import length_names, victim_key, victims_note
from lightning_hash.results.rows import ResultRow
from lightning_hash.utils.escapes import figure_text

NAME = "attack.name"


def courses(rows: Sequence[ResultRow]) -> Iterator[Plot]:
    """Draw numbers against a setting, where there are enough of them for a course.

    Args:
        rows: of finished runs.

    Yields:
        The Hamming distance against iterations for each threshold, t-MAP against n_t and against
        the number of frames attacked; each protocol apart, each victim a line.
    """
    alone = [row for row in rows if row.transfer is None and not row.quantized]
    yield from _thresholds(alone)
    yield from _anchor_sizes(alone)
    yield from _frame_counts(alone)


def _thresholds(rows: Sequence[ResultRow]) -> Iterator[Plot]:
    """Draw the Hamming distance against iterations for each t (HAG Fig. 6)."""
    found = [r for r in rows if (r.name, r.metric) == ("hag", "hamming_to_clean")]
    found = [row for row in found if _is_number(row.get(THRESHOLD))]
    panels = grouped(
        found, lambda row: (protocol_key(row), victim_key(row), setting_key(row, [THRESHOLD]))
    )
    said = captions([panel[0] for panel in panels])
    for panel, caption in zip(panels, said, strict=True):
        values = sorted({row.get(THRESHOLD) for row in panel})
        if len(values) > 1:
            series = {f"t = {t:g}": [r for r in panel if r.get(THRESHOLD) == t] for t in values}
            figure = _against(series, _iteration, "iteration", "mean Hamming distance", 1.0)
            setting = setting_of(panel[0], [THRESHOLD])
            title = "HAG Fig. 6, Hamming distance to the clean code for each threshold t"
            yield Plot(
                name="hag_fig6", title=title, figure=figure,
                caption=f"{caption} hag: {setting}. {victims_note(panel)}{_bands(figure)}",
            )  # fmt: skip


def _anchor_sizes(rows: Sequence[ResultRow]) -> Iterator[Plot]:
    """Draw t-MAP against n_t with MAP of the clean queries (DHTA Fig. 7)."""
    rows = final(rows)
    clean = [row for row in rows if (row.name, row.metric) == ("none", "map")]
    found = [row for row in rows if row.name in ("dhta", "p2p") and row.metric == "t_map"]
    found = [row for row in found if row.get("data.target_database") in (None, "database")]
    kept, others = preferred(found, {EPSILON: DHTA_SETTING[EPSILON]})
    varied = (NAME, SIZE)
    left_out = left_out_note(kept, others, varied)
    panels = grouped(kept, lambda row: (protocol_key(row), setting_key(row, varied)))
    said = captions([panel[0] for panel in panels])
    for panel, caption in zip(panels, said, strict=True):
        series = {}
        for key, name in length_names(panel).items():
            own = [row for row in panel if victim_key(row) == key]
            if len({_size(row) for row in own}) > 2:  # P2P and DHTA alone show no course
                series[name] = own
        if not series:
            continue
        figure = _against(series, _size, "n_t", "t-MAP (%)", 100.0)
        for number, label in enumerate(series):
            like = series[label][0]
            own = [row for row in clean if victim_key(row) == victim_key(like)]
            own = [row for row in own if protocol_key(row) == protocol_key(like)]
            cell = cell_of(of_draws(own, series[label]))
            if cell is not None:
                figure.axes[0].axhline(
                    100 * cell.mean, color=COLOURS[number % len(COLOURS)], linestyle="--",
                    linewidth=1.2, label=figure_text(f"{label}, Original (MAP)"),
                )  # fmt: skip
        add_legend(figure.axes[0])
        shown = [row for own in series.values() for row in own]
        said = [caption, f"dhta: {setting_of(panel[0], [SIZE])}.", left_out, victims_note(shown)]
        yield Plot(
            name="dhta_fig7", title="DHTA Fig. 7, t-MAP of DHTA against n_t", figure=figure,
            caption=" ".join(filter(None, said)) + _bands(figure),
        )  # fmt: skip


def _frame_counts(rows: Sequence[ResultRow]) -> Iterator[Plot]:
    """Draw t-MAP against the number of frames of each clip that were attacked."""
    found = [
        row
        for row in final(rows)
        if row.metric == "t_map" and row.get("attack.iterations")
        if len(row.get("data.input_shape") or ()) == 4
    ]
    varied = (NAME, SIZE, "attack.perturbation")
    panels = grouped(found, lambda row: (protocol_key(row), setting_key(row, varied)))
    said = captions([panel[0] for panel in panels])
    for panel, caption in zip(panels, said, strict=True):
        lengths = length_names(panel)
        groups = grouped(panel, lambda row: (row.name, str(row.get(SIZE)), victim_key(row)))
        groups = [rows for rows in groups if len({_frames(row) for row in rows}) > 2]
        firsts = [rows[0] for rows in groups]  # two points show no course
        names = distinct_headings(
            [f"{TARGETED.get(r.name, r.name)}, {lengths[victim_key(r)]}" for r in firsts],
            [{"n_t": row.get(SIZE)} for row in firsts],
        )
        series = dict(zip(names, groups, strict=True))
        if series:
            figure = _against(series, _frames, "frames attacked", "t-MAP (%)", 100.0)
            yield Plot(
                name="frames",
                title="Attacks on some frames of each clip, t-MAP against their number",
                caption=f"{caption} {setting_of(panel[0], varied)}. "
                f"{victims_note([row for rows in groups for row in rows])}{_bands(figure)}",
                figure=figure,
            )


def _iteration(row: ResultRow) -> float:
    return row.iteration


def _size(row: ResultRow) -> float:
    size = row.get(SIZE)
    return float(size) if _is_number(size) else 0.0


def _frames(row: ResultRow) -> float:
    """Return how many frames of each clip were attacked; all of them where it is not said."""
    count = row.get(FRAMES)
    return float(count if _is_number(count) else row.get("data.input_shape")[0])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _against(
    series: Mapping[str, Sequence[ResultRow]],
    place: Callable[[ResultRow], float],
    xlabel: str,
    ylabel: str,
    scale: float,
) -> Figure:
    """Draw means against a place, with a band of one standard deviation."""
    figure, (axes,) = make_axes()
    for number, (label, rows) in enumerate(series.items()):
        values = sorted({place(row) for row in rows})
        cells = [cell_of([row for row in rows if place(row) == x]) for x in values]
        mean = np.array([cell.mean for cell in cells if cell]) * scale
        deviation = np.array([cell.deviation or 0.0 for cell in cells if cell]) * scale
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(values, mean, marker=".", color=colour, label=figure_text(label), linewidth=1.6)
        if deviation.any():
            axes.fill_between(values, mean - deviation, mean + deviation, color=colour, alpha=0.15)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    add_legend(axes)
    return figure


def _bands(figure: Figure) -> str:
    """Say what the bands are, where there are any."""
    return " Bands: one standard deviation over seeds." if figure.axes[0].collections else ""
