"""Runs on a disk that fills up, at another moment in each trial: ``python -m tests.trials.disks``.

A disk is a tmpfs of its own, so this needs the right to mount one. A trial passes where the run
ended with one line that names the place and the space, no file that a reader takes is torn, a
report of what there is works, and the run ends with the numbers of one that had the room, once
there is room.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from lightning_hash.__main__ import main
from lightning_hash.results.rows import read_results
from tests.helpers.commands import SHORT_FIT, SMALL_ATTACK, SMALL_DATA

LARGE = 64 << 20  # bytes; more than any of these runs writes
LINE = re.compile(r"^error: .*no space left.*\d MB free")


class Ended(NamedTuple):
    """How a command has ended."""

    status: int
    printed: str


@contextmanager
def disk(folder: Path, size: int) -> Iterator[Path]:
    """Yield the mount point of a disk of so many bytes."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def can_mount(folder: Path) -> bool:
    """Return whether this process may mount a disk."""
    try:
        with disk(folder / "probe", 1 << 20):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def enlarge(folder: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)


def fill(place: Path) -> None:
    """Take what room a disk has."""
    with (place / "filler").open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def run(arguments: list[str], log: Path, full: Path | None = None, after: float = 0.0) -> Ended:
    """Run a command in a process of its own, which need not import everything anew.

    Args:
        arguments: the command line.
        log: where all that it prints goes.
        full: a disk to fill, and to keep full, while it runs.
        after: seconds after which the disk is filled.
    """
    started = time.monotonic()
    child = os.fork()
    if not child:
        file = log.open("w", buffering=1)
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        sys.stdout = sys.stderr = file  # under pytest they write elsewhere
        warnings.resetwarnings()  # nor are warnings errors
        status = 70
        try:
            status = main(arguments)
        except SystemExit as left:
            status = left.code if isinstance(left.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            file.flush()
            os._exit(status)
    ended, status = 0, 0
    while not ended:
        ended, status = os.waitpid(child, 0 if full is None else os.WNOHANG)
        if full is not None and time.monotonic() - started > after:
            fill(full)
        time.sleep(0.01)
    return Ended(os.waitstatus_to_exitcode(status), log.read_text(errors="replace"))


def command(verb: str, place: Path, victim: Path) -> list[str]:
    """Return a command that writes below a place; one more time it goes on."""
    runs = [verb, f"--runs={place / 'runs'}"]
    if verb == "fit":
        last = place / "checkpoints" / "demo" / "last.ckpt"
        further = [f"--ckpt_path={last}"] if last.is_file() else []
        return [
            *runs, *SMALL_DATA, *SHORT_FIT, "--trainer.max_epochs=4",
            f"--checkpoints={place / 'checkpoints'}", *further,
        ]  # fmt: skip
    further = ["--ckpt_path=last"] if (place / "runs").exists() else []
    return [
        *runs, *SMALL_ATTACK, "--trainer.max_epochs=6", f"--model.victim={victim}",
        "--model.evaluate_at=[0,3,6]", *further,
    ]  # fmt: skip


def torn(place: Path) -> list[str]:
    """Return the files that their readers refuse, and those that nobody finishes."""
    readers = {
        "results.json": read_results,
        ".json": lambda path: json.loads(path.read_text()),
        ".safetensors": load_file,
        ".ckpt": lambda path: torch.load(path, map_location="cpu", weights_only=True),
        ".png": lambda path: Image.open(path).load(),
        ".yaml": lambda path: yaml.safe_load(path.read_text()) or 1 / path.stat().st_size,
    }
    found = []
    for path in sorted(place.rglob("*")):
        if path.name.endswith(".part") or path.name == ".writable":
            found.append(f"{path}: left over")
        reader = readers.get(path.name) or readers.get(path.suffix)
        if reader is None or path.is_dir():
            continue
        try:
            reader(path)
        except Exception as error:
            found.append(f"{path}: {error!r}")
    return found


def numbers(verb: str, place: Path) -> dict[str, object]:
    """Return what a run has come to."""
    if verb == "fit":
        best = torch.load(place / "checkpoints" / "demo" / "best.ckpt", weights_only=True)
        return {"epoch": best["epoch"], **best["state_dict"]}
    paths = (place / "runs").rglob("perturbations.safetensors")
    folder = max(paths, key=lambda path: path.stat().st_mtime_ns).parent
    rows = read_results(folder / "results.json")
    values = {(row.metric, row.iteration, row.quantized, row.name): row.value for row in rows}
    return {**values, **load_file(folder / "perturbations.safetensors")}


def same(one: dict[str, object], other: dict[str, object]) -> bool:
    def equal(a: object, b: object) -> bool:
        return torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b

    return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)


