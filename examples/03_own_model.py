"""Train and attack a network of your own, own_model.py beside this file."""

from pytorch_lightning import seed_everything

from lightning_hash import AttackModule, HashModule, HashTrainer
from lightning_hash.attacks import SignStep
from lightning_hash.commands.attack import run_attack
from lightning_hash.data import SamplePhotos
from lightning_hash.modules import OneCycle
from lightning_hash.utils.trust import trusting

seed_everything(0)
data = SamplePhotos(size=32)
with trusting():  # the network's code is imported
    model = HashModule(
        {"class_path": "own_model.OwnModel", "init_args": {"bits": 32}}, lr_scheduler=OneCycle
    )
quiet = {"logger": False, "enable_checkpointing": False}
trainer = HashTrainer(max_epochs=5, check_val_every_n_epoch=5, num_sanity_val_steps=0, **quiet)
trainer.fit(model, datamodule=data)

attack = AttackModule(model, step=lambda parameters: SignStep(parameters, 1 / 255), n_queries=50)
scores = run_attack(HashTrainer(max_epochs=50, **quiet), attack, data)
(row,) = (r for r in scores.rows if r["metric"] == "map" and r["attack"] and r["quantized"])
print(f"MAP after HAG: {row['value']:.4f}")
