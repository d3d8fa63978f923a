"""What is attacked: loaded, frozen, joined and put on kernels."""

from lightning_hash.victims.borrow import borrowed
from lightning_hash.victims.foreign import ForeignNetwork, load_foreign
from lightning_hash.victims.functions import CodeFunction
from lightning_hash.victims.kernels import Kernels
from lightning_hash.victims.onnx_network import OnnxNetwork, load_onnx
from lightning_hash.victims.resolve import as_victim
from lightning_hash.victims.victim import Victim, load_victim

__all__ = [
    "CodeFunction",
    "ForeignNetwork",
    "Kernels",
    "OnnxNetwork",
    "Victim",
    "as_victim",
    "borrowed",
    "load_foreign",
    "load_onnx",
    "load_victim",
]
