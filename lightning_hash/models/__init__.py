"""Hash models: [0, 1] in, logits H(x) out."""

from lightning_hash.models.backbones import BACKBONES, build_model
from lightning_hash.models.batch_norm import BatchNormNetwork
from lightning_hash.models.closed_form import ITQ, LSH, PCA, ClosedForm
from lightning_hash.models.network import HashNetwork
from lightning_hash.models.video import VideoNetwork

__all__ = [
    "BACKBONES",
    "ITQ",
    "LSH",
    "PCA",
    "BatchNormNetwork",
    "ClosedForm",
    "HashNetwork",
    "VideoNetwork",
    "build_model",
]
