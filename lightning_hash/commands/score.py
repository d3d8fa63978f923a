"""``python -m lightning_hash score``: numbers of a system whose codes are all there is."""

import dataclasses
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
from torch import Tensor

from lightning_hash._version import __version__
from lightning_hash.codes.code_files import CodeFile, open_codes, read_labels
from lightning_hash.codes.code_set import CodeSet
from lightning_hash.codes.foreign import Side, upright
from lightning_hash.commands.one_line import OneLineParser
from lightning_hash.commands.places import options_named
from lightning_hash.functional import RankingOptions, make_ranking
from lightning_hash.functional.matching import match_curve as find_curve
from lightning_hash.results.rows import ResultRow
from lightning_hash.results.tables import metric_label, print_table
from lightning_hash.utils.label_values import same_columns, to_labels
from lightning_hash.utils.progress import watched
from lightning_hash.utils.volume import HELP

SAID = ("normalizer", "ties", "empty")


def main(arguments: list[str]) -> int:
    """Rank a database of codes for queries that are codes, and print MAP.

    Args:
        arguments: what stands behind ``score``.

    Returns:
        0.
    """
    parser = make_parser()
    options = parser.parse_args(arguments).as_dict()
    options.pop("config")
    as_json = options.pop("json")
    with options_named(parser, arguments):
        options["ranking"] = RankingOptions(**options["ranking"])
        rows = score(**options)
    if as_json:
        print(json.dumps([dataclasses.asdict(row) for row in rows], indent=1))
        return 0
    first = rows[0]
    ranks = first.get("ranking.top_k") or "all"
    said = ", ".join(f"{name} {first.get(f'ranking.{name}')}" for name in SAID)
    table = Table(
        title=f"{first.get('data.n_query')} queries, {first.get('data.n_database')} database "
        f"items, {first.get('victim.bits')} bits; top {ranks}, {said}",
        title_justify="left",
    )
    for header in ("metric", "value", "se", "n"):
        table.add_column(header, justify="left" if header == "metric" else "right")
    for row in rows:
        error = "" if row.se is None else f"{row.se:.4f}"
        table.add_row(metric_label(row), f"{row.value:.4f}", error, str(row.n))
    print_table(table)
    return 0


def make_parser() -> OneLineParser:
    """Return the parser of the options."""
    parser = OneLineParser(prog="lightning_hash score", description=__doc__, epilog=HELP)
    parser.add_argument("--config", action="config", help="YAML with these options.")
    parser.add_function_arguments(score)
    parser.add_argument("--json", action="store_true", help="Print result rows instead of a table.")
    return parser


