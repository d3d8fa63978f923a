"""The batch norm behind a hash layer."""

import pytest
import torch
from torch.nn import functional as F

from lightning_hash.models import BatchNormNetwork, build_model
from lightning_hash.models.build import build_network

NAME = "lightning_hash.models.BatchNormNetwork"
PATH = {"class_path": NAME, "init_args": {"features": "convnet"}}


def images(count, seed=0):
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def test_each_bit_is_normalised_over_the_batch():
    network = BatchNormNetwork(8, features="convnet")
    logits = network(images(20))
    torch.testing.assert_close(logits.mean(dim=0), torch.zeros(8), rtol=0, atol=1e-5)
    torch.testing.assert_close(logits.std(dim=0, correction=0), torch.ones(8), rtol=0, atol=1e-2)
    assert network.hash_layer.bias is None
    assert (network.bits, network.backbone) == (8, "convnet-bn")


def test_it_is_the_hash_layer_that_normalises():
    """So that who passes features on to the hash layer sees the logits."""
    network = BatchNormNetwork(8, features="convnet")
    for _ in range(3):
        network(images(20))
    network.eval()
    batch = images(5, seed=1)
    features = network.features(batch)
    assert torch.equal(network(batch), network.hash_layer(features))
    raw = features @ network.hash_layer.weight.T
    norm = network.hash_layer.norm
    expected = (raw - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
    torch.testing.assert_close(network(batch), expected)
    torch.testing.assert_close(network(batch[:1]), network(batch)[:1])


def test_a_batch_of_one_takes_the_running_statistics():
    network = BatchNormNetwork(8, features="convnet")
    for _ in range(3):
        network(images(20))
    layer = network.hash_layer
    features = torch.rand(1, layer.in_features)
    mean = layer.norm.running_mean.clone()
    alone = layer(features)
    assert torch.equal(layer.norm.running_mean, mean)
    assert torch.equal(alone, layer.eval()(features))


def test_its_parameters_are_new():
    network = BatchNormNetwork(8, features="convnet")
    names = {id(p): name for name, p in network.named_parameters()}
    new = {names[id(p)] for p in network.new_parameters()}
    assert new == {"hash_layer.weight", "hash_layer.norm.weight", "hash_layer.norm.bias"}
    old = {names[id(p)] for p in network.pretrained_parameters()}
    assert new | old == set(names.values())


def test_from_a_description():
    network = build_network(PATH, 12)
    assert network.state_dict().keys() == BatchNormNetwork(12, "convnet").state_dict().keys()
    assert build_network({"class_path": PATH["class_path"]}, 4).backbone == "alexnet-bn"
    with pytest.raises(ValueError, match="backbone 'alex' is unknown; did you mean 'alexnet'"):
        build_network({**PATH, "init_args": {"features": "alex"}}, 4)
    with pytest.raises(ValueError, match="convnet has no pretrained weights"):
        build_network(PATH, 4, weights="DEFAULT")


def test_features_are_those_of_the_backbone():
    torch.manual_seed(0)
    network = BatchNormNetwork(8, features="convnet").eval()
    torch.manual_seed(0)
    plain = build_model("convnet", 8).eval()
    batch = images(3)
    assert torch.equal(network.features(batch), plain.features(batch))
    assert not torch.equal(F.normalize(network(batch)), F.normalize(plain(batch)))
