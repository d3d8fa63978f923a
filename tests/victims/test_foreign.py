import json
import math
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from lightning_hash.__main__ import main
from lightning_hash.models import build_model
from lightning_hash.modules.protocol import victim_settings
from lightning_hash.victims import ForeignNetwork, load_foreign
from lightning_hash.victims.victim import Victim
from tests.helpers.commands import SMALL_ATTACK

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def normalized(images):
    return (images - MEAN[:, None, None]) / STD[:, None, None]


class DHTALike(nn.Module):
    """The layout of the DHTA authors' AlexNet-sized models: all of the classifier in hash_layer."""

    def __init__(self, bits):
        super().__init__()
        plain = torchvision.models.alexnet()
        self.features = plain.features
        self.hash_layer = nn.Sequential(*plain.classifier[:6], nn.Linear(4096, bits))

    def forward(self, inputs):
        features = self.features(inputs)
        return self.hash_layer(nn.functional.adaptive_avg_pool2d(features, 6).flatten(1))


class HashNetLike(nn.Module):
    """The layout of HashNet's and DeepHash-pytorch's ResNets: every layer registered twice."""

    def __init__(self, bits):
        super().__init__()
        plain = torchvision.models.resnet18()
        for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            setattr(self, name, getattr(plain, name))
        self.avgpool = plain.avgpool
        self.feature_layers = nn.Sequential(*list(plain.children())[:-1])
        self.hash_layer = nn.Linear(512, bits)

    def forward(self, inputs):
        return self.hash_layer(self.feature_layers(inputs).flatten(1))


class SAATLike(nn.Module):
    """The layout of SAAT's VGGs: the first layer of the classifier registered twice."""

    def __init__(self, bits):
        super().__init__()
        plain = torchvision.models.vgg11()
        self.features = plain.features
        self.cl1 = nn.Linear(25088, 4096)
        rest = list(plain.classifier)[1:6]
        self.classifier = nn.Sequential(self.cl1, *rest, nn.Linear(4096, bits))

    def forward(self, inputs):
        features = nn.functional.adaptive_avg_pool2d(self.features(inputs), 7)
        return self.classifier(features.flatten(1))


class FeatureLayersOnly(nn.Module):
    def __init__(self, bits):
        super().__init__()
        self.feature_layers = nn.Sequential(*list(torchvision.models.resnet18().children())[:-1])
        self.hash_layer = nn.Linear(512, bits)

    def forward(self, inputs):
        return self.hash_layer(self.feature_layers(inputs).flatten(1))


def randomised(network):
    """Give batch norm statistics that a wrong assignment would show."""
    generator = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    return network.eval()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "backbone"),
    [
        (DHTALike, "alexnet"),
        (HashNetLike, "resnet18"),
        (FeatureLayersOnly, "resnet18"),
        (SAATLike, "vgg11"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_state_dicts_of_other_layouts(tmp_path, kind, backbone, nested):
    theirs = randomised(kind(12))
    state = {f"module.{k}" if nested else k: v for k, v in theirs.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3} if nested else state, tmp_path / "a.pth")
    victim = load_foreign(str(tmp_path / "a.pth"), backbone, 12)
    images = torch.rand(2, 3, 96, 96)
    torch.testing.assert_close(victim.network(images), theirs(normalized(images)))
    assert (victim.backbone, victim.bits) == (backbone, 12)
    assert not any(p.requires_grad for p in victim.network.parameters())


def test_names_of_torchvision_in_any_order(tmp_path):
    ours = randomised(build_model("resnet18", 8))
    state = {k.removeprefix("extractor."): v for k, v in ours.state_dict().items()}
    state = {k: v.contiguous() for k, v in state.items() if k not in ("mean", "std")}
    save_file(state, tmp_path / "a.safetensors")  # sorts by name
    victim = load_foreign(str(tmp_path / "a.safetensors"), "resnet18", 8)
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(victim.network(images), ours(images))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "bits", "message"),
    [
        (
            "alexnet",
            16,
            r"hash_layer\.6\.weight \(12, 4096\) does not fit .* bits \(16\)",
        ),
        ("vgg11", 12, r"16 tensors, vgg11 with 12 bits has 22"),
        (None, 12, "needs backbone and bits, got None, 12"),
    ],
)
def test_state_dicts_that_do_not_fit(tmp_path, backbone, bits, message):
    torch.save(DHTALike(12).state_dict(), tmp_path / "a.pth")
    with pytest.raises(ValueError, match=message):
        load_foreign(str(tmp_path / "a.pth"), backbone, bits)


