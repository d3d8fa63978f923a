"""The closing table of an attack, and how metrics and protocols are written."""

from collections.abc import Iterable, Sequence
from fractions import Fraction

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from lightning_hash.results.rows import CEILING, CLEAN, ResultRow
from lightning_hash.results.runs import stopped_at
from lightning_hash.utils.escapes import terminal

# How known metrics are called, in the order in which they are shown; others have their own name.
LABELS = {
    "map": "MAP",
    "train_map": "train MAP",
    "t_map": "t-MAP",
    "train_t_map": "train t-MAP",
    "precision_at_n": "precision@N",
    "hamming_to_clean": "Hamming to clean",
    "hamming_to_anchor": "Hamming to anchor",
    "perceptibility": "perceptibility",
    "linf": "largest change",
    "ssim": "SSIM",
    "recall_at_1": "recall@1",
    "collision_rate": "exact collisions",
    "bit_flip_rate": "bit flips",
}
RATES = {"detection": "detection rate", "false_match": "false matches", "collision": "collision"}
WIDEST = 1000
SHORT = 16  # letters of a label that a narrow terminal keeps in one line


def metric_label(row: ResultRow) -> str:
    """Return what the metric of a row is called; a metric unknown here has its own name."""
    depth = row.get("ranking.precision_n")
    if row.metric == "precision_at_n" and depth is not None:
        return f"precision@{depth}"
    if row.metric == "in_top_k" and depth is not None:
        return f"in top {depth}"
    rate, _, at = row.metric.rpartition("_at_")
    if rate in RATES and at.isdecimal():
        return f"{RATES[rate]} at {at}"
    return LABELS.get(row.metric, row.metric)


def metrics_of(rows: Iterable[ResultRow]) -> list[str]:
    """Return the metrics that rows have, known ones first, in the order to show them in."""
    there = dict.fromkeys(row.metric for row in rows)
    known = [metric for metric in LABELS if metric in there]
    return [*known, *(metric for metric in there if metric not in LABELS)]


def summary_table(rows: Sequence[ResultRow]) -> Table:
    """Lay out one attack: clean queries, the attack, and the attack rounded to 8 bits or saved.

    Args:
        rows: the rows of one run.

    Returns:
        A table with a line per metric that was measured.

    Raises:
        ValueError: if there are no rows of an attack.
    """
    attacks = [row for row in rows if row.is_attack]
    if not attacks:
        msg = "the rows hold no attack, only clean queries or ceilings"
        raise ValueError(msg)
    first = attacks[0]
    last = max(row.iteration for row in attacks)
    errors = any(row.se is not None for row in rows)
    stopped = stopped_at(attacks)
    notes = [asked_text(next(row for row in attacks if row.iteration == last))]
    notes += ["in brackets: standard error over the queries, in the last digits"] * errors
    early = f", stopped at iteration {stopped[0]} of {stopped[1]}" if stopped else ""
    made, bits = made_on(first), bits_text(first.get("victim.bits"))
    scored = f"scored on {bits}" if made else bits
    title = f"{first.name}{made}, {scored}{early}: {protocol_of(first)}"
    table = Table(
        title=terminal(title, "table.title"),
        title_justify="left",
        caption="\n".join(filter(None, notes)) or None,
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1),
    )
    ended = [row for row in attacks if row.iteration == last]
    jpegs = sorted({row.jpeg for row in ended if row.jpeg is not None}, reverse=True)
    saved = [f"JPEG {quality}" for quality in jpegs]
    for header in ("", "clean", first.name, "8-bit", *saved, "ceiling"):
        table.add_column(terminal(header), justify="right" if header else "left")
    columns = [
        [row for row in rows if row.name == CLEAN],
        [row for row in ended if not row.quantized],
        [row for row in ended if row.quantized and row.jpeg is None],
        *([row for row in ended if row.jpeg == quality] for quality in jpegs),
        [row for row in rows if row.name == CEILING],
    ]
    for metric in metrics_of(rows):
        found = [next((r for r in column if r.metric == metric), None) for column in columns]
        if any(found):
            label = next(metric_label(row) for row in found if row)
            table.add_row(terminal(label), *(with_error(r.value, r.se) if r else "" for r in found))
    return table


def asked_text(row: ResultRow) -> str:
    """Say how often an attack has asked about a query, and how many queries it has finished.

    Args:
        row: of the attack.

    Returns:
        A line; empty where neither is counted.

    Example:
        >>> row = ResultRow(
        ...     metric="map", value=0.5, n=3, iteration=9, queries=9.0, queries_finished=7.5,
        ...     n_finished=2, quantized=False, attack=None, victim={}, data={}, ranking={}, run={},
        ... )
        >>> asked_text(row)
        '9 questions per query; 2 of 3 queries finished, after 7.5 questions each'
    """

    def rounded(mean: float) -> str:
        return f"{mean:.1f}".removesuffix(".0")

    said = [] if row.queries is None else [f"{rounded(row.queries)} questions per query"]
    if row.n_finished is not None:
        after = row.queries_finished
        each = "" if after is None else f", after {rounded(after)} questions each"
        said.append(f"{row.n_finished} of {row.n} queries finished{each}")
    return "; ".join(said)


