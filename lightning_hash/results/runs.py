"""Finished runs on disk."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, overload

from lightning_hash.results.curves import read_curves
from lightning_hash.results.rows import ResultRow, read_results
from lightning_hash.utils.foreign_files import check_file
from lightning_hash.utils.places import check_inside
from lightning_hash.utils.versions import version_of

Content = TypeVar("Content")
RESULTS = "results.json"
UNFINISHED = "perturbations.safetensors"  # written before the results
# What decides a number beside the settings of its parts; the rest of ``run`` is told, not compared.
ARITHMETIC = ("run.kernels", "run.precision")


@dataclass(frozen=True)
class RunFiles:
    """What a run has left behind.

    Attributes:
        folder: its folder.
        rows: its result rows.
        damaged: files of it that could not be read, and why; filled by :meth:`read`.
    """

    folder: Path
    rows: tuple[ResultRow, ...]
    damaged: dict[Path, str] = field(default_factory=dict, compare=False)

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

    def read(self, path: Path, reader: Callable[[Path], Content]) -> Content | None:
        """Read a file of the run; one that is damaged, or a link out of it, goes to ``damaged``.

        Args:
            path: the file.
            reader: returns its content, or raises.

        Returns:
            The content; ``None`` if the file is absent or damaged.
        """
        if path in self.damaged or not (path.exists() or path.is_symlink()):
            return None
        try:
            check_file(check_inside(path, self.folder))
            return reader(path)
        except Exception as error:  # every format raises its own
            self.damaged[path] = " ".join(str(error).split()) or type(error).__name__
            return None

    def curves(self) -> list[dict[str, Any]]:
        """Return the curves that callbacks/curves.py wrote; none where they cannot be read."""
        return self.read(self.folder / "curves.json", read_curves) or []


@dataclass(frozen=True)
class LeftOut:
    """What a report does not show.

    Attributes:
        path: a run folder or a file.
        reason: why.
    """

    path: Path
    reason: str


@dataclass(frozen=True)
class Runs(Sequence[RunFiles]):
    """The runs that were found.

    Attributes:
        found: one for each setting.
        left_out: what could not be read, and what a newer run of equal settings replaces.
    """

    found: tuple[RunFiles, ...]
    left_out: tuple[LeftOut, ...] = ()

    @overload
    def __getitem__(self, place: int) -> RunFiles: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[RunFiles, ...]: ...

    def __getitem__(self, place: int | slice) -> RunFiles | tuple[RunFiles, ...]:
        """Return a run, or some."""
        return self.found[place]

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.found)


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


def find_runs(roots: Iterable[Path]) -> Runs:
    """Find runs, told apart by victim and settings and not by name.

    Args:
        roots: run folders, or folders at any height above them.

    Returns:
        A run for each setting that a ``results.json`` is of. Of runs on one victim (by sha256)
        whose attack, seeds, data, ranking and kernels are equal the newest that has ended counts,
        or the newest where none has: the highest version of a name, and of several names the one
        written last. All others, and what cannot be read, are named with the reason. Rows of clean
        queries and of ceilings say under ``run.draw`` which queries and targets they are of.

    Raises:
        FileNotFoundError: if no root exists or holds results.
        ValueError: if none of the files that there are can be read; names the first.
    """
    left_out: list[LeftOut] = []
    found: dict[Path, RunFiles] = {}
    for root in roots:
        known = len(found) + len(left_out)
        for folder in _walk(root, left_out):
            run = None if folder.resolve() in found else _read_run(folder, left_out)
            if run is not None:
                found[folder.resolve()] = run
        if len(found) + len(left_out) == known and not _inside(root, found):
            left_out.append(LeftOut(root, _nothing_in(root)))
    if not found:
        damaged = [each for each in left_out if each.path.name == RESULTS]
        first = (damaged or left_out)[0]
        kind = ValueError if damaged else FileNotFoundError
        more = f"; nor can {len(damaged) - 1} others" if len(damaged) > 1 else ""
        msg = f"{first.path} {first.reason}{more}"
        raise kind(msg)
    return Runs(tuple(_newest(found.values(), left_out)), tuple(left_out))


def latest_version(folder: Path) -> Path:
    """Return the folder, or the newest version_N in it: of those that are finished, if any is."""
    if (folder / RESULTS).exists():
        return folder
    versions = [path.parent for path in folder.glob(f"version_*/{RESULTS}")]
    return max(versions, key=lambda each: (_is_finished(each), version_of(each)), default=folder)


def _is_finished(folder: Path) -> bool:
    """Return whether an attack has ended with all its iterations and left its perturbations."""
    run = _read_run(folder, [])
    return run is not None and run.finished and (folder / "perturbations.safetensors").is_file()


def _walk(root: Path, left_out: list[LeftOut]) -> Iterator[Path]:
    """Yield the folders with results, in order; what cannot be looked into is left out."""

    def unreadable(error: OSError) -> None:
        if Path(error.filename) != root or root.is_dir():
            left_out.append(LeftOut(Path(error.filename), f"cannot be read ({error.strerror})"))

    for place, folders, files in os.walk(root, onerror=unreadable):
        folders.sort(key=lambda name: (version_of(Path(name)), name))
        if RESULTS in files or RESULTS in folders:
            yield Path(place)
        elif UNFINISHED in files:
            reason = f"has no {RESULTS}: the run was stopped before its end; run it again"
            left_out.append(LeftOut(Path(place), reason))


def _nothing_in(root: Path) -> str:
    if not root.is_dir():
        return "is no folder; give a run folder or one above several"
    return f"holds no {RESULTS}; python -m lightning_hash attack writes one"


def _inside(root: Path, found: Iterable[Path]) -> bool:
    """Return whether all that a root holds has been found below another."""
    return any(folder.is_relative_to(root.resolve()) for folder in found)


def _read_run(folder: Path, left_out: list[LeftOut]) -> RunFiles | None:
    """Read rows; those that are of no attack get the draw of queries and targets of the run's."""
    path = folder / RESULTS
    try:
        rows = read_results(check_inside(path, folder))
    except (OSError, ValueError) as error:
        said = " ".join(str(error).split()).removeprefix(str(path)).lstrip(", ")
        system = error.strerror if isinstance(error, OSError) else None
        left_out.append(LeftOut(path, f"cannot be read ({system})" if system else said))
        return None
    if not rows:
        left_out.append(LeftOut(path, "holds no rows"))
        return None
    attack = next((row for row in rows if row.is_attack), None)
    if attack is not None:
        draw = {"seed": attack.get("attack.seed"), "targets": attack.get("attack.targets")}
        rows = [
            row if row.is_attack else dataclasses.replace(row, run={**row.run, "draw": draw})
            for row in rows
        ]
    return RunFiles(folder, tuple(rows))


