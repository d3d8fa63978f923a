"""State dicts as public hashing and torchvision code saves them."""

import logging
from collections import OrderedDict

import pytest
import torch
import torchvision
from safetensors.torch import save_file, save_model
from torch import nn

from lightning_hash.models import build_model
from lightning_hash.models.state_dicts import torchvision_name
from lightning_hash.victims import load_foreign
from tests.victims.test_foreign import HashNetLike, normalized, randomised

BITS = 12


class Headed(nn.Module):
    """A torchvision network without its classifier, and a layer of any name behind it."""

    def __init__(self):
        super().__init__()
        self.backbone = torchvision.models.resnet18()
        self.backbone.fc = nn.Identity()
        self.head = nn.Linear(512, BITS)

    def forward(self, inputs):
        return self.head(self.backbone(inputs))


@pytest.fixture(scope="module")
def plain():
    return randomised(torchvision.models.resnet18(num_classes=BITS))


@pytest.fixture(scope="module")
def hashnet():
    return randomised(HashNetLike(BITS))


@pytest.fixture(scope="module")
def headed():
    return randomised(Headed())


def behind(prefix, state):
    return OrderedDict((f"{prefix}{key}", value) for key, value in state.items())


def saved(state, path):
    if path.suffix == ".safetensors":  # sorts by name, and holds no tensor twice
        save_file({k: v.clone() for k, v in state.items()}, path)
    else:
        torch.save(state, path)
    return str(path)


def check(source, theirs, caplog, *said):
    with caplog.at_level(logging.INFO):
        victim = load_foreign(source, "resnet18", BITS)
    images = torch.rand(2, 3, 48, 48)
    torch.testing.assert_close(victim(images), theirs(normalized(images)))
    (message,) = [r.getMessage() for r in caplog.records if "matched" in r.getMessage()]
    assert all(text in message for text in said)
    return message


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "0.", "model.", "module._orig_mod.", "any.name.at.all."])
def test_one_prefix_of_any_name_is_taken_off(tmp_path, caplog, plain, hashnet, prefix, suffix):
    for theirs in (plain, hashnet):
        caplog.clear()
        state = behind(prefix, theirs.state_dict())
        message = check(saved(state, tmp_path / f"a{suffix}"), theirs, caplog, "matched by name")
        assert "unused" not in message


def test_layers_that_are_there_twice_and_saved_once(tmp_path, caplog, hashnet):
    """safetensors keeps one name of each, of one place or of the other."""
    sequence = nn.Sequential(hashnet)
    save_model(sequence, tmp_path / "a.safetensors")
    check(str(tmp_path / "a.safetensors"), hashnet, caplog, "matched by name")
    own = ("conv1", "bn1", "layer1", "layer2")
    mixed = {k: v for k, v in hashnet.state_dict().items()
             if not k.startswith((*own, "feature_layers.6", "feature_layers.7"))}  # fmt: skip
    caplog.clear()
    check(saved(mixed, tmp_path / "b.safetensors"), hashnet, caplog, "matched by name")


@pytest.mark.parametrize("key", ["net", "state_dict", "model", "model_state_dict", "generator"])
def test_a_state_dict_under_a_key(tmp_path, caplog, hashnet, key):
    adam = torch.optim.Adam(hashnet.hash_layer.parameters())
    hashnet.hash_layer.weight.grad = torch.ones_like(hashnet.hash_layer.weight)
    adam.step()
    content = {"epoch": 3, "best": torch.tensor(0.5), "optimizer": adam.state_dict()}
    content[key] = hashnet.state_dict()
    check(saved(content, tmp_path / "a.pth"), hashnet, caplog, "matched by name")


def test_what_wrappers_put_into_the_midst_of_names(tmp_path, caplog, plain):
    state = plain.state_dict()
    state = {k.replace("layer1.", "layer1.module.").replace("layer2.", "layer2._orig_mod."): v
             for k, v in state.items()}  # fmt: skip
    check(saved(state, tmp_path / "a.pth"), plain, caplog, "matched by name")


def test_tensors_of_others_stay_unused_and_are_named(tmp_path, caplog, hashnet):
    """SAAT's CSQ and Ortho models, and a weight average."""
    state = behind("model.", hashnet.state_dict())
    extra = {
        "hash_targets": torch.ones(10, BITS), "random_center": torch.ones(BITS),
        "batchnorm.weight": torch.ones(BITS), "batchnorm.bias": torch.ones(BITS),
        "batchnorm.running_mean": torch.ones(BITS), "fc.centroids": torch.ones(10, BITS),
    }  # fmt: skip
    message = check(saved({**extra, **state}, tmp_path / "a.pth"), hashnet, caplog,
                    "matched by name behind the prefix 'model.'; unused: ")  # fmt: skip
    assert message.partition("unused: ")[2].split(", ") == list(extra)
    caplog.clear()
    average = torch.optim.swa_utils.AveragedModel(hashnet).state_dict()
    message = check(saved(average, tmp_path / "b.pth"), hashnet, caplog)
    assert message.endswith("unused: n_averaged")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_hash_layer_of_any_name(tmp_path, caplog, headed, suffix):
    state = headed.state_dict() | {"classes.weight": torch.ones(10, BITS)}  # reads the code
    check(saved(state, tmp_path / f"a{suffix}"), headed, caplog, "unused: classes.weight")


