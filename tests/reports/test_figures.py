import torch

from lightning_hash.engine.callbacks.figures import (
    RIGHT,
    WRONG,
    figure_to_image,
    image_grid,
    retrieval_strip,
)


def colour(text):
    return torch.tensor([int(text[i : i + 2], 16) for i in (1, 3, 5)])


def near(image, text):
    """Pixels within 12 levels of a colour."""
    return ((image.int() - colour(text).view(3, 1, 1)).abs().amax(dim=0) < 12).sum().item()


def strip(after_right):
    clean = torch.full((3, 64, 64), 0.5)
    results = torch.full((6, 3, 64, 64), 0.5)
    figure = retrieval_strip(
        clean, clean, results, [True] * 6, results, after_right,
        before_caption="before", after_caption="after",
    )  # fmt: skip
    return figure_to_image(figure)


def test_frames_tell_right_from_wrong():
    mixed, right = strip([False] * 6), strip([True] * 6)
    assert mixed.dtype == torch.uint8
    assert near(right, WRONG) < 20
    assert near(mixed, WRONG) > 1000
    assert near(right, RIGHT) > 1.8 * near(mixed, RIGHT)


def test_grid_shows_the_change_times_ten_around_grey():
    clean = torch.full((2, 3, 8, 8), 0.5)
    adversarial = clean.clone()
    adversarial[0] += 0.02
    adversarial[1] -= 0.2
    grid = image_grid(clean, adversarial)
    assert grid.shape == (3, 3 * 10 + 2, 2 * 10 + 2)
    middles = [grid[0, 6 + 10 * row, 6].item() for row in range(3)]
    torch.testing.assert_close(torch.tensor(middles), torch.tensor([0.5, 0.7, 0.52]))
    assert grid[0, 16, 16] == 0  # 0.5 - 2 is clipped
