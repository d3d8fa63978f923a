"""Pictures of queries and of what they retrieve."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor
from torchvision.transforms.v2.functional import to_pil_image
from torchvision.utils import make_grid

from lightning_hash.utils.escapes import figure_text

MAGNIFY = 10
RIGHT, WRONG = "#2e8b3d", "#c8372d"


def retrieval_strip(
    clean: Tensor,
    adversarial: Tensor,
    before: Tensor,
    before_right: Sequence[bool],
    after: Tensor,
    after_right: Sequence[bool],
    *,
    before_caption: str,
    after_caption: str,
) -> Figure:
    """Draw one query and its first results before and after (HAG Fig. 5).

    Args:
        clean: ``(3, H, W)`` in [0, 1].
        adversarial: ``(3, H, W)`` in [0, 1].
        before: ``(n, 3, H, W)``, what the clean query retrieves, nearest first.
        before_right: whether each is relevant.
        after: ``(n, 3, H, W)``, what the adversarial query retrieves.
        after_right: whether each is relevant, or of the target.
        before_caption: title of the first results.
        after_caption: title of the second.

    Returns:
        The figure: clean image, perturbation times ten around grey and adversarial image on the
        left; on the right the results, framed green with a tick or red with a cross.
    """
    count = len(before)
    figure = Figure(figsize=(1.15 * (count + 3.2), 2.75), layout="constrained")
    FigureCanvasAgg(figure)
    panels: Any = figure.subfigures(1, 2, width_ratios=[3.2, count], wspace=0.02)
    left, right = panels
    perturbation = (0.5 + MAGNIFY * (adversarial - clean)).clamp(0, 1)
    images = (clean, perturbation, adversarial)
    for axes, image, title in zip(
        left.subplots(1, 3), images, ("clean", f"change x{MAGNIFY}", "adversarial"), strict=True
    ):
        _show(axes, image, title=title)
    rows = right.subfigures(2, 1)
    for row, results, ticks, caption in (
        (rows[0], before, before_right, before_caption),
        (rows[1], after, after_right, after_caption),
    ):
        row.suptitle(figure_text(caption), fontsize=9)
        for axes, image, tick in zip(
            np.atleast_1d(row.subplots(1, count)), results, ticks, strict=True
        ):
            _show(axes, image, frame=RIGHT if tick else WRONG, mark="\u2713" if tick else "\u2717")
    return figure


def image_grid(clean: Tensor, adversarial: Tensor) -> Tensor:
    """Lay out clean images, perturbations times ten and adversarial images in three rows.

    Args:
        clean: ``(B, 3, H, W)`` in [0, 1].
        adversarial: ``(B, 3, H, W)`` in [0, 1].

    Returns:
        ``(3, H', W')`` in [0, 1].
    """
    perturbation = (0.5 + MAGNIFY * (adversarial - clean)).clamp(0, 1)
    rows = torch.cat([clean, perturbation, adversarial])
    grid: Tensor = make_grid(rows, nrow=len(clean), pad_value=1.0)
    return grid


def clip_film(clean: Tensor, adversarial: Tensor, rate: float = 8.0) -> bytes:
    """Show a clip, its perturbation times ten and the adversarial clip side by side.

    Args:
        clean: ``(T, 3, H, W)`` in [0, 1].
        adversarial: ``(T, 3, H, W)`` in [0, 1].
        rate: frames per second.

    Returns:
        An animated PNG, which unlike a GIF has all colours.
    """
    change = (0.5 + MAGNIFY * (adversarial - clean)).clamp(0, 1)
    frames = [
        to_pil_image(make_grid(torch.stack(three), nrow=3, pad_value=1.0))
        for three in zip(clean, change, adversarial, strict=True)
    ]
    film = io.BytesIO()
    frames[0].save(
        film, "PNG", save_all=True, append_images=frames[1:], duration=1000 / rate, loop=0
    )
    return film.getvalue()


def figure_to_image(figure: Figure) -> Tensor:
    """Render a figure.

    Args:
        figure: the figure.

    Returns:
        uint8 ``(3, H, W)``.
    """
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _show(
    axes: Any, image: Tensor, *, title: str = "", frame: str | None = None, mark: str = ""
) -> None:
    axes.imshow(image.permute(1, 2, 0).clamp(0, 1).numpy(), interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    if title:
        axes.set_title(title, fontsize=9)
    for spine in axes.spines.values():
        spine.set(edgecolor=frame or "#888888", linewidth=3 if frame else 0.5)
    if mark:
        axes.text(
            0.97, 0.04, mark, transform=axes.transAxes, ha="right", va="bottom", fontsize=11,
            color="white", fontweight="bold",
            bbox={"facecolor": frame, "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip
