"""Losses, presets and verbs on the pretended device: they run, and how often they wait for it."""

import shutil
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import torch

from lightning_hash.models import ITQ
from lightning_hash.modules import AttackModule, HashModule
from lightning_hash.modules.head_fit import fit_head
from tests.gpu_check import commands
from tests.gpu_check.small import command, photos, rows_in, trainer
from tests.pretended_gpu.device import WAITS

ITERATIONS, EPOCHS = 12, 5
QUIET = ["--model.evaluate_at=[]", "--trainer.log_every_n_steps=1000", "--checkpoint_every=1000"]


@contextmanager
def steps_of(module, epochs=ITERATIONS):
    """Name the stretches of a run: "step" from the second epoch on, "between" them, "around"."""
    take, begin = module.training_step, module.on_train_epoch_start

    def step(self, *args, **options):
        with WAITS.of("step" if self.current_epoch else "first step"):
            return take(self, *args, **options)

    def started(self):
        WAITS.region = "between" if 2 <= self.current_epoch < epochs - 1 else "around"
        return begin(self)

    WAITS.clear()
    WAITS.region = "around"
    with ExitStack() as stack:
        stack.enter_context(patch.object(module, "training_step", step))
        stack.enter_context(patch.object(module, "on_train_epoch_start", started))
        yield


def check_fit(place):
    commands.check_fit(place)
    return {}


def check_loss(name, bank=False):
    return lambda place: fitted(place, photos(batch_size=25), loss=commands.LOSSES[name](),
                                code_bank=bank)  # fmt: skip


def check_head(place):
    """Compute a hash layer, then train it on frozen features."""
    data = photos(batch_size=25)
    torch.manual_seed(0)
    model = HashModule("convnet", 16, head=ITQ(iterations=5), pretrained_lr_scale=0.0)
    run = trainer(place, EPOCHS, limit_val_batches=0)
    before = model.network.hash_layer.weight.detach().clone()
    fit_head(model, data, run)
    moved = (model.network.hash_layer.weight.detach().cpu() - before).abs().max()
    with steps_of(HashModule, EPOCHS):
        run.fit(model, datamodule=data)
    return {"moved": float(moved), "step": WAITS.during("step")}  # fmt: skip


def fitted(place, data, network="convnet", **options):
    """Train for a few epochs; say how often the host waited from the third on."""
    torch.manual_seed(0)
    model = HashModule(network, 16, **options)
    with steps_of(HashModule, EPOCHS):
        trainer(place, EPOCHS, limit_val_batches=0).fit(model, datamodule=data)
    assert all(weight.isfinite().all() for weight in model.parameters())
    steps = EPOCHS - 1
    return {
        "step": WAITS.during("step"), "between": WAITS.during("between"),
        "first": WAITS.during("first step"), "operations": WAITS.operations["step"] / steps,
    }  # fmt: skip


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
    ("head", check_head),
    *((f"preset {preset}", check_preset(preset)) for preset in commands.PRESETS),
    *((f"verb {verb}", check_verb(verb)) for verb in commands.VERBS),
]
