"""The numbered figures of both papers, from run folders."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from safetensors import safe_open

from lightning_hash.reports.numbered import (
    ATTACK_FIELDS,
    DATA_FIELDS,
    cell_of,
    close_to,
    final,
    grouped,
    setting_of,
)
from lightning_hash.reports.overview import distinct_names
from lightning_hash.reports.papers import DHTA_SETTING, HAG_SETTING
from lightning_hash.results.rows import ResultRow
from lightning_hash.results.runs import RunFiles
from lightning_hash.results.tables import protocol_of

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


def numbered_plots(runs: Sequence[RunFiles]) -> Iterator[Plot]:
    """Draw what the runs allow.

    Args:
        runs: finished runs.

    Yields:
        HAG Figs. 2, 3, 4 and 6, DHTA Figs. 3 (and 5) and 7, and t-MAP against the number of frames
        attacked; each protocol apart.
    """
    rows = [row for run in runs for row in run.rows if row.combination is None]
    for panel in panels_of(runs_of(runs, "hag", HAG_SETTING), *ATTACK_FIELDS):
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
        "p2p": {"frames": None}, "dhta": DHTA_SETTING, "noise": {},
    }  # fmt: skip
    targeted = [run for name, setting in settings.items() for run in runs_of(runs, name, setting)]
    for panel in panels_of(targeted, "bits"):
        name = f"{panel[0].attack.bits} bits" if panel[0].attack else ""
        for draw, what in ((_recall, "precision and recall"), (_top_n, "precision at N")):
            yield from _curves(
                "dhta_fig3", f"DHTA Figs. 3 and 5, {what}, {name}", _caption(panel),
                _targets(panel), draw,
            )  # fmt: skip
    yield from _anchor_sizes(rows)
    yield from _frame_counts(rows)


def runs_of(runs: Iterable[RunFiles], attack: str, setting: dict[str, Any]) -> list[RunFiles]:
    """Return the finished runs of an attack, those of the paper's setting where there are any."""
    found = [run for run in runs if run.finished and run.attack and run.attack.attack == attack]
    found = [run for run in found if run.attack and run.attack.combination is None]
    for field, value in setting.items():
        close = [run for run in found if close_to(getattr(run.attack, field), value)]
        found = close or found
    return found


def panels_of(
    runs: Iterable[RunFiles], *fields: str, without: Sequence[str] = ()
) -> list[list[RunFiles]]:
    """Put runs on one kind of victim and data together.

    Args:
        runs: the runs.
        fields: what they must agree in beside.
        without: what they need not agree in.
    """
    groups: dict[tuple[Any, ...], list[RunFiles]] = {}
    for run in runs:
        names = [*(f for f in DATA_FIELDS if f not in without), *fields]
        groups.setdefault(tuple(getattr(run.attack, name) for name in names), []).append(run)
    return list(groups.values())


def _caption(panel: Sequence[RunFiles]) -> str:
    rows = [run.attack for run in panel if run.attack]
    first = [group[0] for group in grouped(rows, ("attack", *ATTACK_FIELDS))]
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
    lengths = sorted({run.attack.bits or 0 for run in panel if run.attack})
    for run in panel:
        bits = (run.attack.bits or 0) if run.attack else 0
        colour = COLOURS[lengths.index(bits) % len(COLOURS)]
        for curve in (run.curves() or {}).get("curves", []):
            if curve["label"] == "own":
                attacked = curve["query"] == "adversarial"
                label = f"{bits} bits{'*' if attacked else ''}"
                series.setdefault(label, _Series(label, colour, attacked, curve))
    return sorted(series.values(), key=lambda each: (each.dashed, int(each.label.split()[0])))


def _targets(panel: Sequence[RunFiles]) -> list[_Series]:
    """Judge the attacks by the target, the clean queries by their own label (DHTA Fig. 3).

    Each setting of an attack is drawn by itself; of several seeds and victims the first.
    """
    series: dict[str, _Series] = {}
    rows = [run.attack for run in panel if run.attack]
    settings = grouped(rows, ("attack", *ATTACK_FIELDS))
    names = [
        name.replace(group[0].attack, TARGETED[group[0].attack], 1)
        for name, group in zip(distinct_names([g[0] for g in settings]), settings, strict=True)
    ]
    for run in panel:
        for curve in (run.curves() or {}).get("curves", []):
            if (curve["query"], curve["label"]) == ("clean", "own"):
                series.setdefault("Original", _Series("Original", COLOURS[6], True, curve))
            if (curve["query"], curve["label"]) == ("adversarial", "target") and run.attack:
                number = next(i for i, group in enumerate(settings) if run.attack in group)
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
    lengths = sorted({run.attack.bits or 0 for run in panel if run.attack})
    bits = 16 if 16 in lengths else lengths[0]
    run = next(run for run in panel if run.attack and run.attack.bits == bits)
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
    row = run.attack
    yield Plot(
        name="hag_fig2", figure=figure,
        title=f"HAG Fig. 2, what the hash layer gives for clean queries, {bits} bits",
        caption=f"{protocol_of(row) if row else ''} {len(logits):,} values.",
    )  # fmt: skip


