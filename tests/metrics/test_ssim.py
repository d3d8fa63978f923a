"""SSIM of what was changed, against scikit-image and against a window summed by hand."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from lightning_hash.data import SamplePhotos
from lightning_hash.metrics import SSIM, AttackMetrics
from tests.helpers.attacks import attack, rows_of


def pair(*shape, seed=0, size=0.3):
    generator = torch.Generator().manual_seed(seed)
    clean = torch.rand(*shape, generator=generator)
    noise = torch.rand(*shape, generator=generator) * 2 - 1
    return clean, (clean + size * noise).clamp(0, 1)


def of_skimage(one, other):
    return structural_similarity(
        one.numpy().astype(np.float64), other.numpy().astype(np.float64), channel_axis=0,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0,
    )  # fmt: skip


@pytest.mark.parametrize("shape", [(3, 3, 24, 17), (2, 1, 32, 32)])
def test_it_is_that_of_scikit_image(shape):
    clean, changed = pair(*shape)
    expected = [of_skimage(*each) for each in zip(clean, changed, strict=True)]
    assert SSIM().values(clean, changed).tolist() == pytest.approx(expected, abs=1e-5)
    assert max(expected) < 0.98


def test_one_window_by_hand():
    """Of 11 x 11 pixels one window lies inside."""
    clean, changed = pair(1, 1, 11, 11)
    x, y = clean[0, 0].double(), changed[0, 0].double()
    line = [math.exp(-((place - 5) ** 2) / (2 * 1.5**2)) for place in range(11)]
    total = sum(line) ** 2
    weights = torch.tensor([[a * b / total for b in line] for a in line], dtype=torch.float64)
    mean_x, mean_y = float((weights * x).sum()), float((weights * y).sum())
    spread = [float((weights * a * b).sum()) for a, b in ((x, x), (y, y), (x, y))]
    var_x, var_y, both = spread[0] - mean_x**2, spread[1] - mean_y**2, spread[2] - mean_x * mean_y
    expected = (2 * mean_x * mean_y + 1e-4) * (2 * both + 9e-4)
    expected /= (mean_x**2 + mean_y**2 + 1e-4) * (var_x + var_y + 9e-4)
    assert float(SSIM().values(clean, changed)) == pytest.approx(expected, abs=1e-5)


def test_no_change_is_one_and_padding_does_not_count():
    clean, changed = pair(2, 3, 3, 16, 16)
    assert SSIM().values(clean, clean).tolist() == pytest.approx([1, 1])
    lengths = torch.tensor([1, 3])
    frames = SSIM().values(clean.flatten(0, 1), changed.flatten(0, 1)).view(2, 3)
    found = SSIM().values(clean, changed, lengths)
    assert found.tolist() == pytest.approx([float(frames[0, 0]), float(frames[1].mean())])


@pytest.mark.parametrize("shape", [(2, 3, 10, 32), (2, 3, 32, 10), (2, 300)])
def test_too_small(shape):
    clean, changed = pair(*shape)
    with pytest.raises(ValueError, match=r"windows of 11 x 11 pixels, got inputs of \("):
        SSIM().values(clean, changed)


def test_it_is_measured_where_it_is_asked_for(tmp_path, blobs):
    photos = SamplePhotos(n_train=20, n_query=10, n_database=20, size=16)
    scores = attack(tmp_path, photos, 2, metrics=[SSIM()], evaluate_at=[0], epsilon=0.2)
    rows = rows_of(scores, metric="ssim")
    exact, rounded = (r for r in rows if r["iteration"] == 2)
    outcome = scores.outcome().tensors
    images = outcome["adversarial_8bit"].float() / 255
    clean = torch.stack([photos.query_set[int(i)][0] for i in outcome["index"]])
    expected = [of_skimage(*each) for each in zip(clean, images, strict=True)]
    assert rounded["quantized"]
    assert rounded["value"] == pytest.approx(np.mean(expected), abs=1e-5)
    assert 0 < abs(exact["value"] - rounded["value"]) < 0.01
    assert "ssim" not in {r["metric"] for r in attack(tmp_path / "without", blobs, 1).rows}


def test_its_sum_is_kept_by_query():
    made = AttackMetrics(extra=[SSIM()])
    clean, changed = pair(2, 3, 16, 16)
    for rows in ([0], [1], [1]):
        made["ssim"].update(torch.tensor(rows), clean=clean[rows], adversarial=changed[rows])
    score = made.compute(["ssim"])["ssim"]
    assert (score.n, score.value) == (2, pytest.approx(float(SSIM().values(clean, changed).mean())))
