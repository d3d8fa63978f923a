"""``python -m lightning_hash check-data``: is a data set what its lists say?"""

import dataclasses
import json
import sys

from rich.console import Console
from rich.table import Table

from lightning_hash.commands.class_paths import checked_class_paths
from lightning_hash.commands.one_line import OneLineParser
from lightning_hash.commands.places import options_named
from lightning_hash.commands.table import VERBS
from lightning_hash.data import ImageDataModule
from lightning_hash.data.check import DataCheck, check_data
from lightning_hash.utils.escapes import terminal, visible
from lightning_hash.utils.volume import Volume, volume

LABELS_SHOWN = 25
OPTIONS = VERBS["check-data"].options


def main(arguments: list[str]) -> int:
    """Check a data set and print what was found.

    Args:
        arguments: what stands behind ``check-data``.

    Returns:
        0, or 1 where something is wrong.
    """
    parser = OneLineParser(prog="lightning_hash check-data", description=__doc__)
    parser.add_argument("--config", action="config", help="YAML with a `data` entry.")
    parser.add_subclass_arguments(ImageDataModule, "data", required=True)
    parser.add_argument("--json", action="store_true", help=OPTIONS["json"].help)
    with checked_class_paths():
        options = parser.parse_args(arguments)
        with options_named(parser, arguments):
            check = check_data(parser.instantiate_classes(options).data)
    if options.json:
        print(json.dumps({**dataclasses.asdict(check), "wrong": check.wrong}, indent=1))
    elif volume() is not Volume.QUIET:
        _print(check, Console())
    elif not check.wrong:
        print(visible(f"{check.name}: nothing wrong"))
    if check.wrong:
        print(f"error: {check.verdict()}", file=sys.stderr)
    return int(check.wrong)


def _print(check: DataCheck, console: Console) -> None:
    counts = Table(
        title=terminal(f"{check.name}: items per split and label", "table.title"),
        title_justify="left",
    )
    counts.add_column("")
    for split in check.items:
        counts.add_column(terminal(split), justify="right")
    counts.add_row("items", *(str(count) for count in check.items.values()), end_section=True)
    names = list(dict.fromkeys(name for labels in check.labels.values() for name in labels))
    for name in names[:LABELS_SHOWN]:
        counts.add_row(
            terminal(name), *(str(labels.get(name, "")) for labels in check.labels.values())
        )
    if len(names) > LABELS_SHOWN:
        counts.add_row(f"{len(names) - LABELS_SHOWN} more with --json")
    console.print(counts)
    if not names:
        console.print("no labels: encode and attack work, with distances of codes and without MAP")
    if not check.findings:
        console.print("nothing wrong")
        return
    found = Table(title="found", title_justify="left")
    for header in ("split", "what", "items", "", "first"):
        found.add_column(header, justify="right" if header == "items" else "left", overflow="fold")
    for finding in check.findings:
        found.add_row(
            *map(terminal, (finding.split, finding.what, str(finding.count))),
            "wrong" if finding.wrong else "", terminal(finding.examples[0]),
        )  # fmt: skip
    console.print(found)