def test_state_dict_of_the_same_count_in_another_order_is_refused(tmp_path):
    state = reversed(DHTALike(12).state_dict().items())
    unknown = {f"n{n}.{key.rpartition('.')[2]}": value for n, (key, value) in enumerate(state)}
    torch.save(unknown, tmp_path / "a.pth")  # by names that are known, any order will do
    with pytest.raises(ValueError, match=r"bias .* does not fit alexnet's .*weight"):
        load_foreign(str(tmp_path / "a.pth"), "alexnet", 12)


class Small(nn.Module):
    def __init__(self, tanh=False):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.layer = nn.Linear(48, 8, bias=False)
        self.layer.weight.data = torch.randn(8, 48, generator=generator)
        self.tanh = tanh

    def forward(self, inputs):
        out = self.layer(nn.functional.adaptive_avg_pool2d(inputs, 4).flatten(1))
        return torch.tanh(out) if self.tanh else out


def make_small():
    return Small()


def make_number():
    return 3


def test_function_that_returns_a_module():
    images = torch.rand(3, 3, 16, 16)
    victim = load_foreign(f"{__name__}:make_small", preprocess="none", trust=True)
    torch.testing.assert_close(victim.network(images), Small()(images))
    mean, std = [0.1, 0.2, 0.3], [0.5, 1.0, 2.0]
    options = {"mean": mean, "std": std}
    given = load_foreign(f"{__name__}:make_small", preprocess=options, trust=True)
    shifted = (images - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    torch.testing.assert_close(given.network(images), Small()(shifted))
    assert given.network.std.tolist() == std


def test_torchscript(tmp_path):
    torch.jit.script(Small()).save(tmp_path / "a.ts")
    images = torch.rand(3, 3, 16, 16, requires_grad=True)
    victim = load_foreign(str(tmp_path / "a.ts"), bits=8, trust=True)
    logits = victim.network(images)
    torch.testing.assert_close(logits, Small()(normalized(images)))
    logits.sum().backward()
    assert images.grad.abs().sum() > 0


def test_torchscript_under_the_name_of_a_state_dict(tmp_path):
    torch.jit.script(Small()).save(tmp_path / "a.pt")
    images = torch.rand(3, 3, 16, 16)
    victim = load_foreign(str(tmp_path / "a.pt"), preprocess="none", trust=True)
    torch.testing.assert_close(victim(images), Small()(images))
    with pytest.raises(ValueError, match="this source has its own network: leave backbone out"):
        load_foreign(str(tmp_path / "a.pt"), "resnet18", 8)


def test_a_whole_module_is_not_unpickled(tmp_path):
    """HashNet and SAAT save their modules, not state dicts."""
    torch.save(nn.Sequential(Small()), tmp_path / "iter_03000_model.pth.tar")
    with pytest.raises(ValueError, match=r"more than tensors \(torch\..*Sequential\), .*state_d"):
        load_foreign(str(tmp_path / "iter_03000_model.pth.tar"), "resnet18", 8)


def exported(network, path, batch=True):
    shapes = ({0: torch.export.Dim("batch")},) if batch else None
    program = torch.export.export(network, (torch.rand(2, 3, 16, 16),), dynamic_shapes=shapes)
    torch.export.save(program, path)
    return str(path)


def test_exported_program(tmp_path):
    images = torch.rand(3, 3, 16, 16, requires_grad=True)
    victim = load_foreign(exported(Small().eval(), tmp_path / "a.pt2"), bits=8)
    logits = victim.network.train().eval()(images)  # as Lightning switches modes
    torch.testing.assert_close(logits, Small()(normalized(images)))
    logits.sum().backward()
    assert images.grad.abs().sum() > 0


@pytest.mark.filterwarnings("ignore")
def test_exported_programs_that_cannot_be_attacked(tmp_path):
    with pytest.raises(ValueError, match="takes batches of 2 only; export it with dynamic_shapes"):
        load_foreign(exported(Small().eval(), tmp_path / "a.pt2", batch=False))
    dropout = nn.Sequential(nn.Dropout(), Small()).train()
    with pytest.raises(ValueError, match=r"exported in training mode; export model\.eval\(\)"):
        load_foreign(exported(dropout, tmp_path / "b.pt2"))
    whole = (tmp_path / "a.pt2").read_bytes()
    (tmp_path / "a.pt2").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a\.pt2 is no exported program, or truncated"):
        load_foreign(str(tmp_path / "a.pt2"))
    with pytest.raises(FileNotFoundError, match=r"c\.pt2 does not exist"):
        load_foreign(str(tmp_path / "c.pt2"))


def test_tanh_outputs_become_logits_again():
    logits = torch.tensor([[-3.0, -0.1, 0.0, 2.0, 7.0]])
    network = ForeignNetwork(nn.Tanh(), output="tanh")
    torch.testing.assert_close(network(logits[None])[0], logits, rtol=2e-2, atol=1e-5)


def test_saturated_tanh_outputs_stay_finite_with_a_gradient():
    outputs = torch.tensor([[1.0, -1.0, 0.9999999]], requires_grad=True)
    network = ForeignNetwork(nn.Identity(), output="tanh")
    logits = network(outputs[None])
    assert torch.isfinite(logits).all()
    assert logits.abs().max().item() == pytest.approx(math.atanh(1 - 1e-6), abs=0.05)
    assert logits.sign().flatten().tolist() == [1, -1, 1]
    logits.sum().backward()
    assert torch.isfinite(outputs.grad).all()
    assert (outputs.grad > 0).all()


@pytest.mark.parametrize(
    ("source", "options", "error", "message"),
    [
        ("absent.module:f", {}, ValueError, "cannot be imported"),
        (f"{__name__}:absent", {}, ValueError, "cannot be imported"),
        (f"{__name__}:make_number", {}, ValueError, "must return an nn.Module, got int"),
        ("absent.ts", {}, FileNotFoundError, "does not exist"),
        ("absent.pth", {"backbone": "vgg11", "bits": 8}, FileNotFoundError, "does not exist"),
        (f"{__name__}:make_small", {"preprocess": "caffe"}, ValueError, "preprocess must be"),
        (f"{__name__}:make_small", {"output": "sign"}, ValueError, "output must be"),
        (f"{__name__}:make_small", {"preprocess": {"mean": [0.0], "std": [0.0]}}, ValueError,
         "std positive"),
    ],
)  # fmt: skip
def test_sources_that_are_none(source, options, error, message):
    with pytest.raises(error, match=message):
        load_foreign(source, **options, trust=True)


def test_torchscript_that_is_truncated(tmp_path):
    torch.jit.script(Small()).save(tmp_path / "a.ts")
    whole = (tmp_path / "a.ts").read_bytes()
    (tmp_path / "a.ts").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"a\.ts is no TorchScript file, or truncated"):
        load_foreign(str(tmp_path / "a.ts"), trust=True)


