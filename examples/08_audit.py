"""Audit a hash model: the short suite of attacks, the worst case of each query, and the card."""

from pytorch_lightning import seed_everything

import lightning_hash
from lightning_hash import HashModule, HashTrainer
from lightning_hash.data import SamplePhotos
from lightning_hash.modules import OneCycle

seed_everything(0)
data = SamplePhotos(size=32)
model = HashModule("convnet", bits=32, lr_scheduler=OneCycle)
trainer = HashTrainer(
    max_epochs=5, check_val_every_n_epoch=5, num_sanity_val_steps=0, logger=False,
    enable_checkpointing=False,
)  # fmt: skip
trainer.fit(model, datamodule=data)

card = lightning_hash.audit(model, data, quick=True)
print(card.sentence)
print("failed checks:", *card.warnings)
print(card.save("card"))
print(f"worst-case MAP: {card.worst_map:.4f}")
