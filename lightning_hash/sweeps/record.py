"""What a sweep knows about its runs: where they write, and whether they are finished."""

import hashlib
import json
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning_hash.results.card import Card
from lightning_hash.results.card_files import CARD, TABLE, read_card
from lightning_hash.results.rows import ResultRow, read_results
from lightning_hash.results.runs import has_ended, stopped_at
from lightning_hash.results.settings import canonical, differences
from lightning_hash.sweeps.run import Run
from lightning_hash.utils.array_names import split_name
from lightning_hash.utils.json_text import read_json
from lightning_hash.utils.places import check_inside
from lightning_hash.utils.versions import version_of
from lightning_hash.utils.whole_file import write_whole

OUTPUTS = {
    "attack": ("results.json", "perturbations.safetensors"), "transfer": ("results.json",),
    "audit": (CARD, TABLE),
}  # fmt: skip
CHOOSING = ("query_index", "anchors", "queries")  # options that may be files of indices


def folder_of(run: Run, root: Path) -> Path:
    """Return the folder that holds what a run makes: its checkpoints, or its versions.

    Raises:
        ValueError: if it is a link out of the sweep's folder.
    """
    folder = root / ("checkpoints" if run.verb == "fit" else run.verb) / run.digest
    return check_inside(folder, root, "remove the link")


def log_of(run: Run, root: Path) -> Path:
    """Return the file with all that a run printed.

    Raises:
        ValueError: if it is a link out of the sweep's folder.
    """
    return check_inside(root / "sweep" / f"{run.digest}.log", root, "remove the link")


def made_by(run: Run, root: Path) -> Path:
    """Return what a run has made: the checkpoint that a fit has tested, or a run's folder.

    That of a fit is its best epoch, or the last where no validation was asked for.
    """
    folder = folder_of(run, root)
    if run.verb == "fit":
        best, last = folder / "best.ckpt", folder / "last.ckpt"
        return last if last.is_file() and not best.is_file() else best
    if run.verb == "audit":
        cards = [path.parent for path in folder.glob(f"version_*/{CARD}")]
        return max(cards, key=version_of, default=folder)
    # An attack that was killed has rows of its milestones only.
    found = {path.parent: _rows(path) for path in folder.rglob("results.json")}
    ended = {place: stopped_at(rows) is None for place, rows in found.items() if has_ended(rows)}
    return max(ended, key=lambda place: (ended[place], version_of(place)), default=folder)


def _rows(path: Path) -> list[ResultRow]:
    """Return the rows of a run; none where they cannot be read, which is said."""
    try:
        return read_results(path)
    except (OSError, ValueError) as error:
        warnings.warn(f"left out: {error}", stacklevel=2)
        return []


def finished_runs(runs: Sequence[Run], root: Path) -> set[str]:
    """Return the fingerprints of the runs that are finished, among these and all they need.

    Args:
        runs: the runs.
        root: the sweep's folder.

    Returns:
        The fingerprints; a run is finished if its needs are and :func:`finished` says so.
    """
    found: set[str] = set()
    everything = {each.digest: each for run in runs for each in run.in_order()}
    for run in everything.values():
        if all(need.digest in found for need in run.needs) and finished(run, root):
            found.add(run.digest)
    return found


def finished(run: Run, root: Path) -> bool:
    """Return whether a run has ended, with this very configuration, and its files are untouched.

    Args:
        run: the run, whose needs are finished.
        root: the sweep's folder.

    Returns:
        True if its record names this configuration, the outputs that its needs have now, and
        outputs whose content is still the same.
    """
    record = _record(run, root)
    outputs = record.get("outputs")
    if record.get("configuration") != run.configuration or not outputs:
        return False
    if record.get("inputs") != _inputs(run, root):
        return False
    return all(_sha256(root / name) == content for name, content in outputs.items())


def begin(run: Run, root: Path) -> None:
    """Note that a run starts; what it had made otherwise, or from other inputs, is removed.

    A victim that was trained anew has other weights: an attack on the old ones can neither go on
    nor be reported.

    Args:
        run: the run, whose needs are finished.
        root: the sweep's folder.
    """
    inputs = _inputs(run, root)
    before = _record(run, root)
    same = before.get("configuration") == run.configuration
    if not same or before.get("inputs") != inputs:
        shutil.rmtree(folder_of(run, root), ignore_errors=True)
    _write(run, root, inputs, {}, before.get("settings") if same else None)