@pytest.mark.slow
def test_attack_on_a_foreign_victim_from_a_config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("victim.yaml").write_text(
        f"model:\n  victim:\n    source: {__name__}:make_small\n    preprocess: imagenet\n"
    )
    options = ["--config", "victim.yaml", *SMALL_ATTACK, "--trainer.max_epochs=3", "--trust"]
    assert main(["attack", *options, "--name=foreign"]) == 0
    rows = json.loads(Path("runs/attack/foreign/version_0/results.json").read_text())
    assert {row["victim"]["backbone"] for row in rows} == {f"{__name__}:make_small"}
    assert {row["victim"]["bits"] for row in rows} == {8}  # nobody said it: the logits did
    spaces = {(row["attack"] or {}).get("budget", {}).get("space") for row in rows}
    assert spaces == {"pixel", None}  # None: the clean queries and the ceiling
    assert max(row["value"] for row in rows if row["metric"] == "linf") <= 10 / 255 + 1e-6


class Ended(nn.Module):
    """Small, ended by what others end their networks with."""

    def __init__(self, end="logits"):
        super().__init__()
        self.small, self.end = Small(), end

    def forward(self, inputs):
        logits = self.small(inputs)
        if self.end == "tanh":
            return torch.tanh(logits)
        if self.end == "sigmoid":
            return torch.sigmoid(logits * 2)  # 2p - 1 is tanh of the logits
        if self.end == "sign":
            return torch.sign(logits)
        return (logits > 0).to(logits.dtype) if self.end == "bits" else logits


