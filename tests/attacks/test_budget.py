import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_hash.attacks import LInf, PerQuery, parse_epsilon
from lightning_hash.attacks.budget import round_to_8bit
from tests.reference.attacks import clip


def project(perturbation, clean, epsilon, scale=None):
    budget = LInf(epsilon, "pixel" if scale is None else "normalized")
    budget.scale = scale
    budget.project(perturbation, clean)
    kept = perturbation.clone()
    budget.projection(clean)(perturbation)  # once projected, it stays
    assert torch.equal(perturbation, kept)
    return perturbation


def test_projection_is_the_papers_clip():
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(1000, generator=generator, dtype=torch.float64)
    perturbation = torch.randn(1000, generator=generator, dtype=torch.float64) * 0.1
    got = clean + project(perturbation.clone(), clean, 0.05)
    expected = [
        clip(x + p, x, 0.05) for x, p in zip(clean.tolist(), perturbation.tolist(), strict=True)
    ]
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([10 / 255, 0.032, 1 / 255, 0.3, 1.0]))
def test_budget_holds_exactly_in_float32(seed, epsilon):
    generator = torch.Generator().manual_seed(seed)
    clean = torch.randint(0, 256, (512,), generator=generator).float() / 255
    perturbation = torch.randn(512, generator=generator)
    project(perturbation, clean, epsilon)
    assert perturbation.abs().max() <= torch.tensor(epsilon)
    image = clean + perturbation
    assert image.min() >= 0
    assert image.max() <= 1


def test_normalised_space_scales_the_ball_by_channel():
    clean = torch.full((1, 3, 1, 1), 0.5)
    scale = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    perturbation = project(torch.full((1, 3, 1, 1), 9.0), clean, 0.032, scale)
    assert perturbation.flatten().tolist() == pytest.approx([0.032] * 3)
    change = (perturbation * scale * 255).flatten().tolist()
    assert change == pytest.approx([1.869, 1.828, 1.836], abs=1e-3)


def test_what_a_network_divides_by_is_not_trained_by_an_attack():
    budget = LInf(0.1, "normalized")
    network = torch.nn.Module()
    network.std = torch.nn.Parameter(torch.full((3,), 0.5))
    budget.bind(network)
    assert not budget.scale.requires_grad


def test_normalised_space_keeps_the_image_in_its_box():
    clean = torch.tensor([0.99, 0.001]).view(2, 1, 1, 1)
    scale = torch.tensor([0.25]).view(1, 1, 1)
    perturbation = torch.tensor([1.0, -1.0]).view(2, 1, 1, 1)
    image = clean + project(perturbation, clean, 0.5, scale) * scale
    assert image.flatten().tolist() == pytest.approx([1.0, 0.0], abs=1e-7)


def test_rounding_goes_inward_where_epsilon_is_no_whole_level():
    clean = torch.tensor([100, 100, 0, 255]) / 255
    sent = torch.tensor([100 + 8.16, 100 - 8.16, 0.0, 255.0]) / 255
    assert round_to_8bit(sent, clean, 0.032).tolist() == [108, 92, 0, 255]


def test_whole_levels_survive_rounding():
    clean = torch.arange(256) / 255
    for sign in (1, -1):
        sent = (clean + sign * 10 / 255).clamp(0, 1)
        expected = (torch.arange(256) + sign * 10).clamp(0, 255)
        assert torch.equal(round_to_8bit(sent, clean, 10 / 255).long(), expected)


def test_rounding_off_the_grid_stays_within_the_budget():
    clean = torch.rand(4000, generator=torch.Generator().manual_seed(0))
    sent = (clean + 10 / 255).clamp(0, 1)
    rounded = round_to_8bit(sent, clean, 10 / 255).double() / 255
    assert (rounded - clean.double()).abs().max() <= 10 / 255 + 1e-6


def test_a_budget_below_any_level_sends_the_nearest_level():
    assert round_to_8bit(torch.tensor([0.5]), torch.tensor([0.5]), 1e-4).tolist() == [128]
    clean = torch.tensor([127.5, 100.6, 100.4]) / 255
    below = (clean * 255 - 0.05) / 255  # the nearest level of what is sent is another one
    assert round_to_8bit(below, clean, 0.1 / 255).tolist() == [128, 101, 100]


def test_what_a_budget_found_in_the_images_is_not_saved():
    budget = LInf(8 / 255, "normalized")
    budget.scale = torch.tensor([0.2, 0.2, 0.1]).reshape(-1, 1, 1)
    assert budget.state_dict() == {}


@pytest.mark.parametrize(
    ("text", "value"), [("10/255", 10 / 255), ("0.032", 0.032), (0.5, 0.5), ("1/1", 1.0)]
)
def test_epsilon_is_read(text, value):
    assert parse_epsilon(text) == value


