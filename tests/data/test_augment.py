import pytest
import torch

from lightning_hash.data import ColorJitter


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def test_each_image_has_its_own_factors():
    # One image many times: were the draws per batch, all results would be equal.
    images = torch.rand(1, 3, 8, 8).expand(6, 3, 8, 8)
    jittered = ColorJitter(0.5, flip=0.0)(images)
    means = jittered.mean(dim=(1, 2, 3))
    assert len(means.unique()) == 6


def test_strength_zero_without_mirror_changes_nothing():
    images = torch.rand(4, 3, 8, 8)
    torch.testing.assert_close(ColorJitter(0.0, flip=0.0)(images), images)


def test_mirror_hits_its_share_of_the_images_and_nothing_else():
    images = torch.rand(400, 3, 2, 4)
    jittered = ColorJitter(0.0, flip=0.25)(images)
    same = torch.isclose(jittered, images).flatten(1).all(1)
    mirrored = torch.isclose(jittered, images.flip(3)).flatten(1).all(1)
    assert (same | mirrored).all()
    assert 60 <= mirrored.sum() <= 140
    assert torch.allclose(ColorJitter(0.0, flip=1.0)(images), images.flip(3))


def test_brightness_stays_within_the_strength():
    # A grey constant image has no contrast and no saturation: only the brightness moves it.
    jittered = ColorJitter(0.2)(torch.full((500, 3, 4, 4), 0.5))
    values = jittered[:, 0, 0, 0]
    torch.testing.assert_close(jittered, values.view(-1, 1, 1, 1).expand_as(jittered))
    assert 0.4 <= values.min() < 0.42
    assert 0.58 < values.max() <= 0.6


def test_values_stay_in_the_unit_interval_and_the_input_is_left_alone():
    images = (torch.rand(50, 3, 8, 8) > 0.5).float()
    before = images.clone()
    jittered = ColorJitter(1.0)(images)
    assert torch.equal(images, before)
    assert jittered.min() >= 0
    assert jittered.max() <= 1


def test_draws_come_from_the_global_generator():
    images = torch.rand(4, 3, 8, 8)
    torch.manual_seed(3)
    first = ColorJitter(0.5)(images)
    torch.manual_seed(3)
    assert torch.equal(ColorJitter(0.5)(images), first)
    assert not torch.equal(ColorJitter(0.5)(images), first)


@pytest.mark.parametrize(("strength", "flip"), [(-0.1, 0.5), (1.5, 0.5), (0.1, 2.0),
                                                (float("nan"), 0.5)])  # fmt: skip
def test_arguments_out_of_range(strength, flip):
    with pytest.raises(ValueError, match=r"must be in \[0, 1\], got"):
        ColorJitter(strength, flip)
