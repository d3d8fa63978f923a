"""A heat map and a table of what harmless transforms do to codes."""

import io
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich.table import Table

from lightning_hash.results.robustness import Robustness, TransformRow
from lightning_hash.results.tables import with_error
from lightning_hash.utils.escapes import figure_text, terminal

DPI = 130
MAP = "cividis"  # told apart by the colour-blind, and in grey


def robustness_figure(found: Robustness) -> Figure:
    """Draw the detection rate of each transform at each strength.

    Args:
        found: the numbers.

    Returns:
        The figure: a line for each transform, its strengths from the mildest on; each cell has the
        strength and the share of the queries at d <= T, in percent.
    """
    lines: dict[str, list[TransformRow]] = {}
    for row in found.rows[1:]:
        lines.setdefault(row.transform, []).append(row)
    columns = max(map(len, lines.values()))
    rates = np.full((len(lines), columns), np.nan)
    figure = Figure(figsize=(1.9 + 0.82 * columns, 1.35 + 0.46 * len(lines)), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    for line, rows in enumerate(lines.values()):
        rates[line, : len(rows)] = [row.detection_rate for row in rows]
    image = axes.imshow(rates, vmin=0, vmax=1, cmap=colormaps[MAP], aspect="auto")
    for line, rows in enumerate(lines.values()):
        for column, row in enumerate(rows):
            axes.text(
                column, line, f"{strength_text(row)}\n{_percent(row.detection_rate)}", ha="center",
                va="center", fontsize=7, color="black" if row.detection_rate > 0.55 else "white",
            )  # fmt: skip
    axes.set_yticks(range(len(lines)), [_line_name(rows[0]) for rows in lines.values()], fontsize=7)
    axes.set_xticks([])
    for places, lines_of in ((columns, axes.axvline), (len(lines), axes.axhline)):
        for place in range(1, places):
            lines_of(place - 0.5, color="white", linewidth=1.2)
    axes.set_xlabel("strength, from the mildest on; below it the share of the queries", fontsize=7)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.01, format=lambda x, _: f"{x:.0%}")
    bar.ax.tick_params(labelsize=7)
    axes.set_title(figure_text("\n".join(robustness_head(found))), fontsize=8, loc="left")
    return figure


def robustness_png(found: Robustness) -> bytes:
    """Return :func:`robustness_figure` as the content of a PNG."""
    content = io.BytesIO()
    robustness_figure(found).savefig(content, format="png", dpi=DPI)
    return content.getvalue()


def robustness_head(found: Robustness) -> list[str]:
    """Return two lines: whose detection rate of what, and how often different images match."""
    name = found.victim.get("name") or found.victim.get("backbone")
    matches = ", ".join(f"{each.rate:.2g} of {each.among}" for each in found.false_matches)
    return [
        f"{name}: detected at d <= {found.threshold} of {found.bits} bits, "
        f"{found.data['n_query']} queries of {found.data['dataset']}",
        f"false matches: {matches}",
    ]


def robustness_table(found: Robustness) -> Table:
    """Lay out the numbers: a line for each transform and strength.

    Args:
        found: the numbers.
    """
    table = Table(
        title=terminal("\n".join(robustness_head(found)), "table.title", keep="\n"),
        title_justify="left",
        caption="in brackets: standard error over the queries, in the last digits",
        caption_justify="left",
    )
    with_map = any(row.map is not None for row in found.rows)
    table.add_column("transform")
    for header in ("strength", "distance", "bits flipped", "detected", *["MAP"] * with_map):
        table.add_column(header, justify="right")
    lines: dict[str, list[TransformRow]] = {}
    for row in found.rows:
        lines.setdefault(row.transform, []).append(row)
    for rows in lines.values():
        names = [rows[0].transform, rows[0].unit, *[""] * len(rows)]
        for name, row in zip(names, rows, strict=False):
            table.add_row(*_cells(name, row, with_map=with_map))
        table.add_section()
    return table


def _cells(name: str, row: TransformRow, *, with_map: bool) -> list[str]:
    cells = [
        name, strength_text(row), with_error(row.distance, row.distance_se, 2),
        f"{100 * row.bit_flip_rate:.1f} %", _percent(row.detection_rate),
    ]  # fmt: skip
    if with_map:
        cells.append("" if row.map is None else with_error(row.map, row.map_se))
    return cells


def strength_text(row: TransformRow) -> str:
    """Write a strength."""
    if row.strength is None:
        return ""
    return row.strength if isinstance(row.strength, str) else f"{row.strength:g}"


def _line_name(row: TransformRow) -> str:
    return f"{row.transform} ({row.unit})" if row.unit else row.transform


def _percent(rate: float) -> str:
    """Write a rate in percent; only what is exactly all or nothing is 100 or 0.

    Example:
        >>> _percent(1.0), _percent(0.999), _percent(0.0), _percent(0.5)
        ('100 %', '>99 %', '0 %', '50 %')
    """
    rounded = round(100 * rate)
    if rounded == 100 and rate < 1:
        return ">99 %"
    return "<1 %" if rounded == 0 and rate > 0 else f"{rounded} %"
