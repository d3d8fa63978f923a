import re

import pytest
import torch

from lightning_hash.__main__ import main
from lightning_hash.engine.checkpoint_io import WholeCheckpointIO
from lightning_hash.engine.trainer import HashTrainer
from tests.helpers.commands import SMALL_DATA
from tests.helpers.disk import fill


def test_trainer_writes_with_it(tmp_path):
    trainer = HashTrainer(accelerator="cpu", logger=False, default_root_dir=tmp_path)
    assert type(trainer.strategy.checkpoint_io) is WholeCheckpointIO


def test_writes_what_lightning_reads(tmp_path):
    path = tmp_path / "new" / "a.ckpt"
    WholeCheckpointIO().save_checkpoint({"a": torch.arange(3)}, path)
    assert torch.equal(torch.load(path, weights_only=True)["a"], torch.arange(3))
    assert [p.name for p in path.parent.iterdir()] == ["a.ckpt"]


def test_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / "a.ckpt"
    writer = WholeCheckpointIO()
    writer.save_checkpoint({"a": 1}, path)
    with monkeypatch.context() as patch:
        fill(patch)
        with pytest.raises(OSError, match="No space left"):
            writer.save_checkpoint({"a": torch.zeros(10_000)}, path)
    assert torch.load(path, weights_only=True) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.ckpt"]


def test_full_disk_ends_a_run_with_a_message(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    fill(monkeypatch)
    assert main(["fit", *SMALL_DATA, "--trainer.max_epochs=1", "--trainer.accelerator=cpu"]) == 1
    error = capsys.readouterr().err
    named = r"no space left on the disk of \S+/checkpoints/demo/best\.ckpt \([\d.]+ MB free\)"
    assert re.search(named, error)
    assert "--ckpt_path" in error
