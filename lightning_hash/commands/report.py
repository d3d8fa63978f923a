"""``python -m lightning_hash report``: tables and figures of finished runs, as one page."""

import dataclasses
import io
import itertools
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lightning_hash._version import __version__
from lightning_hash.commands.plain_parser import PlainParser
from lightning_hash.reports.examples import STRIPS, divide, examples_of
from lightning_hash.reports.figure import Plot
from lightning_hash.reports.grid import Grid
from lightning_hash.reports.numbered import numbered_grids
from lightning_hash.reports.overview import overview_grids
from lightning_hash.reports.page import Picture, Section, render_page
from lightning_hash.reports.papers import TABLES
from lightning_hash.reports.plots import numbered_plots
from lightning_hash.reports.queries import perturbed_clips, perturbed_images
from lightning_hash.reports.readme import check_readme, fill_readme
from lightning_hash.reports.transfers import published_transfers, transfer_grids
from lightning_hash.reports.verdict import verdict_of
from lightning_hash.results.rows import ResultRow
from lightning_hash.results.runs import RunFiles, Runs, find_runs, stopped_at
from lightning_hash.results.settings import flatten
from lightning_hash.results.tables import print_table
from lightning_hash.utils.escapes import csv_text, visible
from lightning_hash.utils.places import check_inside
from lightning_hash.utils.progress import tracked
from lightning_hash.utils.text_files import utf8
from lightning_hash.utils.volume import Volume, volume
from lightning_hash.utils.whole_file import ready_folder, write_whole

BYTES = "surrogateescape"  # those of paths that are no UTF-8 stand in a .csv as they are
FOLDERS = ("tables", "figures")
LONGEST = 120  # letters of a file's name


def main(arguments: list[str]) -> int:
    """Write a report.

    Args:
        arguments: what stands behind ``report``.

    Returns:
        0, also where some runs could not be read: they are named on the page and on stderr.

    Raises:
        FileNotFoundError: if no root exists or holds results.
        ValueError: if no run can be read, the README has no place for the table, or a link in a
            folder of runs would lead the report elsewhere.
    """
    options = make_parser().parse_args(arguments)
    place = options.output or options.roots[0] / "report"
    runs = find_runs(options.roots)
    _try(place, options.readme, options.roots[0] if options.output is None else place)
    rows = [row for run in runs for row in run.rows]
    quiet = volume() is Volume.QUIET
    for grid in [] if quiet else overview_grids(rows):
        print_table(grid.rich())
    page = _report(runs, place, options.readme)
    for path, reason in [] if quiet else _left_out(runs):
        print(visible(f"left out: {path}: {reason}"), file=sys.stderr)
    print(visible(verdict_of(rows).headline))
    print(visible(f"{len(runs)} runs: {page}"))
    if options.readme is not None:
        print(visible(str(options.readme)))
    return 0


def report(
    roots: Sequence[Path | str], output: Path | str | None = None, readme: Path | str | None = None
) -> Path:
    """Write tables, figures and one page of finished runs.

    Args:
        roots: run folders, or folders at any height above them.
        output: folder to write; that of the first root, ``report``, by default.
        readme: a file with a place between ``<!-- results -->`` and ``<!-- /results -->``, where
            the table of results is put as well.

    Returns:
        The page, which names what could not be read.

    Raises:
        FileNotFoundError: if no root exists or holds results.
        ValueError: if no run can be read, or the README has no place for the table.
    """
    place = Path(roots[0]) / "report" if output is None else Path(output)
    runs = find_runs([Path(root) for root in roots])
    filled = None if readme is None else Path(readme)
    _try(place, filled, Path(roots[0]) if output is None else place)
    return _report(runs, place, filled)


def _try(place: Path, readme: Path | None, given: Path) -> None:
    """Find out whether the report can be written, before it is made, and inside what was given."""
    for folder in (place, *(place / name for name in FOLDERS)):
        check_inside(folder, given, "remove it, or give another folder with --output")
    ready_folder(place, "report", "give another folder with --output")
    if readme is not None:
        check_readme(readme)


def _report(runs: Runs, place: Path, readme: Path | None) -> Path:
    rows = [row for run in runs for row in run.rows]
    _write_report(place, runs, rows, overview_grids(rows))
    if readme is not None:
        fill_readme(readme, rows)
    return place / "index.html"


def make_parser() -> PlainParser:
    """Return the parser of the options."""
    parser = PlainParser(prog="lightning_hash report", description=__doc__)
    parser.add_argument(
        "roots", nargs="+", type=Path, help="run folders, or folders at any height above them"
    )
    parser.add_argument(
        "--output", type=Path, help="folder to write; that of the first root, report, by default"
    )
    parser.add_argument(
        "--readme", type=Path,
        help="also put the table of results between <!-- results --> and <!-- /results --> there",
    )  # fmt: skip
    return parser


