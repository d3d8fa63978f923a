"""Recurrent layers are passed in training mode without dropout: cuDNN has no backward in eval mode.

The values are those of eval mode.
"""

import copy

import pytest
import torch
from torch import nn

from lightning_hash.victims import Kernels, Victim, borrowed, load_foreign
from tests.helpers.exported import export

images = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.layers = kind(16, 8, num_layers=2, dropout=0.5, batch_first=True)

    def forward(self, x):
        states, _ = self.layers(x.flatten(2))
        return states[:, -1]


@pytest.fixture(params=[nn.LSTM, nn.GRU, nn.RNN])
def net(request):
    torch.manual_seed(0)
    return Recurrent(request.param).eval()


def modes(layers):
    return layers.training, layers.dropout


@pytest.mark.parametrize("training", [True, False])
def test_a_borrowed_network(net, training):
    expected = net(images)
    net.train(training)
    with borrowed(net):
        assert modes(net.layers) == (True, 0.0)
        assert not net.training
        assert torch.equal(net(images), expected)
    assert modes(net.layers) == (training, 0.5)


def test_a_copy_on_other_kernels(net):
    expected = net(images)
    victim = Kernels(channels_last=True).of(Victim(net))
    assert modes(victim.network.layers) == (True, 0.0)
    assert torch.equal(victim(images), expected)


@pytest.mark.parametrize("own", [True, False])
def test_an_exported_program(net, tmp_path, own):
    path = export(net, tmp_path / "a.pt2")
    if own:
        victim = Victim(copy.deepcopy(torch.export.load(path).module())).to("cpu")
        network = victim.network
    else:
        victim = load_foreign(path, preprocess="none")
        network = victim.network.network
    name = "rnn_tanh" if isinstance(net.layers, nn.RNN) else type(net.layers).__name__.lower()
    (node,) = (node for node in network.graph.nodes if f"aten.{name}" in str(node.target))
    assert node.args[5:7] == (0.0, True)
    assert torch.equal(victim(images), net(images))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("make", [torch.jit.script, lambda net: torch.jit.trace(net, images)])
def test_a_script(net, tmp_path, make):
    make(net).save(str(tmp_path / "a.ts"))
    victim = load_foreign(str(tmp_path / "a.ts"), preprocess="none", trust=True)
    assert torch.equal(victim(images), net(images))
    layers = victim.network.network.layers._c
    found = [
        [value.toIValue() for value in node.inputs()]
        for name in layers._method_names()
        for kind in ("lstm", "gru", "rnn_tanh")
        for node in layers._get_method(name).graph.findAllNodes(f"aten::{kind}")
    ]
    assert found
    for values in found:
        (dropout,) = (place for place, value in enumerate(values) if isinstance(value, float))
        assert (values[dropout], values[dropout + 1]) == (0.0, True)
