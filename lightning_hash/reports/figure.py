"""What all figures of a report have in common."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's colours, which the colour-blind tell apart.
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d31",
)  # fmt: skip
# The names of DHTA's figures.
TARGETED = {"noise": "Noise", "p2p": "P2P", "dhta": "DHTA"}


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A figure of a paper.

    Attributes:
        name: of the experiment, as in configs/papers.
        title: its number and what it shows.
        caption: the protocol that all it shows was measured under.
        figure: the picture.
    """

    name: str
    title: str
    caption: str
    figure: Figure

    @property
    def alt(self) -> str:
        """Title, axes and names of the lines, for those who do not see it."""
        said = [self.title]
        for axes in self.figure.axes:
            if axes.get_ylabel():
                said.append(f"{axes.get_ylabel()} against {axes.get_xlabel()}")
            names = [name.replace(r"\$", "$") for name in axes.get_legend_handles_labels()[1]]
            said += [f"lines: {', '.join(names)}"] if names else []
        return "; ".join(said)


def make_axes(count: int = 1) -> tuple[Figure, list[Any]]:
    """Return an empty figure and its axes, side by side."""
    figure = Figure(figsize=(5.6 if count == 1 else 4.2 * count, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(np.atleast_1d(figure.subplots(1, count)))
    for each in axes:
        each.grid(visible=True, color="#dddddd", linewidth=0.6)
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def add_legend(axes: Any) -> None:
    """Put a legend beside the axes."""
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
