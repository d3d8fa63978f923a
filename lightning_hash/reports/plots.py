"""The numbered figures of both papers, from run folders."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from safetensors import safe_open

from lightning_hash.reports.lines import (
    captions,
    cell_of,
    close_to,
    distinct_names,
    final,
    grouped,
    in_order,
    protocol_key,
    setting_key,
    setting_of,
)
from lightning_hash.reports.papers import (
    BITS,
    DHTA_SETTING,
    EPSILON,
    FRAMES,
    HAG_SETTING,
    SIZE,
    THRESHOLD,
)
from lightning_hash.results.rows import ResultRow
from lightning_hash.results.runs import RunFiles
from lightning_hash.results.tables import bits_text, protocol_of

# Okabe and Ito's colours, which the colour-blind tell apart.
COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c6d31",
)  # fmt: skip
NAME = "attack.name"
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


def numbered_plots(runs: Sequence[RunFiles]) -> Iterator[Plot]:
    """Draw what the runs allow.

    Args:
        runs: finished runs.

    Yields:
        HAG Figs. 2, 3, 4 and 6, DHTA Figs. 3 (and 5) and 7, and t-MAP against the number of frames
        attacked; each protocol apart.
    """
    rows = [row for run in runs for row in run.rows if row.transfer is None]
    for panel in panels_of(runs_of(runs, "hag", HAG_SETTING), _line_of):
        yield from _histogram(panel)
        caption = _caption(panel)
        yield from _curves(
            "hag_fig3", "HAG Fig. 3, precision at N", caption, _clean_and_attacked(panel), _top_n
        )
        yield from _curves(
            "hag_fig4", "HAG Fig. 4, precision and recall", caption, _clean_and_attacked(panel),
            _recall,
        )  # fmt: skip
    yield from _thresholds(rows)
    settings: dict[str, dict[str, Any]] = {
        "p2p": {FRAMES: None}, "dhta": DHTA_SETTING, "noise": {},
    }  # fmt: skip
    targeted = [run for name, setting in settings.items() for run in runs_of(runs, name, setting)]
    for panel in panels_of(targeted, lambda row: (protocol_key(row), row.get(BITS))):
        name = bits_text(_bits(panel[0]))
        for draw, what in ((_recall, "precision and recall"), (_top_n, "precision at N")):
            yield from _curves(
                "dhta_fig3", f"DHTA Figs. 3 and 5, {what}, {name}", _caption(panel),
                _targets(panel), draw,
            )  # fmt: skip
    yield from _anchor_sizes(rows)
    yield from _frame_counts(rows)


def runs_of(runs: Iterable[RunFiles], attack: str, setting: dict[str, Any]) -> list[RunFiles]:
    """Return the finished runs of an attack, those of the paper's setting where there are any."""
    found = [run for run in runs if run.finished and run.last and run.last.name == attack]
    found = [run for run in found if run.last and run.last.transfer is None]
    for path, value in setting.items():
        close = [run for run in found if run.last and close_to(run.last.get(path), value)]
        found = close or found
    return found


def panels_of(
    runs: Iterable[RunFiles], key: Callable[[ResultRow], Any] = protocol_key
) -> list[list[RunFiles]]:
    """Put runs together.

    Args:
        runs: the runs.
        key: of the last row of an attack: what they must agree in; data, ranking and kind of
            victim by default.
    """
    return grouped(runs, lambda run: key(run.last) if run.last else None)


def _line_of(row: ResultRow) -> Any:
    return protocol_key(row), setting_key(row)


def _bits(run: RunFiles) -> int | None:
    bits: int | None = run.last.get(BITS) if run.last else None
    return bits


def _caption(panel: Sequence[RunFiles]) -> str:
    rows = [run.last for run in panel if run.last]
    first = [group[0] for group in grouped(rows, setting_key)]
    names = distinct_names(first)
    said = [f"{name}: {setting_of(row)}." for name, row in zip(names, first, strict=True)]
    return " ".join([protocol_of(first[0]), *said])


