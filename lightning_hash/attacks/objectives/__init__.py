"""What attacks minimise, one file per idea."""

from lightning_hash.attacks.objectives.anchor import AnchorCode
from lightning_hash.attacks.objectives.base import Objective
from lightning_hash.attacks.objectives.candidate import CandidateAttack
from lightning_hash.attacks.objectives.centers import SAAT, THA, CgAT
from lightning_hash.attacks.objectives.feature import FeatureShift, TargetFeatures
from lightning_hash.attacks.objectives.hag import HAG, HAGCode
from lightning_hash.attacks.objectives.hinge import Hinge
from lightning_hash.attacks.objectives.joint import JointObjective
from lightning_hash.attacks.objectives.noise import Noise
from lightning_hash.attacks.objectives.pta import PTA
from lightning_hash.attacks.objectives.sdha import SDHA
from lightning_hash.attacks.objectives.ss_tuaa import SSTUAA

__all__ = [
    "HAG",
    "PTA",
    "SAAT",
    "SDHA",
    "SSTUAA",
    "THA",
    "AnchorCode",
    "CandidateAttack",
    "CgAT",
    "FeatureShift",
    "HAGCode",
    "Hinge",
    "JointObjective",
    "Noise",
    "Objective",
    "TargetFeatures",
]