def make_tanh():
    return Ended("tanh")


def make_sigmoid():
    return Ended("sigmoid")


def make_sign():
    return Ended("sign")


def make_bits():
    return Ended("bits")


def made(kind, end, folder):
    if kind == "callable":
        return f"{__name__}:make_{end}"
    network = Ended(end).eval()
    if kind == "exported":
        return exported(network, folder / "a.pt2")
    torch.jit.script(network).save(folder / "a.ts")
    return str(folder / "a.ts")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["callable", "script", "exported"])
@pytest.mark.parametrize(
    ("end", "output", "exact"),
    [
        ("tanh", "tanh", True),
        ("sigmoid", "sigmoid", True),
        ("sign", "logits", False),
        ("sign", "tanh", False),
        ("bits", "logits", False),
        ("bits", "sigmoid", False),
    ],
)
def test_every_end_of_every_kind_of_network_gives_its_codes(tmp_path, kind, end, output, exact):
    images = torch.rand(16, 3, 16, 16)
    expected = Small()(images)
    victim = load_foreign(
        made(kind, end, tmp_path), preprocess="none", output=output, trust=kind != "exported"
    )
    logits = victim(images)
    assert torch.equal(logits > 0, expected > 0)
    inside = expected.abs() < 2
    assert inside.any()
    if exact:
        torch.testing.assert_close(logits[inside], expected[inside], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("end", "output", "message"),
    [
        ("sigmoid", "logits", r"output: sigmoid .*, and features, as of a node .*, need a head"),
        ("sigmoid", "tanh", r"all bits would be 1; probabilities are output: sigmoid"),
        (
            "tanh",
            "sigmoid",
            r"^victim.output: sigmoid is in \[0, 1\], this network's outputs are in \[-",
        ),
        ("small", "tanh", r"output: tanh is in \[-1, 1\], .* logits are output: logits"),
        ("small", "sigmoid", r"output: sigmoid is in \[0, 1\]"),
    ],
)
def test_ends_that_are_not_what_was_said(end, output, message):
    victim = load_foreign(f"{__name__}:make_{end}", preprocess="none", output=output, trust=True)
    with pytest.raises(ValueError, match=message):
        victim(torch.rand(16, 3, 16, 16))


def test_probabilities_of_a_module_of_ones_own_are_no_logits():
    with pytest.raises(ValueError, match=r"ForeignNetwork\(network, output='sigmoid'\)"):
        Victim(Ended("sigmoid"))(torch.rand(16, 3, 16, 16))
    assert Victim(ForeignNetwork(Ended("sigmoid"), output="sigmoid"))(
        torch.rand(16, 3, 16, 16)
    ).shape == (16, 8)


@pytest.mark.parametrize("output", ["logits", "tanh", "sigmoid"])
def test_a_state_dict_has_logits_whatever_its_code_returned(tmp_path, output):
    ours = randomised(build_model("convnet", 8))
    ours.hash_layer.weight.data.mul_(10)
    state = {k: v.contiguous() for k, v in ours.state_dict().items() if k not in ("mean", "std")}
    torch.save(state, tmp_path / "a.pth")
    victim = load_foreign(str(tmp_path / "a.pth"), "convnet", 8, output=output)
    images = torch.rand(4, 3, 64, 64)
    torch.testing.assert_close(victim(images), ours(images))
    assert victim(images).abs().max() > 1  # an inverted tanh would be at its end
    assert victim_settings(victim)["output"] == "logits"
