import pytest
import torch
from lightning_hash.victims.frozen import FrozenNetwork
from torch import nn

from lightning_hash.models import build_model
from lightning_hash.victims.victim import freeze


def with_statistics(network):
    """Batch norms that have seen something, as after a training."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.uniform_(module.weight, 0.5, 2, generator=generator)
            nn.init.normal_(module.bias, generator=generator)
    return network


@pytest.mark.parametrize("name", ["convnet", "resnet18", "vgg11_bn"])
def test_folded_batch_norms_change_nothing_but_rounding(name):
    torch.manual_seed(0)
    victim = freeze(with_statistics(build_model(name, 16)).double())
    before = {key: value.clone() for key, value in victim.network.state_dict().items()}
    folded = FrozenNetwork(victim, folded=True)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    inputs = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    gradients = []
    for network in (FrozenNetwork(victim), folded):
        x = inputs.clone().requires_grad_()
        logits = network(x)
        gradients.append(torch.autograd.grad(torch.tanh(logits).sum(), x)[0])
    torch.testing.assert_close(folded(inputs), victim.network(inputs), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(*gradients, rtol=1e-7, atol=1e-12)
    after = victim.network.state_dict()  # the user's model is left alone
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_there_must_be_something_to_fold():
    with pytest.raises(ValueError, match="no batch norm behind a convolution"):
        FrozenNetwork(freeze(nn.Sequential(nn.Flatten(), nn.Linear(12, 4))), folded=True)
