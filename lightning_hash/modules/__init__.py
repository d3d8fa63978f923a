"""LightningModules: the hash model and the attack."""

from lightning_hash.modules.attack_module import AttackModule
from lightning_hash.modules.encoder import Encoder
from lightning_hash.modules.hash_module import HashModule
from lightning_hash.modules.schedulers import OneCycle, StepDecay

__all__ = ["AttackModule", "Encoder", "HashModule", "OneCycle", "StepDecay"]
