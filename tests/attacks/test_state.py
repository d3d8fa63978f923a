import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from lightning_hash.attacks import LInf, PerQuery, Queries
from lightning_hash.attacks.state import pack, unpack


def batch(index, value):
    inputs = torch.full((len(index), 3, 2, 2), 0.5)
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
