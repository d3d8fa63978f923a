import sys

import torch

from lightning_hash.commands.attack import run_attack
from lightning_hash.engine.callbacks import IterationProgress
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
