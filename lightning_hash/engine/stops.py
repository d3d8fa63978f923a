"""Runs that end before their end: what is said."""

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Timer

from lightning_hash.modules.attack_module import AttackModule


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
    epochs, steps = trainer.max_epochs or -1, trainer.max_steps
    whole = trainer.is_last_batch and trainer.current_epoch == epochs
    if whole or trainer.global_step == steps or not out_of_time(trainer):
        return None
    of = "" if epochs < 0 else f" of {epochs}"
    return (
        f"the training was stopped by max_time in epoch {trainer.current_epoch}{of}; go on from "
        "last.ckpt with --ckpt_path"
    )


def out_of_time(trainer: pl.Trainer) -> bool:
    """Return whether max_time has stopped a training that had another end before it."""
    timers = [each for each in trainer.callbacks if isinstance(each, Timer)]  # type: ignore[attr-defined]
    left = [timer.time_remaining() for timer in timers]
    over = trainer.should_stop and any(each is not None and each <= 0 for each in left)
    return over and (trainer.max_steps >= 0 or (trainer.max_epochs or -1) >= 0)
