"""Exported and traced networks that make tensors on their way run where their weights are.

The meta device stands for any other: its tensors mix with none of the CPU's.
"""

import copy
import json

import pytest
import torch
from torch import nn

from lightning_hash.victims import Victim, borrowed, load_foreign
from tests.helpers.exported import CONSTANTS, JSON, Maker, export, on_cuda, records_of, write

META = torch.device("meta")
images = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return Maker().eval()


@pytest.fixture(scope="module")
def path(net, tmp_path_factory):
    return export(net, tmp_path_factory.mktemp("exported") / "a.pt2")


@pytest.mark.parametrize("own", [False, True])
def test_the_graph_goes_where_the_weights_go_and_comes_back(net, path, own):
    victim = Victim(torch.export.load(path).module()) if own else load_foreign(path, None, 8)
    before = victim(images)
    for _ in range(2):
        with borrowed(victim.network):
            victim.to(META)
            assert victim(images.to(META)).device == META
        assert torch.equal(victim(images), before)
    if own:
        torch.testing.assert_close(before, net(images))


def test_a_copy_for_other_kernels_goes_too(path):
    victim = Victim(copy.deepcopy(load_foreign(path, None, 8).network))
    victim(images)
    assert victim.to(META)(images.to(META)).device == META


@pytest.mark.parametrize("trust", [False, True])
def test_what_was_exported_on_a_gpu_runs_without_one(net, path, tmp_path, trust):
    there = write(tmp_path / "there.pt2", on_cuda(records_of(path)))
    assert b'"cuda"' in records_of(there)[JSON[0]]
    victim = load_foreign(there, preprocess="none", trust=trust)
    torch.testing.assert_close(victim(images), net(images))
    assert victim.sha256 == load_foreign(path, preprocess="none").sha256
    assert not any(value.is_cuda for value in victim.state_dict().values())


def test_without_the_gpu_what_needs_trust_is_refused_by_name(path, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    records = on_cuda(records_of(path)) | {"models/other.json": b"{}"}
    with pytest.raises(ValueError, match=r"there.pt2 was exported on a GPU and there"):
        load_foreign(write(tmp_path / "there.pt2", records), trust=True)


class Shorter(nn.Module):
    def __init__(self, device):
        super().__init__()
        self.layer, self.device = nn.Linear(48, 8), device

    def forward(self, x):
        with torch.autocast(self.device, torch.bfloat16):
            return self.layer(x.flatten(1))


@pytest.mark.filterwarnings("ignore:CUDA is not available")
@pytest.mark.parametrize(("device", "short"), [("cpu", True), ("cuda", False)])
def test_autocast_is_entered_for_the_device(tmp_path, device, short):
    """Exported on the CPU: for the CPU's type it takes effect, for another it does not."""
    torch.manual_seed(0)
    net = Shorter(device).eval()
    victim = load_foreign(export(net, tmp_path / "a.pt2"), preprocess="none")
    exact = net.layer(images.flatten(1))
    assert torch.equal(victim(images), exact) is not short
    before, network = victim(images), victim.network.network
    region = lambda: next(  # noqa: E731
        node.args for node in network.graph.nodes if "autocast" in str(node.target)
    )
    with borrowed(victim.network):
        victim.to(META)
        assert region()[0] == ("meta" if short else "cuda")
    assert region()[0] == device
    assert torch.equal(victim(images), before)


def test_autocast_of_a_gpu_is_the_cpus_without_one(tmp_path):
    torch.manual_seed(0)
    net = Shorter("cpu").eval()
    records = on_cuda(records_of(export(net, tmp_path / "a.pt2")))
    text = records[JSON[0]].replace(b'"as_string": "cpu"', b'"as_string": "cuda"')
    assert text != records[JSON[0]]
    path = write(tmp_path / "there.pt2", {**records, JSON[0]: text})
    assert torch.equal(load_foreign(path, preprocess="none")(images), net(images).float())


def test_constants_of_the_graph_go_too(net, path):
    """Python's own numbers that a network makes tensors of are no buffers."""
    network = load_foreign(path, None, 8).network.network
    names = list(json.loads(records_of(path)[CONSTANTS])["config"])
    assert names
    assert not {name for name, _ in network.named_buffers()} & set(names)
    victim = Victim(network).to(META)
    assert {getattr(victim.network, name).device for name in names} == {META}


class Traced(nn.Module):
    """Without weights, since scripts do not move theirs to the meta device."""

    def __init__(self):
        super().__init__()
        self.inner = Positions()

    def forward(self, x):
        x = self.inner(x.flatten(1))
        return x[:, :8] + torch.tensor([0.5], device=x.device)


class Positions(nn.Module):
    def forward(self, x):
        return x + torch.arange(48, device=x.device) + torch.zeros(x.shape[0], 48, device=x.device)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize("runs", [0, 3])  # torch keeps plans of what has run
def test_a_traced_script_makes_tensors_where_its_inputs_are(tmp_path, runs):
    path = str(tmp_path / "a.ts")
    torch.jit.trace(Traced(), torch.rand(2, 3, 4, 4)).save(path)
    script = load_foreign(path, preprocess="none", trust=True).network.network
    for _ in range(runs):
        assert torch.equal(script(images), Traced()(images))
    assert script(images.to(META)).device == META


class Keeps(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.kept = nn.Linear(48, 8), torch.ones(8)

    def forward(self, x):
        return self.layer(x.flatten(1)) + self.kept


def test_tensors_that_cannot_be_moved_are_named_with_a_remedy():
    with pytest.raises(ValueError, match=r"Keeps.*another device.*buffers.*--trainer.accelerator"):
        Victim(Keeps()).to(META)(images.to(META))
