"""How checks are run: each on its own, within its time, one line of a table for each."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPORTED = "reported"


class TooLongError(Exception):
    pass


class LeftOutError(Exception):
    """Nothing was looked at, and nothing is wrong: it needs a GPU."""


@dataclass
class Place:
    """Where checks run.

    Attributes:
        device: ``cuda``, or ``cpu`` while the checks themselves are worked on.
        folder: of this run's own; holds ``checkpoints/demo/best.ckpt`` once there is a victim.
        details: what is printed behind the table.
    """

    device: str
    folder: Path
    log: io.TextIOBase
    details: list[str] = field(default_factory=list)

    @property
    def cuda(self):
        return self.device == "cuda"

    @property
    def accelerator(self):
        return "gpu" if self.cuda else "cpu"

    @property
    def trainer(self):
        """Options of a command line that say where it runs."""
        return [
            f"--trainer.accelerator={self.accelerator}", "--trainer.devices=1",
            "--trainer.enable_progress_bar=false",
        ]  # fmt: skip

    def needs_cuda(self):
        if not self.cuda:
            msg = "needs a GPU"
            raise LeftOutError(msg)


@dataclass(frozen=True)
class Check:
    """A check: ``run(place)`` returns what it saw in one line, or raises."""

    name: str
    run: Callable[[Place], str]
    seconds: int = 120
    asserts: bool = True
    apart: bool = False  # in processes of its own, beside the others; times nothing


class Table:
    """The outcomes, printed as they come."""

    def __init__(self, place, end):
        self.place, self.end, self.out, self.failed = place, end, sys.stdout, 0

    def head(self):
        print("| check | outcome | seconds | seen |\n|---|---|---:|---|", file=self.out, flush=True)

    def row(self, check, outcome, seconds, seen):
        line = " ".join(str(seen).replace("|", "\\|").split())
        self.failed += outcome not in ("pass", REPORTED, "left out", "no report")
        row = f"| {check.name} | {outcome} | {seconds:.1f} | {line[:900]} |"
        print(row, file=self.out, flush=True)
        print(row, file=self.place.log, flush=True)

    def run(self, checks):
        """Run checks one after the other, those apart beside them."""
        with ThreadPoolExecutor(8) as pool:
            apart = {c.name: pool.submit(self._outcome, c) for c in checks if c.apart}
            alone = [check for check in checks if not check.apart]
            # What is timed waits for the other processes.
            for check in (c for c in alone if c.asserts and not _times(c)):
                self.row(check, *self._guarded(check))
            for check in checks:
                if check.apart:
                    self.row(check, *apart[check.name].result())
            for check in (c for c in alone if not c.asserts or _times(c)):
                self.row(check, *self._guarded(check))

    def _guarded(self, check):
        left = self.end - time.monotonic()
        if left < 5:
            return ("not run" if check.asserts else "left out"), 0.0, "the time is over"

        def ring(number, frame):
            msg = f"still running after {seconds} s, at {_where(frame)}"
            raise TooLongError(msg)

        seconds = int(min(check.seconds, left))
        before = signal.signal(signal.SIGALRM, ring)
        signal.alarm(seconds)
        try:
            with (
                contextlib.redirect_stdout(self.place.log),
                contextlib.redirect_stderr(self.place.log),
            ):
                return self._outcome(check)
        except TooLongError as error:  # rang while the outcome was made
            return "fail", float(seconds), str(error)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)

    def _outcome(self, check):
        start = time.monotonic()
        try:
            seen = check.run(self.place)
            outcome = "pass" if check.asserts else REPORTED
        except LeftOutError as error:
            outcome, seen = "left out", error
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            outcome = "fail" if check.asserts else "no report"
            seen = f"{type(error).__name__}: {error} [{_last_own(error)}]"
            text = "".join(traceback.format_exception(error))
            print(f"\n=== {check.name}\n{text}", file=self.place.log, flush=True)
        return outcome, time.monotonic() - start, seen


def _times(check):
    return getattr(check.run, "timed", False)


def timed(function):
    """Mark a check that times something: nothing else runs beside it."""
    function.timed = True
    return function


def _where(frame):
    while frame and not frame.f_code.co_filename.startswith(str(ROOT)):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else "?"


def _last_own(error):
    own = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(str(ROOT))]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else "?"


def environment(**more):
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **more}


def start(folder, *arguments, module="lightning_hash", **more):
    """Start a program of ours in a folder."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments], cwd=folder, env=environment(**more),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def finish(process, status=0, timeout=150):
    """Wait for a program and return what it printed; it must end with a status."""
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        msg = f"still running after {timeout} s: {output[-1500:]}"
        raise AssertionError(msg) from None
    assert process.returncode == status, f"status {process.returncode}: {output[-1500:]}"
    return output
