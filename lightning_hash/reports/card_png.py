"""A card as one picture for a README."""

import io
import textwrap
from collections.abc import Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lightning_hash.reports.card_chart import axis_of
from lightning_hash.reports.card_page import title_of
from lightning_hash.reports.figure import COLOURS
from lightning_hash.results.card import Card, Side, ThreatResult
from lightning_hash.utils.escapes import figure_text

SIZE, DPI = (12.0, 6.3), 100  # 1200 x 630 pixels, what links to a page are shown as
BLUE, ORANGE, GREY = COLOURS[0], COLOURS[1], "#6e7781"
TEXT, DOUBT = "#1b1f24", "#a03800"
MOST = 4  # pairs of bars
LINES = ((60, 4, 21.0), (76, 5, 17.0), (95, 7, 13.5))  # letters, lines and size of the sentence


def draw_card(card: Card) -> bytes:
    """Draw a card.

    Args:
        card: the card.

    Returns:
        A PNG of 1200 x 630 pixels: the sentence, MAP before and after, and the curve.
    """
    figure = Figure(figsize=SIZE, dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    figure.text(0.04, 0.945, _one_line(title_of(card), 110), fontsize=13, color=GREY, va="center")
    text, size = _wrapped(card.sentence)
    colour = DOUBT if card.failed else TEXT
    figure.text(
        0.04, 0.9, _drawn(text), fontsize=size,
        color=colour, va="top", weight="bold", linespacing=1.25,
    )  # fmt: skip
    curved = next((each for each in card.threats if each.untargeted and each.curve), None)
    pairs = _pairs(card)[:MOST]
    height = min(0.42, 0.05 + 0.13 * len(pairs))
    _draw_bars(figure.add_axes((0.17, 0.55 - height, 0.27 if curved else 0.7, height)), pairs)
    if curved is not None:
        _draw_curve(figure.add_axes((0.56, 0.17, 0.39, 0.38)), card, curved)
    figure.text(0.04, 0.035, _one_line(_foot(card), 150), fontsize=10, color=GREY, va="center")
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI)
    return content.getvalue()


def _drawn(text: str) -> str:
    """Return a text that matplotlib draws as it is, line by line: it would be cut as one."""
    return "\n".join(map(figure_text, text.split("\n")))


def _wrapped(text: str) -> tuple[str, float]:
    """Return the sentence in lines, and the size of its letters."""
    for letters, lines, size in LINES:
        found = textwrap.wrap(text, letters)
        if len(found) <= lines:
            return "\n".join(found), size
    letters, lines, size = LINES[-1]
    return "\n".join(textwrap.wrap(text, letters, max_lines=lines, placeholder=" ...")), size


def _one_line(text: str, letters: int) -> str:
    return figure_text(textwrap.shorten(text, letters, placeholder=" ..."))


def _foot(card: Card) -> str:
    sha256, date = card.victim.get("sha256"), card.run.get("date")
    known = [
        f"suite {card.suite}", f"weights {str(sha256)[:8]}" if sha256 else "", (date or "")[:10],
        f"{len(card.checks) - len(card.failed)} of {len(card.checks)} checks passed"
        if card.checks
        else "no checks",
    ]  # fmt: skip
    return f"lightning_hash audit: {', '.join(filter(None, known))}"


def _pairs(card: Card) -> list[tuple[str, Side]]:
    found: list[tuple[str, Side]] = []
    for threat in card.threats:
        sides = (("MAP", threat.untargeted), ("t-MAP", threat.targeted))
        found += [(f"{name}, {threat.name}", side) for name, side in sides if side is not None]
    return found


def _draw_bars(axes: Any, shown: Sequence[tuple[str, Side]]) -> None:
    for place, (_, side) in enumerate(shown):
        for shift, value, colour, name in (
            (-0.19, side.clean, BLUE, "clean"), (0.19, side.worst, ORANGE, "worst case"),
        ):  # fmt: skip
            axes.barh(
                place + shift, value.value, 0.36, color=colour, xerr=2 * (value.se or 0.0),
                error_kw={"ecolor": TEXT, "elinewidth": 1}, label=None if place else name,
            )  # fmt: skip
            end = min(value.value + 2 * (value.se or 0.0), 1.0) + 0.02
            axes.text(end, place + shift, str(value), va="center", fontsize=11, color=TEXT)
    names = [figure_text(name if len(name) <= 24 else f"{name[:21]}...") for name, _ in shown]
    axes.set_yticks(range(len(shown)), names, fontsize=11)
    axes.set_ylim(len(shown) - 0.45, -0.55)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1])
    axes.spines[["top", "right"]].set_visible(False)
    if shown:
        axes.legend(
            fontsize=11, frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1.0),
            borderaxespad=0.2,
        )  # fmt: skip


def _draw_curve(axes: Any, card: Card, threat: ThreatResult) -> None:
    side = threat.untargeted
    assert side is not None  # that of draw_card
    sizes = [0.0, *(point.size for point in threat.curve)]
    values = [side.clean, *(point.worst for point in threat.curve)]
    axes.errorbar(
        sizes, [value.value for value in values], [2 * (value.se or 0.0) for value in values],
        color=ORANGE, marker="o", linewidth=2.5, capsize=0,
    )  # fmt: skip
    axes.set_ylim(0, 1)
    axes.set_xlim(0, max(sizes) * 1.02)
    apart = max(sizes) / 9
    ticks = [(0.0, "0")]
    for point in threat.curve:
        if point.size - ticks[-1][0] >= apart:
            ticks.append((point.size, point.epsilon))
    axes.set_xticks([at for at, _ in ticks], [figure_text(text) for _, text in ticks], fontsize=11)
    axes.set_xlabel(axis_of(card, threat), fontsize=11)
    axes.set_title(
        _one_line(f"Worst-case MAP against epsilon, {threat.name}", 60), fontsize=12, loc="left"
    )
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