class Trials:
    """Trials of a verb.

    Args:
        verb: ``fit`` or ``attack``.
        folder: for disks, logs and reports.
        victim: a checkpoint, for ``attack``.
    """

    def __init__(self, verb: str, folder: Path, victim: Path) -> None:
        self.verb, self.folder, self.victim = verb, folder, victim
        with disk(folder / "large", LARGE) as place:
            started = time.monotonic()
            ended = run(command(verb, place, victim), folder / "whole.log")
            self.seconds = time.monotonic() - started
            assert ended.status == 0, ended.printed
            self.numbers = numbers(verb, place)
            counts = os.statvfs(place)
            self.size = (counts.f_blocks - counts.f_bfree) * counts.f_frsize

    def trial(self, share: float, *, timed: bool, finished: Path) -> tuple[str, list[str]]:
        """Run on a disk that fills up; return how it ended and what was wrong.

        Args:
            share: of the room that is needed, or of the time, after which the disk is full.
            timed: whether somebody else fills the disk, after that share of the time.
            finished: folder of finished runs, which a report must show beside.
        """
        wrong, size = [], max(4096, int(self.size * share) // 4096 * 4096)
        log = self.folder / f"{self.verb}-{share:.3f}-{timed}.log"
        with disk(self.folder / "small", LARGE if timed else size) as place:
            filled = place if timed else None
            line = command(self.verb, place, self.victim)
            ended = run(line, log, filled, share * self.seconds)
            lines = [line for line in ended.printed.splitlines() if line.startswith("error: ")]
            said = lines[-1] if lines else f"status {ended.status}"
            if ended.status != 0:
                if ended.status != 1 or len(lines) != 1 or not LINE.match(lines[0]):
                    wrong.append(f"status {ended.status}, {lines}")
                if str(place) not in said:
                    wrong.append(f"does not name the place: {said}")
            if "Traceback" in ended.printed or "Exception ignored" in ended.printed:
                wrong.append(f"a traceback, see {log}")
            wrong += torn(place)
            page = self.folder / "report"
            roots = [str(place / "runs"), str(finished)]
            told = run(["report", *roots, "--output", str(page)], self.folder / "report.log")
            if told.status != 0 or not (page / "index.html").is_file():
                wrong.append(f"report: {told.printed[-300:]}")
            (place / "filler").unlink(missing_ok=True)
            enlarge(place, LARGE)
            again = run(command(self.verb, place, self.victim), self.folder / "again.log")
            if again.status != 0:
                wrong.append(f"did not go on: {again.printed[-300:]}")
            elif not same(self.numbers, numbers(self.verb, place)):
                wrong.append("went on to other numbers")
            wrong += torn(place)
        return said, wrong


def make_victim(folder: Path) -> Path:
    """Train a small victim and attack it, for the attacks and for the reports."""
    arguments = command("fit", folder, folder)
    assert run(arguments, folder / "fit.log").status == 0
    victim = folder / "checkpoints" / "demo" / "best.ckpt"
    assert run(command("attack", folder / "other", victim), folder / "attack.log").status == 0
    return victim


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verbs", nargs="+", default=["attack", "fit"])
    parser.add_argument("--count", type=int, default=25)
    return parser.parse_args()


if __name__ == "__main__":
    options = parse()
    failures = 0
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        checkpoint = make_victim(home)
        for each in options.verbs:
            trials = Trials(each, home, checkpoint)
            print(f"{each} writes {trials.size / 1e3:.0f} kB", flush=True)
            for number in range(options.count):
                part, timed = (number + 0.5) / options.count, bool(number % 2)
                line, faults = trials.trial(part, timed=timed, finished=home / "other" / "runs")
                failures += bool(faults)
                of = "time" if timed else "room"
                said = line.replace(name, "")
                print(f"{each} {number + 1}, {part:.0%} of the {of}: {said}", flush=True)
                for fault in faults:
                    print(f"    WRONG: {fault}", flush=True)
    print(f"{failures} of {options.count * len(options.verbs)} trials failed")
    sys.exit(bool(failures))
