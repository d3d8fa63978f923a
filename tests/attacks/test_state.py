import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from lightning_hash.attacks import LInf, PerQuery, Queries
from lightning_hash.attacks.state import pack, unpack


def batch(index, value, size=(2, 2)):
    inputs = torch.full((len(index), 3, *size), 0.5)
    queries = Queries(inputs, torch.ones(len(index), 1), torch.tensor(index))
    delta = PerQuery(inputs, LInf(0.1))
    with torch.no_grad():
        delta.delta.fill_(value)
    return queries, delta


def step(rule, delta):
    delta.delta.grad = torch.full_like(delta.delta, 0.01)
    rule.step()


@pytest.mark.parametrize("make", [lambda p: SGD(p, lr=0.1, momentum=0.9), lambda p: Adam(p, 0.1)])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_only_some_batches_have_been_stepped(make, which):
    """The others go on from a first step, whatever the others' state is."""
    made = [batch([4, 1], 0.01), batch([0, 3], 0.02), batch([2], 0.03)]
    rules = [make(delta.parameters()) for _, delta in made]
    step(rules[which], made[which][1])
    packed = pack([q for q, _ in made], [d for _, d in made], rules)
    assert packed["index"].tolist() == [0, 1, 2, 3, 4]
    again = [batch(q.index.tolist(), 0.0) for q, _ in made]
    parameters, states = unpack(packed, [q for q, _ in again], [d for _, d in again])
    for number, ((_, delta), (_, new)) in enumerate(zip(made, again, strict=True)):
        new.load_state_dict(parameters[number], strict=False)
        assert torch.equal(new.delta, delta.delta)
        assert bool(states[number]["state"]) == (number == which)
        rule = make(new.parameters())
        rule.load_state_dict(states[number])
        for each, perturbation in ((rules[number], delta), (rule, new)):
            step(each, perturbation)
        assert torch.equal(new.delta, delta.delta)


def test_state_that_all_batches_have_is_packed_by_index():
    made = [batch([4, 1], 0.01), batch([0], 0.02)]
    rules = [SGD(delta.parameters(), lr=0.1, momentum=0.9) for _, delta in made]
    for (_, delta), rule in zip(made, rules, strict=True):
        step(rule, delta)
    packed = pack([q for q, _ in made], [d for _, d in made], rules)
    assert packed["known"] == {}
    assert packed["rows"]["parameter/delta"].flatten(1)[:, 0].tolist() == pytest.approx(
        [0.02 - 0.001, 0.01 - 0.001, 0.01 - 0.001]
    )
    assert isinstance(made[0][1], nn.Module)


def sized():
    """Two batches of images of different sizes, after a step."""
    made = [batch([4, 1], 0.01, (2, 5)), batch([0], 0.02, (3, 2))]
    rules = [SGD(delta.parameters(), lr=0.1, momentum=0.9) for _, delta in made]
    for (_, delta), rule in zip(made, rules, strict=True):
        step(rule, delta)
    return made, rules, pack([q for q, _ in made], [d for _, d in made], rules)


def test_images_of_several_sizes_are_filled_up_and_cut_again():
    made, rules, packed = sized()
    rows = packed["rows"]["parameter/delta"]
    assert rows.shape == (3, 3, 3, 5)
    assert packed["sizes"]["parameter/delta"].tolist() == [[3, 3, 2], [3, 2, 5], [3, 2, 5]]
    assert not rows[0, :, :, 2:].any()
    assert not rows[1:, :, 2:].any()
    again = [batch([1], 0.0, (2, 5)), batch([], 0.0, (3, 2)), batch([0], 0.0, (3, 2))]
    parameters, states = unpack(packed, [q for q, _ in again], [d for _, d in again])
    assert [tuple(each["delta"].shape) for each in parameters] == [
        (1, 3, 2, 5), (0, 3, 3, 2), (1, 3, 3, 2),
    ]  # fmt: skip
    assert torch.equal(parameters[0]["delta"], made[0][1].delta[1:])
    momentum = states[2]["state"][0]["momentum_buffer"]
    assert torch.equal(momentum, rules[1].state[made[1][1].delta]["momentum_buffer"])
    assert not states[1]["state"]


@pytest.mark.parametrize(
    "sizes",
    [torch.tensor([[3, 3, 2], [3, 2, 5], [3, 2, 4]]), torch.tensor([[3, 3, 2]]), torch.ones(3, 2)],
)
def test_sizes_that_cannot_be_are_refused(sizes):
    made, _, packed = sized()
    packed["sizes"]["parameter/delta"] = sizes
    with pytest.raises(ValueError, match="the checkpoint's parameter/delta has the shape None"):
        unpack(packed, [q for q, _ in made], [d for _, d in made])
