"""LightningModules: the hash model and the attack."""

from lightning_hash.modules.attack_module import AttackModule
from lightning_hash.modules.encoder import Encoder
from lightning_hash.modules.hash_module import HashModule
from lightning_hash.modules.schedulers import ExponentialDecay, OneCycle, StepDecay

__all__ = ["AttackModule", "Encoder", "ExponentialDecay", "HashModule", "OneCycle", "StepDecay"]
