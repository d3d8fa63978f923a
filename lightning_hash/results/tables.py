"""The closing table of an attack, and how protocols are written."""

from collections.abc import Sequence
from fractions import Fraction

from rich.table import Table

from lightning_hash.results.rows import METRICS, ResultRow

LABELS = {
    "map": "MAP",
    "t_map": "t-MAP",
    "precision_at_n": "precision@N",
    "hamming_to_clean": "Hamming to clean",
    "hamming_to_anchor": "Hamming to anchor",
    "perceptibility": "perceptibility",
    "linf": "largest change",
}


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
    table = Table(
        title=f"{first.attack}, {first.bits} bits: {protocol_of(first)}", title_justify="left"
    )
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


def protocol_of(row: ResultRow, *, victims: bool = True) -> str:
    """Say under which protocol the numbers of a table were measured.

    Args:
        row: one of its rows.
        victims: whether all are of one kind of victim, to be named.
    """
    ranks = "the whole database" if row.top_k is None else f"the first {row.top_k}"
    parts = [
        f"{row.dataset} ({row.n_query} queries, {row.n_database} database items)",
        f"{row.backbone}, {row.loss or 'foreign model'}" if victims else "",
        f"AP over {ranks}, divided by {row.normalizer}",
        f"ties {row.ties}, empty {row.empty}",
        "" if row.target_database in (None, "database") else f"t-MAP ranks {row.target_database}",
        f"database codes of {row.database_codes}" if row.database_codes else "",
    ]
    return "; ".join(part for part in parts if part) + "."


def frames_of(row: ResultRow) -> str:
    """Say how many frames of each clip were attacked."""
    if row.frames is None:
        return "all frames"
    return f"{row.frames} frame" if row.frames == 1 else f"{row.frames} frames"


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
