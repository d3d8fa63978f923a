"""Attacks by shared perturbations, by a search and by APGD, under one process or several."""

from functools import partial

import pytest
from torch.optim import SGD

from lightning_hash.attacks import (
    APGD,
    HAG,
    SSTUAA,
    AlphaSchedule,
    Box,
    MomentumSignStep,
    Patch,
    TargetChoice,
)
from lightning_hash.attacks import Universal as BuiltIn
from lightning_hash.commands.attack import run_attack
from lightning_hash.engine.callbacks import AttackCheckpoint
from tests.conftest import BlobData
from tests.helpers.attacks import StopAt, make, trainer
from tests.helpers.one_for_all import OneForAll
from tests.helpers.random_search import RandomSearch

GLOBAL_BATCH = 20  # of 60 training items: three batches an epoch
WIDE = 0.3  # the search's epsilon: within six steps some queries are finished, others are not


def sgd(parameters):
    return SGD(parameters, lr=0.006, momentum=0.9)


def universal(gain=2.0, **options):
    perturbation = partial(OneForAll, gain=gain)
    return make(objective=HAG(), perturbation=perturbation, step=sgd, **options)


def built_in(**options):
    """SS-TUAA with the package's own delta, at a resolution of its own."""
    return make(**{
        "objective": SSTUAA(), "perturbation": partial(BuiltIn, size=11), "step": sgd,
        "targets": TargetChoice(n_t=5, label="drawn"), **options,
    })  # fmt: skip


def patch(**options):
    """A patch at random places."""
    made = partial(Patch, side=3, place="random", seed=4)
    step = partial(MomentumSignStep, lr=0.05)
    return make(**{"perturbation": made, "budget": Box, "step": step, "epsilon": 1, **options})


def search(bits=3, **options):
    step = partial(RandomSearch, bits=bits)
    return make(objective=HAG(), step=step, epsilon=WIDE, **options)


def apgd(**options):
    alpha = AlphaSchedule([1.0], [0.0])
    return make(objective=HAG(), step=APGD, epsilon=0.1, alpha=alpha, **options)


def run(folder, module, world=1, ckpt_path=None, killed_at=None, strategy="query_parallel"):
    """Attack for six iterations, saving every second; batches of the training split are global."""
    callbacks = [AttackCheckpoint(every=2)] + ([StopAt(*killed_at)] if killed_at else [])
    runner = trainer(
        folder, 6, devices=world, callbacks=callbacks, enable_checkpointing=True,
        strategy=strategy if world > 1 else "auto",
    )  # fmt: skip
    data = BlobData(batch_size=GLOBAL_BATCH // world, eval_batch_size=32)
    return run_attack(runner, module, data, ckpt_path=ckpt_path)


def killed(folder, module, at, world=1):
    """Kill an attack before a batch of an iteration; return its newest checkpoint."""
    with pytest.raises(KeyError, match="killed"):
        run(folder, module, world, killed_at=at)
    path = folder / "checkpoints" / "last.ckpt"
    assert path.is_file()
    return str(path)


def told(rows):
    """Return rows without what no number should depend on."""
    return [{name: value for name, value in row.items() if name != "run"} for row in rows]
