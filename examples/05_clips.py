"""Train a hash model of clips and attack all frames of each query with DHTA.

The model is a network for each frame and an LSTM over them.
"""

from pytorch_lightning import seed_everything
from torch.optim import AdamW

from lightning_hash import AttackModule, HashModule, HashTrainer
from lightning_hash.attacks import AlphaSchedule, AnchorCode, SignStep
from lightning_hash.commands.attack import run_attack
from lightning_hash.data import SampleClips
from lightning_hash.functional import RankingOptions
from lightning_hash.losses import DeepVideoLoss
from lightning_hash.modules import OneCycle

seed_everything(0)
data, ranking = SampleClips(n_train=400), RankingOptions(top_k=None)
model = HashModule(
    {
        "class_path": "lightning_hash.models.VideoNetwork",
        "init_args": {"frames": "convnet", "hidden": 128, "train_frames": True},
    },
    bits=32,
    loss=DeepVideoLoss(),
    optimizer=lambda parameters: AdamW(parameters, lr=0.0015),
    lr_scheduler=OneCycle,
    ranking=ranking,
)
quiet = {"logger": False, "enable_checkpointing": False}
trainer = HashTrainer(max_epochs=5, check_val_every_n_epoch=5, num_sanity_val_steps=0, **quiet)
trainer.fit(model, datamodule=data)

attack = AttackModule(
    model,
    AnchorCode(),
    step=lambda parameters: SignStep(parameters, 1 / 255),
    alpha=AlphaSchedule([0.1], [0.0]),
    epsilon=0.032,
    n_queries=20,
    ranking=ranking,
)
scores = run_attack(HashTrainer(max_epochs=20, **quiet), attack, data)
(row,) = (r for r in scores.rows if r["metric"] == "t_map" and r["attack"] and r["quantized"])
print(f"t-MAP after DHTA: {row['value']:.4f}")
