"""What is optimised: a perturbation for each query, or one for all."""

from lightning_hash.attacks.perturbations.base import Perturbation
from lightning_hash.attacks.perturbations.patch import Patch
from lightning_hash.attacks.perturbations.per_query import ChosenFrames, Given, PerQuery
from lightning_hash.attacks.perturbations.universal import Universal

__all__ = ["ChosenFrames", "Given", "Patch", "PerQuery", "Perturbation", "Universal"]