def _axes(count: int = 1) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(5.6 if count == 1 else 4.2 * count, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(np.atleast_1d(figure.subplots(1, count)))
    for each in axes:
        each.grid(visible=True, color="#dddddd", linewidth=0.6)
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


@dataclass(frozen=True)
class _Series:
    label: str
    colour: str
    dashed: bool
    curve: dict[str, Any]


def _clean_and_attacked(panel: Sequence[RunFiles]) -> list[_Series]:
    """Give each code length a colour: clean queries in full, attacked ones dashed (HAG's star).

    The runs have one setting; of several seeds and victims the first is drawn.
    """
    series: dict[str, _Series] = {}
    lengths = sorted({_bits(run) for run in panel}, key=in_order)
    for run in panel:
        place = lengths.index(_bits(run))
        for curve in (run.curves() or {}).get("curves", []):
            if curve["label"] == "own":
                attacked = curve["query"] == "adversarial"
                label = f"{bits_text(lengths[place])}{'*' if attacked else ''}"
                colour = COLOURS[place % len(COLOURS)]
                series.setdefault(label, _Series(label, colour, attacked, curve))
    order = [bits_text(bits) for bits in lengths]
    return sorted(
        series.values(), key=lambda each: (each.dashed, order.index(each.label.rstrip("*")))
    )


def _targets(panel: Sequence[RunFiles]) -> list[_Series]:
    """Judge the attacks by the target, the clean queries by their own label (DHTA Fig. 3).

    Each setting of an attack is drawn by itself; of several seeds and victims the first.
    """
    series: dict[str, _Series] = {}
    rows = [run.last for run in panel if run.last]
    settings = grouped(rows, setting_key)
    names = [
        name.replace(group[0].name, TARGETED[group[0].name], 1)
        for name, group in zip(distinct_names([g[0] for g in settings]), settings, strict=True)
    ]
    for run in panel:
        for curve in (run.curves() or {}).get("curves", []):
            if (curve["query"], curve["label"]) == ("clean", "own"):
                series.setdefault("Original", _Series("Original", COLOURS[6], True, curve))
            if (curve["query"], curve["label"]) == ("adversarial", "target") and run.last:
                number = next(i for i, group in enumerate(settings) if run.last in group)
                label, colour = names[number], COLOURS[number % 6]
                series.setdefault(label, _Series(label, colour, False, curve))
    return list(series.values())


def _curves(
    name: str,
    title: str,
    caption: str,
    series: Sequence[_Series],
    draw: Callable[[Any, Sequence[_Series]], None],
) -> Iterator[Plot]:
    if series:
        figure, axes = _axes()
        draw(axes[0], series)
        axes[0].set_ylim(0, 1.02)
        _legend(axes[0])
        yield Plot(name=name, title=title, caption=caption, figure=figure)


def _top_n(axes: Any, series: Sequence[_Series]) -> None:
    for each in series:
        axes.plot(each.curve["n"], each.curve["precision_at_n"], **_style(each))
    axes.set(xlabel="N, items retrieved", ylabel="precision")


def _recall(axes: Any, series: Sequence[_Series]) -> None:
    for each in series:
        pairs = zip(each.curve["recall"], each.curve["precision"], strict=True)
        points = [
            (recall, precision) for recall, precision in pairs if None not in (recall, precision)
        ]
        axes.plot(*zip(*points, strict=True), marker=".", markersize=4, **_style(each))
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02))


def _style(each: _Series) -> dict[str, Any]:
    line = "--" if each.dashed else "-"
    return {"color": each.colour, "linestyle": line, "label": each.label, "linewidth": 1.6}


