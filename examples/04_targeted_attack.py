"""DHTA: each query gets a target label, and what it retrieves becomes the target's.

Attacks the victim of 01.
"""

from lightning_hash import AttackModule, HashTrainer
from lightning_hash.attacks import AnchorCode, SignStep
from lightning_hash.commands.attack import run_attack
from lightning_hash.data import SamplePhotos

attack = AttackModule(
    "checkpoints/demo/best.ckpt",
    AnchorCode(),
    step=lambda parameters: SignStep(parameters, 1 / 255),
    epsilon=0.032,
    n_queries=50,
)
trainer = HashTrainer(max_epochs=50, logger=False, enable_checkpointing=False)
scores = run_attack(trainer, attack, SamplePhotos(size=32))
(row,) = (r for r in scores.rows if r["metric"] == "t_map" and r["attack"] and r["quantized"])
print(f"t-MAP after DHTA: {row['value']:.4f}")
