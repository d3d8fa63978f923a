"""The bits that a user says, beside a network that has others."""

import pytest
import torch
from torch import nn

from lightning_hash.commands.attack import run_attack
from lightning_hash.commands.encode import encode
from lightning_hash.modules import HashModule
from lightning_hash.victims.resolve import as_victim
from lightning_hash.victims.victim import Victim
from tests.conftest import TinyNet
from tests.helpers.attacks import make, trainer


class Wide(TinyNet):
    """Says how wide it is."""

    def __init__(self, bits=8):
        super().__init__(bits)
        self.bits = bits


def make_tiny():
    return TinyNet(8)


def make_wide():
    return Wide(8)


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "tiny.ts"
    torch.jit.trace(TinyNet(8).eval(), torch.rand(2, 3, 8, 8)).save(path)
    return str(path)


SOURCES = ("script", f"{__name__}:make_tiny", f"{__name__}:make_wide")


def options_of(source, script, bits):
    return {"source": script if source == "script" else source, "bits": bits, "preprocess": "none"}


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("source", SOURCES)
def test_attack_and_encode_refuse_other_bits(source, script, tmp_path, blobs):
    message = "bits = 64.*8"
    with pytest.raises(ValueError, match=message):
        run_attack(trainer(tmp_path, 1), make(options_of(source, script, 64)), blobs)
    with pytest.raises(ValueError, match=message):
        encode(options_of(source, script, 64), blobs, "query", accelerator="cpu")
    found = encode(options_of(source, script, 8), blobs, "query", accelerator="cpu")
    assert found.codes.shape == (13, 8)


def test_bits_that_a_network_says_are_compared_at_once():
    with pytest.raises(
        ValueError, match=r"bits = 16, but the network .*Wide returns 8 logits; giv"
    ):
        Victim(Wide(8), bits=16)
    with pytest.raises(ValueError, match="bits = 64, the network has 8; leave bits out"):
        as_victim(options_of(f"{__name__}:make_wide", None, 64), trust=True)
    assert Victim(Wide(8), bits=8).bits == 8


@pytest.mark.parametrize("said", [(6, 6), (8, 8), (4, 8)])
def test_members_of_a_joint_victim(said):
    """(4, 8) for networks of 8 and 4 bits: the sum is right, each member's part is not."""
    joint = as_victim([Victim(TinyNet(b), "tiny", s) for b, s in zip((8, 4), said, strict=True)])
    with pytest.raises(ValueError, match=r"victim [12] of the list: bits = \d, but its network"):
        joint(torch.rand(2, 3, 8, 8))


@pytest.mark.usefixtures("trusted")
def test_a_training_refuses_other_bits():
    wide = {"class_path": f"{__name__}.Wide", "init_args": {"bits": 8}}
    with pytest.raises(ValueError, match=r"bits = 32, but the network .*Wide has 8; give 8"):
        HashModule(wide)
    assert HashModule(wide, 8).bits == 8
    with pytest.raises(ValueError, match=r"bits = 16: .* must return .*\(2, 16\), got \(2, 8\)"):
        HashModule({"class_path": "tests.conftest.TinyNet", "init_args": {"bits": 8}}, 16)(
            torch.rand(2, 3, 8, 8)
        )


def test_a_backbone_beside_a_network_of_ones_own(script):
    for source in (script, f"{__name__}:make_tiny", "absent.pt2"):
        with pytest.raises(ValueError, match="backbone vgg11 goes with a state dict; this source"):
            as_victim({"source": source, "backbone": "vgg11", "bits": 8})


def test_bits_that_nobody_says_are_counted(script):
    victim = as_victim(options_of("script", script, None), trust=True)
    assert isinstance(victim.network, nn.Module)
    victim(torch.rand(2, 3, 8, 8))
    assert victim.bits == 8
