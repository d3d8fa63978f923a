import numpy as np
import pytest
import torch

from lightning_hash.models import ITQ, LSH, PCA
from lightning_hash.models.closed_form import principal_components, random_rotation
from tests.reference import closed_form as oracle

ALL = [PCA, ITQ, LSH]


@pytest.fixture
def features():
    """Sixty items on axes of different widths, far from the origin."""
    generator = torch.Generator().manual_seed(3)
    items = torch.randn(60, 6, generator=generator, dtype=torch.float64)
    turned = items * torch.tensor([5.0, 3.0, 2.0, 1.0, 0.5, 0.1], dtype=torch.float64)
    return turned @ random_rotation(6, generator) + 7


def logits(features, weight, bias):
    return features.double() @ weight.T + bias


def test_components_are_those_of_the_covariance(features):
    components = principal_components(features - features.mean(0), 3).numpy()
    covariance = oracle.covariance(features.numpy())
    variances = oracle.leading_variance(features.numpy(), 3)
    np.testing.assert_allclose(covariance @ components, components * variances, atol=1e-9)
    np.testing.assert_allclose(components.T @ components, np.eye(3), atol=1e-12)
    assert (components.max(0) == np.abs(components).max(0)).all()


def test_pca_by_hand():
    """Four points on a cross whose long axis is the second: variances 8 and 2."""
    points = torch.tensor([[1.0, 5.0], [1.0, -3.0], [3.0, 1.0], [-1.0, 1.0]])
    weight, bias = PCA(rotate=False).solve(points, 2)
    scale = 5**0.5  # root mean square of the centred coordinates (4, 0), (-4, 0), (0, 2), (0, -2)
    expected = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64) / scale
    torch.testing.assert_close(weight, expected)
    torch.testing.assert_close(bias, torch.tensor([-1.0, -1.0], dtype=torch.float64) / scale)


def test_a_rotation_spreads_the_variance_and_keeps_distances(features):
    plain, turned = (
        logits(features, *PCA(rotate=rotate, seed=1).solve(features, 4)) for rotate in (False, True)
    )
    torch.testing.assert_close(torch.cdist(plain, plain), torch.cdist(turned, turned))
    share = [float(each.var(0).max() / each.var(0).sum()) for each in (plain, turned)]
    assert share[0] > 0.6 > share[1]


def test_rotations_are_orthogonal_and_drawn_evenly():
    generator = torch.Generator().manual_seed(0)
    found = torch.stack([random_rotation(3, generator) for _ in range(4000)])
    eye = torch.eye(3, dtype=torch.float64).expand(4000, 3, 3)
    torch.testing.assert_close(found @ found.mT, eye)
    # LAPACK's own signs would leave a mean of the diagonal that is not 0.
    assert found.mean(0).abs().max() < 0.04
    assert float((torch.linalg.det(found) > 0).double().mean()) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("iterations", [1, 2, 17])
def test_itq_is_the_papers(features, iterations):
    weight, bias = ITQ(iterations, seed=5).solve(features, 4)
    centred = features - features.mean(0)
    components = principal_components(centred, 4)
    first = random_rotation(4, torch.Generator().manual_seed(5))
    rotation, losses = oracle.itq((centred @ components).numpy(), first.numpy(), iterations)
    expected = (centred @ components).numpy() @ rotation
    found = logits(features, weight, bias).numpy()
    np.testing.assert_allclose(found, expected / np.sqrt((expected**2).mean()), atol=1e-9)
    assert losses == sorted(losses, reverse=True)


def test_lsh_codes_are_signs_of_random_projections(features):
    weight, bias = LSH(seed=2).solve(features, 9)
    numbers = torch.Generator().manual_seed(2)
    drawn = torch.randn(6, 9, generator=numbers, dtype=torch.float64).numpy()
    expected = np.zeros((60, 9))
    for i, item in enumerate(features.numpy() - features.numpy().mean(0)):
        for k in range(9):
            expected[i, k] = sum(item[j] * drawn[j, k] for j in range(6)) >= 0
    assert np.array_equal(logits(features, weight, bias).numpy() >= 0, expected)
    assert 0.2 < expected.mean() < 0.8


@pytest.mark.parametrize("head", ALL)
def test_logits_are_centred_and_of_unit_size(head, features):
    weight, bias = head().solve(features.float(), 5)
    assert (weight.shape, bias.shape, weight.dtype) == ((5, 6), (5,), torch.float64)
    found = logits(features.float(), weight, bias)
    torch.testing.assert_close(
        found.mean(0), torch.zeros(5, dtype=torch.float64), atol=1e-6, rtol=0
    )
    assert float(found.square().mean()) == pytest.approx(1.0)


@pytest.mark.parametrize("head", ALL)
def test_draws_are_of_the_seed_alone(head, features):
    torch.manual_seed(0)
    one = head(seed=4).solve(features, 3)[0]
    torch.manual_seed(1)
    assert torch.equal(one, head(seed=4).solve(features, 3)[0])
    assert not torch.equal(one, head(seed=5).solve(features, 3)[0])


@pytest.mark.parametrize("head", [PCA, ITQ])
@pytest.mark.parametrize(("items", "bits", "most"), [(60, 7, 6), (5, 6, 4)])
def test_more_bits_than_components(head, items, bits, most, features):
    with pytest.raises(ValueError, match=f"bits must be at most {most} for .* got {bits}; take"):
        head().solve(features[:items], bits)


def test_bits_without_variance_are_refused():
    """Features of rank 3 in ten dimensions: without a rotation a fourth bit is rounding noise."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(50, 3, generator=generator) @ torch.randn(3, 10, generator=generator)
    assert PCA(rotate=False).solve(features, bits=3)[0].shape == (3, 10)
    with pytest.raises(ValueError, match="bits must be at most 3 with rotate: false, got 4"):
        PCA(rotate=False).solve(features, bits=4)
    assert PCA().solve(features, bits=4)[0].shape == (4, 10)


def test_a_bad_training_set(features):
    with pytest.raises(ValueError, match="head LSH: needs 2 training items, got 1"):
        LSH().solve(features[:1], 3)
    with pytest.raises(ValueError, match="head PCA: all 9 items have the same features"):
        PCA().solve(torch.ones(9, 4), 3)
    features[2, 1] = torch.nan
    with pytest.raises(ValueError, match="head ITQ: features of training items are not finite"):
        ITQ().solve(features, 3)


def test_bad_arguments():
    with pytest.raises(ValueError, match="iterations must be at least 1, got 0"):
        ITQ(0)
    with pytest.raises(ValueError, match="seed"):
        LSH(seed=-1)