def score(
    query: str,
    database: str,
    query_labels: str | None = None,
    database_labels: str | None = None,
    target_labels: str | None = None,
    clean: str | None = None,
    bits: int | None = None,
    threshold: float | None = None,
    match_at: int | list[int] | None = None,
    match_curve: str | None = None,
    ranking: RankingOptions = RankingOptions(),
    attack: str = "none",
) -> list[ResultRow]:
    r"""Score codes in files, whoever made them.

    Args:
        query: codes of the queries: ``.safetensors`` of ``encode``, ``.npy``, ``.npz``, ``.mat``,
            ``.pt``, ``.csv`` or ``.txt``, where ``FILE:NAME`` is one of several arrays; or a list
            of hashes, ``.hex`` or ``.b64``, one a line.
        database: codes of the database.
        query_labels: a file of 0/1 rows or class numbers, for codes that stand alone.
        database_labels: the same for the database.
        target_labels: the same of the targets of an attack on the queries: adds t-MAP.
        clean: codes of the queries before an attack: adds the mean Hamming distance to them.
        bits: K, where a row of labels and code could be cut at several places, or bits are packed.
        threshold: above which a value is a bit of +1, for real values; by default 0 where there are
            negative ones, and 0.5 where all are in [0, 1].
        match_at: the distance T, or several as ``[10,31]``, up to which two codes match in a search
            for near-duplicates: adds detection rate and false matches at each, recall@1 and exact
            collisions.
        match_curve: a ``.csv`` with these rates at every T, or a ``.png`` that draws them beside
            the rate of false matches of random codes, and gets the ``.csv`` of its name beside it.
            These rates and ``match_at``'s are of the queries that have a relevant item, of false
            matches one that is not, whatever ``ranking.empty`` says.
        ranking: how MAP, t-MAP and precision at N are computed.
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
    # Seconds, which --help need not wait for.
    from lightning_hash.metrics import AttackMetrics
    from lightning_hash.metrics.matching import matching_metrics
    from lightning_hash.reports.match_curve import check_curve, write_curve

    if match_curve is not None:
        given = (query, database, query_labels, database_labels, target_labels, clean)
        check_curve(Path(match_curve), [Path(name) for name in given if name is not None])
    files = {
        "query": _open(query, query_labels, bits, threshold, "query"),
        "database": _open(database, database_labels, bits, threshold, "database"),
    }
    if clean is not None:
        files["clean"] = _open(clean, query_labels, bits, threshold, "query")
    _check_thresholds(files)
    _check_victims(files)
    places = {what: f"labels of {what} {file.name}" for what, file in files.items()}
    labels = {places[what]: file.labels for what, file in files.items()}
    if target_labels is not None:
        values = read_labels(Path(target_labels), Path(query))
        _, values = upright(files["query"].codes.numpy(), values, f"target_labels {target_labels}")
        places["targets"] = f"target_labels {target_labels}"
        labels[places["targets"]] = to_labels(values, target_labels)
    columns = same_columns(labels)
    _check_widths(columns)
    sent, ranked = (files[side].code_set(columns[places[side]]) for side in ("query", "database"))
    thresholds = [match_at] if isinstance(match_at, int) else match_at or []
    metrics = AttackMetrics(ranking, matching_metrics(thresholds, ranked.bits))
    metrics.set_database(ranked.codes, ranked.labels, ranked.index)
    known = ["database"]
    targets = before = None
    if target_labels is not None:
        metrics.set_target_database(ranked.codes, ranked.labels, ranked.index)
        targets = columns[places["targets"]]
        known += ["target_database", "target_labels"]
    if clean is not None:
        before = files["clean"].codes
        known.append("clean_codes")
    for what, found in (("target_labels", targets), ("clean", before)):
        if found is not None and len(found) != len(sent):
            msg = f"{what}: {len(found)} rows for {len(sent)} queries"
            raise ValueError(msg)
    metrics.update(sent.codes, sent.labels, sent.index, clean_codes=before, target_labels=targets)
    with watched("ranking"):
        scores = _measured(metrics.compute(metrics.names(known)))
    if match_curve is not None:
        ranking_of = make_ranking(sent.codes, ranked.codes, sent.labels, ranked.labels)
        write_curve(Path(match_curve), find_curve(ranking_of))
    mappings: dict[str, Any] = {
        "attack": None if attack == "none" else {"name": attack},
        "victim": {
            "sha256": ranked.made_with.get("victim_sha256"),
            "backbone": ranked.made_with.get("backbone"), "bits": ranked.bits,
        },
        "data": {
            "sha256": {
                "query": sent.made_with.get("list_sha256"),
                "database": ranked.made_with.get("list_sha256"),
            },
            "n_query": len(sent), "n_database": len(ranked), "database_codes": ranked.foreign,
            "read_as": {side: file.read_as for side, file in files.items()},
        },
        "ranking": {"relevance": _relevance(ranked, sent), **dataclasses.asdict(ranking)},
        "run": {"version": __version__},
    }  # fmt: skip
    return [
        ResultRow(
            metric=name, value=found.value, se=found.se, n=found.n, n_empty=found.n_empty,
            iteration=0, quantized=False, **mappings,
        )
        for name, found in scores.items()
    ]  # fmt: skip


def _measured(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scores that a query has a value of; the others are named."""
    for name, score in scores.items():
        if not score.n:
            said = f"{name} is not measured: all {score.n_empty} queries are empty"
            warnings.warn(f"{said}, which it leaves out", stacklevel=3)
    return {name: score for name, score in scores.items() if score.n}


def _open(
    codes: str, labels: str | None, bits: int | None, threshold: float | None, side: Side
) -> CodeFile:
    return open_codes(Path(codes), None if labels is None else Path(labels), bits, threshold, side)


def _relevance(*sides: CodeSet) -> str:
    """Return what makes an item relevant, as the code files say it."""
    from lightning_hash.data.base import HashDataModule

    said = [each.made_with["relevance"] for each in sides if "relevance" in each.made_with]
    return said[0] if said else HashDataModule.relevance


def _check_victims(files: dict[str, CodeFile]) -> None:
    """Refuse codes of different victims, whose bits mean different things."""
    made = {
        what: file.own.made_with["victim_sha256"]
        for what, file in files.items()
        if file.own is not None and "victim_sha256" in file.own.made_with
    }
    if len(set(made.values())) > 1:
        found = ", ".join(f"{files[what].name} by {sha[:12]}..." for what, sha in made.items())
        msg = f"codes were made by different victims ({found}); encode both with one victim"
        raise ValueError(msg)
    bits = {what: file.codes.shape[1] for what, file in files.items()}
    for what, count in bits.items():
        if count != bits["query"]:
            msg = (
                f"codes {files[what].name} have {count} bits, those of {files['query'].name} "
                f"{bits['query']}; both must come from one model"
            )
            raise ValueError(msg)


def _check_widths(columns: Mapping[str, Tensor]) -> None:
    """Refuse labels of other columns, and labels of none, by which nothing is relevant."""
    widths = {name: rows.shape[1] for name, rows in columns.items()}
    first = next(iter(widths))
    for name, width in widths.items():
        if width != widths[first]:
            msg = (
                f"{name} have {width} columns, {first} {widths[first]}; both must list the same "
                "labels"
            )
            raise ValueError(msg)
        if not width:
            msg = f"{name}: there are none, and without labels nothing is relevant; name a file"
            raise ValueError(msg)


def _check_thresholds(files: dict[str, CodeFile]) -> None:
    """Refuse real values of one system that two rules would turn into bits."""
    real = {what: file for what, file in files.items() if file.threshold is not None}
    if len({file.threshold for file in real.values()}) > 1:
        found = ", ".join(f"{what} above {file.threshold:g}" for what, file in real.items())
        msg = f"real values would be +1 in {found}; threshold says which is meant for all"
        raise ValueError(msg)
