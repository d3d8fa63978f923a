import math

import pytest
import torch

from lightning_hash.attacks import L2


def clean(rows=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (rows, 3, 4, 4), generator=generator).float() / 255


def noise(like, seed=1):
    return torch.randn(like.shape, generator=torch.Generator().manual_seed(seed))


def test_short_changes_stay_and_long_ones_are_shortened():
    inputs = torch.full((2, 3, 4, 4), 0.5)
    delta = noise(inputs)
    delta[0] *= 0.3 / delta[0].norm()
    delta[1] *= 0.9 / delta[1].norm()
    before = delta.clone()
    L2(0.5).project(delta, inputs)
    assert torch.equal(delta[0], before[0])
    torch.testing.assert_close(delta[1], before[1] * 0.5 / 0.9)
    assert delta[1].double().norm() <= 0.5


@pytest.mark.parametrize("scale", [None, [0.2, 0.3, 0.1]])
@pytest.mark.parametrize("epsilon", [0.05, 0.5, 3.0])
def test_ball_and_box(epsilon, scale):
    budget, inputs = L2(epsilon, "pixel" if scale is None else "normalized"), clean()
    if scale is not None:
        budget.scale = torch.tensor(scale).view(-1, 1, 1)
    delta = 2 * noise(inputs)
    budget.project(delta, inputs)
    assert (delta.double().flatten(1).norm(dim=1) <= epsilon).all()
    moved = inputs + budget.in_pixels(delta)
    assert moved.min() >= -1e-6
    assert moved.max() <= 1 + 1e-6
    assert (budget.used(delta) <= 1).all()


def test_steepest_direction_has_length_one_and_zero_stays_zero():
    gradient = noise(clean(2))
    gradient[1] = 0
    found = L2(1.0).steepest(gradient)
    torch.testing.assert_close(found[0], gradient[0] / gradient[0].norm())
    assert not found[1].any()


def test_draws_fill_the_ball():
    shape = torch.Size((1, 1, 2))
    drawn = L2(2.0).draw(shape, torch.arange(4000), seed=0)
    lengths = drawn.flatten(1).norm(dim=1)
    assert lengths.max() <= 2
    # Uniform in a disc: half of the radius holds a quarter of it.
    assert (lengths < 1).float().mean().item() == pytest.approx(0.25, abs=0.03)
    angle = torch.atan2(drawn[..., 1], drawn[..., 0]).flatten()
    assert (angle > 0).float().mean().item() == pytest.approx(0.5, abs=0.03)
    alone = L2(2.0).draw(shape, torch.tensor([7]), seed=0)
    assert torch.equal(alone[0], drawn[7])
    assert L2(2.0).draw(shape, torch.arange(0), seed=0).shape == (0, 1, 1, 2)


@pytest.mark.parametrize("epsilon", [0.02, 0.1, 0.5, 3.0])
@pytest.mark.parametrize("on_levels", [True, False])
def test_eight_bits_stay_in_the_ball_and_near(epsilon, on_levels):
    budget, inputs = L2(epsilon), clean(20, seed=3)
    if not on_levels:
        inputs = (inputs + 0.3 / 255).clamp(0, 1)
    delta = noise(inputs, 4)
    budget.project(delta, inputs)
    rounded = budget.round_to_8bit(inputs + delta, inputs)
    assert rounded.dtype == torch.uint8
    change = rounded.double() / 255 - inputs.double()
    lengths = change.flatten(1).norm(dim=1)
    nearest = (inputs.double() * 255).round() / 255 - inputs.double()
    floor = nearest.flatten(1).norm(dim=1)
    assert (
        lengths <= torch.maximum(torch.tensor(epsilon * (1 + 1e-5)).double(), floor + 1e-9)
    ).all()
    if epsilon >= 0.5:  # longer than the rounding of all values: next to nothing is lost
        assert (lengths > 0.98 * delta.double().flatten(1).norm(dim=1)).all()
        assert (rounded.double() - (inputs + delta).double() * 255).abs().max() <= 1 + 1e-4


