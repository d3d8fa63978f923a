import pytest
import torch

from lightning_hash.attacks import DiverseInputs


def test_a_draw_depends_on_seed_iteration_and_query_alone():
    images = torch.rand(6, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    index = [3, 1, 4, 10, 5, 9]
    together = DiverseInputs(1.0, 0.5)(images, index, iteration=7)
    assert torch.equal(together[2:3], DiverseInputs(1.0, 0.5)(images[2:3], [4], iteration=7))
    for other in (
        DiverseInputs(1.0, 0.5)(images, index, iteration=8),
        DiverseInputs(1.0, 0.5)(images, [i + 1 for i in index], iteration=7),
        DiverseInputs(1.0, 0.5, seed=1)(images, index, iteration=7),
    ):
        assert (together != other).flatten(1).any(dim=1).sum() >= 5


def test_images_are_shrunk_and_put_inside_zeros():
    images = torch.ones(200, 1, 20, 20)
    changed = DiverseInputs(1.0, 0.5)(images, list(range(200)), 0)
    assert changed.shape == images.shape
    rows = (changed[:, 0] > 0).any(dim=2)
    sides = rows.sum(dim=1)
    assert sides.min() == 10
    assert sides.max() == 20
    assert changed[changed > 0].min().item() == pytest.approx(1)  # a constant stays
    tops = {int(row.nonzero()[0]) for row in rows}
    assert {0, 5} <= tops  # it is put at the border and inside


def test_the_probability_is_kept():
    images = torch.rand(400, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    changed = DiverseInputs(0.3, 0.5)(images, list(range(400)), 0)
    share = (changed != images).flatten(1).any(dim=1).float().mean().item()
    assert 0.2 < share < 0.4


def test_gradients_pass():
    images = torch.rand(2, 3, 8, 8, requires_grad=True)
    DiverseInputs(1.0, 0.5)(images, [0, 1], 0).sum().backward()
    assert (images.grad != 0).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probability": 1.5}, r"probability must be in \[0, 1\], got 1.5"),
        ({"smallest": 0.0}, r"smallest must be in \(0, 1\], got 0.0"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        DiverseInputs(**options)


def test_frames_of_a_clip_change_alike():
    frame = torch.rand(2, 1, 3, 16, 16)
    changed = DiverseInputs(probability=1.0, smallest=0.5)(
        frame.expand(-1, 4, -1, -1, -1), [3, 8], 2
    )
    alone = DiverseInputs(probability=1.0, smallest=0.5)(frame[:, 0], [3, 8], 2)
    assert changed.shape == (2, 4, 3, 16, 16)
    torch.testing.assert_close(changed, alone[:, None].expand_as(changed))
    assert not torch.equal(changed[:, 0], frame[:, 0])


def test_what_is_neither_image_nor_clip_is_refused():
    with pytest.raises(ValueError, match=r"clips \(B, T, 3, H, W\), got \(2, 3, 4\)"):
        DiverseInputs()(torch.rand(2, 3, 4), [0, 1], 0)


def test_sides_and_places_are_all_that_there_can_be():
    """White images of 20 pixels: the side is what is not black, 15 to 20; it stands anywhere."""
    images = torch.ones(600, 3, 20, 20)
    changed = DiverseInputs(1.0, 0.75)(images, list(range(600)), 0)
    rows, columns = (changed[:, 0].amax(dim=dim) > 0.5 for dim in (2, 1))
    sides = rows.sum(dim=1)
    assert torch.equal(sides, columns.sum(dim=1))
    assert sides.unique().tolist() == [15, 16, 17, 18, 19, 20]
    tops, lefts = (part.int().argmax(dim=1)[sides == 15] for part in (rows, columns))
    assert tops.unique().tolist() == lefts.unique().tolist() == [0, 1, 2, 3, 4, 5]
    assert (tops != lefts).any()
    assert changed.sum(dim=(1, 2, 3)).tolist() == (3.0 * sides**2).tolist()  # bilinear keeps white


def test_half_of_the_images_change_by_default():
    images = torch.rand(400, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    changed = DiverseInputs()(images, list(range(400)), 3)
    same = (changed == images).flatten(1).all(dim=1)
    assert 0.45 < same.float().mean() < 0.85  # a side of 12 of 12 changes nothing
    assert (DiverseInputs(0.0)(images, list(range(400)), 3) == images).all()
    other = DiverseInputs(seed=1)(images, list(range(400)), 3)
    assert (other != changed).any()


def test_an_empty_batch_stays_empty():
    none = torch.rand(0, 3, 8, 8)
    assert DiverseInputs(1.0)(none, [], 0).shape == (0, 3, 8, 8)


def test_sides_of_a_rectangle_shrink_alike():
    images = torch.ones(50, 3, 10, 40)
    changed = DiverseInputs(1.0, 0.5)(images, list(range(50)), 0)[:, 0]
    high, wide = ((changed.amax(dim=dim) > 0.5).sum(dim=1) for dim in (2, 1))
    assert ((wide / 40 - high / 10).abs() <= 0.5 / 10 + 0.5 / 40 + 1e-6).all()
    assert (wide < 40).any()


def test_images_and_queries_come_in_pairs():
    with pytest.raises(ValueError, match="shorter"):
        DiverseInputs(1.0)(torch.rand(2, 3, 8, 8), [0], 0)


def test_a_thin_image_keeps_one_row():
    changed = DiverseInputs(1.0, 0.01)(torch.ones(20, 3, 1, 40), list(range(20)), 0)
    assert changed.shape == (20, 3, 1, 40)
    assert (changed != 0).any(dim=-1).all()


def test_images_shrink_as_areas_not_as_corners():
    """The first value tells the two apart."""
    ramp = torch.arange(16.0).view(1, 1, 1, 16).expand(1, 3, 16, 16)
    changed = DiverseInputs(1.0, 0.5)(ramp, [3], 0)[0, 0]
    row = changed[changed.sum(dim=1) > 0][0]
    wide = int((changed.sum(dim=0) > 0).sum())
    assert wide < 16
    values = row[row > 0]
    assert torch.allclose(values, (torch.arange(wide) + 0.5) * 16 / wide - 0.5, atol=1e-4)


def test_the_smallest_side_may_be_the_whole():
    images = torch.rand(2, 3, 8, 8)
    assert torch.allclose(DiverseInputs(1.0, 1.0)(images, [0, 1], 0), images)
    with pytest.raises(ValueError, match="smallest must be in"):
        DiverseInputs(1.0, 1.01)
