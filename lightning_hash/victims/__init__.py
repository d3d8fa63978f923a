"""What is attacked: loaded, frozen, joined and put on kernels."""

from lightning_hash.victims.foreign import ForeignNetwork, load_foreign
from lightning_hash.victims.victim import Victim, freeze, load_victim

__all__ = ["ForeignNetwork", "Victim", "freeze", "load_foreign", "load_victim"]
