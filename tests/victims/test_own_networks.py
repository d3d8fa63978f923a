"""Networks that people bring: what they return, their types, what they do to their inputs."""

import dataclasses
from collections import OrderedDict, namedtuple

import pytest
import torch
from torch import nn

from lightning_hash import attack
from lightning_hash.attacks import Search, SignStep
from lightning_hash.models.outputs import read_logits
from lightning_hash.victims import ForeignNetwork, Victim, as_victim
from tests.conftest import TinyNet

OPTIONS = {"iterations": 3, "accelerator": "cpu", "epsilon": 0.2, "kernels": "float32",
           "step": lambda p: SignStep(p, 0.05)}  # fmt: skip
Pair = namedtuple("Pair", "logits features")


@dataclasses.dataclass
class Outputs:
    logits: torch.Tensor
    hidden_states: tuple | None = None


class Changed(nn.Module):
    """TinyNet between two functions."""

    def __init__(self, end=lambda z: z, start=lambda x: x):
        super().__init__()
        self.network, self.start, self.end = TinyNet(), start, end

    def forward(self, inputs):
        return self.end(self.network(self.start(inputs)))


@pytest.fixture
def images():
    return torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(3))


def wide(logits):
    return torch.cat([logits, logits], dim=1)


def in_place(images):
    return images.mul_(0.9).add_(0.05)


def in_place_unseen(images):
    """As code of old does, behind autograd's back."""
    images.data.mul_(0.9).add_(0.05)
    return images


def out_of_place(images):
    return images * 0.9 + 0.05


@pytest.mark.parametrize(
    "end",
    [
        lambda z: (z,),
        lambda z: [z],
        lambda z: {"logits": z, "features": wide(z)},
        lambda z: {"code": z, "loss": None, "maps": z[:, :, None, None].expand(-1, -1, 3, 3)},
        lambda z: OrderedDict(logits=z, pooler_output=wide(z)),
        lambda z: Pair(z, wide(z)),
        lambda z: Outputs(z),
        lambda z: z[:, :, None, None],
        lambda z: (None, z, [wide(z)]),
    ],
)
def test_logits_among_what_a_network_returns(images, end):
    expected = attack(TinyNet(), images, **OPTIONS)
    for network in (Changed(end), ForeignNetwork(Changed(end))):
        found = attack(network, images, **OPTIONS)
        assert torch.equal(found.adversarial, expected.adversarial)
        assert torch.equal(found.codes, expected.codes)
    assert not torch.equal(found.codes, found.clean_codes)


def test_bits_tell_logits_from_features(images):
    network = Changed(lambda z: (wide(z), z))
    assert torch.equal(Victim(network, bits=8)(images), TinyNet()(images))
    assert ForeignNetwork(network, bits=16)(images).shape == (4, 16)
    with pytest.raises(ValueError, match=r"returns 0 \(4, 16\), 1 \(4, 8\), of which 2 have"):
        Victim(network)(images)
    same = Changed(lambda z: (z, z.sign()))
    with pytest.raises(ValueError, match=r"of which 2 have the shape \(4, 8\) of logits"):
        Victim(same, bits=8)(images)


@pytest.mark.parametrize(
    ("end", "error", "message"),
    [
        (lambda z: None, TypeError, "must return one tensor of logits .*, got NoneType"),
        (lambda z: {"a": "b"}, TypeError, "got dict of a: str"),
        (lambda z: z[:, :, None, None].expand(-1, -1, 3, 3), ValueError,
         r"\(4, K\), got \(4, 8, 3, 3\) .*pool over the dimensions behind K"),
        (lambda z: z[:2], ValueError, r"shape \(4, K\), got \(2, 8\)"),
        (lambda z: z[:, 0], ValueError, r"shape \(4, K\), got \(4,\)"),
        (lambda z: z + 0j, ValueError, r"got \(4, 8\) of torch\.complex64"),
        (lambda z: z @ torch.ones(3, 3), ValueError,
         r"fails on inputs \(4, 3, 8, 8\) of torch\.float32 .* cannot be multiplied"),
    ],
)  # fmt: skip
def test_what_is_no_logits(images, end, error, message):
    with pytest.raises(error, match=message) as caught:
        Victim(Changed(end))(images)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("start", [in_place, in_place_unseen])
def test_a_network_that_changes_its_inputs_attacks_what_it_was_given(images, start):
    before = images.clone()
    expected = attack(Changed(start=out_of_place), images, **OPTIONS)
    found = attack(Changed(start=start), images, **OPTIONS)
    assert torch.equal(images, before)
    assert torch.equal(found.clean_codes, expected.clean_codes)
    assert ((found.adversarial / 255 - images).abs() <= 0.2 + 1e-6).all()
    if start is in_place:
        assert torch.equal(found.adversarial, expected.adversarial)
        assert not torch.equal(found.codes, found.clean_codes)