def test_no_more_is_moved_inward_than_is_needed():
    """Three changes of 1.6, 1.4 and 1.1 levels: 2, 1, 1 are too long by one move of the first."""
    inputs = torch.full((1, 1, 1, 3), 100 / 255)
    change = torch.tensor([[[[1.6, 1.4, 1.1]]]])
    epsilon = float(change.norm()) / 255
    rounded = L2(epsilon).round_to_8bit(inputs + change / 255, inputs)
    assert rounded.flatten().tolist() == [101, 101, 101]
    longer = math.sqrt(6) / 255
    rounded = L2(longer).round_to_8bit(inputs + change / 255, inputs)
    assert rounded.flatten().tolist() == [102, 101, 101]


def test_a_change_that_is_exactly_as_long_as_the_radius_stays():
    inputs = torch.full((1, 1, 1, 2), 100 / 255)
    adversarial = torch.tensor([[[[103.0, 104.0]]]]) / 255
    rounded = L2("5/255").round_to_8bit(adversarial, inputs)
    assert rounded.flatten().tolist() == [103, 104]


def test_a_negative_change_is_moved_inward_too():
    inputs = torch.full((1, 1, 1, 3), 100 / 255)
    change = torch.tensor([[[[-1.6, 1.4, -1.1]]]])
    rounded = L2(float(change.norm()) / 255).round_to_8bit(inputs + change / 255, inputs)
    assert rounded.flatten().tolist() == [99, 101, 99]


def test_a_change_of_one_level_is_moved_where_another_is_enough():
    """Of two changes of 0.6 levels, rounded to 1 and 1, a ball of 1.2 levels holds one."""
    inputs = torch.full((1, 1, 1, 2), 100 / 255)
    rounded = L2(1.2 / 255).round_to_8bit(inputs + 0.6 / 255, inputs)
    assert sorted(rounded.flatten().tolist()) == [100, 101]


def test_what_is_moved_until_it_is_as_long_as_the_radius_stays():
    """Of 0.8 and 0.6 levels, rounded to 1 and 1, the second goes back: the ball is full."""
    inputs = torch.full((1, 1, 1, 2), 100 / 255)
    moved = inputs + torch.tensor([[[[0.8, 0.6]]]]) / 255
    assert L2("1/255").round_to_8bit(moved, inputs).flatten().tolist() == [101, 100]


def test_a_ball_between_the_levels_holds_none_and_the_nearest_to_the_clean_values_are_taken():
    """Twenty values half way between two levels: every image is a length of 2.24 levels away."""
    inputs = torch.full((1, 1, 1, 20), 101.5 / 255, dtype=torch.float64)
    rounded = L2(2 / 255).round_to_8bit(inputs - 0.3 / 255, inputs)
    assert (rounded == 102).all()  # to even; the nearest to the change would be 101


def test_no_more_is_moved_than_is_needed():
    """Of four values rounded to 1 level each the two nearest to 0 go back: 2 < 1.52^2 < 3."""
    inputs = torch.full((1, 1, 1, 4), 100 / 255)
    change = torch.tensor([[[[0.9, 0.6, 0.8, 0.7]]]])
    rounded = L2(float(change.norm()) / 255).round_to_8bit(inputs + change / 255, inputs)
    assert rounded.flatten().tolist() == [101, 100, 101, 100]


def test_rounding_is_inside_the_ball_of_the_declared_space():
    """Channels divided by 0.1 and by 0.5: 2 levels of the first are as long as 10 of the second."""
    budget = L2(20.5 / 255, "normalized")
    budget.scale = torch.tensor([0.1, 0.5]).view(-1, 1, 1)
    inputs = torch.full((1, 2, 1, 1), 100 / 255)
    for change, expected in (([2.0, 0.0], [102, 100]), ([2.0, 2.6], [102, 102])):
        moved = inputs + torch.tensor(change).view(1, 2, 1, 1) / 255
        assert budget.round_to_8bit(moved, inputs).flatten().tolist() == expected


def test_a_radius_above_one_is_right():
    assert L2("3").epsilon == 3.0
    with pytest.raises(ValueError, match="epsilon must be positive and finite, got 0"):
        L2(0)
