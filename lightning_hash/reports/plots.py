"""The numbered figures of both papers, from run folders."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from lightning_hash.reports.courses import courses
from lightning_hash.reports.figure import COLOURS, TARGETED, Plot, add_legend, make_axes
from lightning_hash.reports.lines import (
    distinct_names,
    draw_of,
    grouped,
    left_out_note,
    preferred,
    protocol_key,
    setting_key,
    setting_of,
)
from lightning_hash.reports.papers import BITS, DHTA_SETTING, FRAMES, HAG_SETTING
from lightning_hash.reports.victims import checkpoint_of, length_names, victim_key, victims_note
from lightning_hash.results.rows import ResultRow
from lightning_hash.results.runs import RunFiles
from lightning_hash.results.tables import bits_text, protocol_of
from lightning_hash.utils.escapes import figure_text

STAR = "A star, and dashes, are the attacked queries; without they are the clean ones."
BINS = 60


def numbered_plots(runs: Sequence[RunFiles]) -> Iterator[Plot]:
    """Draw what the runs allow; what is not at its end is left out.

    Args:
        runs: any runs.

    Yields:
        HAG Figs. 2, 3, 4 and 6, DHTA Figs. 3 (and 5) and 7, and t-MAP against the number of frames
        attacked; each protocol apart, and each victim and seed a line of its own, or its seeds a
        band.
    """
    hag, left_out = runs_of(runs, "hag", HAG_SETTING)
    for panel in panels_of(hag, lambda row: (protocol_key(row), setting_key(row))):
        yield from _histogram(panel)
        caption = " ".join(filter(None, [_caption(panel), STAR, left_out]))
        series = _clean_and_attacked(panel)
        yield from _curves("hag_fig3", "HAG Fig. 3, precision at N", caption, series, _top_n)
        yield from _curves("hag_fig4", "HAG Fig. 4, precision and recall", caption, series, _recall)
    settings: Mapping[str, Mapping[str, Any]] = {
        "p2p": {FRAMES: None}, "dhta": DHTA_SETTING, "noise": {},
    }  # fmt: skip
    chosen = [runs_of(runs, name, setting) for name, setting in settings.items()]
    targeted = [run for found, _ in chosen for run in found]
    left_out = " ".join(dict.fromkeys(filter(None, (said for _, said in chosen))))
    for panel in panels_of(targeted, lambda row: (protocol_key(row), victim_key(row))):
        name = _names(targeted, panel[0])[victim_key(_last(panel[0]))]
        caption = " ".join(filter(None, [_caption(panel), left_out]))
        for draw, what in ((_recall, "precision and recall"), (_top_n, "precision at N")):
            title = f"DHTA Figs. 3 and 5, {what}, {name}"
            yield from _curves("dhta_fig3", title, caption, _targets(panel), draw)
    yield from courses([row for run in runs if run.finished for row in run.rows])


def runs_of(
    runs: Iterable[RunFiles], attack: str, setting: Mapping[str, Any]
) -> tuple[list[RunFiles], str]:
    """Return the finished runs of an attack, those of the paper's setting where there are any.

    Args:
        runs: any runs.
        attack: its name.
        setting: the paper's, values at dotted paths.

    Returns:
        The runs, and what is to be said of those of other settings that are left out.
    """
    found = [run for run in runs if run.finished and run.last and run.last.name == attack]
    found = [run for run in found if _last(run).transfer is None]
    kept, left_out = preferred([_last(run) for run in found], setting)
    shown = {id(row) for row in kept}
    said = left_out_note(kept, left_out)
    return [run for run in found if id(_last(run)) in shown], f"{attack}: {said}" if said else ""


def panels_of(
    runs: Iterable[RunFiles], key: Callable[[ResultRow], Any] = protocol_key
) -> list[list[RunFiles]]:
    """Put runs together.

    Args:
        runs: runs of attacks.
        key: of the last row of an attack: what they must agree in; data, ranking and kind of
            victim by default.
    """
    return grouped(runs, lambda run: key(_last(run)))


def _last(run: RunFiles) -> ResultRow:
    """Return the last row of a run that has one of an attack."""
    if run.last is None:
        msg = f"{run.folder} holds no attack"
        raise ValueError(msg)
    return run.last


def _names(runs: Iterable[RunFiles], like: RunFiles) -> dict[Any, str]:
    """Name the victims of the runs that share the protocol of one."""
    rows = [_last(run) for run in runs]
    return length_names(row for row in rows if protocol_key(row) == protocol_key(_last(like)))


def _caption(panel: Sequence[RunFiles]) -> str:
    rows = [_last(run) for run in panel]
    first = [group[0] for group in grouped(rows, setting_key)]
    names = distinct_names(first)
    said = [f"{name}: {setting_of(row)}." for name, row in zip(names, first, strict=True)]
    return " ".join([protocol_of(first[0]), *said, victims_note(rows)])


@dataclass(frozen=True)
class _Series:
    label: str
    colour: str
    dashed: bool
    curve: dict[str, Any]


def _with_seeds(panel: Sequence[RunFiles]) -> dict[int, str]:
    """Return for each run, by its place, its seed as text where its victim has several runs."""
    rows = [_last(run) for run in panel]
    said = {}
    for same in grouped(range(len(rows)), lambda number: victim_key(rows[number])):
        for number in same:
            seed = draw_of(rows[number])
            several = len({str(draw_of(rows[other])) for other in same}) > 1
            said[number] = f", seed {seed}" if several else ""
    return said


def _clean_and_attacked(panel: Sequence[RunFiles]) -> list[_Series]:
    """Give each victim and seed a colour: clean queries in full, attacked ones dashed (HAG's star).

    The runs have one setting.
    """
    names = _names(panel, panel[0])
    seeds = _with_seeds(panel)
    places = list(names)
    order = sorted(range(len(panel)), key=lambda n: (places.index(victim_key(_last(panel[n]))), n))
    series = []
    for place, number in enumerate(order):
        name = f"{names[victim_key(_last(panel[number]))]}{seeds[number]}"
        for curve in panel[number].curves():
            if curve["label"] == "own":
                attacked = curve["query"] == "adversarial"
                label, colour = f"{name}{'*' if attacked else ''}", COLOURS[place % len(COLOURS)]
                series.append(_Series(label, colour, attacked, curve))
    return sorted(series, key=lambda each: each.dashed)


def _targets(panel: Sequence[RunFiles]) -> list[_Series]:
    """Judge the attacks by the target, the clean queries by their own label (DHTA Fig. 3).

    Each setting and seed of an attack is drawn by itself; the runs are on one victim.
    """
    series: dict[str, _Series] = {}
    rows = [_last(run) for run in panel]
    settings = grouped(range(len(rows)), lambda number: setting_key(rows[number]))
    names = distinct_names([rows[same[0]] for same in settings])
    seeds = _with_seeds(panel)
    for same, name in zip(settings, names, strict=True):
        for number in same:
            attack = rows[number].name
            label = name.replace(attack, TARGETED[attack], 1) + seeds[number]
            for curve in panel[number].curves():
                if (curve["query"], curve["label"]) == ("clean", "own"):
                    original = f"Original{seeds[number]}"  # the same in all attacks of one seed
                    series.setdefault(original, _Series(original, COLOURS[6], True, curve))
                if (curve["query"], curve["label"]) == ("adversarial", "target"):
                    drawn = sum(not each.dashed for each in series.values())
                    series[label] = _Series(label, COLOURS[drawn % 6], False, curve)
    return list(series.values())


def _curves(
    name: str,
    title: str,
    caption: str,
    series: Sequence[_Series],
    draw: Callable[[Any, Sequence[_Series]], None],
) -> Iterator[Plot]:
    if series:
        figure, axes = make_axes()
        draw(axes[0], series)
        axes[0].set_ylim(0, 1.02)
        add_legend(axes[0])
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
    return {
        "color": each.colour,
        "linestyle": line,
        "label": figure_text(each.label),
        "linewidth": 1.6,
    }


def _histogram(panel: Sequence[RunFiles]) -> Iterator[Plot]:
    """Draw H(x) of the clean queries and tanh' of it at alpha 1 and 0.1 (HAG Fig. 2).

    The paper's is of 16 bits; where there is none, the shortest code is shown.
    """
    names = _names(panel, panel[0])
    keys = list(names)
    order = sorted(panel, key=lambda run: keys.index(victim_key(_last(run))))
    order.sort(key=lambda run: _last(run).get(BITS) != 16)
    loaded = ((run, run.read(run.folder / "codes.safetensors", _clean_logits)) for run in order)
    run, logits = next(((run, found) for run, found in loaded if found is not None), (None, None))
    if run is None or logits is None:
        return
    figure, axes = make_axes(3)
    axes[0].hist(logits, bins=BINS, color=COLOURS[0], density=True)
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
    row = _last(run)
    of = f" One of {len(panel)} runs." if len(panel) > 1 else ""
    yield Plot(
        name="hag_fig2", figure=figure,
        title="HAG Fig. 2, what the hash layer gives for clean queries, "
        f"{bits_text(row.get(BITS))}",
        caption=f"{protocol_of(row)} {len(logits):,} values. Victim: {checkpoint_of(row)}, seed "
        f"{draw_of(row)}.{of}",
    )  # fmt: skip


def _clean_logits(path: Path) -> NDArray[np.float64] | None:
    """Return the logits of the clean queries, or ``None`` where the file holds none.

    Raises:
        ValueError: if they are no finite numbers.
    """
    with safe_open(path, framework="np") as file:
        if "clean_logits" not in file.keys():  # noqa: SIM118 - no mapping
            return None
        logits: NDArray[np.float64] = file.get_tensor("clean_logits").astype(np.float64).ravel()
    if not logits.size or not np.isfinite(logits).all():
        msg = "clean_logits must be finite numbers"
        raise ValueError(msg)
    return logits
