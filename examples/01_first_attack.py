"""Train a hash model on the demo's photographs and attack its queries with HAG."""

from pytorch_lightning import seed_everything

from lightning_hash import AttackModule, HashModule, HashTrainer
from lightning_hash.commands.attack import run_attack
from lightning_hash.data import SamplePhotos
from lightning_hash.modules import OneCycle

seed_everything(0)
data = SamplePhotos(size=32)
model = HashModule("convnet", bits=32, lr_scheduler=OneCycle)
quiet = {"logger": False, "enable_checkpointing": False}
trainer = HashTrainer(max_epochs=5, check_val_every_n_epoch=5, num_sanity_val_steps=0, **quiet)
trainer.fit(model, datamodule=data)
trainer.save_checkpoint("checkpoints/demo/best.ckpt")  # which 04 attacks

scores = run_attack(HashTrainer(max_epochs=50, **quiet), AttackModule(model, n_queries=50), data)
(row,) = (r for r in scores.rows if r["metric"] == "map" and r["attack"] and r["quantized"])
print(f"MAP after HAG: {row['value']:.4f}")
