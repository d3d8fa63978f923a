"""The edges of what options may be, and what the parts are without options."""

import importlib
import inspect
import pkgutil
from functools import partial

import pytest
import torch
from torch import nn

import lightning_hash
from lightning_hash.attacks import (
    APGD,
    HAG,
    NES,
    PTA,
    SSTUAA,
    THA,
    AlphaSchedule,
    AskingQueries,
    Box,
    ChosenFrames,
    DiverseInputs,
    Hinge,
    LInf,
    Oracle,
    Patch,
    RateDecay,
    Square,
    SurrogateStart,
    TargetChoice,
)
from lightning_hash.attacks.reached import Reached
from lightning_hash.attacks.references import Known
from lightning_hash.functional.checks import check_pair
from lightning_hash.losses import HashNetLoss
from lightning_hash.metrics import QueryMetric


def parameters():
    return [nn.Parameter(torch.zeros(1, 3, 4, 4))]


def frames(**options):
    return ChosenFrames(torch.rand(1, 3, 3, 4, 4), LInf(0.1), **options)


def patch(**options):
    return Patch(torch.rand(1, 3, 4, 6), Box(), **options)


@pytest.mark.parametrize(
    ("part", "inside", "outside"),
    [
        (APGD, {"step": 0.01}, {"step": 0.0}),
        (APGD, {"momentum": 1.0}, {"momentum": 0.0}),
        (APGD, {"momentum": 0.01}, {"momentum": 1.01}),
        (APGD, {"rho": 0.0}, {"rho": -0.01}),
        (APGD, {"rho": 1.0}, {"rho": 1.01}),
        (NES, {"momentum": 0.0}, {"momentum": 1.0}),
        (NES, {"momentum": 0.99}, {"momentum": -0.01}),
        (NES, {"pairs": 1, "sigma": 0.01, "lr": 0.01}, {"pairs": 0}),
        (NES, {}, {"sigma": 0.0}),
        (NES, {}, {"lr": 0.0}),
        (Square, {"share": 1.0}, {"share": 1.01}),
        (Square, {"share": 0.01}, {"share": 0.0}),
    ],
)
def test_edges_of_rules(part, inside, outside):
    part(parameters(), **inside)
    (name,) = outside
    with pytest.raises(ValueError, match=f"{name} must be"):
        part(parameters(), **outside)


@pytest.mark.parametrize(
    ("part", "inside", "outside"),
    [
        (AlphaSchedule, {"values": [1.0], "starts": [0.0]}, {"values": [1.0, 1.1]}),
        (AlphaSchedule, {"values": [0.1, 1], "starts": [0, 0.99]}, {"values": [0, 1]}),
        (AskingQueries, {"queries": 1, "seed": 0}, {"queries": 0}),
        (AskingQueries, {}, {"seed": -1}),
        (DiverseInputs, {"probability": 0.0, "smallest": 0.01}, {"probability": -0.01}),
        (DiverseInputs, {"probability": 1.0, "smallest": 1.0}, {"probability": 1.01}),
        (DiverseInputs, {}, {"smallest": 0.0}),
        (DiverseInputs, {}, {"smallest": 1.01}),
        (Hinge, {"margin": 0.01}, {"margin": 0.0}),
        (Oracle, {"top": 1}, {"top": 0}),
        (SSTUAA, {"margin": 0.0, "weight": 0.0}, {"margin": -0.01}),
        (SSTUAA, {"margin": 1.99}, {"margin": 2.0}),
        (TargetChoice, {"n_t": 1, "seed": 0}, {"n_t": 0}),
        (TargetChoice, {"label": 0}, {"label": -1}),
        (TargetChoice, {}, {"seed": -1}),
        (patch, {"side": 4, "top": 0, "left": 2}, {"side": 5}),
        (patch, {"side": 1}, {"side": 0}),
        (
            partial(Patch, torch.rand(1, 3, 4, 4), Box()),
            {"area": 1.0, "top": 0, "left": 0},
            {"area": 1.01},
        ),
        (frames, {"count": 3}, {"count": 4}),
        (frames, {"count": 1}, {"count": 0}),
        (HAG, {"threshold": 0.0}, {"threshold": -0.01}),
        (HAG, {"threshold": 1.0}, {"threshold": 1.01}),
        (LInf, {"epsilon": 1.0}, {"epsilon": 1.01}),
        (LInf, {"epsilon": 0.001}, {"epsilon": 0.0}),
        (partial(LInf, space="normalized"), {"epsilon": 3.0}, {"epsilon": float("inf")}),
        (HashNetLoss, {"stages": 1}, {"stages": 0}),
        (PTA, {"positives": 1, "negatives": 1, "seed": 0}, {"positives": 0}),
        (PTA, {"temperature": 0.01}, {"negatives": 0}),
        (PTA, {}, {"seed": -1}),
        (SurrogateStart, {"iterations": 1}, {"iterations": 0}),
        (THA, {"steps": 1, "seed": 0}, {"steps": 0}),
        (THA, {}, {"seed": -1}),
        (RateDecay, {"decay": 0.0}, {"decay": -0.01}),
    ],
)
def test_edges_of_parts(part, inside, outside):
    part(**inside)
    (name,) = outside
    starts = {"starts": [0.0, 0.5]} if part is AlphaSchedule else {}
    with pytest.raises(ValueError, match=rf"{name}.* must|(larger|must|of) .*{name}"):
        part(**outside, **starts)


