"""Tables of finished runs."""

from collections.abc import Sequence
from fractions import Fraction

from rich import box
from rich.table import Table

from lightning_hash.models.joint import source_names
from lightning_hash.reports.results import METRICS, ResultRow

LABELS = {
    "map": "MAP",
    "t_map": "t-MAP",
    "precision_at_n": "precision@N",
    "hamming_to_clean": "Hamming to clean",
    "hamming_to_anchor": "Hamming to anchor",
    "perceptibility": "perceptibility",
    "linf": "largest change",
}
# Fields that must agree before numbers may stand in one table.
PROTOCOL = (
    "victim_sha256", "backbone", "bits", "loss", "dataset", "list_sha256_query",
    "list_sha256_database", "list_sha256_open_set", "n_query", "n_database", "database_codes",
    "target_database", "relevance", "top_k", "normalizer", "empty", "ties", "target_rule", "seed",
)  # fmt: skip
HEADERS = (
    "attack", "iterations", "epsilon", "MAP", "MAP 8-bit", "t-MAP", "t-MAP 8-bit",
    "perceptibility", "seconds",
)  # fmt: skip


def summary_table(rows: Sequence[ResultRow]) -> Table:
    """Lay out one attack: the clean queries, the attack, and the attack after rounding to 8 bits.

    Args:
        rows: the rows of one run.

    Returns:
        A table with a line per metric that was measured.

    Raises:
        ValueError: if there are no rows of an attack.
    """
    attacks = [row for row in rows if row.attack not in ("none", "anchor")]
    if not attacks:
        msg = "the rows hold no attack, only clean queries or ceilings"
        raise ValueError(msg)
    first = attacks[0]
    last = max(row.iteration for row in attacks)
    table = Table(title=f"{first.attack}: {caption(first)}", title_justify="left")
    for header in ("", "clean", first.attack, "8-bit", "ceiling"):
        table.add_column(header, justify="right" if header else "left")
    for metric in METRICS:
        cells = [
            _value(rows, metric=metric, attack="none"),
            _value(attacks, metric=metric, iteration=last, quantized=False),
            _value(attacks, metric=metric, iteration=last, quantized=True),
            _value(rows, metric=metric, attack="anchor") if metric == "t_map" else "",
        ]
        if any(cells):
            name = LABELS[metric]
            if metric == "precision_at_n":
                n_at = next(row.n_at for row in rows if row.metric == metric)
                name = f"precision@{n_at}"
            table.add_row(name, *cells)
    return table


def comparison_table(runs: Sequence[Sequence[ResultRow]]) -> tuple[Table, str]:
    """Put runs on one victim and one data set side by side.

    Args:
        runs: the rows of each run.

    Returns:
        The table for a terminal and the same in Markdown: a line for the clean queries, one per
        attack, and one for the ceiling of each anchor set; blank where nothing was measured.

    Raises:
        ValueError: if two runs differ in the victim, the data or the metric; names the field.
    """
    everything = [row for rows in runs for row in rows]
    if not everything:
        msg = "no result rows to compare"
        raise ValueError(msg)
    first = everything[0]
    for row in everything:
        for field in PROTOCOL:
            if getattr(row, field) != getattr(first, field):
                msg = (
                    f"{row.attack} and {first.attack} cannot stand in one table: {field} is "
                    f"{getattr(row, field)!r} and {getattr(first, field)!r}"
                )
                raise ValueError(msg)
    lines = [_clean_line(everything)]
    lines += [_attack_line(rows) for rows in runs]
    for n_t in sorted({row.n_t or 0 for row in everything if row.attack == "anchor"}):
        ceiling = [row for row in everything if row.attack == "anchor" and row.n_t == n_t]
        cell = _value(ceiling, metric="t_map")
        lines.append([f"ceiling n_t={n_t}", "", "", "", "", cell, "", "", ""])
    table = Table(title=caption(first), title_justify="left", box=box.SIMPLE_HEAD, padding=0)
    for number, header in enumerate(HEADERS):
        # Two lines per header, so that the table fits a terminal of 80 columns.
        lines_of = header.replace(" ", "\n").replace("perceptibility", "percep-\ntibility")
        lines_of = lines_of.replace("iterations", "itera-\ntions")
        table.add_column(lines_of, justify="right" if number else "left", no_wrap=True)
    for line in lines:
        table.add_row(*line)
    markdown = [f"| {' | '.join(HEADERS)} |", "|---" + "|---:" * (len(HEADERS) - 1) + "|"]
    markdown += [f"| {' | '.join(line)} |" for line in lines]
    return table, "\n".join([*markdown, "", caption(first), ""])