def _newest(runs: Iterable[RunFiles], left_out: list[LeftOut]) -> Iterator[RunFiles]:
    """Yield a run of each setting, in the order of the first of each; the others are left out."""
    groups: dict[Any, list[RunFiles]] = {}
    for run in runs:
        groups.setdefault(_identity(run), []).append(run)
    for group in groups.values():
        names: dict[Path, RunFiles] = {}
        for run in group:
            name = run.folder.parent if version_of(run.folder) >= 0 else run.folder
            names[name] = max(names.get(name, run), run, key=_age_in_name)
        newest = max(names.values(), key=_age)
        yield newest
        left_out.extend(
            LeftOut(run.folder, _replaced(run, newest)) for run in group if run is not newest
        )


def _identity(run: RunFiles) -> Any:
    """Return what is equal for runs that repeat one another: all settings, seeds and victims."""
    attacks = [row for row in run.rows if row.is_attack]
    return frozenset(
        (
            row.key("attack", "transfer", "victim", "data", "ranking", without=("victim.name",)),
            *(row.get(path) for path in ARITHMETIC),
            *((row.get("victim.name"),) if row.get("victim.sha256") is None else ()),
        )
        for row in attacks or run.rows
    )


def _age_in_name(run: RunFiles) -> tuple[bool, int]:
    return run.finished, version_of(run.folder)


def _age(run: RunFiles) -> tuple[bool, float]:
    path = run.folder / RESULTS
    return run.finished, path.stat().st_mtime if path.exists() else 0.0


def _replaced(run: RunFiles, newest: RunFiles) -> str:
    """Say why a run is not shown, and by how much its numbers are others."""
    values = {_number(row): row.value for row in newest.rows}
    changes = [abs(row.value - values[_number(row)]) for row in run.rows if _number(row) in values]
    largest = max(changes, default=0.0)
    differ = f"its numbers differ by up to {largest:.3g}" if largest else "with equal numbers"
    stopped = stopped_at(run.rows)
    ended = f"stopped at iteration {stopped[0]} of {stopped[1]}; " if stopped else ""
    return f"{ended}replaced by {newest.folder}, a run of equal settings ({differ})"


def _number(row: ResultRow) -> Any:
    parts = row.key("attack", "transfer", "victim", "data", "ranking")
    return row.metric, row.iteration, row.quantized, row.jpeg, parts
