"""``python -m lightning_hash.reports``: finished attacks side by side."""

import argparse
import sys
from pathlib import Path

from rich.console import Console

from lightning_hash.reports.results import read_results
from lightning_hash.reports.tables import comparison_table


def main(args: list[str] | None = None) -> int:
    """Print the comparison of runs.

    Args:
        args: the arguments; those of the process by default.

    Returns:
        0, or 2 after a message where a folder holds no results or runs cannot be compared.
    """
    parser = argparse.ArgumentParser(prog="python -m lightning_hash.reports", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, or folders of versions")
    parser.add_argument("--markdown", type=Path, help="also write the table to this file")
    options = parser.parse_args(args)
    try:
        rows = [read_results(latest_version(folder) / "results.json") for folder in options.runs]
        table, markdown = comparison_table(rows)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    Console().print(table)
    if options.markdown is not None:
        options.markdown.write_text(markdown)
    return 0


def latest_version(folder: Path) -> Path:
    """Return the folder, or the newest version_N in it that holds results."""
    versions = [path.parent for path in folder.glob("version_*/results.json")]
    if (folder / "results.json").exists() or not versions:
        return folder
    return max(versions, key=lambda path: int(path.name.removeprefix("version_")))


if __name__ == "__main__":
    sys.exit(main())
