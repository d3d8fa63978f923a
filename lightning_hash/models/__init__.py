"""Hash models: [0, 1] in, logits H(x) out."""

from lightning_hash.models.backbones import BACKBONES, build_model
from lightning_hash.models.foreign import ForeignNetwork, load_foreign
from lightning_hash.models.network import HashNetwork
from lightning_hash.models.victim import Victim, freeze, load_victim
from lightning_hash.models.video import VideoNetwork

__all__ = [
    "BACKBONES",
    "ForeignNetwork",
    "HashNetwork",
    "Victim",
    "VideoNetwork",
    "build_model",
    "freeze",
    "load_foreign",
    "load_victim",
]
