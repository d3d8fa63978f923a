import pytest
import torch
from torch import nn

from lightning_hash.attacks import (
    HAG,
    AlphaSchedule,
    AnchorCode,
    LInf,
    PerQuery,
    Queries,
    Rule,
    Search,
    SignStep,
    iterate,
    query_generator,
)
from lightning_hash.attacks.attack import attack
from tests.conftest import TinyNet
from tests.reference.attacks import project


@pytest.fixture
def images():
    return torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(2))


def anchors():
    return torch.where(torch.randn(6, 8, generator=torch.Generator().manual_seed(4)) > 0, 1.0, -1.0)


@pytest.mark.parametrize("objective", [HAG(), AnchorCode()])
@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam, SignStep])
def test_the_loop_is_perturb_pass_compare_step_project(images, objective, make):
    victim = TinyNet().requires_grad_(requires_grad=False)
    delta = PerQuery(images, LInf("10/255"))
    if objective.reference.targeted:
        queries, reference = Queries.towards(images, anchors()), anchors()
    else:
        queries, reference = Queries.untargeted(images, victim(images)), victim(images)
    found = attack(
        victim, objective, delta, make(delta.parameters(), lr=0.01), queries, 8, AlphaSchedule()
    )
    x = nn.Parameter(torch.zeros_like(images))
    optimizer = make([x], lr=0.01)
    for iteration in range(8):
        optimizer.zero_grad()
        objective(victim(images + x), reference, AlphaSchedule()(iteration, 8)).sum().backward()
        optimizer.step()
        with torch.no_grad():
            x.copy_(project(x, images, 10 / 255))
    assert torch.equal(delta.delta, x)
    assert torch.equal(found, (images + x).detach().clamp(0, 1))
    assert x.abs().max() > 0.005
    assert queries.asked.tolist() == [8] * 6


def test_inside_a_training_step_the_models_own_gradients_stay(images):
    """Adversarial training: only the perturbation gets a gradient from the inner attack."""
    model = TinyNet()
    model(images).square().sum().backward()
    before = [p.grad.clone() for p in model.parameters()]
    delta = PerQuery(images, LInf("8/255"))
    queries = Queries.untargeted(images, model(images))
    attack(model, HAG(), delta, SignStep(delta.parameters(), lr=2 / 255), queries, 3)
    assert all(torch.equal(p.grad, g) for p, g in zip(model.parameters(), before, strict=True))
    assert all(p.requires_grad for p in model.parameters())
    assert delta.delta.detach().abs().max() == pytest.approx(6 / 255)


class AskTwice(Rule):
    """Asks about all, then about two rows; keeps what it was told."""

    def __init__(self, params):
        super().__init__(params, {})
        self.answers = []

    @torch.no_grad()
    def step(self, closure):
        with torch.enable_grad():
            self.answers.append(closure())
        self.answers.append(closure(torch.tensor([1, 4])))
        return self.answers[0]


def test_rows_that_are_not_asked_cost_nothing(images):
    passed = []
    victim = TinyNet().requires_grad_(requires_grad=False)

    def count(perturbed, rows):
        passed.append(len(perturbed))
        return victim(perturbed)

    delta = PerQuery(images, LInf("10/255"))
    queries, rule = Queries.untargeted(images, victim(images)), AskTwice(delta.parameters())
    answer = iterate(count, HAG(), delta, rule, queries, 1.0)
    assert passed == [6, 2]
    assert queries.asked.tolist() == [1, 2, 1, 1, 2, 1]
    everything, some = rule.answers
    assert answer is everything
    assert torch.equal(some.losses, everything.losses[[1, 4]])
    assert some.asked.tolist() == [2, 2]


def test_success_is_the_distance_that_is_to_grow_or_minus_the_one_that_is_to_shrink(images):
    logits = torch.tensor([[1.0, -1.0, 2.0], [1.0, 1.0, 1.0]])
    inputs = images[:2]
    away = Queries.untargeted(inputs, torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]))
    assert away.success(logits).tolist() == [1.0, 0.0]
    towards = Queries.towards(inputs, torch.tensor([[-1.0, -1.0, 1.0], [-1.0, -1.0, -1.0]]))
    assert towards.success(logits).tolist() == [-1.0, -3.0]
    assert towards.success(logits[1:], torch.tensor([0])).tolist() == [-2.0]
    zero = torch.zeros(2, 3)  # bits of -1
    assert away.success(zero).tolist() == [3.0, 3.0]
    assert towards.success(zero).tolist() == [-1.0, 0.0]
    assert away.success(zero).dtype == torch.float32
    assert Queries.untargeted(inputs, zero).success(logits).tolist() == [2.0, 3.0]


class Jump(Search):
    """Moves every query by its own draw."""

    def __init__(self, params):
        super().__init__(params, {})

    def search(self, closure):
        (delta,) = self.param_groups[0]["params"]
        draws = [
            torch.randn(delta.shape[1:], generator=query_generator(f"0/{int(query)}"))
            for query in self.queries.index
        ]
        delta.copy_(torch.stack(draws) * 0.01)
        return closure()


def test_a_search_gets_no_gradient_and_draws_by_query(images):
    victim = TinyNet()
    together = PerQuery(images, LInf("10/255"))
    queries = Queries.untargeted(images, victim(images))
    attack(victim, HAG(), together, Jump(together.parameters()), queries, 1)
    assert together.delta.grad is None
    alone = PerQuery(images[4:5], LInf("10/255"))
    single = Queries.untargeted(images[4:5], victim(images[4:5]))
    single.index = torch.tensor([4])
    attack(victim, HAG(), alone, Jump(alone.parameters()), single, 1)
    assert torch.equal(alone.delta[0], together.delta[4])


class Counting(Rule):
    def __init__(self, params):
        super().__init__(params, {})

    @torch.no_grad()
    def step(self, closure=None):
        for parameter in self.param_groups[0]["params"]:
            state = self.state[parameter]
            state["tries"] = state.get("tries", torch.zeros(len(parameter), dtype=torch.int64)) + 1
            state["done"] = torch.ones(len(parameter), dtype=torch.bool)
            state["best"] = torch.rand(len(parameter))


def test_counts_keep_their_type_when_a_state_is_loaded():
    parameter = nn.Parameter(torch.zeros(3, 2))
    rule = Counting([parameter])
    rule.step()
    loaded = Counting([nn.Parameter(torch.zeros(3, 2))])
    loaded.load_state_dict(rule.state_dict())
    (state,) = loaded.state.values()
    assert (state["tries"].dtype, state["done"].dtype) == (torch.int64, torch.bool)
    assert torch.equal(state["best"], rule.state[parameter]["best"])