def _histogram(panel: Sequence[RunFiles]) -> Iterator[Plot]:
    """Draw H(x) of the clean queries and tanh' of it at alpha 1 and 0.1 (HAG Fig. 2)."""
    lengths = sorted({_bits(run) for run in panel}, key=in_order)
    bits = 16 if 16 in lengths else lengths[0]
    run = next(run for run in panel if _bits(run) == bits)
    path = run.folder / "codes.safetensors"
    if not path.is_file():
        return
    with safe_open(path, framework="np") as file:
        if "clean_logits" not in file.keys():  # noqa: SIM118 - no mapping
            return
        logits = file.get_tensor("clean_logits").astype(np.float64).ravel()
    figure, axes = _axes(3)
    axes[0].hist(logits, bins=60, color=COLOURS[0], density=True)
    axes[0].set(xlabel="H(x)", ylabel="density", title="(a) H(x), and the derivative of tanh")
    side = axes[0].twinx()
    reach = np.linspace(logits.min(), logits.max(), 400)
    for alpha, colour in ((1.0, COLOURS[1]), (0.1, COLOURS[2])):
        slope = alpha * (1 - np.tanh(alpha * reach) ** 2)
        side.plot(reach, slope, color=colour, label=f"derivative of tanh({alpha:g}x)")
    side.set_ylim(0, 1.4)  # room for the legend
    side.legend(fontsize=7, loc="upper right")
    for place, letter, alpha in ((axes[1], "b", 1.0), (axes[2], "c", 0.1)):
        slope = alpha * (1 - np.tanh(alpha * logits) ** 2)
        place.hist(
            slope,
            bins=50,
            range=(0, alpha),
            color=COLOURS[0],
            weights=np.full(len(slope), 1 / len(slope)),
        )
        place.set(
            xlabel="gradient", ylabel="frequency", title=f"({letter}) gradient of tanh({alpha:g}x)"
        )
    row = run.last
    yield Plot(
        name="hag_fig2", figure=figure,
        title=f"HAG Fig. 2, what the hash layer gives for clean queries, {bits_text(bits)}",
        caption=f"{protocol_of(row) if row else ''} {len(logits):,} values.",
    )  # fmt: skip


def _thresholds(rows: Sequence[ResultRow]) -> Iterator[Plot]:
    """Draw the Hamming distance against iterations for each t (HAG Fig. 6)."""
    found = [
        r for r in rows if (r.name, r.metric, r.quantized) == ("hag", "hamming_to_clean", False)
    ]
    panels = grouped(
        found, lambda row: (protocol_key(row), row.get(BITS), setting_key(row, [THRESHOLD]))
    )
    said = captions([panel[0] for panel in panels])
    for panel, caption in zip(panels, said, strict=True):
        values = sorted({row.get(THRESHOLD) for row in panel} - {None})
        if len(values) > 1:
            series = {f"t = {t:g}": [r for r in panel if r.get(THRESHOLD) == t] for t in values}
            figure = _against(series, _iteration, "iteration", "mean Hamming distance", 1.0)
            setting, bits = setting_of(panel[0], [THRESHOLD]), bits_text(panel[0].get(BITS))
            title = "HAG Fig. 6, Hamming distance to the clean code for each threshold t"
            yield Plot(
                name="hag_fig6", title=title, figure=figure,
                caption=f"{caption} {bits}. hag: {setting}.{_bands(figure)}",
            )  # fmt: skip