@pytest.mark.parametrize("bad", [0, -0.1, 1.5, 10, "300/255", float("nan"), float("inf")])
def test_epsilon_out_of_range(bad):
    with pytest.raises(ValueError, match=r"epsilon must be in \(0, 1\] in pixel space"):
        parse_epsilon(bad)


def test_epsilon_on_the_wrong_scale_gets_the_remedy():
    with pytest.raises(ValueError, match="write '10/255'"):
        parse_epsilon(10)
    with pytest.raises(ValueError, match=r"write '1\.5/255'"):
        parse_epsilon(1.5)
    with pytest.raises(ValueError, match=r"in pixel space, got -1$"):
        parse_epsilon(-1)
    with pytest.raises(ValueError, match=r"epsilon must be positive and finite, got -2$"):
        parse_epsilon(-2, "normalized")


@pytest.mark.parametrize("bad", ["ten", "1/0", ""])
def test_epsilon_that_is_no_number(bad):
    with pytest.raises(ValueError, match="number or a fraction"):
        parse_epsilon(bad)


def test_epsilon_space_is_known():
    with pytest.raises(ValueError, match="epsilon_space must be 'pixel' or 'normalized'"):
        parse_epsilon(0.1, "lab")
    assert parse_epsilon(2.0, "normalized") == 2.0


def test_noise_is_uniform_seeded_and_per_query():
    noise = LInf(0.1).draw(torch.Size([3, 32, 32]), torch.tensor([3, 8]), seed=0)
    assert noise.abs().max() <= 0.1
    assert noise.mean().abs() < 0.002
    assert noise.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.03)
    alone = LInf(0.1).draw(torch.Size([3, 32, 32]), torch.tensor([8]), seed=0)
    assert torch.equal(noise[1:], alone)
    assert not torch.equal(noise[0], noise[1])


@pytest.mark.parametrize(("space", "scale"), [("pixel", None), ("normalized", [0.25, 0.2, 0.5])])
def test_a_random_start_is_inside_the_ball_and_the_box(space, scale):
    """Near black and white half of the ball is outside [0, 1]."""
    images = torch.tensor([0.0, 1.0, 0.5]).view(3, 1, 1, 1).expand(3, 3, 8, 8).contiguous()
    budget = LInf(0.1, space)
    budget.scale = None if scale is None else torch.tensor(scale).view(3, 1, 1)
    made = PerQuery(images, budget)
    made.draw(images, torch.tensor([3, 8, 9]), seed=1)
    delta = made.delta.detach()
    assert delta.abs().max() <= torch.tensor(0.1)
    started = made(images).detach()
    assert (started.min(), started.max()) == (0, 1)
    assert ((delta[0] == 0).float().mean() - 0.5).abs() < 0.15  # cut off at black
    assert ((delta[1] == 0).float().mean() - 0.5).abs() < 0.15  # and at white
    assert (delta[2] != 0).all()
    again = PerQuery(images, budget)
    again.draw(images, torch.tensor([3, 8, 9]), seed=2)
    assert (again.delta.detach()[2] != delta[2]).all()


@pytest.mark.parametrize("epsilon", [0.032, 1.85 / 255, 0.5 / 255])
def test_rounding_is_to_the_nearest_level_inside(epsilon):
    """Each level against every other: nearest to what is sent, of those within epsilon."""
    generator = torch.Generator().manual_seed(3)
    level = torch.randint(0, 256, (300,), generator=generator)
    sent = (level / 255 + (torch.rand(300, generator=generator) * 2 - 1) * epsilon).clamp(0, 1)
    found = round_to_8bit(sent, level / 255, epsilon)
    for clean, value, got in zip(level.tolist(), sent.tolist(), found.tolist(), strict=True):
        inside = [n for n in range(256) if abs(n - clean) <= epsilon * 255 + 1e-6]
        assert abs(got - value * 255) == pytest.approx(
            min(abs(n - value * 255) for n in inside), abs=1e-3
        )
        assert got in inside


def test_a_budget_rounds_each_channel_inside_its_own_ball():
    clean = torch.full((2, 3, 4, 4), 100 / 255)
    budget = LInf(0.032, "normalized")
    budget.scale = torch.tensor([0.25, 0.2, 0.5]).view(3, 1, 1)  # 2.04, 1.63 and 4.08 levels
    sent = clean + 0.032 * budget.scale
    rounded = budget.round_to_8bit(sent, clean)
    assert rounded[:, :, 0, 0].tolist() == [[102, 101, 104]] * 2
    assert budget.radius().flatten().tolist() == pytest.approx([0.008, 0.0064, 0.016])
    assert LInf(0.032).radius().item() == pytest.approx(0.032)


@pytest.mark.parametrize("epsilon", ["inf", float("inf"), float("nan")])
def test_epsilon_is_finite_in_any_space(epsilon):
    with pytest.raises(ValueError, match="epsilon must be"):
        parse_epsilon(epsilon, "normalized")
