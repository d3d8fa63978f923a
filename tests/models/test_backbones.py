import pytest
import torch
import torchvision
from torch import nn

from lightning_hash.models import BACKBONES, build_model
from lightning_hash.models.backbones import TORCHVISION

WIDTHS = {"alexnet": 4096, "vgg": 4096, "resnet18": 512, "resnet34": 512, "resnet50": 2048,
          "resnet101": 2048}  # fmt: skip


def width_of(backbone):
    return WIDTHS["vgg"] if backbone.startswith("vgg") else WIDTHS[backbone]


def raw(backbone):
    """The torchvision network, without the time that its random initialisation takes."""
    with torch.device("meta"):
        return getattr(torchvision.models, backbone)(weights=None)


@pytest.fixture
def cheap_init(monkeypatch):
    """Skip initialisations that take seconds for VGG's 120 million weights."""
    for name in ("normal_", "kaiming_normal_", "kaiming_uniform_", "trunc_normal_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)


@pytest.mark.parametrize("backbone", TORCHVISION)
def test_only_the_last_layer_is_replaced(backbone, cheap_init):
    with torch.device("meta"):
        network = build_model(backbone, bits=8)
    assert (network.backbone, network.bits) == (backbone, 8)
    assert network.hash_layer.in_features == width_of(backbone)
    own = {k.removeprefix("extractor."): v.shape for k, v in network.state_dict().items()}
    reference = {k: v.shape for k, v in raw(backbone).state_dict().items()}
    last = list(reference)[-1].rpartition(".")[0]
    assert last in ("fc", "classifier.6")
    assert own.keys() - reference.keys() == {"mean", "std", "hash_layer.weight", "hash_layer.bias"}
    assert reference.keys() - own.keys() == {f"{last}.weight", f"{last}.bias"}
    assert all(own[key] == reference[key] for key in own.keys() & reference.keys())


@pytest.mark.parametrize(
    ("backbone", "size"),
    [("convnet", 64), ("alexnet", 64), ("vgg11", 32), ("vgg19", 32), ("resnet18", 64),
     ("resnet101", 64)],
)  # fmt: skip
def test_small_images_go_through_and_gradients_come_back(backbone, size, cheap_init):
    torch.manual_seed(0)
    network = build_model(backbone, bits=8).eval().requires_grad_(requires_grad=False)
    for parameter in network.parameters():
        if parameter.dim() > 1:  # what cheap_init left is undefined memory
            bound = (6 / parameter[0].numel()) ** 0.5
            parameter.uniform_(-bound, bound)
    images = torch.rand(2, 3, size, size, requires_grad=True)
    before = images.detach().clone()
    logits = network(images)
    assert logits.shape == (2, 8)
    (gradient,) = torch.autograd.grad(logits.sum(), images)
    # In-place activations must not write into what the caller handed in.
    assert torch.equal(images, before)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0


def test_normalisation_is_inside():
    torch.manual_seed(0)
    network = build_model("resnet18", bits=8).eval()
    reference = torchvision.models.resnet18(weights=None).eval()
    state = network.extractor.state_dict()
    reference.fc = nn.Identity()
    reference.load_state_dict(state)
    images = torch.rand(2, 3, 64, 64)
    normalise = torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    torch.testing.assert_close(network.features(images), reference(normalise(images)))


def test_dropout_stays_where_torchvision_has_it():
    with torch.device("meta"):
        network = build_model("alexnet", bits=8)
    kinds = [type(m).__name__ for m in network.extractor.classifier]
    assert kinds == ["Dropout", "Linear", "ReLU", "Dropout", "Linear", "ReLU", "Identity"]


def test_unknown_backbone_names_the_nearest_and_all():
    with pytest.raises(ValueError, match="did you mean 'resnet50'") as error:
        build_model("resnet-50", 8)
    assert all(name in str(error.value) for name in BACKBONES)


@pytest.mark.parametrize("backbone", ["convnet", "resnet18"])
@pytest.mark.parametrize("bits", [0, -3])
def test_bits_below_one(backbone, bits):
    with pytest.raises(ValueError, match=f"bits must be at least 1, got {bits}"):
        build_model(backbone, bits)
