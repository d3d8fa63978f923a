"""Runs that end before their end: what is said, and with which status."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Timer

from lightning_hash.modules.attack_module import AttackModule


@contextmanager
def ends_by_signal() -> Iterator[None]:
    """End the process with 128 + SIGTERM where nobody else takes the signal.

    Lightning notes the signal and looks at it between two batches of a training or a test, not of a
    prediction; between two of its loops it forgets it; and the program ends with 0. Its handler
    calls the one that was there before, which is this one.
    """

    def leave(signum: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + signum)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def stopped_early(trainer: pl.Trainer, model: pl.LightningModule) -> str | None:
    """Say where a run was stopped before its end.

    Args:
        trainer: ran it.
        model: what it ran.

    Returns:
        One line; ``None`` for a run that has ended. A training that a callback of the user's has
        ended by a rule of its own, such as EarlyStopping, has; one that ran out of time has not.
    """
    if isinstance(model, AttackModule):
        done, iterations = getattr(model, "done", 0), model.recipe.iterations
        if done >= iterations:
            return None
        return (
            f"the attack was stopped after iteration {done} of {iterations}, which its rows say; "
            "go on from its checkpoint with --ckpt_path"
        )
    timers = [each for each in trainer.callbacks if isinstance(each, Timer)]  # type: ignore[attr-defined]
    left = [timer.time_remaining() for timer in timers]
    whole = trainer.is_last_batch and trainer.current_epoch >= (trainer.max_epochs or 0)
    if not trainer.should_stop or whole or all(each is None or each > 0 for each in left):
        return None
    return (
        f"the training was stopped by max_time in epoch {trainer.current_epoch} of "
        f"{trainer.max_epochs}; go on from last.ckpt with --ckpt_path"
    )
