import pytest
import torch

from lightning_hash.attacks import (
    HAG,
    AnchorCode,
    CgAT,
    JointObjective,
    Known,
    TargetFeatures,
)
from lightning_hash.victims.joint import member_bits
from lightning_hash.victims.resolve import as_victim
from lightning_hash.victims.victim import Victim
from tests.conftest import TinyNet


def members():
    return [Victim(TinyNet(bits), "tiny", bits) for bits in (8, 4)]


def test_logits_stand_side_by_side():
    first, second = members()
    joint = as_victim([first, second])
    inputs = torch.rand(3, 3, 6, 6)
    expected = torch.cat([first.network(inputs), second.network(inputs)], dim=1)
    assert torch.equal(joint.network(inputs), expected)
    assert (joint.bits, joint.backbone) == (12, "tiny-8+tiny-4")
    assert member_bits(joint) == [slice(0, 8), slice(8, 12)]
    assert member_bits(first) == [slice(None)]


def test_what_cannot_be_joined():
    first, second = members()
    with pytest.raises(ValueError, match="at least two victims, got 1"):
        as_victim([first])
    with pytest.raises(ValueError, match="two victims of the list have the same weights"):
        as_victim([first, second, Victim(TinyNet(8), "tiny", 8)])
    with pytest.raises(ValueError, match="code length of x is not known"):
        as_victim([first, Victim(TinyNet(8), "x")])


@pytest.mark.parametrize("objective", [HAG(0.3), AnchorCode(), CgAT()])
def test_the_objective_is_summed_over_the_victims(objective):
    generator = torch.Generator().manual_seed(0)
    logits, clean = (torch.randn(5, 12, generator=generator) for _ in range(2))
    labels = torch.eye(3, dtype=torch.uint8)[torch.arange(20) % 3]
    codes = torch.where(torch.randn(20, 12, generator=generator) > 0, 1, -1)

    def state(part):
        items = (codes[:, part], labels)
        return Known(
            clean[:, part], codes[:5, part].float(), labels=labels[:5], target_labels=labels[1:6],
            database=items, voters=items,
        )  # fmt: skip

    parts = [slice(0, 8), slice(8, 12)]
    joint = JointObjective(objective, parts)
    found = joint(logits, joint.reference(state(slice(None))), 0.7)
    expected = sum(objective(logits[:, p], objective.reference(state(p)), 0.7) for p in parts)
    torch.testing.assert_close(found, expected)
    assert (joint.name, joint.reference.targeted) == (objective.name, objective.reference.targeted)


def test_finished_is_finished_on_every_victim():
    joint = JointObjective(AnchorCode(), [slice(0, 1), slice(1, 3)])
    logits = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.0, -1.0], [-1.0, 1.0, -1.0]])
    anchor = torch.tensor([[1.0, 1.0, -1.0]]).expand(3, -1)
    assert joint.finished(logits, anchor).tolist() == [False, True, False]


def test_features_are_those_of_one_victim():
    with pytest.raises(ValueError, match="one victim at a time"):
        JointObjective(TargetFeatures(), [slice(0, 1)])