def _write_report(
    place: Path, runs: Runs, rows: Sequence[ResultRow], overview: Sequence[Grid]
) -> None:
    numbered = {table.name: numbered_grids(table, rows) for table in TABLES}
    transfers = transfer_grids(rows)
    published = published_transfers(rows)
    plots = [*numbered_plots(runs), *perturbed_images(runs), *perturbed_clips(runs)]
    order = ("hag", "dhta", "frames")
    plots.sort(key=lambda plot: (order.index(plot.name.split("_")[0]), plot.name))
    named = {"overview": overview, **numbered, "transfer": transfers}
    taken: set[Path] = set()
    for name, grids in named.items():
        for grid in grids:
            path = _free(place / "tables" / f"{name}-{_slug(grid.about)}", taken)
            write_whole(path.with_suffix(".md"), utf8(grid.markdown()))
            write_whole(path.with_suffix(".tex"), utf8(grid.latex()))
            write_whole(path.with_suffix(".csv"), grid.csv().encode(errors=BYTES))
    write_whole(place / "rows.csv", _flat(runs).encode(errors=BYTES))
    pictures = list(_pictures(place / "figures", plots))
    verdict = verdict_of(rows)
    first, examples = divide(examples_of(runs), verdict.shown)
    left_out = _left_out(runs)
    write_whole(
        place / "left_out.csv", csv_text([("path", "reason"), *left_out]).encode(errors=BYTES)
    )
    papers = [grid for grids in numbered.values() for grid in grids]
    known = [*(grid for grid in papers if grid.only_published), *published]
    sections = [
        Section(name="figures", title="Curves", pictures=pictures),
        Section(
            name="overview", title="Attacks on each victim", grids=overview,
            text="MAP is judged by the query's own labels, t-MAP by the target; 8-bit: after "
            "rounding, as a saved image is. A ceiling is the anchor code itself as the query.",
        ),
        Section(
            name="tables", title="Tables of the papers",
            text="Queries before rounding to 8 bits. Values in italics are the papers', on their "
            "data and networks; a table is a reproduction only where data and protocol are theirs.",
            grids=[grid for grid in papers if not grid.only_published],
        ),
        Section(name="transfer", title="Transfer", grids=transfers),
        Section(
            name="examples", title="What single queries retrieve",
            text="HAG Fig. 5, DHTA Figs. 4, 6, 8 and 10; of clips the frame in the middle. Of each "
            "attack on one data set and network the run whose settings are nearest the paper's, "
            f"and of it the first {STRIPS} pictures, but for those above; each run's folder strips "
            "holds all of them, without loss.",
            pictures=examples,
        ),
        Section(
            name="published", title="Other values of the papers",
            text="Tables of the papers that no number of these runs stands in.",
            grids=known, folded=f"Show {len(known)} tables",
        ),
        Section(
            name="left_out", title="What was left out",
            text="Runs count once for each victim (by the sha256 of its weights), attack, seeds, "
            "data, ranking and kernels; names of runs count for nothing.",
            items=left_out,
        ),
    ]  # fmt: skip
    made = (
        f"{len(runs)} runs, {len(rows)} numbers; lightning_hash {__version__}. "
        "Tables and figures of their own, every number with its whole protocol (rows.csv) and what "
        f"was left out (left_out.csv, {len(left_out)} entries) lie beside this page."
    )
    page = render_page("Robustness of hashing retrieval", made, sections, verdict, first)
    write_whole(place / "index.html", utf8(page))


def _pictures(folder: Path, plots: Sequence[Plot]) -> Iterator[Picture]:
    """Write the figures as PNG and PDF, and return them for the page."""
    taken: set[Path] = set()
    for plot in tracked(plots, len(plots), "figures"):
        path = _free(folder / plot.name, taken)
        for kind in ("pdf", "png"):
            content = io.BytesIO()
            metadata = {"CreationDate": None} if kind == "pdf" else {}  # equal runs, equal bytes
            plot.figure.savefig(content, format=kind, dpi=130, metadata=metadata)
            write_whole(path.with_suffix(f".{kind}"), content.getvalue())
        yield Picture(
            title=plot.title, alt=plot.alt, caption=plot.caption, content=content.getvalue()
        )


def _free(path: Path, taken: set[Path]) -> Path:
    """Return the path, with a number where it is taken."""
    numbered = (path if n == 1 else path.with_name(f"{path.name}-{n}") for n in itertools.count(1))
    found = next(each for each in numbered if each not in taken)
    taken.add(found)
    return found


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:LONGEST].strip("-")


def _left_out(runs: Runs) -> list[tuple[str, str]]:
    """Return what the report does not show, or not as a final number, and why."""
    stopped = [(run.folder, stopped_at(run.rows)) for run in runs]
    said = [(each.path, each.reason) for each in runs.left_out]
    said += [
        (folder, f"stopped at iteration {found[0]} of {found[1]}: no final number")
        for folder, found in stopped
        if found is not None
    ]
    said += [pair for run in runs for pair in run.damaged.items()]
    return [(str(path), reason) for path, reason in said]


def _flat(runs: Sequence[RunFiles]) -> str:
    """Return all rows as CSV, with a column for each dotted path that has a value in any row."""
    flat = [
        {
            "folder": str(run.folder),
            **{
                path: value
                for path, value in flatten(dataclasses.asdict(row)).items()
                if value is not None
            },
        }
        for run in runs
        for row in run.rows
    ]
    names = dict.fromkeys(path for each in flat for path in each)
    rows = ([_written(each.get(name)) for name in names] for each in flat)
    return csv_text([list(names), *rows])


def _written(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else value
