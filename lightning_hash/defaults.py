"""What the command line takes where the user says nothing."""

from typing import Any

from lightning_hash.modules.attack_module import DEFAULT_VICTIM

# Filled in after parsing: as the parser's defaults, their options would pass over to whichever
# optimizer the user names (AdamW's weight decay to SGD).
OPTIMIZERS: dict[str, tuple[str, str, dict[str, float]]] = {
    "fit": ("optimizer", "torch.optim.AdamW", {"lr": 3e-3}),
    "attack": ("step", "torch.optim.SGD", {"lr": 500 / 255**2, "momentum": 0.9}),
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "fit": {
        "trainer.max_epochs": 40,
        "trainer.num_sanity_val_steps": 0,
        "trainer.check_val_every_n_epoch": 5,
        "trainer.log_every_n_steps": 10,
        "model.loss": {"class_path": "lightning_hash.losses.PairwiseLoss"},
        "model.lr_scheduler": {"class_path": "lightning_hash.modules.OneCycle"},
        "weights_only": True,
    },
    "test": {"ckpt_path": DEFAULT_VICTIM, "weights_only": True},
    "attack": {
        "trainer.max_epochs": 100,
        "trainer.log_every_n_steps": 10,
        "trainer.devices": 1,
        "trainer.enable_model_summary": False,
        "model.objective": {"class_path": "lightning_hash.attacks.HAG"},
        "model.alpha": {"class_path": "lightning_hash.attacks.AlphaSchedule"},
        "model.targets": {"class_path": "lightning_hash.attacks.TargetChoice"},
    },
}