def test_each_of_several_victims_sees_the_inputs(images):
    members = [Victim(Changed(start=in_place), bits=8), Victim(TinyNet(), bits=8)]
    logits = as_victim(members)(images)
    assert torch.equal(logits[:, 8:], TinyNet()(images))
    assert torch.equal(logits[:, :8], TinyNet()(out_of_place(images)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_types(images, dtype):
    network = TinyNet().to(dtype)
    victim = as_victim(network)
    logits = victim(images)
    expected = network(images.to(dtype))
    assert logits.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.equal(logits, expected.to(logits.dtype))
    found = attack(network, images, **OPTIONS)
    assert not torch.equal(found.codes, found.clean_codes)
    assert found.perturbation.dtype == torch.float32
    assert {p.dtype for p in network.parameters()} == {dtype}
    foreign = ForeignNetwork(nn.Sequential(network, nn.Tanh()), output="tanh")
    inside = expected.float().abs() < 2
    assert torch.isfinite(foreign(images)).all()
    torch.testing.assert_close(foreign(images).float()[inside], expected.float()[inside],
                               rtol=0.2, atol=0.05)  # fmt: skip


def test_networks_of_several_types_get_their_inputs_as_they_are(images):
    network = TinyNet().half()
    network.std = network.std.float()
    seen = []
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].dtype))
    with pytest.raises(ValueError, match=r"fails on inputs .* should be the same"):
        Victim(network)(images)
    assert seen == [torch.float32]


class Script(nn.Module):
    def __init__(self, seed: int = 0):
        super().__init__()
        torch.manual_seed(seed)
        self.convolution, self.norm = nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.linear = nn.Linear(6, 8)

    def forward(self, inputs):
        features = torch.relu(self.norm(self.convolution(inputs)))
        return self.linear(features.mean(dim=[2, 3])) * 20


@pytest.mark.filterwarnings("ignore")  # torch.jit is old
@pytest.mark.parametrize("kind", ["scripted", "traced", "frozen", "training"])
def test_scripts_from_python(images, kind):
    network = Script().train(kind == "training")
    expected = attack(network, images, **OPTIONS)
    if kind == "traced":
        script = torch.jit.trace(network, images)
    else:
        script = torch.jit.script(network)
        script = torch.jit.freeze(script) if kind == "frozen" else script
    for kernels in ("float32", "auto"):
        found = attack(script, images, **{**OPTIONS, "kernels": kernels})
        assert (found.adversarial.int() - expected.adversarial.int()).abs().max() <= 1
        assert torch.equal(found.codes, expected.codes)
    if kind == "training":
        assert script.training
    if kind == "frozen":
        assert not hasattr(script, "training")


@pytest.mark.filterwarnings("ignore")
def test_frozen_scripts_have_fingerprints():
    frozen = [torch.jit.freeze(torch.jit.script(Script(seed).eval())) for seed in (0, 0, 1)]
    one, again, other = (as_victim(script).sha256 for script in frozen)
    assert one == again != other
    others = [as_victim(ForeignNetwork(script)).sha256 for script in frozen]
    assert others[0] == others[1] != others[2]
    whole = torch.jit.script(Script().eval())  # its activations have no weights, and it has
    assert as_victim(whole).sha256 == as_victim(Script()).sha256


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile])
def test_wrappers_of_torch_are_taken_off(wrap):
    network = TinyNet()
    victim = as_victim(wrap(network))
    assert victim.network is network
    assert victim.sha256 == as_victim(network).sha256


class NoGradient(Changed):
    @torch.no_grad()
    def forward(self, inputs):
        return super().forward(inputs)


class Inference(Changed):
    @torch.inference_mode()
    def forward(self, inputs):
        return super().forward(inputs)


class Tries(Search):
    """Takes the sign of what it draws, where that is better."""

    def search(self, closure):
        before = closure()
        (delta,) = self.param_groups[0]["params"]
        old = delta.clone()
        delta.add_(torch.randn(delta.shape, generator=torch.Generator().manual_seed(1)))
        self.perturbation.project(self.queries.inputs)
        after = closure()
        worse = after.losses >= before.losses
        delta[worse] = old[worse]
        return after


CUTS = [
    Changed(lambda z: z.detach()),
    Changed(lambda z: z.detach().numpy()),
    Changed(lambda z: (z > 0).int() * 2 - 1),
    Changed(lambda z: z > 0),
    Changed(start=lambda x: x.detach().requires_grad_()),
    NoGradient(),
    Inference(),
]


@pytest.mark.parametrize("network", CUTS)
@pytest.mark.parametrize("kernels", ["float32", "fastest"])
def test_networks_that_cut_the_gradient(images, network, kernels, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ValueError, match=r"no gradient of the loss .* cuts it .* or a search"):
        attack(network, images, **{**OPTIONS, "kernels": kernels})


@pytest.mark.parametrize("network", CUTS)
def test_a_search_needs_no_gradient(images, network):
    found = attack(network, images, **{**OPTIONS, "step": lambda p: Tries(p, {})})
    assert torch.equal(found.clean_codes > 0, TinyNet()(images) > 0)


def test_outputs_that_were_called_logits_win():
    outputs = {"features": torch.zeros(2, 4), "logits": torch.ones(2, 4)}
    assert read_logits(outputs, 2, 4, "mine").sum() == 8
