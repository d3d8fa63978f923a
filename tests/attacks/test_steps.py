import math

import pytest
import torch
from torch import nn

from lightning_hash.attacks import (
    MomentumSignStep,
    NesterovSignStep,
    NormalizedStep,
    SignStep,
)
from tests.reference import attacks as reference


def stepped(rule, gradient, **options):
    parameter = nn.Parameter(torch.zeros_like(gradient))
    parameter.grad = gradient
    rule([parameter], **options).step()
    return parameter.detach()


def test_sign_step_by_hand():
    moved = stepped(SignStep, torch.tensor([[2.0, -3.0, 0.0]]), lr=0.5)
    assert moved.tolist() == [[-0.5, 0.5, 0.0]]


def test_normalized_step_has_unit_length_per_query():
    gradient = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    gradient *= torch.tensor([1e-6, 1.0, 1e6]).view(3, 1, 1, 1)
    moved = stepped(NormalizedStep, gradient, lr=2.0, reference_size=None)
    torch.testing.assert_close(moved.flatten(1).norm(dim=1), torch.full((3,), 2.0))
    cosine = nn.functional.cosine_similarity(moved.flatten(1), -gradient.flatten(1))
    torch.testing.assert_close(cosine, torch.ones(3))


def test_normalized_step_scales_with_the_input_size():
    # At 224 x 224 x 3 the length is lr; a quarter of the values has half the length.
    moved = stepped(NormalizedStep, torch.ones(1, 3, 112, 112), lr=1.0)
    assert moved.norm().item() == pytest.approx(0.5, rel=1e-4)
    assert moved[0, 0, 0, 0].item() == pytest.approx(-1 / math.sqrt(150528), rel=1e-4)


def test_zero_gradient_moves_nothing_and_makes_no_nan():
    moved = stepped(NormalizedStep, torch.zeros(2, 5))
    assert moved.tolist() == torch.zeros(2, 5).tolist()


def test_parameters_without_gradient_are_left_alone():
    first, second = nn.Parameter(torch.zeros(1, 2)), nn.Parameter(torch.zeros(1, 2))
    first.grad = torch.ones(1, 2)
    SignStep([first, second], lr=1.0).step()
    assert second.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("rule", [SignStep, NormalizedStep])
@pytest.mark.parametrize("lr", [0.0, -1.0, float("nan")])
def test_step_must_be_positive(rule, lr):
    with pytest.raises(ValueError, match="lr must be positive"):
        rule([nn.Parameter(torch.zeros(1))], lr=lr)


def test_momentum_sign_step_against_the_paper():
    generator = torch.Generator().manual_seed(3)
    gradients = torch.randn(6, 2, 5, generator=generator).double()
    gradients[:, 1] *= 100.0  # the scale of a query's gradient changes nothing
    gradients[2, 0] = 0.0
    parameter = nn.Parameter(torch.zeros(2, 5, dtype=torch.float64))
    rule = MomentumSignStep([parameter], lr=0.1, momentum=0.9)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        rule.step()
    for query in range(2):
        expected = reference.momentum_sign_steps(gradients[:, query].tolist(), 0.1, 0.9)
        assert parameter[query].tolist() == pytest.approx(expected)


def test_nesterov_sign_step_takes_the_gradient_ahead():
    centre = torch.tensor([[0.35, -0.25], [0.05, 0.8]], dtype=torch.float64)
    parameter = nn.Parameter(torch.zeros(2, 2, dtype=torch.float64))
    rule = NesterovSignStep([parameter], lr=0.1, momentum=0.9)

    def closure():
        parameter.grad = None
        loss = ((parameter - centre) ** 2).sum()
        loss.backward()
        return loss

    for _ in range(8):
        rule.step(closure)
    for query in range(2):
        goal = centre[query].tolist()
        expected = reference.nesterov_sign_steps(
            lambda place, goal=goal: [2 * (p - g) for p, g in zip(place, goal, strict=True)],
            [0.0, 0.0], 0.1, 0.9, 8,
        )  # fmt: skip
        assert parameter[query].tolist() == pytest.approx(expected)
    with pytest.raises(ValueError, match="needs a closure"):
        rule.step()


def test_momentum_must_not_be_negative():
    with pytest.raises(ValueError, match="momentum must not be negative, got -1"):
        MomentumSignStep([nn.Parameter(torch.zeros(1))], momentum=-1)


def test_default_steps():
    parameter = [nn.Parameter(torch.zeros(1, 2))]
    assert SignStep(parameter).defaults == {"lr": 1 / 255}
    for rule in (MomentumSignStep, NesterovSignStep):
        assert rule(parameter).defaults == {"lr": 1 / 255, "momentum": 1.0}
    assert NormalizedStep(parameter).defaults == {"lr": 1.0, "reference_size": 224 * 224 * 3}
    MomentumSignStep(parameter, momentum=0.0)  # plain signs
    with pytest.raises(ValueError, match="reference_size must be positive or null, got 0"):
        NormalizedStep(parameter, reference_size=0)


@pytest.mark.parametrize("rule", [MomentumSignStep, NormalizedStep])
def test_frames_without_a_gradient_do_not_count(rule):
    """A clip of two frames moves as it does behind three frames of padding."""
    gradient = torch.randn(2, 2, 3, 4, 4, generator=torch.Generator().manual_seed(4)).double()
    padded = torch.cat([gradient, torch.zeros(2, 3, 3, 4, 4)], dim=1)
    found = []
    for values in (gradient, padded):
        parameter = nn.Parameter(torch.zeros_like(values))
        step = rule([parameter], lr=0.5)
        parameter.grad = values
        step.step()
        momentum = step.state[parameter].get("momentum", torch.zeros_like(values))
        found.append((parameter.detach()[:, :2], momentum[:, :2]))
    (short, short_momentum), (long, long_momentum) = found
    torch.testing.assert_close(short, long)
    torch.testing.assert_close(short_momentum, long_momentum)
    if rule is MomentumSignStep:
        assert short_momentum.abs().mean(dim=(1, 2, 3, 4)).tolist() == pytest.approx([1, 1])
    else:
        length = 0.5 * math.sqrt(2 * 3 * 16 / 150528)
        assert short.flatten(1).norm(dim=1).tolist() == pytest.approx([length] * 2)


def test_a_query_without_a_gradient_keeps_its_momentum():
    parameter = nn.Parameter(torch.zeros(2, 2))
    rule = MomentumSignStep([parameter], lr=1.0, momentum=0.5)
    for gradient in ([[4.0, -2.0], [1.0, 1.0]], [[0.0, 0.0], [-9.0, -9.0]]):
        parameter.grad = torch.tensor(gradient)
        rule.step()
    # [4, -2] over its mean of 3, halved; then [1, 1] halved, minus [1, 1].
    expected = [[2 / 3, -1 / 3], [-0.5, -0.5]]
    torch.testing.assert_close(rule.state[parameter]["momentum"], torch.tensor(expected))
    assert parameter.tolist() == [[-2.0, 2.0], [0.0, 0.0]]
