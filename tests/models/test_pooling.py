import pytest
import torch
from torch import nn

from lightning_hash.models import build_model
from lightning_hash.models.pooling import AdaptiveAveragePool


@pytest.mark.parametrize("size", [(7, 7), (1, 1), (14, 14), (9, 5), (1, 7)])
def test_it_is_torchs_pooling_with_its_gradient(size):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 3, *size, generator=generator, dtype=torch.float64)
    weight = torch.randn(2, 3, 7, 7, generator=generator, dtype=torch.float64)
    found = []
    for pool in (AdaptiveAveragePool((7, 7)), nn.AdaptiveAvgPool2d((7, 7))):
        inputs = features.clone().requires_grad_()
        outputs = pool(inputs)
        (gradient,) = torch.autograd.grad((outputs * weight).sum(), inputs)
        found.append((outputs, gradient))
    (outputs, gradient), (expected, expected_gradient) = found
    torch.testing.assert_close(outputs, expected, rtol=1e-14, atol=0)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(("backbone", "side"), [("alexnet", 6), ("vgg11", 7)])
def test_networks_that_pool_to_more_than_a_value_have_it(backbone, side):
    pools = [m for m in build_model(backbone, 8).modules() if isinstance(m, nn.AdaptiveAvgPool2d)]
    assert [type(pool) for pool in pools] == [AdaptiveAveragePool]
    assert pools[0].output_size == (side, side)