def test_edges_of_a_database():
    oracle = Oracle("ids", top=5)
    oracle.open(torch.ones(5, 3), torch.device("cpu"))
    with pytest.raises(ValueError, match="first 5 items need a database of as many, it has 4"):
        oracle.open(torch.ones(4, 3), torch.device("cpu"))


def test_the_query_codes_and_the_database_codes_are_looked_at():
    right, wrong = torch.ones(2, 3), torch.tensor([[1.0, 0.0, 1.0]])
    check_pair(right, right)
    for name, pair in (("query_codes", (wrong, right)), ("database_codes", (right, wrong))):
        with pytest.raises(ValueError, match=f"^{name} must"):
            check_pair(*pair)


def test_what_is_as_good_is_not_better():
    success, losses = torch.tensor([1.0, 1.0, 1.0, 2.0, 0.0]), torch.tensor([3.0, 2, 4, 9, 0])
    found, other = Reached(success, losses), Reached(torch.ones(5), torch.full((5,), 3.0))
    assert found.is_better_than(other).tolist() == [False, True, False, True, False]


def test_voters_are_an_open_set_where_both_are_known():
    codes, labels, others = torch.ones(2, 3), torch.eye(2), torch.eye(2)
    for voters, database, opened in (
        (None, None, False),
        ((codes, labels), None, False),
        (None, (codes, labels), False),
        ((codes, labels), (codes, labels), False),
        ((codes, others), (codes, labels), True),
    ):
        known = Known(clean_logits=codes, labels=labels, voters=voters, database=database)
        assert known.opened is opened


def test_a_query_alone_draws_what_it_draws_among_others():
    shape = torch.Size((3, 4, 4))
    among = LInf("8/255").draw(shape, torch.tensor([5, 9]), 3)
    assert torch.equal(LInf("8/255").draw(shape, torch.tensor([9]), 3), among[1:])
    assert LInf("8/255").draw(shape, torch.tensor([], dtype=torch.int64), 3).shape == (0, *shape)


LR = 1 / 255
DEFAULTS = {
    "functional.circle.circle_loss": {"gamma": 1.0},
    "functional.options.RankingOptions": {"top_k": 1000, "precision_n": 100},
    "losses.csq.CSQLoss": {"quantization_weight": 0.05, "seed": 0},
    "losses.dch.DCHLoss": {"gamma": 20.0, "quantization_weight": 0.1},
    "losses.deep_video.DeepVideoLoss": {"rho": 1.0, "balance": 1e-4},
    "losses.dpsh.DPSHLoss": {"eta": 10.0},
    "losses.bihalf.BiHalfLoss": {"gamma": 6.0},
    "losses.dpn.DPNLoss": {"margin": 1.0, "seed": 0},
    "losses.dsdh.DSDHLoss": {"mu": 1.0, "nu": 0.1, "eta": 55.0},
    "losses.dsh.DSHLoss": {"penalty_weight": 0.01},
    "losses.dtsh.DTSHLoss": {"quantization_weight": 1 / 225},
    "losses.hyp2.HyP2Loss": {"beta": 0.5},
    "losses.idhn.IDHNLoss": {"beta": 5.0, "gamma": 0.1, "quantization_weight": 0.1},
    "losses.orthohash.OrthoHashLoss": {"scale": 8.0, "margin": 0.2, "seed": 0},
    "losses.separated_centers.separated_centers": {"seed": 0},
    "losses.greedyhash.GreedyHashLoss": {"penalty_weight": 0.1},
    "losses.hash_centers.hash_centers": {"seed": 0},
    "losses.hashnet.HashNetLoss": {"stages": 50},
    "metrics.candidates.InTopK": {"k": 100},
    "metrics.hamming.HammingPrecision": {"n": 100},
    "attacks.apgd.APGD": {"step": 2.0, "momentum": 0.75, "rho": 0.75},
    "attacks.around.Unfinished": {"as_left": False},
    "attacks.asking_queries.AskingQueries": {"targeted": True, "queries": 10, "seed": 0},
    "attacks.box.Box": {"epsilon": 1.0},
    "attacks.budget.parse_epsilon": {"largest": 1.0},
    "attacks.combine.Perturbations": {"iteration": 0},
    "attacks.inputs.DiverseInputs": {"probability": 0.5, "smallest": 0.9, "seed": 0},
    "attacks.item_codes.LabelItems": {"targeted": False},
    "attacks.item_codes.RankedItems": {"positives": 75, "negatives": 300, "seed": 0},
    "attacks.known_hashes.KnownHashes": {"seed": 0},
    "attacks.objectives.candidate.CandidateAttack": {"targeted": True, "queries": 10, "seed": 0},
    "attacks.objectives.centers.CgAT": {"targeted": False},
    "attacks.objectives.centers.SAAT": {"targeted": False},
    "attacks.objectives.centers.THA": {"steps": 30_000, "seed": 0},
    "attacks.objectives.hag.HAG": {"threshold": 0.5},
    "attacks.objectives.hag.HAGCode": {"threshold": 0.5, "beta": 1.0},
    "attacks.objectives.hinge.Hinge": {"margin": 0.5, "targeted": False},
    "attacks.objectives.pta.PTA": {
        "positives": 75, "negatives": 300, "temperature": 0.1, "seed": 0,
    },
    "attacks.objectives.sdha.SDHA": {"targeted": False},
    "attacks.objectives.ss_tuaa.SSTUAA": {"margin": 0.3, "weight": 1.0},
    "attacks.oracle.Oracle": {"top": 100},
    "attacks.perturbations.patch.Patch": {"area": 0.05, "seed": 0},
    "attacks.perturbations.per_query.ChosenFrames": {"count": 1},
    "attacks.prototypes.PrototypeCodes": {"steps": 30_000, "seed": 0},
    "attacks.queries.Queries": {"targeted": False},
    "attacks.recipe.Recipe": {"iterations": 0},
    "attacks.references.OfLabel": {"targeted": False},
    "attacks.references.LabelCodes": {"targeted": False},
    "attacks.references.CenterCodes": {"targeted": False},
    "attacks.references.MajorityCodes": {"targeted": False},
    "attacks.references.MainstayCodes": {"targeted": False},
    "attacks.schedule.RateDecay": {"decay": 0.01},
    "attacks.searches.nes.NES": {
        "lr": 1e-3, "pairs": 10, "sigma": 0.01, "momentum": 0.5, "seed": 0,
    },
    "attacks.searches.square.Square": {"share": 0.8, "seed": 0},
    "attacks.start.SurrogateStart": {"iterations": 100},
    "attacks.steps.SignStep": {"lr": LR},
    "attacks.steps.MomentumSignStep": {"lr": LR, "momentum": 1.0},
    "attacks.steps.NesterovSignStep": {"lr": LR, "momentum": 1.0},
    "attacks.steps.AccumulatedSignStep": {"lr": LR},
    "attacks.steps.NormalizedStep": {"lr": 1.0, "reference_size": 224 * 224 * 3},
    "attacks.targets.TargetChoice": {"n_t": 9, "seed": 0, "own_anchors": False},
}  # fmt: skip


