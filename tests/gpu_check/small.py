"""The small victim and data that checks share."""

import json
import math

import torch

from lightning_hash.__main__ import main
from lightning_hash.attacks import HAG, SignStep, TargetChoice
from lightning_hash.commands.attack import run_attack
from lightning_hash.data import SamplePhotos
from lightning_hash.engine.trainer import HashTrainer
from lightning_hash.functional import RankingOptions
from lightning_hash.modules import AttackModule
from lightning_hash.victims import load_victim
from tests.helpers.commands import SMALL_DATA

VICTIM = "checkpoints/demo/best.ckpt"


def command(*arguments):
    """Run the command line here; it must end with 0, and errors keep their traceback."""
    status = main(["--verbose", *map(str, arguments)])
    assert status == 0, f"{arguments[0]} ended with {status}"


def train_victim(place):
    """Train the victim of the command lines where it is not there yet."""
    if not (place.folder / VICTIM).is_file():
        epochs = ["--trainer.max_epochs=4", "--trainer.check_val_every_n_epoch=2"]
        command("fit", *SMALL_DATA, *epochs, *place.trainer)


def rows_in(folder):
    """Return the rows of an attack, whose numbers must be finite."""
    (found,) = folder.rglob("results.json")
    rows = json.loads(found.read_text())
    assert rows, f"{found} is empty"
    for row in rows:
        said = row["value"], row["metric"]
        assert isinstance(row["value"], float | int), f"no number: {said}"
        assert math.isfinite(row["value"]), f"not finite: {said}"
    return rows


def photos(n_query=50, n_database=300, **options):
    return SamplePhotos(n_train=100, n_query=n_query, n_database=n_database, **options)


def network():
    """Return the trained victim's network, on the CPU."""
    return load_victim(VICTIM).network


def trainer(place, iterations, accelerator=None, **options):
    defaults = {
        "max_epochs": iterations, "accelerator": accelerator or place.accelerator, "logger": False,
        "devices": 1, "default_root_dir": place.folder, "enable_progress_bar": False,
        "enable_model_summary": False, "enable_checkpointing": False,
    }  # fmt: skip
    return HashTrainer(**{**defaults, **options})


def module(victim, kind=AttackModule, **options):
    defaults = {
        "objective": HAG(), "step": sign_step, "n_queries": None, "batch_size": 25,
        "ranking": RankingOptions(), "evaluate_at": [], "targets": TargetChoice(n_t=5),
        "kernels": "float32",
    }  # fmt: skip
    return kind(victim, **{**defaults, **options})


def sign_step(parameters):
    return SignStep(parameters, 1 / 255)


def sgd_step(parameters):
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.9)


def attacked(place, made, data, iterations, accelerator=None, ckpt_path=None, **options):
    """Run an attack; return its scores."""
    run = trainer(place, iterations, accelerator, **options)
    return run_attack(run, made, data, ckpt_path=ckpt_path)


def perturbation(scores):
    return scores.outcome().tensors["perturbation"].cpu()


def value(scores, metric="map", quantized=False):
    """Return a metric of what the attack ended with."""
    rows = [
        row for row in scores.rows
        if row["attack"] and row["attack"]["name"] != "anchor" and row["metric"] == metric
        and row["quantized"] == quantized
    ]  # fmt: skip
    return rows[-1]["value"]
