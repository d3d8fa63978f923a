"""Lightning's Trainer with the defaults of this project."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.strategies import DDPStrategy, Strategy
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from pytorch_lightning.trainer.connectors.checkpoint_connector import _CheckpointConnector

from lightning_hash.engine.checkpoint_io import WholeCheckpointIO
from lightning_hash.engine.signals import RunSignals
from lightning_hash.engine.strategies import TIMEOUT
from lightning_hash.utils.allocator import keep_pages
from lightning_hash.utils.signals import PARENT


class _NamedCheckpoints(_CheckpointConnector):
    """Takes the checkpoints that it is given, and none that it finds beside them under SLURM."""

    @property
    def _hpc_resume_path(self) -> None:
        return None


class HashTrainer(pl.Trainer):
    """The Trainer that fits hash models and attacks them; its checkpoints are never torn.

    A process that waits for one that is gone ends after ten minutes, unless ``strategy`` is an
    object with a timeout of its own.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._signal_connector = RunSignals(self)
        self._checkpoint_connector = _NamedCheckpoints(self)
        if isinstance(self.strategy, DDPStrategy) and not isinstance(
            kwargs.get("strategy"), Strategy
        ):
            self.strategy._timeout = TIMEOUT
        launcher = self.strategy.launcher
        if (
            isinstance(launcher, _SubprocessScriptLauncher)
            and not launcher.cluster_environment.creates_processes_externally
        ):
            os.environ[PARENT] = str(os.getpid())  # further ranks, started by this one, end with it
        if isinstance(self.accelerator, CPUAccelerator):
            keep_pages()
        if type(self.strategy.checkpoint_io) is TorchCheckpointIO:
            self.strategy.checkpoint_io = WholeCheckpointIO()

    def save_checkpoint(
        self, filepath: Any, weights_only: bool | None = None, storage_options: Any = None
    ) -> None:
        """Save a checkpoint; where it cannot be written, every process gets to know.

        Args:
            filepath: where.
            weights_only: as in Lightning's Trainer.
            storage_options: as in Lightning's Trainer.

        Raises:
            OSError: on all processes, if rank 0 cannot write it.
        """
        error: OSError | None = None
        checkpoint = self._checkpoint_connector.dump_checkpoint(weights_only)
        try:
            self.strategy.save_checkpoint(checkpoint, filepath, storage_options=storage_options)
        except OSError as caught:
            error = caught
        error = self.strategy.broadcast(error)  # the others would wait for rank 0 forever
        if error is not None:
            raise error


@contextmanager
def quiet_trainers(**options: Any) -> Iterator[Callable[..., HashTrainer]]:
    """Yield what makes trainers of one process that print nothing but warnings.

    Args:
        options: as in Lightning's Trainer; a maker's own go over them.
    """
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)

    def make(**more: Any) -> HashTrainer:
        quiet = {"logger": False, "enable_checkpointing": False}
        return HashTrainer(
            devices=1, enable_progress_bar=False, enable_model_summary=False,
            **{**quiet, **options, **more},
        )  # fmt: skip

    try:
        yield make
    finally:
        logger.setLevel(level)


@contextmanager
def quiet_trainer(**options: Any) -> Iterator[HashTrainer]:
    """Yield a trainer of one process that writes no files and prints nothing but warnings.

    Args:
        options: as in Lightning's Trainer.
    """
    with quiet_trainers(**options) as make:
        yield make()