def _thresholds(rows: Sequence[ResultRow]) -> Iterator[Plot]:
    """Draw the Hamming distance against iterations for each t (HAG Fig. 6)."""
    found = [
        r for r in rows if (r.attack, r.metric, r.quantized) == ("hag", "hamming_to_clean", False)
    ]
    for panel in grouped(found, (*DATA_FIELDS, "bits", *_but("threshold"))):
        values = sorted({row.threshold for row in panel if row.threshold is not None})
        if len(values) > 1:
            series = {f"t = {t:g}": [r for r in panel if r.threshold == t] for t in values}
            figure = _against(series, "iteration", "iteration", "mean Hamming distance", 1.0)
            setting = setting_of(panel[0], ["threshold"])
            caption = f"{protocol_of(panel[0])} {panel[0].bits} bits. hag: {setting}."
            title = "HAG Fig. 6, Hamming distance to the clean code for each threshold t"
            yield Plot(name="hag_fig6", title=title, caption=caption, figure=figure)


def _anchor_sizes(rows: Sequence[ResultRow]) -> Iterator[Plot]:
    """Draw t-MAP against n_t with MAP of the clean queries (DHTA Fig. 7)."""
    rows = [row for row in final(rows) if not row.quantized]
    clean = [row for row in rows if (row.attack, row.metric) == ("none", "map")]
    found = [row for row in rows if row.attack in ("dhta", "p2p") and row.metric == "t_map"]
    found = [row for row in found if row.target_database in (None, "database")]
    close = [row for row in found if close_to(row.epsilon, DHTA_SETTING["epsilon"])]
    for panel in grouped(close or found, (*DATA_FIELDS, *_but("n_t"))):
        lengths = sorted({row.bits or 0 for row in panel})
        series = {}
        for bits in lengths:
            own = [row for row in panel if row.bits == bits]
            if len({row.n_t for row in own}) > 2:  # P2P and DHTA alone show no course
                series[f"{bits} bits"] = own
        if not series:
            continue
        figure = _against(series, "n_t", "n_t", "t-MAP (%)", 100.0)
        for number, label in enumerate(series):
            victims = {row.victim_sha256 for row in series[label]}
            cell = cell_of([row for row in clean if row.victim_sha256 in victims])
            if cell is not None:
                figure.axes[0].axhline(
                    100 * cell.mean, color=COLOURS[number % len(COLOURS)], linestyle="--",
                    linewidth=1.2, label=f"{label}, Original (MAP)",
                )  # fmt: skip
        _legend(figure.axes[0])
        yield Plot(
            name="dhta_fig7", title="DHTA Fig. 7, t-MAP of DHTA against n_t", figure=figure,
            caption=f"{protocol_of(panel[0])} dhta: {setting_of(panel[0], ['n_t'])}.",
        )  # fmt: skip


def _frame_counts(rows: Sequence[ResultRow]) -> Iterator[Plot]:
    """Draw t-MAP against the number of frames of each clip that were attacked."""
    found = [
        dataclasses.replace(row, frames=row.frames or int((row.input_shape or "0").split("x")[0]))
        for row in final(rows)
        if row.metric == "t_map" and not row.quantized and (row.input_shape or "").count("x") == 3
    ]
    found = [row for row in found if row.attack not in ("none", "anchor", "noise")]
    for panel in grouped(found, (*DATA_FIELDS, *(f for f in _but("frames") if f != "n_t"))):
        series = {}
        for group in grouped(panel, ("attack", "n_t", "bits")):
            if len({row.frames for row in group}) > 2:  # two points show no course
                name = TARGETED.get(group[0].attack, group[0].attack)
                series[f"{name}, {group[0].bits} bits"] = group
        if series:
            yield Plot(
                name="frames",
                title="Attacks on some frames of each clip, t-MAP against their number",
                caption=f"{protocol_of(panel[0])} {setting_of(panel[0], ['frames', 'n_t'])}.",
                figure=_against(series, "frames", "frames attacked", "t-MAP (%)", 100.0),
            )


def _but(varied: str) -> list[str]:
    """Return the fields of an attack's setting but the one that a figure varies."""
    return [field for field in ATTACK_FIELDS if field != varied]


def _against(
    series: dict[str, list[ResultRow]], field: str, xlabel: str, ylabel: str, scale: float
) -> Figure:
    """Draw means against a field, with a band of one standard deviation."""
    figure, (axes,) = _axes()
    for number, (label, rows) in enumerate(series.items()):
        values = sorted({getattr(row, field) for row in rows})
        cells = [cell_of([row for row in rows if getattr(row, field) == x]) for x in values]
        mean = np.array([cell.mean for cell in cells if cell]) * scale
        deviation = np.array([cell.deviation or 0.0 for cell in cells if cell]) * scale
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(values, mean, marker=".", color=colour, label=label, linewidth=1.6)
        if deviation.any():
            axes.fill_between(values, mean - deviation, mean + deviation, color=colour, alpha=0.15)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    _legend(axes)
    return figure


def _legend(axes: Any) -> None:
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
