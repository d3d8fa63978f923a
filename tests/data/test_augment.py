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


def test_brightness_and_white_balance_stay_within_the_strength():
    # A grey constant image has no contrast and no saturation, so two factors are left: one for all
    # channels and one per channel.
    jittered = ColorJitter(0.2)(torch.full((2000, 3, 4, 4), 0.5))
    values = jittered[:, :, 0, 0]
    torch.testing.assert_close(jittered, values[:, :, None, None].expand_as(jittered))
    assert 0.5 * 0.8**2 <= values.min() < 0.35
    assert 0.68 < values.max() <= 0.5 * 1.2**2
    # Within an image the brightness cancels: 0.8 / 1.2 is the largest ratio of two channels.
    ratio = values.min(dim=1).values / values.max(dim=1).values
    assert 0.8 / 1.2 - 1e-6 <= ratio.min() < 0.72
    # Without a factor per channel, every ratio would be 1; were it shared by the batch, one value.
    assert len(ratio.unique()) > 1900


def test_contrast_and_saturation_by_their_own_effect():
    # Black and white in equal parts: contrast below 1 pulls both to the middle, by at most 0.1.
    stripes = torch.tensor([0.0, 1.0]).expand(300, 3, 2, 2)
    black = ColorJitter(0.2, flip=0.0)(stripes)[..., 0]
    assert 0.05 < black.max() <= 0.1 * 1.2
    # A pure red keeps its green at 0 unless contrast or saturation falls.
    red = torch.zeros(300, 3, 2, 2)
    red[:, 0] = 0.8
    green = ColorJitter(0.2)(red)[:, 1]
    assert 0 < green.max() < 0.2
    assert (green.flatten(1).max(1).values == 0).any()


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