def complete(run: Run, root: Path) -> None:
    """Note that a run has ended well; versions of it that were killed on the way are removed.

    The last version has all that they measured, and reports read every version there is.

    Args:
        run: the run.
        root: the sweep's folder.

    Raises:
        FileNotFoundError: if it left nothing behind.
        ValueError: if its rows are not of one attack, or of one stopped early, or were made with
            other settings than when this configuration was finished before.
    """
    made = made_by(run, root)
    files = [made] if run.verb == "fit" else [made / name for name in OUTPUTS[run.verb]]
    outputs = {path.relative_to(root).as_posix(): _sha256(path) for path in files}
    missing = [name for name, content in outputs.items() if content is None]
    if missing:
        msg = f"{root / missing[0]} is missing, although the run ended with status 0"
        raise FileNotFoundError(msg)
    settings = None
    if run.verb != "fit":
        path = files[0]
        if run.verb == "audit":
            settings = _settings_of_card(read_card(path))
        else:
            settings = _settings_of(read_results(path), run, path)
        before = _record(run, root).get("settings")
        if before is not None:
            _compare(before, settings, path, _path(run, root))
    for version in made.parent.glob("version_*"):
        if version != made and not version.is_symlink():
            shutil.rmtree(version)
    _write(run, root, _inputs(run, root), outputs, settings)


def _settings_of(rows: Sequence[ResultRow], run: Run, path: Path) -> dict[str, Any]:
    """Return what the rows of a run were made with.

    Args:
        rows: all its rows.
        run: the run.
        path: their file, for errors.

    Returns:
        The mappings ``data`` and ``ranking`` that all rows have, and under ``attack`` that of an
        attack, or those of a transfer in the order of their canonical text.

    Raises:
        ValueError: if the attack was stopped early, or rows that must agree do not.
    """
    stopped = stopped_at(rows) if run.verb == "attack" else None
    if stopped is not None:
        msg = f"{path}: stopped at iteration {stopped[0]} of {stopped[1]}; the same command goes on"
        raise ValueError(msg)
    attacks = [row for row in rows if row.is_attack]
    agree = {"data": rows, "ranking": rows, "attack": [] if run.verb == "transfer" else attacks}
    for part, members in agree.items():
        for row in members[1:]:
            found = differences(getattr(members[0], part), getattr(row, part), part)
            for place, first, other in found:
                msg = (
                    f"{path}: its rows are not of one attack: {place} is {canonical(first)} in one "
                    f"and {canonical(other)} in another; remove {path.parent} and run it again"
                )
                raise ValueError(msg)
    distinct = {canonical(row.attack): row.attack for row in attacks}
    made = [distinct[text] for text in sorted(distinct)]
    return {
        "attack": made if run.verb == "transfer" else next(iter(made), None),
        "data": rows[0].data, "ranking": rows[0].ranking,
    }  # fmt: skip


def _settings_of_card(card: Card) -> dict[str, Any]:
    """Return what an audit's card was made with."""
    attacks = {
        f"{threat.name}/{member.name}": member.attack
        for threat in card.threats
        for side in (threat.untargeted, threat.targeted)
        for member in (side.members if side is not None else ())
    }
    return {"attack": attacks, "suite": card.suite, "data": card.data, "ranking": card.ranking}


def _compare(before: Any, settings: dict[str, Any], path: Path, record: Path) -> None:
    """Refuse rows made otherwise than when the run was finished before."""
    for place, first, other in differences(before, settings):
        msg = (
            f"{path}: {place} is {canonical(other)}, but was {canonical(first)} when this "
            f"configuration was finished before; if that is meant, remove {record} and run it again"
        )
        raise ValueError(msg)


def _path(run: Run, root: Path) -> Path:
    return root / "sweep" / f"{run.digest}.json"


def _record(run: Run, root: Path) -> dict[str, Any]:
    path = _path(run, root)
    try:
        content = read_json(path, "its content", "it is run again") if path.exists() else {}
        outputs = content.get("outputs") or {} if isinstance(content, dict) else None
        if isinstance(outputs, dict):
            return content
        error = "a mapping with a mapping of outputs is needed"
    except (OSError, ValueError) as caught:
        error = str(caught)
    warnings.warn(f"{path} is no record of a run ({error}); it is run again", stacklevel=2)
    return {}


def _write(
    run: Run, root: Path, inputs: dict[str, Any], outputs: dict[str, Any], settings: Any
) -> None:
    content = {
        "title": run.title, "configuration": run.configuration, "inputs": inputs,
        "outputs": outputs, "settings": settings,
    }  # fmt: skip
    write_whole(_path(run, root), f"{json.dumps(content, indent=1)}\n".encode())


def _inputs(run: Run, root: Path) -> dict[str, Any]:
    made = {need.digest: _record(need, root).get("outputs") for need in run.needs}
    return {**made, **_chosen(run.configuration["options"])}


def _chosen(options: Any) -> dict[str, str | None]:
    """Return the sha256 of the files that choose an attack's queries and targets, by path."""
    found: dict[str, str | None] = {}
    for name, value in options.items() if isinstance(options, dict) else ():
        found |= _chosen(value)
        if name in CHOOSING and isinstance(value, str):
            found[value] = _sha256(split_name(value)[0])
    return found


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
