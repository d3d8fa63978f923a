import copy
import sys
from collections import Counter
from functools import partial

import pytest
import torch
from safetensors.torch import save_file
from torch.nn.functional import interpolate
from torch.utils._python_dispatch import TorchDispatchMode

from lightning_hash.__main__ import main
from lightning_hash.models import BatchNormNetwork, VideoNetwork, build_model
from lightning_hash.models.backbones import preprocessing_of
from lightning_hash.victims import Victim, borrowed, load_foreign, load_victim
from tests.helpers.commands import SMALL_DATA

VIT, RESNET = "timm/test_vit.r160_in1k", "timm/test_resnet"


@pytest.fixture(scope="module")
def timm():
    return pytest.importorskip("timm", reason="pip install '.[timm]'")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r"pip install 'lightning-hash\[timm\]'"):
        build_model("timm/resnet18", 8)


@pytest.mark.parametrize(("backbone", "width"), [(VIT, 64), (RESNET, 96)])
def test_the_hash_layer_sees_what_timms_classifier_would(backbone, width, timm):
    torch.manual_seed(0)
    network = build_model(backbone, bits=8).eval()
    own = timm.create_model(backbone.removeprefix("timm/"), num_classes=5).eval()
    own.load_state_dict(network.extractor.state_dict(), strict=False)
    seen = []
    own.get_classifier().register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    images = torch.rand(2, 3, 160, 160)
    own((images - 0.5) / 0.5)  # the data config of both
    assert network.hash_layer.in_features == width
    torch.testing.assert_close(network.features(images), seen[0])
    assert (network.backbone, network.bits) == (backbone, 8)
    assert not network.pretrained


@pytest.mark.parametrize(
    ("backbone", "expected"),
    [
        (VIT, (160, "bicubic", (0.5,) * 3, (0.5,) * 3)),
        (RESNET, (160, "bilinear", (0.5,) * 3, (0.5,) * 3)),
        ("timm/vit_small_patch14_dinov2.lvd142m",
         (518, "bicubic", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))),
    ],
)  # fmt: skip
def test_preprocessing_is_that_of_the_name_and_tag(backbone, expected, timm):
    assert preprocessing_of(backbone) == expected
    if backbone == VIT:
        network = build_model(backbone, 8)
        assert network.preprocessing == expected
        assert network.mean.tolist() == [0.5] * 3


@pytest.mark.parametrize("kind", [BatchNormNetwork, partial(VideoNetwork, hidden=4)])
def test_networks_that_take_its_features_normalise_as_it_does(kind, timm):
    name = "features" if kind is BatchNormNetwork else "frames"
    network = kind(8, **{name: RESNET})
    assert network.mean.tolist() == network.std.tolist() == [0.5] * 3


def test_other_backbones_say_nothing_of_their_inputs():
    assert preprocessing_of("resnet18") is None


def test_a_vision_transformer_takes_other_sizes(timm):
    network = build_model(VIT, 8).eval()
    small = network.features(torch.rand(2, 3, 64, 64))
    assert small.shape == (2, 64)
    # As a network of that size whose position embeddings timm has resized.
    other = copy.deepcopy(network.extractor)
    other.set_input_size((64, 64))
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(network.features(images), other((images - 0.5) / 0.5))
    with pytest.raises(ValueError, match=r"does not take inputs of \(70, 70\) .*--data.size 160"):
        network(torch.rand(2, 3, 70, 70))