def _anchor_sizes(rows: Sequence[ResultRow]) -> Iterator[Plot]:
    """Draw t-MAP against n_t with MAP of the clean queries (DHTA Fig. 7)."""
    rows = [row for row in final(rows) if not row.quantized]
    clean = [row for row in rows if (row.name, row.metric) == ("none", "map")]
    found = [row for row in rows if row.name in ("dhta", "p2p") and row.metric == "t_map"]
    found = [row for row in found if row.get("data.target_database") in (None, "database")]
    close = [row for row in found if close_to(row.get(EPSILON), DHTA_SETTING[EPSILON])]
    varied = (NAME, SIZE)
    panels = grouped(close or found, lambda row: (protocol_key(row), setting_key(row, varied)))
    said = captions([panel[0] for panel in panels])
    for panel, caption in zip(panels, said, strict=True):
        lengths = sorted({row.get(BITS) for row in panel}, key=in_order)
        series = {}
        for bits in lengths:
            own = [row for row in panel if row.get(BITS) == bits]
            if len({_size(row) for row in own}) > 2:  # P2P and DHTA alone show no course
                series[bits_text(bits)] = own
        if not series:
            continue
        figure = _against(series, _size, "n_t", "t-MAP (%)", 100.0)
        for number, label in enumerate(series):
            victims = {row.get("victim.sha256") for row in series[label]}
            cell = cell_of([row for row in clean if row.get("victim.sha256") in victims])
            if cell is not None:
                figure.axes[0].axhline(
                    100 * cell.mean, color=COLOURS[number % len(COLOURS)], linestyle="--",
                    linewidth=1.2, label=f"{label}, Original (MAP)",
                )  # fmt: skip
        _legend(figure.axes[0])
        yield Plot(
            name="dhta_fig7", title="DHTA Fig. 7, t-MAP of DHTA against n_t", figure=figure,
            caption=f"{caption} dhta: {setting_of(panel[0], [SIZE])}.{_bands(figure)}",
        )  # fmt: skip


def _frame_counts(rows: Sequence[ResultRow]) -> Iterator[Plot]:
    """Draw t-MAP against the number of frames of each clip that were attacked."""
    found = [
        row
        for row in final(rows)
        if row.metric == "t_map" and not row.quantized and row.get("attack.iterations")
        if len(row.get("data.input_shape") or ()) == 4
    ]
    varied = (NAME, SIZE, "attack.perturbation")
    panels = grouped(found, lambda row: (protocol_key(row), setting_key(row, varied)))
    said = captions([panel[0] for panel in panels])
    for panel, caption in zip(panels, said, strict=True):
        series = {}
        for group in grouped(panel, lambda row: (row.name, row.get(SIZE), row.get(BITS))):
            if len({_frames(row) for row in group}) > 2:  # two points show no course
                name = TARGETED.get(group[0].name, group[0].name)
                series[f"{name}, {bits_text(group[0].get(BITS))}"] = group
        if series:
            figure = _against(series, _frames, "frames attacked", "t-MAP (%)", 100.0)
            yield Plot(
                name="frames",
                title="Attacks on some frames of each clip, t-MAP against their number",
                caption=f"{caption} {setting_of(panel[0], varied)}.{_bands(figure)}",
                figure=figure,
            )


def _iteration(row: ResultRow) -> float:
    return row.iteration


def _size(row: ResultRow) -> float:
    return float(row.get(SIZE) or 0)


def _frames(row: ResultRow) -> float:
    """Return how many frames of each clip were attacked; all of them where it is not said."""
    return float(row.get(FRAMES) or row.get("data.input_shape")[0])


def _against(
    series: dict[str, list[ResultRow]],
    place: Callable[[ResultRow], float],
    xlabel: str,
    ylabel: str,
    scale: float,
) -> Figure:
    """Draw means against a place, with a band of one standard deviation."""
    figure, (axes,) = _axes()
    for number, (label, rows) in enumerate(series.items()):
        values = sorted({place(row) for row in rows})
        cells = [cell_of([row for row in rows if place(row) == x]) for x in values]
        mean = np.array([cell.mean for cell in cells if cell]) * scale
        deviation = np.array([cell.deviation or 0.0 for cell in cells if cell]) * scale
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(values, mean, marker=".", color=colour, label=label, linewidth=1.6)
        if deviation.any():
            axes.fill_between(values, mean - deviation, mean + deviation, color=colour, alpha=0.15)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    _legend(axes)
    return figure


def _bands(figure: Figure) -> str:
    """Say what the bands are, where there are any."""
    return (
        " Bands: one standard deviation over victims and seeds."
        if figure.axes[0].collections
        else ""
    )


def _legend(axes: Any) -> None:
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
