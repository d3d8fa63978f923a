"""Signals that ask a run of several processes to stop."""

import os
import signal
import subprocess
import sys
import threading
from types import FrameType
from typing import Any, NoReturn

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from pytorch_lightning.trainer.connectors.signal_connector import _SignalConnector

from lightning_hash.utils.distributed import any_process
from lightning_hash.utils.escapes import visible
from lightning_hash.utils.signals import SIGNALS, note


class StopRequest:
    """Remember a signal until all processes stand at the same place, and leave there together.

    A second signal of the same kind acts at once.

    Attributes:
        received: the signal that this process received, or 0.
        announced: whether that is the one by which SLURM announces the end of a job, which is
            then requeued.
    """

    def __init__(self) -> None:
        self.received, self.announced = 0, False
        self._announces: int | None = None
        self._before: dict[int, Any] = {}

    def listen(self, trainer: pl.Trainer) -> None:
        """Take SIGTERM, SIGINT and, where SLURM requeues, the signal that it announces it by."""
        self.received, self.announced = 0, False
        self._announces = announcing_signal(trainer)
        signals = [*SIGNALS, *([] if self._announces is None else [self._announces])]
        if threading.current_thread() is threading.main_thread():
            self._before = {signum: signal.signal(signum, self._hear) for signum in signals}

    def forget(self) -> None:
        """Give the signals back to who had them before."""
        for signum, handler in self._before.items():
            signal.signal(signum, handler)
        self._before = {}

    def agreed(self) -> bool:
        """Return whether any process was asked to stop; all processes must call this together."""
        return any_process(bool(self.received))

    def leave(self, trainer: pl.Trainer, where: str, remedy: str = "") -> NoReturn:
        """End the program with 128 + signal; ask SLURM to run it again if it had announced the end.

        All processes must call this together.

        Args:
            trainer: runs what is left.
            where: what the run was doing, for the message.
            remedy: how it goes on, if it can.
        """
        requeues = any_process(self.announced)
        signum = self.received or (self._announces if requeues else None) or signal.SIGTERM
        if trainer.is_global_zero:
            text = f"stopped by {signal.Signals(signum).name} {where}"
            print(visible(f"{text}: {remedy}" if remedy else text), file=sys.stderr)
            if requeues:
                requeue()
        raise SystemExit(128 + signum)

    def _hear(self, signum: int, frame: FrameType | None) -> None:
        if self.received == signum:
            self.forget()
            plain = signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL
            signal.signal(signum, plain)
            os.kill(os.getpid(), signum)
        self.received = signum
        self.announced |= signum == self._announces
        note(signum)


class RunSignals(_SignalConnector):
    """What a Trainer does with signals while nobody listens for all processes: leave at once.

    Lightning's own handler of SIGTERM talks to the other processes from inside, where they may
    stand anywhere: a run of several then hangs (Lightning issue 20806). That of SLURM's
    announcement saves in the midst of an epoch, which no training repeats from.
    """

    def register_signal_handlers(self) -> None:
        """Take the signal by which SLURM announces the end of a job, if it requeues jobs."""
        announces = announcing_signal(self.trainer)
        if announces is not None and threading.current_thread() is threading.main_thread():
            self._original_handlers = {announces: signal.signal(announces, self._requeue)}

    def _requeue(self, signum: int, frame: FrameType | None) -> NoReturn:
        note(signum)
        if self.trainer.is_global_zero:
            requeue()
        raise SystemExit(128 + signum)


def announcing_signal(trainer: pl.Trainer) -> int | None:
    """Return the signal by which SLURM announces the end of a job that it is to requeue, if any."""
    environment = trainer._accelerator_connector.cluster_environment
    if isinstance(environment, SLURMEnvironment) and environment.auto_requeue:
        return environment.requeue_signal or signal.SIGUSR1
    return None


def requeue() -> None:
    """Ask SLURM to run this job again."""
    job = os.environ["SLURM_JOB_ID"]
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    subprocess.run(["scontrol", "requeue", job], check=False)