class Operators(TorchDispatchMode):
    """Counts what torch runs."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.counts[function.name()] += 1
        return function(*args, **(kwargs or {}))


def test_attention_is_fused_under_attack_and_its_gradient_is_right(timm):
    torch.manual_seed(0)
    network = build_model(VIT, 8)
    depth = len(network.extractor.blocks)
    plain = copy.deepcopy(network)
    for block in plain.extractor.blocks:
        block.attn.fused_attn = False  # softmax of products, written out
    images = torch.rand(2, 3, 160, 160)
    gradients = []
    for each, fused in ((network, depth), (plain, 0)):
        victim = Victim(each)
        inputs = images.clone().requires_grad_()
        with borrowed(each), Operators() as operators:
            victim(inputs).square().sum().backward()
        names = {n: c for n, c in operators.counts.items() if "scaled_dot_product" in n}
        assert sum(c for n, c in names.items() if "backward" in n) == fused
        assert sum(names.values()) == 2 * fused
        assert operators.counts["aten::_softmax"] == depth - fused
        gradients.append(inputs.grad)
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().min(dim=0).values.max() > 0


@pytest.mark.parametrize("backbone", [VIT, RESNET])
def test_weights_of_a_file_arrive_and_its_classifier_does_not(backbone, timm, tmp_path):
    torch.manual_seed(1)
    given = timm.create_model(backbone.removeprefix("timm/"), num_classes=5).state_dict()
    save_file(given, tmp_path / "w.safetensors")
    network = build_model(backbone, 8, str(tmp_path / "w.safetensors"))
    for name, value in network.extractor.state_dict().items():
        assert torch.equal(value, given[name]), name
    assert network.pretrained
    torch.save({"model": {f"module.{k}": v for k, v in given.items()}}, tmp_path / "w.pth")
    again = build_model(backbone, 8, str(tmp_path / "w.pth"))
    name, parameter = next(again.extractor.named_parameters())
    assert torch.equal(parameter, given[name])


def test_a_file_of_another_network(timm, tmp_path):
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"w\.safetensors do not fit timm/test_vit.*keys missing"):
        build_model(VIT, 8, str(tmp_path / "w.safetensors"))


def test_default_weights_go_to_timm(monkeypatch, timm):
    asked, real = [], timm.create_model

    def create(name, pretrained, **options):
        asked.append((name, pretrained))
        return real(name, **options)

    monkeypatch.setattr(timm, "create_model", create)
    assert build_model(VIT, 8, "DEFAULT").pretrained
    build_model(VIT, 8)
    assert asked == [("test_vit.r160_in1k", True), ("test_vit.r160_in1k", False)]
    with pytest.raises(ValueError, match="weights 'IMAGENET1K_V1' are unknown for timm/test_vit"):
        build_model(VIT, 8, "IMAGENET1K_V1")


def test_weights_of_the_other_gelu_are_refused(monkeypatch, timm):
    monkeypatch.setattr(timm, "create_model", None)  # neither built nor downloaded
    name = "timm/vit_base_patch32_clip_{}224.openai"
    with pytest.raises(ValueError, match="trained with QuickGELU, this network has GELU") as raised:
        build_model(name.format(""), 8, "DEFAULT")
    assert f"give --model.backbone {name.format('quickgelu_')}, or null" in str(raised.value)
    for fits in (name.format("quickgelu_"), "timm/vit_base_patch32_clip_224.laion2b"):
        with pytest.raises(TypeError, match="'NoneType' object is not callable"):
            build_model(fits, 8, "DEFAULT")


def test_a_download_that_fails_is_one_line(monkeypatch, timm):
    def create(name, **options):
        raise OSError("no\nnetwork")

    monkeypatch.setattr(timm, "create_model", create)
    with pytest.raises(ValueError, match=r"the download failed \(OSError: no network\); give a lo"):
        build_model(VIT, 8, "DEFAULT")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("vit_tinny_patch16_224", "did you mean timm/vit_tiny_patch16_224"),
        ("test_vit.r160", "timm/test_vit.r160_in1k"),
        ("local-dir:/tmp", "unknown to timm"),
        ("../test_vit", "unknown to timm"),
        ("", "unknown to timm"),
    ],
)
def test_unknown_names(name, said, timm):
    with pytest.raises(ValueError, match="is unknown to timm") as error:
        build_model(f"timm/{name}", 8)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


HUB = "timm/hf-hub:somebody/small"


@pytest.fixture
def hub(timm, monkeypatch):
    """A hub with one network, and a list of what was asked of it."""
    config = {**timm.get_pretrained_cfg("test_vit").to_dict(), "mean": (0.1, 0.2, 0.3)}
    config |= {"url": "https://elsewhere", "file": "/etc/passwd"}
    described = [config, "test_vit", {"embed_dim": 32, "num_heads": 2}]
    asked = []

    def load(name, *args, **kwargs):
        asked.append(name)
        if described[0] is None:
            raise OSError("offline")
        return tuple(described)

    monkeypatch.setattr(timm.models, "load_model_config_from_hf", load)
    monkeypatch.setattr(timm.models._factory, "load_model_config_from_hf", load)
    return described, asked


def save_checkpoint(network, path, **changes):
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    entry = {"kind": "victim", "version": 1, "backbone": network.backbone, "bits": network.bits,
             "loss": None, "architecture": network.architecture}  # fmt: skip
    torch.save({"lightning_hash": {**entry, **changes}, "state_dict": state}, path)
    return path


def test_a_network_of_the_hub_loads_again_without_it(hub, tmp_path):
    described, asked = hub
    network = build_model(HUB, 8)
    assert asked == ["somebody/small"]
    assert network.hash_layer.in_features == 32
    torch.testing.assert_close(network.mean, torch.tensor([0.1, 0.2, 0.3]))
    assert not {"url", "file"} & network.architecture["config"].keys()
    path = save_checkpoint(network, tmp_path / "v.ckpt")
    described[0] = None
    victim = load_victim(path)
    images = torch.rand(2, 3, 160, 160)
    torch.testing.assert_close(victim(images), network.eval()(images))
    assert (asked, victim.backbone) == (["somebody/small"], HUB)
    with pytest.raises(ValueError, match=r"the download failed \(OSError: offline\)"):
        build_model(HUB, 8)


@pytest.mark.slow
def test_a_checkpoint_of_the_hub_is_tested_and_trained_further_without_it(
    hub, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    small = [*SMALL_DATA, "--data.size=32", "--trainer.accelerator=cpu", "--name=hub"]
    fit = ["fit", f"--model.backbone={HUB}", "--model.bits=8", *small]
    assert main([*fit, "--trainer.max_epochs=1", "--model.lr_scheduler=null"]) == 0
    hub[0][0] = None
    assert main(["test", *small]) == 0
    more = [
        "--trainer.max_epochs=2",
        "--model.lr_scheduler=null",
        "--ckpt_path=checkpoints/hub/last.ckpt",
    ]
    assert main(["fit", "--model.bits=8", *small, *more]) == 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"arguments": {"checkpoint_path": "evil.pth"}}, "may not name 'checkpoint_path'"),
        ({"arguments": {"pretrained_cfg": {"file": "x"}}}, "may not name 'pretrained_cfg'"),
        ({"name": "local-dir:/tmp"}, "is none"),
        ({"name": "nonsense"}, "is none"),
        ({"arguments": 3}, "is none"),
        ({"config": None}, "is none"),
        (None, "is none"),
    ],
)
def test_a_description_cannot_name_files_or_objects(changes, said, hub, tmp_path):
    network = build_model(HUB, 8)
    bad = None if changes is None else {**network.architecture, **changes}
    path = save_checkpoint(network, tmp_path / "v.ckpt", architecture=bad)
    described, asked = hub
    asked.clear()
    with pytest.raises(ValueError, match="must be that of a network of timm") as error:
        load_victim(path)
    assert said in str(error.value)
    assert asked == []
    if changes is not None and isinstance(
        changes.get("arguments"), dict
    ):  # the hub is no more trusted
        described[2] = changes["arguments"]
        with pytest.raises(ValueError, match="may not name"):
            build_model(HUB, 8)


def test_a_state_dict_victim_is_normalised_as_its_backbone(timm, tmp_path):
    torch.manual_seed(2)
    network = build_model(RESNET, 8).eval()
    torch.save(network.state_dict(), tmp_path / "v.pth")
    options = {"source": str(tmp_path / "v.pth"), "backbone": RESNET, "bits": 8}
    images = interpolate(torch.rand(2, 3, 20, 20), size=64)
    torch.testing.assert_close(load_foreign(**options)(images), network(images))
    other = load_foreign(**options, preprocess="none")(images)
    torch.testing.assert_close(other, network(images / 2 + 0.5))


def test_a_frozen_backbone_does_not_change(timm):
    network = build_model(RESNET, 8).train()
    before = copy.deepcopy(network.state_dict())
    network.freeze()
    network.train()
    loss = network(torch.rand(4, 3, 64, 64)).square().sum()
    loss.backward()
    torch.optim.SGD(network.parameters(), 0.1).step()
    changed = {k for k, v in network.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"hash_layer.weight", "hash_layer.bias"}
    assert network.hash_layer.training
