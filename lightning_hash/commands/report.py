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

from PIL import Image

from lightning_hash._version import __version__
from lightning_hash.commands.plain_parser import PlainParser
from lightning_hash.reports.figure import Plot
from lightning_hash.reports.grid import Grid
from lightning_hash.reports.lines import close_to, setting_of
from lightning_hash.reports.numbered import numbered_grids
from lightning_hash.reports.overview import overview_grids
from lightning_hash.reports.page import Picture, Section, render_page
from lightning_hash.reports.papers import BITS, DHTA_SETTING, HAG_SETTING, TABLES
from lightning_hash.reports.plots import numbered_plots
from lightning_hash.reports.queries import perturbed_clips, perturbed_images
from lightning_hash.reports.readme import check_readme, fill_readme
from lightning_hash.reports.transfers import published_transfers, transfer_grids
from lightning_hash.reports.victims import checkpoint_of
from lightning_hash.results.rows import ResultRow
from lightning_hash.results.runs import RunFiles, Runs, find_runs, stopped_at
from lightning_hash.results.settings import flatten
from lightning_hash.results.tables import bits_text, print_table
from lightning_hash.utils.escapes import csv_text, visible
from lightning_hash.utils.foreign_files import check_pixels
from lightning_hash.utils.places import check_inside
from lightning_hash.utils.text_files import utf8
from lightning_hash.utils.whole_file import ready_folder, write_whole

STRIPS = 3  # pictures of single queries shown of each run
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
    for grid in overview_grids([row for run in runs for row in run.rows]):
        print_table(grid.rich())
    page = _report(runs, place, options.readme)
    for path, reason in _left_out(runs):
        print(visible(f"left out: {path}: {reason}"), file=sys.stderr)
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
    examples = list(_examples(runs))
    left_out = _left_out(runs)
    write_whole(
        place / "left_out.csv", csv_text([("path", "reason"), *left_out]).encode(errors=BYTES)
    )
    sections = [
        Section(
            name="overview", title="Attacks on each victim", grids=overview,
            text="MAP is judged by the query's own labels, t-MAP by the target; 8-bit: after "
            "rounding, as a saved image is. A ceiling is the anchor code itself as the query.",
        ),
        Section(
            name="tables", title="Tables of the papers",
            text="Queries before rounding to 8 bits. Values in italics are the papers', on their "
            "data and networks; a table is a reproduction only where data and protocol are theirs.",
            grids=[grid for grids in numbered.values() for grid in grids],
        ),
        Section(name="transfer", title="Transfer", grids=[*transfers, *published]),
        Section(name="figures", title="Figures of the papers", pictures=pictures),
        Section(
            name="examples", title="What single queries retrieve",
            text="HAG Fig. 5, DHTA Figs. 4, 6, 8 and 10; of clips the frame in the middle. Of each "
            "attack on one data set and network the run whose settings are nearest the paper's, "
            f"and of it the first {STRIPS} pictures.",
            pictures=examples,
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
    page = render_page("Robustness of hashing retrieval", made, sections)
    write_whole(place / "index.html", utf8(page))


def _pictures(folder: Path, plots: Sequence[Plot]) -> Iterator[Picture]:
    """Write the figures as PNG and PDF, and return them for the page."""
    taken: set[Path] = set()
    for plot in plots:
        path = _free(folder / plot.name, taken)
        for kind in ("pdf", "png"):
            content = io.BytesIO()
            metadata = {"CreationDate": None} if kind == "pdf" else {}  # equal runs, equal bytes
            plot.figure.savefig(content, format=kind, dpi=130, metadata=metadata)
            write_whole(path.with_suffix(f".{kind}"), content.getvalue())
        yield Picture(title=plot.title, caption=plot.caption, content=content.getvalue())


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


def _examples(runs: Sequence[RunFiles]) -> Iterator[Picture]:
    seen = set()
    for run in sorted(runs, key=_unlike_the_papers):
        row = run.last
        if row is None:
            continue
        dataset, backbone = row.get("data.dataset"), row.get("victim.backbone")
        kind = (row.name, dataset, backbone, row.get("data.target_database"))
        if kind in seen:
            continue
        loaded = ((path, run.read(path, _read_picture)) for path in run.strips)
        found = [(path, content) for path, content in loaded if content is not None]
        if found:  # of the runs of an attack on one kind of victim the first
            seen.add(kind)
        for path, content in found[:STRIPS]:
            yield Picture(
                title=f"{row.name} on {dataset}, query {path.stem.lstrip('0') or '0'}",
                caption=f"{backbone}, {bits_text(row.get(BITS))}, {checkpoint_of(row)}; "
                f"{setting_of(row)}, seed {row.get('attack.seed')}; {run.folder}.",
                content=content,
            )


def _read_picture(path: Path) -> bytes:
    """Return a PNG, decoded once to know that it is whole."""
    content = path.read_bytes()
    with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
        check_pixels(*picture.size)
        picture.load()
    return content


def _unlike_the_papers(run: RunFiles) -> int:
    """Return in how many settings an attack was set otherwise than the papers'."""
    row = run.last
    setting = HAG_SETTING if row and row.name.startswith("hag") else DHTA_SETTING
    return sum(
        not close_to(row.get(path) if row else None, value) for path, value in setting.items()
    )


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
