"""Attacks on hash models: the idea (attack.py) and its parts; no Trainer, no files."""

from lightning_hash.attacks.apgd import APGD
from lightning_hash.attacks.asking_queries import AskingQueries
from lightning_hash.attacks.attack import Answer, iterate
from lightning_hash.attacks.box import Box
from lightning_hash.attacks.budget import Budget, EpsilonSpace, LInf, parse_epsilon
from lightning_hash.attacks.draws import query_generator
from lightning_hash.attacks.inputs import DiverseInputs
from lightning_hash.attacks.item_codes import LabelItems, RankedItems
from lightning_hash.attacks.known_hashes import KnownHashes
from lightning_hash.attacks.l2 import L2
from lightning_hash.attacks.objectives import (
    HAG,
    PTA,
    SAAT,
    SDHA,
    SSTUAA,
    THA,
    AnchorCode,
    CandidateAttack,
    CgAT,
    FeatureShift,
    HAGCode,
    Hinge,
    JointObjective,
    Noise,
    Objective,
    TargetFeatures,
)
from lightning_hash.attacks.oracle import Oracle
from lightning_hash.attacks.perturbations import (
    ChosenFrames,
    Patch,
    PerQuery,
    Perturbation,
    Universal,
)
from lightning_hash.attacks.prototypes import PrototypeCodes
from lightning_hash.attacks.queries import Queries
from lightning_hash.attacks.references import (
    AnchorCodes,
    AnchorFeatures,
    CenterCodes,
    CleanFeatures,
    CleanLogits,
    Known,
    MainstayCodes,
    MajorityCodes,
    Reference,
)
from lightning_hash.attacks.rules import Rule, Search
from lightning_hash.attacks.schedule import AlphaSchedule, RateDecay
from lightning_hash.attacks.searches import NES, SignHunter, Square
from lightning_hash.attacks.start import RunStart, Start, SurrogateStart
from lightning_hash.attacks.steps import (
    AccumulatedSignStep,
    MomentumSignStep,
    NesterovSignStep,
    NormalizedStep,
    SignStep,
    Step,
)
from lightning_hash.attacks.targets import TargetChoice, Targets, write_targets

__all__ = [
    "APGD",
    "HAG",
    "L2",
    "NES",
    "PTA",
    "SAAT",
    "SDHA",
    "SSTUAA",
    "THA",
    "AccumulatedSignStep",
    "AlphaSchedule",
    "AnchorCode",
    "AnchorCodes",
    "AnchorFeatures",
    "Answer",
    "AskingQueries",
    "Box",
    "Budget",
    "CandidateAttack",
    "CenterCodes",
    "CgAT",
    "ChosenFrames",
    "CleanFeatures",
    "CleanLogits",
    "DiverseInputs",
    "EpsilonSpace",
    "FeatureShift",
    "HAGCode",
    "Hinge",
    "JointObjective",
    "Known",
    "KnownHashes",
    "LInf",
    "LabelItems",
    "MainstayCodes",
    "MajorityCodes",
    "MomentumSignStep",
    "NesterovSignStep",
    "Noise",
    "NormalizedStep",
    "Objective",
    "Oracle",
    "Patch",
    "PerQuery",
    "Perturbation",
    "PrototypeCodes",
    "Queries",
    "RankedItems",
    "RateDecay",
    "Reference",
    "Rule",
    "RunStart",
    "Search",
    "SignHunter",
    "SignStep",
    "Square",
    "Start",
    "Step",
    "SurrogateStart",
    "TargetChoice",
    "TargetFeatures",
    "Targets",
    "Universal",
    "iterate",
    "parse_epsilon",
    "query_generator",
    "write_targets",
]
