"""Attacks on hash models: objectives, schedule, step rules, budget and targets."""

from lightning_hash.attacks.inputs import DiverseInputs
from lightning_hash.attacks.objectives import (
    HAG,
    SAAT,
    AnchorCode,
    CgAT,
    HAGCode,
    JointObjective,
    Noise,
    Objective,
    ReferenceState,
    TargetFeatures,
)
from lightning_hash.attacks.projection import (
    EpsilonSpace,
    parse_epsilon,
    project_,
    round_to_8bit,
)
from lightning_hash.attacks.schedule import AlphaSchedule
from lightning_hash.attacks.steps import (
    MomentumSignStep,
    NesterovSignStep,
    NormalizedStep,
    SignStep,
)
from lightning_hash.attacks.targets import TargetChoice, Targets, uniform_noise, write_targets

__all__ = [
    "HAG",
    "SAAT",
    "AlphaSchedule",
    "AnchorCode",
    "CgAT",
    "DiverseInputs",
    "EpsilonSpace",
    "HAGCode",
    "JointObjective",
    "MomentumSignStep",
    "NesterovSignStep",
    "Noise",
    "NormalizedStep",
    "Objective",
    "ReferenceState",
    "SignStep",
    "TargetChoice",
    "TargetFeatures",
    "Targets",
    "parse_epsilon",
    "project_",
    "round_to_8bit",
    "uniform_noise",
    "write_targets",
]
