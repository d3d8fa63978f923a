"""Attacks on small networks and data, and what they left behind."""

from pytorch_lightning.callbacks import Callback
from torch.optim import SGD

from lightning_hash.attacks import HAG, TargetChoice
from lightning_hash.commands.attack import run_attack
from lightning_hash.engine.trainer import HashTrainer
from lightning_hash.functional import RankingOptions
from lightning_hash.modules import AttackModule
from tests.conftest import TinyNet


def small_step(parameters):
    return SGD(parameters, lr=0.01, momentum=0.9)


def far_step(parameters):
    return SGD(parameters, lr=0.5, momentum=0.9)


def make(victim=None, **options):
    defaults = {
        "objective": HAG(), "step": small_step, "n_queries": None, "batch_size": 5,
        "ranking": RankingOptions(top_k=20), "evaluate_at": [0, 3], "targets": TargetChoice(n_t=5),
        "kernels": "float32",
    }  # fmt: skip
    return AttackModule(victim=victim or TinyNet(), **{**defaults, **options})


def trainer(tmp_path, iterations=6, **options):
    defaults = {
        "max_epochs": iterations, "accelerator": "cpu", "logger": False, "devices": 1,
        "default_root_dir": tmp_path, "enable_progress_bar": False, "enable_model_summary": False,
        "enable_checkpointing": False,
    }  # fmt: skip
    return HashTrainer(**{**defaults, **options})


def attack(tmp_path, data, iterations=6, callbacks=None, ckpt_path=None, **options):
    """Run an attack and return its scores, with rows and outcome."""
    run = trainer(tmp_path, iterations, callbacks=callbacks)
    return run_attack(run, make(**options), data, ckpt_path=ckpt_path)


def rows_of(scores, attack=..., **wanted):
    """Return rows with the fields wanted; ``attack`` is a name, ``none`` the clean query."""
    found = [row for row in scores.rows if all(row[k] == v for k, v in wanted.items())]
    names = [row["attack"]["name"] if row["attack"] else "none" for row in found]
    return [row for row, name in zip(found, names, strict=True) if attack in (..., name)]


class StopAt(Callback):
    """Stands for a kill: leaves the loop before a batch of an iteration, without any ceremony."""

    def __init__(self, iteration, batch=0):
        self.place = iteration, batch

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == self.place:
            raise KeyError("killed")