def test_what_parts_are_without_options():
    """Another number here is another attack for everybody who gave none."""
    found = {}
    for package in ("functional", "losses", "metrics", "attacks"):
        place = importlib.import_module(f"lightning_hash.{package}")
        for info in pkgutil.walk_packages(place.__path__, f"{place.__name__}."):
            module = importlib.import_module(info.name)
            for name, part in vars(module).items():
                own = getattr(part, "__module__", None) == info.name and not name.startswith("_")
                if not own or not callable(part):
                    continue
                values = {
                    each.name: each.default
                    for each in inspect.signature(part).parameters.values()
                    if isinstance(each.default, bool | int | float)
                }
                if values:
                    inner = info.name.removeprefix(f"{lightning_hash.__name__}.")
                    found[f"{inner}.{name}"] = values
    assert found == DEFAULTS


CONSTANTS = {
    "functional.circle.NONE": -1e4,
    "losses.dch.NEAREST": 1e-3,
    "losses.hash_centers.DRAWS": 10_000,
    "losses.hash_centers.HOPELESS": 40,
    "attacks.apgd.FIRST": 0.22,  # and the next two: Croce and Hein, ICML 2020, Section 3
    "attacks.apgd.SHORTER": 0.03,
    "attacks.apgd.SHORTEST": 0.06,
    "attacks.asking_queries.NEAREST": 0.01,  # robrank
    "attacks.objectives.centers.PAST": 0.5,  # SAAT
    "attacks.objectives.pta.LARGEST": 50.0,  # PTA
    "attacks.objectives.sdha.SURROGATE": 25.0,  # SDHA, as SAAT has it, and the next
    "attacks.objectives.sdha.TINY": 1e-8,
    "attacks.oracle.POWERS": 16,  # QAIR
    "attacks.prototypes.WIDTHS": (4096, 512),  # THA, and the next four
    "attacks.prototypes.BATCH": 32,
    "attacks.prototypes.RATE": 1e-4,
    "attacks.prototypes.BETAS": (0.5, 0.999),
    "attacks.prototypes.QUANTIZATION": 1e-4,
    "attacks.searches.square.HALVED_AFTER": (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000),
    "attacks.steps.HAG_ITERATIONS": 2000,  # HAG, Section IV-C, and the next
    "attacks.steps.HAG_RATE": 500 / 65025,
    "attacks.steps.REFERENCE_SIZE": 150_528,
}


@pytest.mark.parametrize(("name", "value"), CONSTANTS.items())
def test_constants_of_papers_and_public_codes(name, value):
    place, _, constant = name.rpartition(".")
    assert getattr(importlib.import_module(f"lightning_hash.{place}"), constant) == value


def test_what_torchmetrics_may_take_for_granted():
    assert not QueryMetric.full_state_update
    assert not QueryMetric.is_differentiable