def summary_line(rows: Sequence[ResultRow]) -> str:
    """Say in one line what an attack has done to MAP and t-MAP, before rounding to 8 bits.

    Args:
        rows: the rows of one run.

    Returns:
        The attack, of each of the two metrics, or of all where neither was measured, the value of
        the clean and of the attacked queries, and whether the run doubts its own numbers.

    Raises:
        ValueError: if there are no rows of an attack.
    """
    attacks = [row for row in rows if row.is_attack and not row.quantized]
    if not attacks:
        msg = "the rows hold no attack, only clean queries or ceilings"
        raise ValueError(msg)
    last = max(row.iteration for row in attacks)
    clean = {row.metric: row for row in rows if row.name == CLEAN}
    ended = {row.metric: row for row in attacks if row.iteration == last}
    shown = [metric for metric in ("map", "t_map") if metric in ended] or metrics_of(attacks)
    said = []
    for metric in shown:
        row, before = ended[metric], clean.get(metric)
        was = "" if before is None else f"{with_error(before.value, before.se)} clean, "
        said.append(f"{metric_label(row)} {was}{with_error(row.value, row.se)} attacked")
    doubted = "; doubted, see its warnings" if any(row.warnings for row in attacks) else ""
    return f"{attacks[0].name}{made_on(attacks[0])}: {'; '.join(said)}{doubted}"


def made_on(row: ResultRow) -> str:
    """Say what perturbations were made on, where that is not the victim alone."""
    sources = row.get("transfer.sources")
    return "" if sources is None else f" made on {sources}"


def print_table(table: Table) -> None:
    """Print a table, wider than the terminal where its numbers would not fit."""
    console = Console()
    for column in table.columns:
        column.overflow, column.no_wrap = "fold", column.justify == "right"
        texts = [str(cell) for cell in (column.header, *column.cells)]
        words = [word for text in texts for word in (text[:SHORT], *text.split())]
        column.min_width = max(map(len, words), default=0)
    wide = console.options.update(width=WIDEST)  # a measurement never exceeds its options
    least = Measurement.get(console, wide, table).minimum
    Console(width=max(console.width, least)).print(table)


def protocol_of(row: ResultRow, *, victims: bool = True) -> str:
    """Say under which protocol the numbers of a table were measured.

    Args:
        row: one of its rows.
        victims: whether all are of one kind of victim, to be named.
    """
    data, ranking = row.data, row.ranking
    asking = data.get("n_asking")
    what = "queries" if asking is None else f"candidates, {asking} queries"
    top_k, foreign = ranking.get("top_k"), data.get("database_codes")
    target = data.get("target_database")
    ranks = "the whole database" if top_k is None else f"the first {top_k}"
    parts = [
        f"{data.get('dataset')} ({data.get('n_query')} {what}, {data.get('n_database')} database "
        "items)",
        f"{row.victim.get('backbone')}, {row.victim.get('loss') or 'foreign model'}"
        if victims
        else "",
        f"AP over {ranks}, divided by {ranking.get('normalizer')}",
        f"ties {ranking.get('ties')}, empty {ranking.get('empty')}",
        "" if target in (None, "database") else f"t-MAP ranks {target}",
        f"database codes of {foreign}" if foreign else "",
    ]
    return "; ".join(part for part in parts if part) + "."


def bits_text(bits: int | None) -> str:
    """Write a code length."""
    return "unknown bits" if bits is None else f"{bits} bits"


def frames_text(count: int) -> str:
    """Write how many frames of each clip were attacked."""
    return f"{count} frame" if count == 1 else f"{count} frames"


def format_epsilon(epsilon: float | None, space: str | None) -> str:
    """Write an epsilon as k/255 where it is that, with its space unless that is pixel."""
    if epsilon is None:
        return ""
    levels = Fraction(epsilon * 255).limit_denominator(2)
    exact = abs(float(levels) / 255 - epsilon) < 1e-9
    text = f"{levels}/255" if exact and levels.denominator == 1 else f"{epsilon:g}"
    return text if space in (None, "pixel") else f"{text} {space}"


def with_error(value: float, error: float | None, digits: int = 4) -> str:
    """Write a number with its standard error in brackets, in units of the last digit.

    Example:
        >>> with_error(0.0275, 0.004), with_error(0.0275, None)
        ('0.0275(40)', '0.0275')
    """
    text = f"{value:.{digits}f}"
    return text if error is None else f"{text}({round(error * 10**digits)})"
