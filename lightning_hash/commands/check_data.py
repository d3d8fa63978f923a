"""``python -m lightning_hash check-data``: is a data set what its lists say?"""

import dataclasses
import json
import sys

from jsonargparse import ArgumentParser
from rich.console import Console
from rich.table import Table

from lightning_hash.commands.table import VERBS
from lightning_hash.data import ImageDataModule
from lightning_hash.data.check import DataCheck, check_data

LABELS_SHOWN = 25
OPTIONS = VERBS["check-data"].options


def main(arguments: list[str]) -> int:
    """Check a data set and print what was found.

    Args:
        arguments: what stands behind ``check-data``.

    Returns:
        0, or 1 where something is wrong.
    """
    parser = ArgumentParser(prog="lightning_hash check-data", description=__doc__)
    parser.add_argument("--config", action="config", help="YAML with a `data` entry.")
    parser.add_subclass_arguments(ImageDataModule, "data", required=True)
    parser.add_argument("--json", action="store_true", help=OPTIONS["json"].help)
    options = parser.parse_args(arguments)
    check = check_data(parser.instantiate_classes(options).data)
    if options.json:
        print(json.dumps({**dataclasses.asdict(check), "wrong": check.wrong}, indent=1))
    else:
        _print(check, Console())
    if check.wrong:
        print(f"error: {check.verdict()}", file=sys.stderr)
    return int(check.wrong)


def _print(check: DataCheck, console: Console) -> None:
    counts = Table(title=f"{check.name}: items per split and label", title_justify="left")
    counts.add_column("")
    for split in check.items:
        counts.add_column(split, justify="right")
    counts.add_row("items", *(str(count) for count in check.items.values()), end_section=True)
    names = list(dict.fromkeys(name for labels in check.labels.values() for name in labels))
    for name in names[:LABELS_SHOWN]:
        counts.add_row(name, *(str(labels.get(name, "")) for labels in check.labels.values()))
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
            finding.split, finding.what, str(finding.count), "wrong" if finding.wrong else "",
            finding.examples[0],
        )  # fmt: skip
    console.print(found)
