"""The same on your images: python 02_own_images.py FOLDER, with a folder of images per class."""

import sys

from pytorch_lightning import seed_everything

from lightning_hash import AttackModule, HashModule, HashTrainer
from lightning_hash.commands.attack import run_attack
from lightning_hash.data import FolderDataModule
from lightning_hash.modules import OneCycle

seed_everything(0)
data = FolderDataModule(sys.argv[1], size=32)
model = HashModule("convnet", bits=32, lr_scheduler=OneCycle)
quiet = {"logger": False, "enable_checkpointing": False}
trainer = HashTrainer(max_epochs=5, check_val_every_n_epoch=5, num_sanity_val_steps=0, **quiet)
trainer.fit(model, datamodule=data)

scores = run_attack(HashTrainer(max_epochs=50, **quiet), AttackModule(model), data)
(row,) = (r for r in scores.rows if r["metric"] == "map" and r["attack"] and r["quantized"])
print(f"MAP after HAG: {row['value']:.4f}")
