import sys
from types import SimpleNamespace

import torch
from pytorch_lightning.callbacks import RichProgressBar

from lightning_hash.commands.attack import run_attack
from lightning_hash.engine.callbacks import IterationProgress, TrainingProgress, training_progress
from lightning_hash.engine.callbacks import progress as progress_module
from lightning_hash.engine.trainer import HashTrainer
from tests.helpers.attacks import make


def run(tmp_path, data, iterations):
    trainer = HashTrainer(
        max_epochs=iterations, accelerator="cpu", logger=False, default_root_dir=tmp_path,
        enable_model_summary=False, enable_checkpointing=False, callbacks=[IterationProgress()],
    )  # fmt: skip
    module = make(evaluate_at=[])
    run_attack(trainer, module, data)
    return module


def test_without_a_terminal_a_line_at_every_tenth(tmp_path, blobs, capsys):
    module = run(tmp_path, blobs, 20)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("hag:")]
    assert [line.split(",")[0] for line in lines] == [
        f"hag: iteration {n}/20" for n in range(2, 21, 2)
    ]
    loss = torch.cat([module.tally.losses(number)[1] for number in range(3)]).mean()
    assert f"loss {loss:.4f}, Hamming" in lines[-1]


def test_on_a_terminal_values_are_read_four_times_a_second(tmp_path, blobs, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    clock = iter(x * 0.1 for x in range(10_000))
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: next(clock))
    reads = []
    values = IterationProgress._values

    def counted(self, module):
        reads.append(module.current_epoch)
        return values(self, module)

    monkeypatch.setattr(IterationProgress, "_values", counted)
    run(tmp_path, blobs, 30)
    assert 8 <= len(reads) <= 16  # a tick of 0.1 s or more per iteration, a read per 0.25 s
    assert reads[-1] == 29


def test_the_loss_of_a_training_is_read_four_times_a_second(monkeypatch):
    """A value that is logged for the bar would be read, and waited for, at every step."""
    clock = iter(x * 0.1 for x in range(100))
    monkeypatch.setattr(training_progress.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(RichProgressBar, "get_metrics", lambda *_: {"v_num": 3})
    bar, reads = TrainingProgress(), []

    class Loss:
        def __init__(self, value):
            self.value = value

        def __float__(self):
            reads.append(self.value)
            return self.value

    shown = [
        bar.get_metrics(SimpleNamespace(callback_metrics=metrics), None)
        for metrics in ({}, *({"train/loss": Loss(float(step))} for step in range(1, 7)))
    ]
    assert reads == [1.0, 4.0]  # at 0.1 and 0.4 s
    assert shown[0] == {"v_num": 3}
    losses = ["1.000"] * 3 + ["4.000"] * 3
    assert shown[1:] == [{"v_num": 3, "train/loss": loss} for loss in losses]
