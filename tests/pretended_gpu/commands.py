"""Losses, presets and verbs on the pretended device: they run, and how often they wait for it."""

import shutil
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from lightning_hash.modules import AttackModule, HashModule
from tests.gpu_check import commands
from tests.gpu_check.small import command, rows_in
from tests.pretended_gpu.device import WAITS

ITERATIONS = 12
QUIET = ["--model.evaluate_at=[]", "--trainer.log_every_n_steps=1000", "--checkpoint_every=1000"]


@contextmanager
def steps_of(module):
    """Call the steps of a module "step", from the second epoch on, and all else "around"."""
    take, begin = module.training_step, module.on_train_epoch_start

    def step(self, *args, **options):
        with WAITS.of("step" if self.current_epoch else "first step"):
            return take(self, *args, **options)

    def started(self):
        if 2 <= self.current_epoch < ITERATIONS - 2:
            WAITS.region = "between"
        elif self.current_epoch == ITERATIONS - 2:
            WAITS.region = "around"
        return begin(self)

    WAITS.clear()
    WAITS.region = "around"
    with ExitStack() as stack:
        stack.enter_context(patch.object(module, "training_step", step))
        stack.enter_context(patch.object(module, "on_train_epoch_start", started))
        yield


def check_fit(place):
    with steps_of(HashModule):
        commands.check_fit(place)
    return {"step": WAITS.during("step")}


def check_loss(name, bank=False):
    def run(place):
        with steps_of(HashModule):
            commands.check_loss(name, bank)(place)
        return {"step": WAITS.during("step"), "first": WAITS.during("first step")}

    return run


def check_preset(preset):
    def run(place):
        shutil.rmtree(place.folder / "runs" / "attack" / preset, ignore_errors=True)
        line = commands.attack_line(place, preset, preset, *QUIET)
        if preset != "noise":
            line = [each for each in line if "max_epochs" not in each]
            line.append(f"--trainer.max_epochs={ITERATIONS}")
        with steps_of(AttackModule):
            command(*line)
        rows = rows_in(place.folder / "runs" / "attack" / preset)
        return {
            "devices": sorted({row["run"]["devices"] for row in rows}),
            "step": WAITS.during("step"), "between": WAITS.during("between"),
            "operations": WAITS.operations["step"] / (2 * (ITERATIONS - 1)),
            "operations between": WAITS.operations["between"],
        }  # fmt: skip

    return run


def check_verb(verb):
    def run(place):
        commands.check_verb(verb)(place)
        return {}

    return run


CHECKS = [
    *((f"loss {name}", check_loss(name)) for name in commands.LOSSES),
    ("loss HashNetLoss with a bank", check_loss("HashNetLoss", bank=True)),
    *((f"preset {preset}", check_preset(preset)) for preset in commands.PRESETS),
    *((f"verb {verb}", check_verb(verb)) for verb in commands.VERBS),
]
