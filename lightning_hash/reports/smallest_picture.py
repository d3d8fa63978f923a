"""A curve and a table of the smallest epsilons of queries."""

import io

from matplotlib.figure import Figure
from rich.table import Table

from lightning_hash.reports.figure import COLOURS, make_axes
from lightning_hash.results.smallest import Smallest
from lightning_hash.utils.escapes import figure_text

PICTURE = "smallest.png"
DPI = 130


def smallest_figure(found: Smallest) -> Figure:
    """Draw the share of the queries whose smallest epsilon is at most e, against e.

    Args:
        found: the smallest epsilons.
    """
    figure, (axes,) = make_axes()
    shares = [count / len(found.queries) for count in found.succeeded]
    axes.step(range(len(shares)), shares, where="post", color=COLOURS[0])
    if found.median is not None:
        line = {"color": COLOURS[1], "linestyle": "--", "linewidth": 1, "label": "median"}
        axes.axvline(found.median, **line)
        axes.legend(fontsize=8, frameon=False, loc="lower right")
    axes.set_xlabel("epsilon, in levels of 1/255")
    axes.set_ylabel("share of the queries that succeed")
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlim(0, found.levels)
    axes.set_title(figure_text("\n".join(smallest_head(found))), fontsize=8, loc="left")
    return figure


def smallest_png(found: Smallest) -> bytes:
    """Return :func:`smallest_figure` as the content of a PNG."""
    content = io.BytesIO()
    smallest_figure(found).savefig(content, format="png", dpi=DPI)
    return content.getvalue()


def smallest_head(found: Smallest) -> list[str]:
    """Return two lines: what succeeds on whom, and the median."""
    name = found.victim.get("name") or found.victim.get("backbone")
    sign, goal = ("<=", "its goal") if found.targeted else (">=", "its code")
    median = f"above {found.levels}/255" if found.median is None else f"{found.median:g}/255"
    return [
        f"{name}: {found.attack['name']}, {found.attack['iterations']} iterations, d {sign} "
        f"{found.stop_at} of {found.bits} bits to {goal}",
        f"smallest epsilon of {len(found.queries)} queries of {found.data['dataset']}: median "
        f"{median}, {found.without} without one up to {found.levels}/255",
    ]


def smallest_table(found: Smallest) -> Table:
    """Lay out how many queries have their smallest epsilon at each level.

    Args:
        found: the smallest epsilons.
    """
    table = Table()
    for header in ("smallest epsilon", "queries", "with all below"):
        table.add_column(header, justify="right")
    before, total = 0, len(found.queries)
    for level, count in enumerate(found.succeeded):
        if count > before:
            name = f"{level}/255" if level else "0 (no attack)"
            table.add_row(name, str(count - before), f"{count} of {total}")
        before = count
    if found.without:
        table.add_row(f"none up to {found.levels}/255", str(found.without), "")
    return table