def test_names_that_nobody_knows_go_by_order(tmp_path, caplog, plain):
    state = {}
    for number, (key, value) in enumerate(plain.state_dict().items()):
        state[f"net.part{number // 5}.n{number}.{key.rpartition('.')[2]}"] = value
    check(saved(state, tmp_path / "a.pth"), plain, caplog, "matched by order")
    with pytest.raises(ValueError, match=r"does not fit .* sorted, so that their order says noth"):
        load_foreign(saved(dict(sorted(state.items())), tmp_path / "b.pth"), "resnet18", BITS)
    twice = behind("a.", state) | behind("b.", {k: v + 1 for k, v in state.items()})
    with pytest.raises(ValueError, match=r"several ways: 'a\.' and 'b\.' are different"):
        load_foreign(saved(twice, tmp_path / "c.pth"), "resnet18", BITS)


def without(state, *names):
    return {k: v for k, v in state.items() if not k.startswith(names)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: behind("student.", s) | behind("teacher.", {k: v + 1 for k, v in s.items()}),
         r"fits in several ways: 'student\.' and 'teacher\.'"),
        (lambda s: s | {"hash_layer.weight": s["fc.weight"] + 1, "hash_layer.bias": s["fc.bias"]},
         r"fits in several ways: 'fc' and 'hash_layer'"),
        (lambda s: s | {"fc.weight": torch.ones(1000, 512), "fc.bias": torch.ones(1000)},
         r"fc\.weight \(1000, 512\) does not fit resnet18's hash_layer\.weight \(12, 512\)"),
        (lambda s: without(s, "fc."), r"no layer with a bias and weights \(12, 512\), .* none"),
        (lambda s: without(s, "fc.bias"), r"no layer with a bias and weights \(12, 512\)"),
        (lambda s: without(s, "layer1.0.conv1", "fc"),
         r"by name 1 keys missing \['layer1\.0\.conv1\.weight'\], 0 unexpected"),
        (lambda s: s | {"layer3.0.bn1.bias": torch.ones(7)},
         r"by name 0 keys missing .* 1 of another shape \['layer3\.0\.bn1\.bias'\]"),
        (lambda s: s | {"neck.weight": torch.ones(512, 512), "neck.bias": torch.ones(512)},
         r"neck\.weight \(512, 512\) may stand between the features and the code, .* has fc alone"),
        (lambda s: s | {"bn.weight": torch.ones(BITS), "bn.bias": torch.ones(BITS)},
         r"bn\.weight \(12,\) may stand between"),
        (lambda s: s | {"layer4.2.conv1.weight": torch.ones(4, 4, 3, 3)},
         r"resnet18 has no layer4\.2\.conv1\.weight \(4, 4, 3, 3\); give the backbone that it was"),
        (lambda s: {"generator": s, "other": s}, r"holds 2 state dicts, under generator, other"),
        (lambda s: {"net": s, "args": [object]}, r"holds more than tensors"),
    ],
)  # fmt: skip
def test_state_dicts_that_do_not_fit_name_what_is_wrong(tmp_path, plain, change, message):
    source = saved(change(plain.state_dict()), tmp_path / "a.pth")
    with pytest.raises(ValueError, match=message) as error:
        load_foreign(source, "resnet18", BITS)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("backbone", "given", "expected"),
    [
        ("alexnet", "extractor.classifier.4.bias", "classifier.4.bias"),
        ("alexnet", "cl1.weight", "classifier.1.weight"),  # SAAT
        ("vgg16", "cl2.weight", "classifier.3.weight"),
        ("alexnet", "hash_layer.6.weight", "classifier.6.weight"),  # DeepHash-pytorch
        ("vgg11", "hash_layer.classifier0.weight", "classifier.0.weight"),  # DHTA
        ("vgg11", "classifier.classifier3.bias", "classifier.3.bias"),  # HashNet
        ("vgg11", "1.classifier3.bias", "classifier.3.bias"),  # its feature_layers
        ("vgg11", "0.18.bias", "features.18.bias"),
        ("vgg11", "feature_layers.0.18.bias", "features.18.bias"),
        ("vgg11", "feature_layers.1.classifier0.bias", "classifier.0.bias"),
        ("resnet18", "feature_layers.4.0.bn1.bias", "layer1.0.bn1.bias"),
        ("resnet50", "7.2.bn3.running_var", "layer4.2.bn3.running_var"),
        ("resnet50", "0.weight", "conv1.weight"),
        ("resnet50", "9.weight", "9.weight"),
    ],
)
def test_names_of_the_repositories(backbone, given, expected):
    assert torchvision_name(given, backbone) == expected


def test_weights_to_begin_with_have_prefixes_and_keys_too(tmp_path, plain):
    state = {"net": behind("module.", plain.state_dict()) | {"module.centers": torch.ones(3)}}
    loaded = build_model("resnet18", 8, saved(state, tmp_path / "a.pth.tar")).extractor
    assert torch.equal(loaded.layer4[1].bn2.running_mean, plain.layer4[1].bn2.running_mean)
