"""Finished runs on disk."""

import dataclasses
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_hash.results.rows import ResultRow, read_results


@dataclass(frozen=True)
class RunFiles:
    """What a run has left behind.

    Attributes:
        folder: its folder.
        rows: its result rows.
    """

    folder: Path
    rows: tuple[ResultRow, ...]

    @property
    def last(self) -> ResultRow | None:
        """The last row of the attack itself, before rounding to 8 bits."""
        floats = [row for row in self.rows if row.is_attack and not row.quantized]
        return max(floats, key=lambda row: row.iteration) if floats else None

    @property
    def finished(self) -> bool:
        """Whether the attack has ended with all its iterations."""
        return has_ended(self.rows) and stopped_at(self.rows) is None

    @property
    def strips(self) -> list[Path]:
        """Pictures of single queries and what they retrieve."""
        return sorted((self.folder / "strips").glob("*.png"))

    def curves(self) -> dict[str, Any] | None:
        """Return what callbacks/curves.py wrote, or ``None``.

        Raises:
            ValueError: if the file is damaged.
        """
        path = self.folder / "curves.json"
        if not path.is_file():
            return None
        try:
            content: dict[str, Any] = json.loads(path.read_text())
        except ValueError as error:
            msg = f"{path} is no JSON ({error}); run the attack again, or remove the file"
            raise ValueError(msg) from error
        return content


def has_ended(rows: Iterable[ResultRow]) -> bool:
    """Return whether a run has written all its rows: those after rounding to 8 bits come last."""
    return any(row.quantized for row in rows)


def stopped_at(rows: Iterable[ResultRow]) -> tuple[int, int] | None:
    """Return where an attack was stopped before its end.

    Args:
        rows: of a run.

    Returns:
        The iteration of its last row and how many there should have been; ``None`` for an attack
        that was not stopped.
    """
    attacks = [row for row in rows if row.is_attack]
    if not attacks:
        return None
    last = max(attacks, key=lambda row: row.iteration)
    iterations = last.get("attack.iterations") or 0
    return (last.iteration, iterations) if last.iteration < iterations else None


def find_runs(roots: Iterable[Path]) -> list[RunFiles]:
    """Find runs.

    Args:
        roots: run folders, or folders at any height above them.

    Returns:
        A run for each ``results.json``; of the versions of one name the newest that has ended,
        since the older ones are what it replaced, or the newest where none has. Rows of clean
        queries and of ceilings say under ``run.draw`` which queries and targets they are of.

    Raises:
        FileNotFoundError: if a root does not exist or holds no results.
        ValueError: if a file is damaged.
    """
    found: dict[Path, RunFiles] = {}
    for root in roots:
        if not root.is_dir():
            msg = f"{root} is no folder; give a run folder or one above several"
            raise FileNotFoundError(msg)
        groups = _versions(path.parent for path in root.rglob("results.json"))
        if not groups:
            msg = f"{root} holds no results.json; python -m lightning_hash attack writes one"
            raise FileNotFoundError(msg)
        for folders in groups:
            runs = [RunFiles(path, _read(path / "results.json")) for path in folders]
            run = next((run for run in runs if run.finished), runs[0])
            found.setdefault(run.folder.resolve(), run)
    return list(found.values())


def latest_version(folder: Path) -> Path:
    """Return the folder, or the newest version_N in it that holds results."""
    if (folder / "results.json").exists():
        return folder
    groups = _versions(path.parent for path in folder.glob("version_*/results.json"))
    return groups[0][0] if groups else folder


def _read(path: Path) -> tuple[ResultRow, ...]:
    """Read rows; those that are of no attack get the draw of queries and targets of the run's."""
    rows = read_results(path)
    attack = next((row for row in rows if row.is_attack), None)
    if attack is None:
        return tuple(rows)
    draw = {"seed": attack.get("attack.seed"), "targets": attack.get("attack.targets")}
    return tuple(
        row if row.is_attack else dataclasses.replace(row, run={**row.run, "draw": draw})
        for row in rows
    )


def _versions(folders: Iterable[Path]) -> Sequence[list[Path]]:
    """Group the versions of each name, the newest first."""
    groups: dict[Path, list[tuple[int, Path]]] = {}
    for folder in folders:
        version = re.fullmatch(r"version_(\d+)", folder.name)
        name, number = (folder.parent, int(version[1])) if version else (folder, 0)
        groups.setdefault(name, []).append((number, folder))
    return [[path for _, path in sorted(groups[name], reverse=True)] for name in sorted(groups)]
