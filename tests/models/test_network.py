import pytest
import torch
from torch import nn

from lightning_hash.models import HashNetwork, build_model


def test_forward_is_normalise_then_extract_then_hash():
    torch.manual_seed(0)
    hash_layer = nn.Linear(12, 5)
    network = HashNetwork(
        "pixels", nn.Flatten(), hash_layer, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 4.0)
    )
    image = torch.rand(1, 3, 2, 2)
    by_hand = [
        (image[0, c, y, x].item() - (0.1, 0.2, 0.3)[c]) / (1.0, 2.0, 4.0)[c]
        for c in range(3) for y in range(2) for x in range(2)
    ]  # fmt: skip
    torch.testing.assert_close(network.features(image), torch.tensor([by_hand]))
    torch.testing.assert_close(network(image), hash_layer(torch.tensor([by_hand])))


def test_mean_and_std_travel_with_the_weights_and_are_not_trained():
    network = build_model("convnet", 8)
    assert network.mean.shape == network.std.shape == (3,)
    assert {"mean", "std"} <= network.state_dict().keys()
    assert {"mean", "std"}.isdisjoint(dict(network.named_parameters()))


def test_every_parameter_is_either_pretrained_or_new():
    network = build_model("convnet", 8)
    pretrained = {id(p) for p in network.pretrained_parameters()}
    new = {id(p) for p in network.new_parameters()}
    assert pretrained.isdisjoint(new)
    assert pretrained | new == {id(p) for p in network.parameters()}
    assert new == {id(network.hash_layer.weight), id(network.hash_layer.bias)}


def test_convnet_is_as_small_as_it_says():
    network = build_model("convnet", 32)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(75_000, rel=0.02)
    strides = [m.stride[0] for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert strides == [2, 1, 2, 1, 2, 1]


def test_convnet_begins_with_eight_times_the_hash_weights():
    torch.manual_seed(0)
    bound = build_model("convnet", 512).hash_layer.weight.abs().max().item()
    assert bound == pytest.approx(8 / 64**0.5, rel=1e-2)  # torch's own bound is 1 / sqrt(64)


def test_codes_in_evaluation_do_not_depend_on_the_batch():
    torch.manual_seed(0)
    network, images = build_model("convnet", 16).eval(), torch.rand(6, 3, 64, 64)
    alone = torch.cat([network(image[None]) for image in images])
    torch.testing.assert_close(network(images), alone, rtol=1e-4, atol=1e-5)
