"""Whole attacks against the loops of their authors, step by step, in float64."""

import pytest
import torch

from lightning_hash.attacks import (
    HAG,
    SAAT,
    AlphaSchedule,
    AnchorCode,
    CgAT,
    HAGCode,
    LInf,
    MomentumSignStep,
    NesterovSignStep,
    NormalizedStep,
    PerQuery,
    Queries,
    SignStep,
)
from lightning_hash.attacks.attack import attack
from tests.conftest import TinyNet
from tests.reference import attacks as reference

CLOSE = {"rtol": 0, "atol": 1e-11}
FIXED = AlphaSchedule([1.0], [0.0])


@pytest.fixture(scope="module")
def network():
    return TinyNet().double().requires_grad_(requires_grad=False)


def pictures(lowest=0.0, highest=1.0, count=4):
    generator = torch.Generator().manual_seed(11)
    images = torch.rand(count, 3, 8, 8, generator=generator, dtype=torch.float64)
    return lowest + (highest - lowest) * images


def codes(count=4):
    generator = torch.Generator().manual_seed(12)
    return torch.where(torch.randn(count, 8, generator=generator) > 0, 1.0, -1.0).double()


def run(network, objective, images, queries, rule, iterations, alpha, epsilon, *, seed=None):
    """Attack a batch; returns the perturbed images and the perturbation."""
    budget = epsilon if isinstance(epsilon, LInf) else LInf(epsilon)
    delta = PerQuery(images, budget)
    if seed is not None:
        delta.draw(images, queries.index, seed)
    found = attack(network, objective, delta, rule(delta.parameters()), queries, iterations, alpha)
    return found, delta.delta.detach()


@pytest.mark.parametrize("iterations", [1, 2, 5, 20])
def test_hag_is_algorithm_1_of_the_paper(network, iterations):
    images = pictures()
    queries = Queries.untargeted(images, network(images))
    found, delta = run(
        network, HAG(), images, queries,
        lambda p: torch.optim.SGD(p, lr=500 / 255**2, momentum=0.9), iterations, AlphaSchedule(),
        10 / 255,
    )  # fmt: skip
    expected = torch.cat(
        [reference.hag_paper_loop(network, image[None], iterations) for image in images]
    )
    torch.testing.assert_close(found, expected, **CLOSE)
    assert delta.abs().max() > 1e-4


@pytest.mark.parametrize("iterations", [1, 2, 5, 10])
def test_hag_code_is_the_authors_loop(network, iterations):
    images = pictures(0.1, 0.9)  # their images may leave the box
    queries = Queries.untargeted(images, network(images))
    found, delta = run(
        network, HAGCode(), images, queries, lambda p: torch.optim.SGD(p, lr=100 / 255**2),
        iterations, AlphaSchedule(), 10 / 255,
    )  # fmt: skip
    expected = torch.cat(
        [reference.hag_code_loop(network, image[None], iterations) for image in images]
    )
    torch.testing.assert_close(found, expected, **CLOSE)
    assert delta.abs().max() > 1e-4


@pytest.mark.parametrize("iterations", [1, 2, 7])
@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_dhta_code_is_the_authors_loop(network, iterations, rate):
    images, targets = pictures(), codes()
    std, mean = network.std.double().view(3, 1, 1), torch.tensor([0.5, 0.4, 0.45]).view(3, 1, 1)
    budget = LInf(0.032, "normalized")
    budget.scale = std
    found, delta = run(
        network, AnchorCode(), images, Queries.towards(images, targets),
        lambda p: NormalizedStep(p, lr=rate, reference_size=None), iterations, AlphaSchedule(),
        budget,
    )  # fmt: skip
    expected = torch.cat(
        [
            reference.dhta_code_loop(
                network, image[None], target[None], mean.double(), std, iterations, rate=rate
            )
            for image, target in zip(images, targets, strict=True)
        ]
    )
    torch.testing.assert_close(found, expected, **CLOSE)
    assert delta.abs().max() > 1e-3


@pytest.mark.parametrize("iterations", [1, 3, 7])
def test_cgat_is_the_authors_loop(network, iterations):
    images, centers = pictures(), codes()
    queries = Queries.untargeted(images, network(images))
    queries.reference = -centers
    found, _ = run(
        network, CgAT(), images, queries, lambda p: SignStep(p, 2 / 255), iterations, FIXED,
        8 / 255, seed=5,
    )  # fmt: skip
    start = LInf(8 / 255).draw(images.shape[1:], queries.index, 5).double()
    expected = reference.cgat_loop(network, images, centers, start, iterations=iterations)
    torch.testing.assert_close(found, expected, **CLOSE)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("iterations", [1, 10, 40])
def test_saat_is_the_authors_loop(network, iterations, targeted):
    images, mainstay = pictures(), codes()
    if targeted:
        queries = Queries.towards(images, mainstay)
    else:
        queries = Queries.untargeted(images, network(images))
        queries.reference = -mainstay
    found, _ = run(
        network, SAAT(targeted), images, queries, lambda p: SignStep(p, 1 / 255), iterations,
        AlphaSchedule(), 8 / 255, seed=6,
    )  # fmt: skip
    start = LInf(8 / 255).draw(images.shape[1:], queries.index, 6).double()
    expected = reference.saat_loop(network, images, mainstay, start, targeted, iterations)
    torch.testing.assert_close(found, expected, **CLOSE)


@pytest.mark.parametrize("iterations", [1, 2, 10])
@pytest.mark.parametrize("momentum", [1.0, 0.5])
@pytest.mark.parametrize("rule", [MomentumSignStep, NesterovSignStep])
def test_mi_and_ni_fgsm_are_the_authors_loops(network, rule, momentum, iterations):
    images, targets = pictures(), codes()
    objective = AnchorCode()
    found, _ = run(
        network, objective, images, Queries.towards(images, targets),
        lambda p: rule(p, lr=16 / 255 / iterations, momentum=momentum), iterations, FIXED, 16 / 255,
    )  # fmt: skip
    expected = reference.fgsm_loop(
        lambda x: objective(network(x), targets, 1.0), images, iterations, 16.0, momentum,
        ahead=rule.looks_ahead,
    )  # fmt: skip
    torch.testing.assert_close(found, expected, **CLOSE)


def test_ni_fgsm_looks_about_a_step_ahead_in_float32_at_full_size():
    """By the L1 sum the shift is below float32's resolution of the images."""
    image = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    places = []
    parameter = torch.nn.Parameter(torch.zeros_like(image))
    rule = NesterovSignStep([parameter], lr=1 / 255)
    gradient = torch.randn(image.shape, generator=torch.Generator().manual_seed(2)) * 1e-4

    def closure():
        places.append((image + parameter).detach() - image)
        parameter.grad = gradient.clone()

    for _ in range(3):
        rule.step(closure)
    steps = [place.abs().mean().item() * 255 for place in places]
    # One level further each time, and ahead by as many levels as gradients were added up.
    assert steps == pytest.approx([0, 1 + 1, 2 + 2], abs=1e-3)
