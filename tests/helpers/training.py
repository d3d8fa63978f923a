"""Trainings of a small hash model."""

from lightning_hash.engine.trainer import HashTrainer
from lightning_hash.functional import RankingOptions
from lightning_hash.modules import HashModule
from lightning_hash.utils.trust import trusting

TINY = {"class_path": "tests.conftest.TinyNet", "init_args": {"bits": 8}}


def trainer(tmp_path, epochs=2, **options):
    defaults = {
        "max_epochs": epochs, "accelerator": "cpu", "logger": False, "default_root_dir": tmp_path,
        "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0,
        "enable_checkpointing": False,
    }  # fmt: skip
    return HashTrainer(**{**defaults, **options})


def module(**options):
    with trusting():
        return HashModule(**{"backbone": TINY, "bits": 8, "ranking": RankingOptions(20), **options})
