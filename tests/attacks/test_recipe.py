"""Parts of an attack that go together, and what is refused."""

import pytest
import torch

from lightning_hash.attacks import (
    APGD,
    HAG,
    AlphaSchedule,
    AnchorCode,
    CgAT,
    ChosenFrames,
    DiverseInputs,
    LInf,
    MomentumSignStep,
    NesterovSignStep,
    Noise,
    PerQuery,
    Queries,
    RateDecay,
    Search,
    SignStep,
    TargetChoice,
)
from lightning_hash.attacks.recipe import Recipe
from tests.helpers.one_for_all import OneForAll


def recipe(**changes):
    objective = changes.get("objective", HAG())
    defaults = {
        "objective": objective, "reference": objective.reference, "step": SignStep,
        "perturbation": PerQuery, "budget": LInf(0.1), "alpha": AlphaSchedule(), "inputs": None,
        "start_seed": None, "stop_finished": False, "targets": TargetChoice(), "seed": 0,
    }  # fmt: skip
    return Recipe(**{**defaults, **changes})


def started(**changes):
    images = torch.full((2, 3, 4, 4), 0.5)
    made = recipe(**changes).start(Queries.untargeted(images, torch.ones(2, 4)))
    return made.delta.detach()


def test_only_the_step_that_looks_ahead_asks_elsewhere():
    assert NesterovSignStep.looks_ahead
    assert not MomentumSignStep.looks_ahead
    assert not SignStep.looks_ahead


def test_finished_queries_are_those_of_the_place_itself():
    message = "the victim sees others with {}; leave one of them out"
    with pytest.raises(ValueError, match=message.format("NesterovSignStep")):
        recipe(stop_finished=True, step=NesterovSignStep).check()
    with pytest.raises(ValueError, match=message.format("inputs")):
        recipe(stop_finished=True, inputs=DiverseInputs()).check()
    recipe(stop_finished=True, step=MomentumSignStep).check()
    recipe(step=NesterovSignStep, inputs=DiverseInputs()).check()


def test_an_attack_begins_at_the_query_unless_a_start_is_asked_for():
    assert started().abs().max() == 0
    first, second = started(start_seed=0), started(start_seed=1)
    assert (first != second).all()
    assert torch.equal(first, LInf(0.1).draw(torch.Size([3, 4, 4]), torch.arange(2), 0))
    noise = started(objective=Noise(), seed=3)
    assert torch.equal(noise, LInf(0.1).draw(torch.Size([3, 4, 4]), torch.arange(2), 3))


def test_names():
    assert recipe().name == "hag"
    assert recipe(objective=AnchorCode(), targets=TargetChoice(n_t=1)).name == "p2p"
    assert recipe(objective=AnchorCode(), targets=TargetChoice(n_t=2)).name == "dhta"
    assert recipe(objective=CgAT(targeted=True), targets=TargetChoice(n_t=1)).name == (
        "cgat-targeted"
    )
    assert recipe(name="mine").name == "mine"


def test_the_default_step_is_the_papers_way_for_the_length():
    for iterations, rate in ((2000, 500 / 255**2), (100, 10_000 / 255**2), (0, 1e6 / 255**2)):
        made = recipe(step=None)
        made.iterations = iterations
        rule = made.rule([torch.zeros(1, 1)])
        assert rule.defaults["lr"] == pytest.approx(rate)
        assert rule.defaults["momentum"] == 0.9


def test_settings_say_where_it_began_and_how_long_it_is():
    made = recipe(start_seed=4, stop_finished=True)
    made.iterations = 7
    said = made.settings(PerQuery(torch.zeros(1, 3, 2, 2), LInf(0.1)), more=1)
    assert (said["start_seed"], said["iterations"], said["more"]) == (4, 7, 1)
    assert (said["stop_finished"], said["seed"], said["name"]) == (True, 0, "hag")
    assert said["step"]["lr"] == 1 / 255
    noise = recipe(objective=Noise()).settings(PerQuery(torch.zeros(1, 3, 2, 2), LInf(0.1)))
    assert (noise["step"], noise["alpha"]) == (None, None)


class Nothing(Search):
    """Asks and changes nothing."""

    def __init__(self, params):
        super().__init__(params, {})

    def search(self, closure):
        return closure()


def test_what_a_shared_perturbation_cannot_do():
    assert started(perturbation=OneForAll).shape == (1, 3, 4, 4)
    assert started(stop_finished=True).shape == (2, 3, 4, 4)
    with pytest.raises(ValueError, match="stop_finished: OneForAll is shared by all queries"):
        started(perturbation=OneForAll, stop_finished=True)
    with pytest.raises(ValueError, match="step: Nothing asks about queries one by one"):
        started(perturbation=OneForAll, step=Nothing)
    assert started(step=Nothing).shape == (2, 3, 4, 4)
    with pytest.raises(ValueError, match="stop_finished: Nothing is a search"):
        recipe(step=Nothing, stop_finished=True).check()
    recipe(step=Nothing).check()


def test_what_has_no_gradient_chooses_no_frames():
    clips = torch.rand(2, 3, 3, 4, 4)
    queries = Queries.untargeted(clips, torch.ones(2, 4))
    assert recipe(perturbation=ChosenFrames).start(queries).count == 1
    with pytest.raises(ValueError, match="chooses frames by their gradient, and objective noise"):
        recipe(perturbation=ChosenFrames, objective=Noise()).start(queries)


def test_lbfgs_is_for_one_loss():
    with pytest.raises(ValueError, match="step: LBFGS needs one loss for all queries"):
        recipe(step=torch.optim.LBFGS).check()


def test_a_rate_falls_where_the_step_has_one():
    recipe(rate=RateDecay()).check()  # SignStep has
    with pytest.raises(ValueError, match="rate: APGD has no rate lr that could decay"):
        recipe(rate=RateDecay(), step=APGD).check()
