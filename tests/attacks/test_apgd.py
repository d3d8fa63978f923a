import pytest
import torch
from torch import nn

from lightning_hash.attacks import (
    APGD,
    HAG,
    L2,
    AnchorCode,
    Answer,
    Hinge,
    LInf,
    PerQuery,
    Queries,
)
from lightning_hash.attacks.apgd import looks
from lightning_hash.attacks.attack import attack
from tests.reference.apgd import apgd

BITS, QUERIES = 12, 5


def network():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Flatten(), nn.Linear(27, 24), nn.Tanh(), nn.Linear(24, BITS)
    ).double()  # fmt: skip


def images():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(QUERIES, 3, 3, 3, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("objective", [HAG(), Hinge(), Hinge(targeted=True), AnchorCode()])
def test_every_point_is_that_of_a_loop_over_lists(norm, objective):
    """Of the paper's algorithm, one query at a time, 40 passes, at a constant alpha."""
    model, clean, passes = network(), images(), 40
    if objective.reference.targeted:
        generator = torch.Generator().manual_seed(5)
        codes = torch.where(torch.rand(QUERIES, BITS, generator=generator) > 0.5, 1.0, -1.0)
        queries = Queries.towards(clean, codes)
    else:
        queries = Queries.untargeted(clean, model(clean))
    epsilon = 0.05 if norm == "linf" else 0.3
    perturbation = PerQuery(clean, (LInf if norm == "linf" else L2)(epsilon))
    rule = APGD(perturbation.parameters())
    seen = []

    def victim(inputs):
        seen.append(inputs.detach())
        return model(inputs)

    found = attack(victim, objective, perturbation, rule, queries, passes)
    flips = []
    for row in range(QUERIES):

        def evaluate(values, row=row):
            point = torch.tensor(values, dtype=torch.float64).view(1, 3, 3, 3).requires_grad_()
            logits = model(point)
            loss = objective(logits, queries.reference[row : row + 1], 1.0).sum()
            (gradient,) = torch.autograd.grad(loss, point)
            differ = int(((logits > 0) != (queries.goal[row] > 0)).sum())
            success = -differ if queries.targeted else differ
            return success, loss.item(), gradient.flatten().tolist()

        start = clean[row].flatten().tolist()
        best, (success, _), points = apgd(evaluate, start, epsilon, passes, norm)
        flips.append(success)
        tolerance = 1e-12 if norm == "linf" else 2e-5  # an L2 step stays a hair inside its ball
        for mine, theirs in zip(seen, points, strict=True):
            expected = torch.tensor(theirs, dtype=torch.float64)
            assert torch.allclose(mine[row].flatten(), expected, rtol=0, atol=tolerance)
        expected = torch.tensor(best, dtype=torch.float64)
        assert torch.allclose(found[row].flatten(), expected, rtol=0, atol=tolerance)
    assert len(set(flips)) > 1  # some go further than others
    assert len(seen) == passes


def test_places_of_the_looks():
    assert looks(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert looks(10) == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert looks(1) == [1]


class Scripted:
    """Answers that are given beforehand, of one query."""

    def __init__(self, success, losses, gradients):
        self.left = list(zip(success, losses, gradients, strict=True))
        self.seen = []

    def __call__(self, parameter):
        def closure():
            success, loss, gradient = self.left.pop(0)
            self.seen.append(parameter.detach().flatten().tolist())
            parameter.grad = torch.full_like(parameter, gradient)
            asked = torch.tensor([1])
            return Answer(torch.tensor([loss]), torch.tensor([float(success)]), asked)

        return closure


def run(script, iterations, **options):
    inputs = torch.full((1, 1, 1, 1), 0.5)
    perturbation = PerQuery(inputs, LInf(0.25))
    rule = APGD(perturbation.parameters(), **options)
    rule.prepare(perturbation, Queries.untargeted(inputs, torch.ones(1, 2)), iterations)
    answers = [rule.step(script(perturbation.delta)) for _ in range(iterations)]
    return perturbation.delta.flatten().tolist(), answers


def test_by_hand():
    """Looks after 1, 2 and 3 steps; steps of .5, then halved each time nothing is better."""
    script = Scripted([0, 1, 1, 2], [1.0, 0.5, 0.6, 0.9], [-1.0, 1.0, 1.0, -1.0])
    delta, answers = run(script, 4, momentum=0.75)
    # 0 + .5 is clipped to .25; better, and the gap of 1 step wholly so: no halving. Then down by
    # .5 to -.25: .25 + .75 (-.5) + .25 (.25 - 0) = -.0625. Worse by the loss: halved, back to
    # .25 with its gradient; .25 - .25 = 0: .25 + .75 (-.25) + .25 (.25 - .25) = .0625.
    assert script.seen == [[0.0], [0.25], [-0.0625], [0.0625]]
    assert delta == [0.0625]
    assert [float(answer.success) for answer in answers] == [0, 1, 1, 2]
    assert [float(answer.losses) for answer in answers] == pytest.approx([1.0, 0.5, 0.5, 0.9])


def test_what_is_left_is_the_best_by_success_not_by_loss():
    script = Scripted([0, 3, 1, 1], [4.0, 3.0, 2.0, 1.0], [-1.0, -1.0, 1.0, 1.0])
    delta, answers = run(script, 4)
    assert delta == [0.25]
    assert [float(answer.success) for answer in answers] == [0, 3, 3, 3]


def test_a_loss_that_is_no_number_is_seen_and_never_the_best():
    script = Scripted([0, 2, 1], [1.0, float("nan"), 0.5], [-1.0, -1.0, -1.0])
    _, answers = run(script, 3)
    assert [bool(answer.losses.isnan()) for answer in answers] == [False, True, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": 0.0}, "step must be positive, got 0.0"),
        ({"momentum": 1.5}, r"momentum must be in \(0, 1\], got 1.5"),
        ({"rho": -0.1}, r"rho must be in \[0, 1\], got -0.1"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        APGD([nn.Parameter(torch.zeros(1, 1))], **options)