def caption(row: ResultRow) -> str:
    """Say under which protocol a row was measured."""
    ranks = "all" if row.top_k is None else str(row.top_k)
    return (
        f"{row.dataset}, {row.backbone}, {row.bits} bits; MAP@{ranks} over {row.n_query} queries "
        f"and {row.n_database} database items, normalizer {row.normalizer}, ties {row.ties}, empty "
        f"{row.empty}, seed {row.seed}"
    )


def format_epsilon(epsilon: float | None, space: str | None) -> str:
    """Write an epsilon as k/255 where it is that, with its space unless that is pixel."""
    if epsilon is None:
        return ""
    levels = Fraction(epsilon * 255).limit_denominator(2)
    exact = abs(float(levels) / 255 - epsilon) < 1e-9
    text = f"{levels}/255" if exact and levels.denominator == 1 else f"{epsilon:g}"
    return text if space in (None, "pixel") else f"{text} {space}"


def _value(rows: Sequence[ResultRow], **wanted: object) -> str:
    """Return the first value whose row has all wanted fields, or a blank."""
    for row in rows:
        if all(getattr(row, field) == value for field, value in wanted.items()):
            return f"{row.value:.4f}"
    return ""


def _clean_line(rows: Sequence[ResultRow]) -> list[str]:
    cells = {m: _value(rows, attack="none", metric=m) for m in ("map", "t_map")}
    return ["clean query", "", "", cells["map"], "", cells["t_map"], "", "", ""]


def _attack_line(rows: Sequence[ResultRow]) -> list[str]:
    attacks = [row for row in rows if row.attack not in ("none", "anchor")]
    if not attacks:
        msg = "a run holds no attack, only clean queries or ceilings"
        raise ValueError(msg)
    last = max(row.iteration for row in attacks)
    final = [row for row in attacks if row.iteration == last]
    float_row = next(row for row in final if not row.quantized)
    cells = {
        (metric, quantized): _value(final, metric=metric, quantized=quantized)
        for metric in ("map", "t_map", "perceptibility")
        for quantized in (False, True)
    }
    return [
        float_row.attack,
        str(last),
        format_epsilon(float_row.epsilon, float_row.epsilon_space),
        cells["map", False],
        cells["map", True],
        cells["t_map", False],
        cells["t_map", True],
        cells["perceptibility", False],
        "" if float_row.seconds is None else f"{float_row.seconds:.1f}",
    ]


def transfer_table(rows: Sequence[ResultRow]) -> Table:
    """Lay out perturbations on victims, as HAG Tables IV to VI.

    Args:
        rows: of any number of victims, on the same queries.

    Returns:
        A line per perturbation, the clean queries first, and a column per victim: MAP of the 8-bit
        images and, where targets are known, t-MAP behind a stroke.
    """
    victims = dict.fromkeys((row.backbone, row.bits, row.victim_sha256) for row in rows)
    table = Table(title="MAP of 8-bit images", title_justify="left")
    if any(row.metric == "t_map" for row in rows):
        table.title = "MAP / t-MAP of 8-bit images"
    table.add_column("perturbation of")
    table.add_column("combination")
    for name in source_names(list(victims)).split("+"):
        table.add_column(name, justify="right")
    lines = dict.fromkeys(
        (row.attack, row.sources, row.combination) for row in rows if row.attack != "anchor"
    )
    for attack, sources, combination in sorted(lines, key=lambda line: line[0] != "none"):
        clean = attack == "none"
        cells = []
        for _, _, victim in victims:
            wanted = {"attack": attack, "victim_sha256": victim, "quantized": not clean}
            if not clean:
                wanted |= {"sources": sources, "combination": combination}
            values = [_value(rows, metric=metric, **wanted) for metric in ("map", "t_map")]
            cells.append(" / ".join(value for value in values if value))
        first = "clean query" if clean else f"{attack} on {sources}"
        table.add_row(first, "" if clean else str(combination), *cells)
    return table
