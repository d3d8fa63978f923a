import pickle
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from lightning_hash.models import build_model


@pytest.fixture(scope="module")
def classifier():
    """A torchvision network with a classifier of another width than ImageNet's."""
    torch.manual_seed(7)
    network = torchvision.models.resnet18(weights=None, num_classes=5).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
    return network


def save(state, path):
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    return str(path)


@pytest.mark.parametrize("file", ["weights.pth", "weights.pt", "weights.safetensors"])
def test_weights_of_a_file_arrive_and_its_classifier_does_not(file, classifier, tmp_path):
    path = save(classifier.state_dict(), tmp_path / file)
    network = build_model("resnet18", bits=8, weights=path)
    loaded = network.extractor.state_dict()
    for key, value in classifier.state_dict().items():
        if not key.startswith("fc."):
            assert torch.equal(loaded[key], value), key
    assert network.hash_layer.weight.shape == (8, 512)
    assert network.pretrained
    assert not build_model("resnet18", bits=8).pretrained


def test_a_file_without_a_classifier_will_do(classifier, tmp_path):
    state = {k: v for k, v in classifier.state_dict().items() if not k.startswith("fc.")}
    network = build_model("resnet18", 8, save(state, tmp_path / "features.pth"))
    assert torch.equal(network.extractor.conv1.weight, classifier.conv1.weight)


def test_a_file_without_batch_norm_counters_will_do(classifier, tmp_path):
    # torchvision's own files of 2017, such as resnet18-5c106cde.pth, have none.
    state = {k: v for k, v in classifier.state_dict().items() if "num_batches_tracked" not in k}
    network = build_model("resnet18", 8, save(state, tmp_path / "old.pth"))
    assert torch.equal(network.extractor.bn1.running_mean, classifier.bn1.running_mean)


def test_keys_that_do_not_fit_are_named(classifier, tmp_path):
    state = dict(classifier.state_dict())
    state["module.conv1.weight"] = state.pop("conv1.weight")
    state["layer1.0.conv1.weight"] = torch.zeros(1)
    path = save(state, tmp_path / "odd.pth")
    with pytest.raises(ValueError, match=r"odd\.pth do not fit resnet18") as error:
        build_model("resnet18", 8, path)
    assert "1 keys missing ['conv1.weight']" in str(error.value)
    assert "1 unexpected ['module.conv1.weight']" in str(error.value)
    assert "1 of another shape ['layer1.0.conv1.weight']" in str(error.value)


def test_missing_file_is_named(tmp_path):
    path = tmp_path / "absent.pth"
    with pytest.raises(FileNotFoundError, match=r"absent\.pth does not exist; give the path"):
        build_model("resnet18", 8, str(path))


class Payload:
    """Unpickling it would write a file."""

    def __init__(self, proof):
        self.proof = proof

    def __reduce__(self):
        return Path.write_text, (self.proof, "executed")


@pytest.mark.parametrize("legacy", [True, False])
def test_pickled_code_is_refused_and_does_not_run(legacy, tmp_path):
    proof, path = tmp_path / "proof", tmp_path / "evil.pth"
    if legacy:
        path.write_bytes(pickle.dumps({"conv1.weight": Payload(proof)}))
    else:
        torch.save({"conv1.weight": Payload(proof)}, path)
    with pytest.raises(ValueError, match=r"evil\.pth .*not loaded; save"):
        build_model("resnet18", 8, str(path))
    assert not proof.exists()
    # The same file does run code in the hands of a plain unpickler.
    if legacy:
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert proof.read_text() == "executed"


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.01, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_truncated_file_is_refused_and_named(kind, kept, tmp_path):
    path = tmp_path / ("cut.safetensors" if kind == "safetensors" else "cut.pth")
    state = {"conv1.weight": torch.arange(4000.0)}
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ValueError, match=r"weights .*cut\."):
        build_model("resnet18", 8, str(path))


@pytest.mark.parametrize("content", [{"net": {}}, [torch.zeros(2)], {0: torch.zeros(2)}])
def test_a_file_that_is_no_state_dict(content, tmp_path):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth is no state dict"):
        build_model("resnet18", 8, str(tmp_path / "other.pth"))


@pytest.mark.parametrize("weights", ["IMAGENET1K_V9", "IMAGENET1K_FEATURES", "weights.txt"])
def test_unknown_weights_list_what_there_is(weights):
    # IMAGENET1K_FEATURES of vgg16 have no classifier: its features would be random.
    with pytest.raises(ValueError, match="unknown for vgg16; give null, IMAGENET1K_V1, DEFAULT, "):
        build_model("vgg16", 8, weights)


@pytest.mark.parametrize("weights", ["DEFAULT", "IMAGENET1K_V1"])
def test_named_weights_go_to_torchvision(weights, monkeypatch):
    asked = []
    real = torchvision.models.resnet18
    monkeypatch.setattr(
        torchvision.models, "resnet18", lambda weights: asked.append(weights) or real(weights=None)
    )
    build_model("resnet18", 8, weights)
    assert asked == [torchvision.models.ResNet18_Weights.IMAGENET1K_V1]


def test_convnet_has_no_pretrained_weights():
    with pytest.raises(ValueError, match="convnet has no pretrained weights, got 'DEFAULT'"):
        build_model("convnet", 8, "DEFAULT")
