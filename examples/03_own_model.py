"""Attack a network of your own, own_model.py beside this file."""

from own_model import load

from lightning_hash import AttackModule, HashTrainer
from lightning_hash.commands.attack import run_attack
from lightning_hash.data import SamplePhotos

trainer = HashTrainer(max_epochs=50, logger=False, enable_checkpointing=False)
scores = run_attack(trainer, AttackModule(load(), n_queries=50), SamplePhotos(size=32))
(row,) = (r for r in scores.rows if r["metric"] == "map" and r["attack"] and r["quantized"])
print(f"MAP after HAG: {row['value']:.4f}")
