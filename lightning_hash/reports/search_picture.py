"""A picture of a search: each image that was sent, and what came back."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lightning_hash.utils.escapes import figure_text

KEPT, CHANGED, PLAIN = "#0072b2", "#d55e00", "#888888"
CAPTION = 22  # letters in a line of a caption
DPI = 110
NARROWEST = 4.4  # inches, for the title


@dataclass(frozen=True)
class Tile:
    """An image with what is said below it.

    Attributes:
        image: uint8 or float in [0, 1], ``(H, W, 3)``; ``None`` where the image is not known.
        caption: at most two lines.
        kept: whether the first image retrieves this item too; ``None`` of the first image's own.
    """

    image: NDArray[Any] | None
    caption: str
    kept: bool | None = None


def search_figure(rows: Sequence[tuple[Tile, Sequence[Tile]]], title: str) -> Figure:
    """Draw a row for each image: the image on the left, what it retrieves on the right.

    Args:
        rows: each image, and its results, nearest first; at least one of each.
        title: what was searched.

    Returns:
        The figure. From the second row on a result that the first image retrieves too has a blue
        frame, and any other an orange one.
    """
    columns = 1 + max(len(results) for _, results in rows)
    figure = Figure(figsize=(max(NARROWEST, 1.25 * columns + 0.9), 1.75 * len(rows) + 0.9))
    FigureCanvasAgg(figure)
    note = "blue: the first image retrieves it too, orange: it does not"
    figure.suptitle(
        figure_text(f"{title}\n{note}" if len(rows) > 1 else title),
        fontsize=8, x=0.01, y=0.995, ha="left", va="top",
    )  # fmt: skip
    grid = figure.add_gridspec(
        len(rows), columns + 1, width_ratios=[1.25, 0.12, *[1] * (columns - 1)], left=0.01,
        right=0.99, wspace=0.12, hspace=0.42, top=1 - 0.55 / figure.get_figheight(),
        bottom=0.42 / figure.get_figheight(),
    )  # fmt: skip
    for number, (sent, results) in enumerate(rows):
        _draw(figure.add_subplot(grid[number, 0]), sent, bold=True)
        for place, tile in enumerate(results):
            _draw(figure.add_subplot(grid[number, 2 + place]), tile)
    return figure


def search_png(rows: Sequence[tuple[Tile, Sequence[Tile]]], title: str) -> bytes:
    """Return :func:`search_figure` as the content of a PNG."""
    content = io.BytesIO()
    search_figure(rows, title).savefig(content, format="png", dpi=DPI)
    return content.getvalue()


def short(text: str, letters: int = CAPTION) -> str:
    """Return a text that fits below a tile, its end kept: of a path the file's name.

    Example:
        >>> short("a/very/long/path/to/an/image.png", 12)
        '...image.png'
    """
    return text if len(text) <= letters else f"...{text[3 - letters :]}"


def _draw(axes: Any, tile: Tile, *, bold: bool = False) -> None:
    axes.set(xticks=[], yticks=[])
    if tile.image is None:
        axes.imshow(np.full((1, 1, 3), 0.88), interpolation="nearest")
        axes.text(0.5, 0.5, "no image", transform=axes.transAxes, ha="center", va="center",
                  fontsize=7, color="#555555")  # fmt: skip
    else:
        axes.imshow(tile.image, interpolation="nearest")
    axes.set_xlabel(
        figure_text(tile.caption), fontsize=7, labelpad=2, fontweight="bold" if bold else None
    )
    colour = {None: PLAIN, True: KEPT, False: CHANGED}[tile.kept]
    for spine in axes.spines.values():
        spine.set(edgecolor=colour, linewidth=0.5 if tile.kept is None else 2.5)
