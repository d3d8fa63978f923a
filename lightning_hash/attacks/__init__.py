"""Attacks on hash models: objectives, schedule, step rules, budget and targets."""

from lightning_hash.attacks.objectives import HAG, AnchorCode, Noise, Objective, ReferenceState
from lightning_hash.attacks.projection import (
    EpsilonSpace,
    parse_epsilon,
    project_,
    round_to_8bit,
)
from lightning_hash.attacks.schedule import AlphaSchedule
from lightning_hash.attacks.steps import NormalizedStep, SignStep
from lightning_hash.attacks.targets import TargetChoice, Targets, uniform_noise, write_targets

__all__ = [
    "HAG",
    "AlphaSchedule",
    "AnchorCode",
    "EpsilonSpace",
    "Noise",
    "NormalizedStep",
    "Objective",
    "ReferenceState",
    "SignStep",
    "TargetChoice",
    "Targets",
    "parse_epsilon",
    "project_",
    "round_to_8bit",
    "uniform_noise",
    "write_targets",
]
