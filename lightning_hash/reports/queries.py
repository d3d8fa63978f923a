"""Figures of attacked queries, from what runs have written: HAG Fig. 7 and DHTA Fig. 9."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import imread
from PIL import Image
from safetensors import safe_open

from lightning_hash.reports.figure import Plot
from lightning_hash.reports.lines import draw_of, setting_key, setting_of
from lightning_hash.reports.papers import BITS, DHTA_SETTING, HAG_SETTING
from lightning_hash.reports.plots import panels_of, runs_of
from lightning_hash.reports.victims import add_checkpoints, checkpoint_of
from lightning_hash.results.rows import ResultRow
from lightning_hash.results.runs import RunFiles
from lightning_hash.results.tables import bits_text, protocol_of
from lightning_hash.utils.escapes import figure_text
from lightning_hash.utils.foreign_files import check_file, check_pixels
from lightning_hash.utils.names import victim_names
from lightning_hash.utils.places import check_inside

# DHTA Fig. 9 shows frames 3, 6, ..., 21; of clips of fewer than nine frames the first are shown.
EVERY, MOST = 3, 7
PICTURES, CLIPS = 5, 2  # of each run
FILE = "perturbations.safetensors"

Shown = tuple[list[int], list[Any], list[Any]]


def perturbed_images(runs: Sequence[RunFiles]) -> Iterator[Plot]:
    """Draw some queries with the perturbations of several victims (HAG Fig. 7).

    Args:
        runs: any runs.

    Yields:
        A figure for HAG on each set of images that two victims or more were attacked with, of one
        setting and seed.
    """
    chosen, left_out = runs_of(runs, "hag", HAG_SETTING)
    for panel in panels_of(chosen, _images):
        loaded = ((run.last, _read(run, PICTURES)) for run in panel)
        found = [(row, shown) for row, shown in loaded if row and shown and shown[1][0].ndim == 3]
        found = [(row, shown) for row, shown in found if shown[0] == found[0][1][0]]
        if len(found) > 1:
            rows = [row for row, _ in found]
            names = _victims(rows)
            carried = [f"{n}: {checkpoint_of(row)}" for n, row in zip(names, rows, strict=True)]
            first = rows[0]
            said = [
                protocol_of(first, victims=False),
                f"hag: {setting_of(first)}, seed {draw_of(first)}.",
                f"Victims: {'; '.join(carried)}.",
                left_out,
            ]
            yield Plot(
                name="hag_fig7",
                title="HAG Fig. 7, queries, and with perturbations of several victims",
                caption=" ".join(filter(None, said)),
                figure=_image_rows(names, [shown for _, shown in found]),
            )


def perturbed_clips(runs: Sequence[RunFiles]) -> Iterator[Plot]:
    """Draw frames of some clips before and after DHTA (DHTA Fig. 9).

    Args:
        runs: any runs.

    Yields:
        A figure for the first run on each kind of victim of clips.
    """
    chosen, left_out = runs_of(runs, "dhta", DHTA_SETTING)
    for panel in panels_of(chosen):
        loaded = ((run.last, _read(run, CLIPS)) for run in panel)
        found = [(row, shown) for row, shown in loaded if row and shown and shown[1][0].ndim == 4]
        for row, shown in found[:1]:
            number = f"one of {len(found)} runs" if len(found) > 1 else ""
            run = [setting_of(row), f"seed {draw_of(row)}", checkpoint_of(row), number]
            said = [protocol_of(row), ", ".join(filter(None, run)) + ".", left_out]
            yield Plot(
                name="dhta_fig9",
                title=f"DHTA Fig. 9, clips before and after DHTA, {bits_text(row.get(BITS))}",
                caption=" ".join(filter(None, said)),
                figure=_clip_rows(shown),
            )


def _images(row: ResultRow) -> Any:
    """Return what attacks share whose pictures may stand side by side."""
    return row.key("data", "ranking"), setting_key(row), str(draw_of(row))


def _victims(rows: Sequence[ResultRow]) -> list[str]:
    parts = [row.victim for row in rows]
    names = victim_names([(v.get("backbone"), v.get("bits"), v.get("sha256")) for v in parts])
    return add_checkpoints(names, rows)


def _read(run: RunFiles, count: int) -> Shown | None:
    return run.read(run.folder / FILE, lambda path: _queries(path, count))


def _queries(path: Path, count: int) -> Shown | None:
    """Return indices, clean and attacked inputs ``(..., H, W, 3)`` of some of a run's queries.

    The clean ones are what is left when the perturbation is taken off the images that were written.
    """
    with safe_open(path, framework="np") as file:
        if "scale" in (file.metadata() or {}):
            return None
        queries, changes = file.get_tensor("index"), file.get_slice("perturbation")
        if not len(queries):
            return None
        rows = np.linspace(0, len(queries) - 1, min(count, len(queries))).astype(int)
        index = [int(queries[row]) for row in rows]
        change = [np.moveaxis(changes[int(row)], -3, -1) for row in rows]
        if not all(np.isfinite(each).all() for each in change):
            msg = "perturbations must be finite numbers"
            raise ValueError(msg)
    attacked = [_written(path.parent, f"{number:06d}") for number in index]
    if any(picture is None for picture in attacked):
        return None
    # Perturbations of shorter clips and smaller images are filled up with zeros.
    there = [c[tuple(map(slice, a.shape))] for a, c in zip(attacked, change, strict=True)]
    clean = [np.clip(a - c, 0, 1) for a, c in zip(attacked, there, strict=True)]
    return index, clean, attacked


def _written(run: Path, name: str) -> Any:
    """Return the image ``images/NAME.png``, or the frames in ``images/NAME``, in [0, 1]."""
    place = run / "images" / name
    image = place.with_suffix(".png")
    if image.is_file():
        return _picture(check_inside(image, run))
    frames = sorted(place.glob("*.png"))
    return np.stack([_picture(check_inside(each, run)) for each in frames]) if frames else None


def _picture(path: Path) -> Any:
    check_file(path)
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            check_pixels(*picture.size)
        return imread(path)[..., :3]
    except Exception as error:  # damage shows as errors of several kinds
        msg = f"{path} is no picture that can be read ({error}); remove it or attack again"
        raise ValueError(msg) from error


def _image_rows(names: Sequence[str], found: Sequence[Shown]) -> Figure:
    count = len(found[0][0])
    figure = Figure(figsize=(1.35 * (len(found) + 1), 1.45 * count), layout="constrained")
    FigureCanvasAgg(figure)
    places: Any = figure.subplots(count, len(found) + 1, squeeze=False)
    for row in range(count):
        pictures = [found[0][1][row], *(shown[2][row] for shown in found)]
        for axes, picture in zip(places[row], pictures, strict=True):
            _draw(axes, picture)
    for axes, name in zip(places[0], ["clean", *map(figure_text, names)], strict=True):
        axes.set_title(name, fontsize=8)
    return figure


def _clip_rows(shown: Shown) -> Figure:
    """Draw a row of frames of each clip and one of what was sent instead."""
    columns = max(len(_places(len(clip))) for clip in shown[1])
    figure = Figure(figsize=(1.25 * columns + 0.4, 1.35 * 2 * len(shown[0])), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots(2 * len(shown[0]), columns, squeeze=False)
    for each in axes.flat:
        each.set_axis_off()
    for number, (clean, sent) in enumerate(zip(*shown[1:], strict=True)):
        for below, (clip, name) in enumerate(((clean, "clean"), (sent, "adversarial"))):
            row = axes[2 * number + below]
            for each, place in zip(row, _places(len(clip)), strict=False):
                each.set_axis_on()
                _draw(each, clip[place])
                if below == 0:
                    each.set_title(f"frame {place + 1}", fontsize=8)
            row[0].set_ylabel(f"query {shown[0][number]}\n{name}", fontsize=7)
    return figure


def _places(length: int) -> list[int]:
    """Return the frames to show, counted from 0."""
    step = EVERY if length >= EVERY**2 else 1
    return list(range(step - 1, length, step))[:MOST]


def _draw(axes: Any, picture: Any) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
