"""Signals that ask a run to stop, heard at a point where all processes can."""

import os
import signal
import subprocess
import threading
from types import FrameType
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

from lightning_hash.utils.distributed import any_process


class StopRequest:
    """Remember a signal until all processes stand at the end of an iteration.

    Lightning's own handlers raise in the midst of an epoch and talk to the other processes from
    inside the handler, where a run of several processes can hang (Lightning issue 20806). A second
    signal of the same kind acts at once.

    Args:
        announced: whether to take the signal by which SLURM announces the end of a job.

    Attributes:
        received: the signal that this process received, or 0.
        requeues: whether this is a SLURM job that Lightning's environment is to requeue.
    """

    def __init__(self, *, announced: bool = True) -> None:
        self.announced = announced
        self.received, self.requeues = 0, False
        self._before: dict[int, Any] = {}

    def listen(self, trainer: pl.Trainer) -> None:
        """Take SIGTERM, SIGINT and, where SLURM requeues, the signal that it announces it by."""
        self.received = 0
        environment = trainer._accelerator_connector.cluster_environment
        self.requeues = isinstance(environment, SLURMEnvironment) and environment.auto_requeue
        signals = [signal.SIGTERM, signal.SIGINT]
        if self.announced and isinstance(environment, SLURMEnvironment) and self.requeues:
            signals.append(environment.requeue_signal or signal.SIGUSR1)
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

    @staticmethod
    def requeue() -> None:
        """Ask SLURM to run this job again."""
        job = os.environ["SLURM_JOB_ID"]
        if "SLURM_ARRAY_JOB_ID" in os.environ:
            job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
        subprocess.run(["scontrol", "requeue", job], check=False)

    def _hear(self, signum: int, frame: FrameType | None) -> None:
        if self.received == signum:
            self.forget()
            plain = signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL
            signal.signal(signum, plain)
            os.kill(os.getpid(), signum)
        self.received = signum
