"""Runs of a sweep as processes of this machine."""

import fcntl
import os
import queue
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.console import Console

from lightning_hash.sweeps.command import command_of
from lightning_hash.sweeps.record import begin, complete, finished, finished_runs, log_of
from lightning_hash.sweeps.run import Run
from lightning_hash.utils.configs import find_config
from lightning_hash.utils.escapes import shell, terminal
from lightning_hash.utils.places import check_inside
from lightning_hash.utils.progress import make_bar
from lightning_hash.utils.volume import Volume, volume


def visible_devices() -> list[str]:
    """Return the GPUs that this process sees, as ``CUDA_VISIBLE_DEVICES`` names them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [each.strip() for each in named.split(",") if each.strip() not in ("", "-1")]
    import torch  # a sweep of one run at a time starts without it

    return [str(number) for number in range(torch.cuda.device_count())]


def deal_out(devices: Sequence[str], jobs: int) -> list[str]:
    """Deal devices out to runs that go on at a time.

    Args:
        devices: the names of all.
        jobs: how many runs.

    Returns:
        For each run its devices, joined by commas: parts of all, or one that others use too where
        there are fewer; empty where there is none.

    Example:
        >>> deal_out(["0", "1", "2"], 2), deal_out(["0", "1"], 3)
        (['0,2', '1'], ['0', '1', '0'])
    """
    if not devices:
        return [""] * jobs
    if len(devices) < jobs:
        return [devices[number % len(devices)] for number in range(jobs)]
    return [",".join(devices[number::jobs]) for number in range(jobs)]


class Sweep:
    """Runs the runs that are not finished, each behind those that it needs.

    A run is a process of its own, so that one that fails takes no other with it. What it prints
    goes to ``ROOT/sweep/FINGERPRINT.log``. SIGTERM and Ctrl-C are passed on to the runs, which save
    what they have; the same command goes on. A run is locked while its process lives: of two sweeps
    over one folder, or of one that was killed and its successor, the second waits.

    Args:
        root: the folder of all that is made.
        jobs: runs at a time, which share the processors and the GPUs.
        trainer: a config laid over fits and attacks that says where they run, not what.
        console: where progress is printed.
        trust: give every run ``--trust``.

    Raises:
        ValueError: if ``jobs`` is below 1.
        FileNotFoundError: if ``trainer`` does not exist.
    """

    def __init__(
        self,
        root: Path,
        jobs: int = 1,
        trainer: Path | None = None,
        console: Console | None = None,
        *,
        trust: bool = False,
    ) -> None:
        if jobs < 1:
            msg = f"jobs must be at least 1, got {jobs}"
            raise ValueError(msg)
        if trainer is not None:
            trainer = find_config(trainer, "trainer: config")
        self.root, self.jobs, self.trainer, self.trust = root, jobs, trainer, trust
        self.console = Console(highlight=False, soft_wrap=True) if console is None else console
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._stopped = 0
        processors = len(os.sched_getaffinity(0))
        self._environment = {"OMP_NUM_THREADS": str(max(1, processors // jobs)), **os.environ}
        self._devices: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
        for part in deal_out(visible_devices() if jobs > 1 else [], jobs):
            self._devices.put({"CUDA_VISIBLE_DEVICES": part} if part else {})

    def run(self, runs: Sequence[Run]) -> int:
        """Run what is not finished.

        Args:
            runs: each behind those that it needs.

        Returns:
            0, 1 if a run failed, or 128 + the signal that stopped the sweep.
        """
        started = time.monotonic()
        done = finished_runs(runs, self.root)
        failed: dict[str, str] = {}
        waiting = [run for run in runs if run.digest not in done]
        possible = done | {run.digest for run in runs}
        before, running = len(done), dict[Future[str | None], Run]()
        said = f"{len(runs)} runs below {self.root}"
        self._say(f"{said}, {len(runs) - len(waiting)} of them finished before")
        numbers = {run.digest: f"[{number}/{len(runs)}]" for number, run in enumerate(runs, 1)}
        with (
            self._listening(),
            self._counting(len(waiting)) as count,
            ThreadPoolExecutor(self.jobs) as pool,
        ):
            while (waiting and not self._stopped) or running:
                for run in [] if self._stopped else list(waiting):
                    missing = [n for n in run.needs if n.digest in failed]
                    missing += [n for n in run.needs if n.digest not in possible]
                    if missing:
                        failed[run.digest] = f"it needs {missing[0].title}, which is not finished"
                        waiting.remove(run)
                    elif len(running) < self.jobs and all(n.digest in done for n in run.needs):
                        self._say(f"{numbers[run.digest]} {run.verb} {run.title} ({run.digest})")
                        running[pool.submit(self._perform, run, numbers[run.digest])] = run
                        waiting.remove(run)
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    run, error = running.pop(future), future.result()
                    count()
                    if error is None:
                        done.add(run.digest)
                    else:
                        failed[run.digest] = error
        self._sum_up(runs, failed, len(done) - before, time.monotonic() - started)
        return 128 + self._stopped if self._stopped else int(bool(failed))

    def _sum_up(
        self, runs: Sequence[Run], failed: dict[str, str], made: int, seconds: float
    ) -> None:
        for run in runs:
            if run.digest in failed:
                self._tell(f"failed: {run.verb} {run.title} ({run.digest}): {failed[run.digest]}")
        if self._stopped:
            name = signal.Signals(self._stopped).name
            self._tell(f"stopped by {name}; the same command goes on")
        self._tell(f"{made} runs made, {len(failed)} failed, {seconds:.0f} s")

    def _perform(self, run: Run, number: str) -> str | None:
        """Run one run; return what went wrong, if anything."""
        started, devices = time.monotonic(), self._devices.get()
        try:
            with self._locked(run) as lock:
                status = self._start(run, lock, devices) if not finished(run, self.root) else 0
        except (OSError, ValueError) as error:
            return str(error)
        finally:
            self._devices.put(devices)
        seconds = time.monotonic() - started
        if status == 0:
            self._say(f"{number} done in {seconds:.0f} s")
            return None
        log = log_of(run, self.root)
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1]
        self._say(f"{number} ended with status {status} after {seconds:.0f} s, see {log}")
        return f"status {status}, see {log}: {last}"

    def _start(self, run: Run, lock: int, devices: dict[str, str]) -> int:
        begin(run, self.root)
        command = command_of(run, self.root, self.trainer, trust=self.trust)
        with log_of(run, self.root).open("ab") as log:
            log.write(f"$ {shell(command)}\n".encode(errors="surrogateescape"))
            log.flush()
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env={**self._environment, **devices},
                start_new_session=True,  # Ctrl-C must reach it once, by way of this process
                pass_fds=[lock],  # the lock lives as long as the run, even where this one is killed
            )  # fmt: skip
        self._processes.add(process)
        if self._stopped:  # while it was being started
            process.terminate()
        status = process.wait()
        self._processes.discard(process)
        if status == 0:
            complete(run, self.root)
        return status

    @contextmanager
    def _locked(self, run: Run) -> Iterator[int]:
        path = self.root / "sweep" / f"{run.digest}.lock"
        check_inside(path, self.root, "remove the link")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say(f"{run.title} ({run.digest}) is being made by another process: waiting")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield file.fileno()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        def stop(signum: int, frame: FrameType | None) -> None:
            self._stopped = signum
            for process in list(self._processes):
                process.terminate()

        def leave_to_the_run(signum: int, frame: FrameType | None) -> None:
            """SLURM announces the end of a job to all processes of a step; the run saves itself."""

        handlers = {
            signal.SIGTERM: stop, signal.SIGINT: stop, signal.SIGUSR1: leave_to_the_run,
        }  # fmt: skip
        before = {signum: signal.signal(signum, handler) for signum, handler in handlers.items()}
        try:
            yield
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    @contextmanager
    def _counting(self, total: int) -> Iterator[Callable[[], None]]:
        """Show on a terminal how many runs have ended, and the time that is left."""
        if volume() is Volume.QUIET or not self.console.is_terminal:
            yield lambda: None
            return
        with make_bar(self.console, unit="runs") as bar:
            task = bar.add_task("sweep", total=total)
            yield lambda: bar.advance(task)

    def _say(self, text: str) -> None:
        """Tell how far it is."""
        if volume() is not Volume.QUIET:
            self._tell(text)

    def _tell(self, text: str) -> None:
        self.console.print(terminal(text))
