"""``python -m lightning_hash score``: numbers of a system whose codes are all there is."""

import dataclasses
import json
from pathlib import Path

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from lightning_hash._version import __version__
from lightning_hash.codes.code_files import read_codes, read_labels
from lightning_hash.codes.code_set import CodeSet
from lightning_hash.functional.average_precision import Empty, Normalizer, Ties
from lightning_hash.results.rows import ResultRow
from lightning_hash.results.tables import LABELS


def main(arguments: list[str]) -> int:
    """Rank a database of codes for queries that are codes, and print MAP.

    Args:
        arguments: what stands behind ``score``.

    Returns:
        0.
    """
    parser = ArgumentParser(prog="lightning_hash score", description=__doc__)
    parser.add_argument("--config", action="config", help="YAML with these options.")
    parser.add_function_arguments(score)
    parser.add_argument("--json", action="store_true", help="Print result rows instead of a table.")
    options = parser.parse_args(arguments).as_dict()
    options.pop("config")
    as_json = options.pop("json")
    rows = score(**options)
    if as_json:
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=1))
        return 0
    first = rows[0]
    ranks = "all" if first.top_k is None else str(first.top_k)
    table = Table(
        title=f"{first.n_query} queries, {first.n_database} database items, {first.bits} bits; top "
        f"{ranks}, normalizer {first.normalizer}, ties {first.ties}, empty {first.empty}",
        title_justify="left",
    )
    table.add_column("metric")
    table.add_column("value", justify="right")
    for row in rows:
        name = LABELS[row.metric] if row.n_at is None else f"precision@{row.n_at}"
        table.add_row(name, f"{row.value:.4f}")
    Console().print(table)
    return 0


def score(
    query: str,
    database: str,
    query_labels: str | None = None,
    database_labels: str | None = None,
    target_labels: str | None = None,
    clean: str | None = None,
    bits: int | None = None,
    top_k: int | None = 1000,
    normalizer: Normalizer = "retrieved",
    empty: Empty = "zero",
    ties: Ties = "expected",
    precision_n: int = 100,
    attack: str = "none",
) -> list[ResultRow]:
    r"""Score codes in files, whoever made them.

    Args:
        query: codes of the queries: ``.safetensors`` of ``encode``, ``.npy``, or ``.txt``.
        database: codes of the database.
        query_labels: ``.txt`` or ``.npy`` of 0/1 rows, for codes that stand alone.
        database_labels: the same for the database.
        target_labels: rows of 0/1, the targets of an attack on the queries: adds t-MAP.
        clean: codes of the queries before an attack: adds the mean Hamming distance to them.
        bits: K, where a row of labels and code could be cut at several places.
        top_k: ranks to look at; null is the whole database.
        normalizer: what AP divides by.
        empty: how a query without a relevant item in the top_k counts.
        ties: how ties in the Hamming distance are treated.
        precision_n: N of precision at N.
        attack: what was done to the queries, for the result rows.

    Returns:
        A row per number.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if a file cannot be read, or bits or labels do not go together.

    Example:
        >>> folder = getfixture("tmp_path")
        >>> for name, row in (("query.txt", "1 0 1 -1 1"), ("database.txt", "1 0 1 -1 -1")):
        ...     _ = (folder / name).write_text(f"{row}\n0 1 -1 1 1\n")
        >>> rows = score(str(folder / "query.txt"), str(folder / "database.txt"), bits=3)
        >>> rows[0].metric, rows[0].value
        ('map', 1.0)
    """
    from lightning_hash.metrics import AttackScore  # seconds, which --help need not wait for

    sent = _read(query, query_labels, bits)
    ranked = _read(database, database_labels, bits)
    metrics = AttackScore(top_k, normalizer, empty, ties, precision_n)
    metrics.set_database(ranked.codes, ranked.labels, ranked.index)
    names = ["map", "precision_at_n"]
    targets = before = None
    if target_labels is not None:
        metrics.set_target_database(ranked.codes, ranked.labels, ranked.index)
        targets = read_labels(Path(target_labels), Path(query))
        names.append("t_map")
    if clean is not None:
        before = _read(clean, query_labels, bits).codes
        names.append("hamming_to_clean")
    for what, found in (("target_labels", targets), ("clean", before)):
        if found is not None and len(found) != len(sent):
            msg = f"{what}: {len(found)} rows for {len(sent)} queries"
            raise ValueError(msg)
    metrics.update(sent.codes, sent.labels, sent.index, clean_codes=before, target_labels=targets)
    averages = {"map": metrics.map, "t_map": metrics.t_map}
    return [
        ResultRow(
            metric=name, value=value, iteration=0, quantized=False, attack=attack,
            n_at=precision_n if name == "precision_at_n" else None,
            n_empty=averages[name].n_empty if name in averages else None,
            bits=ranked.bits, n_query=len(sent), n_database=len(ranked),
            victim_sha256=ranked.made_with.get("victim_sha256"),
            list_sha256_query=sent.made_with.get("list_sha256"),
            list_sha256_database=ranked.made_with.get("list_sha256"),
            database_codes=ranked.foreign, relevance="shares a label", top_k=top_k,
            normalizer=normalizer, empty=empty, ties=ties, version=__version__,
        )
        for name, value in metrics.compute(names).items()
    ]  # fmt: skip


def _read(codes: str, labels: str | None, bits: int | None) -> CodeSet:
    return read_codes(Path(codes), None if labels is None else Path(labels), bits)
