"""Search for images that PDQ, a hash of perceptual.py, no longer takes for the same."""

from pathlib import Path

from perceptual import pdq, photographs

from lightning_hash import AttackModule, HashTrainer
from lightning_hash.attacks import Hinge, Oracle, Square
from lightning_hash.commands.attack import run_attack
from lightning_hash.data import FolderDataModule
from lightning_hash.metrics import SSIM
from lightning_hash.victims import CodeFunction

photographs(Path("photographs"))
attack = AttackModule(
    CodeFunction(pdq), objective=Hinge(), step=Square, oracle=Oracle("codes"), stop_at=32,
    epsilon=16 / 255, metrics=[SSIM()],
)  # fmt: skip
trainer = HashTrainer(max_epochs=200, logger=False, enable_checkpointing=False)
scores = run_attack(trainer, attack, FolderDataModule("photographs", size=512))
(row,) = (r for r in scores.rows if r["metric"] == "ssim" and r["quantized"])
print(
    f"{row['n_finished']} of {row['n']} evaded, {row['queries_finished'] or 0:.0f} questions each"
)
print(f"SSIM: {row['value']:.4f}")
