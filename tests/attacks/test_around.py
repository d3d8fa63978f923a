"""Parts of a batch, when memory runs out: the same losses, gradients and counts as the whole."""

import pytest
import torch

from lightning_hash.attacks import HAG, Answer, LInf, PerQuery, Queries, iterate
from lightning_hash.attacks.around import Parts, join
from tests.conftest import TinyNet
from tests.helpers.one_for_all import OneForAll

pytestmark = pytest.mark.filterwarnings("ignore:.*do not fit into")


class Memory:
    """A victim on a device that holds a pass over few queries; counts the passes that end well."""

    def __init__(self, most, fails_in):
        self.most, self.fails_in = most, fails_in
        self.network, self.sizes = TinyNet().double().eval(), []

    def __call__(self, perturbed, rows):
        logits = self.network(perturbed)
        if len(perturbed) > self.most:
            if self.fails_in == "forward":
                self.fail()
            logits.register_hook(self.fail)
            return logits
        self.sizes.append(len(perturbed))
        return logits

    @staticmethod
    def fail(*_):
        raise torch.OutOfMemoryError("no memory left")


class Asking(torch.optim.Optimizer):
    """Asks about some rows and changes nothing."""

    def __init__(self, parameters, rows):
        super().__init__(parameters, {})
        self.rows = rows

    def step(self, closure):
        return closure(self.rows)


def asked(victim, parts=None, rows=slice(None), kind=PerQuery, backward=None):
    """Ask once about eleven queries at a random perturbation: the answer, gradient and queries."""
    images = torch.rand(11, 3, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    queries = Queries.untargeted(images, victim.network(images))
    made = kind(images, LInf(0.1)).double()
    noise = torch.randn(made.delta.shape, generator=torch.Generator().manual_seed(1))
    made.delta.data += 0.05 * noise
    around = None if parts is None else lambda closure: parts.around(closure, queries, made)
    optimizer = Asking(made.parameters(), rows)
    answer = iterate(victim, HAG(), made, optimizer, queries, 0.5, around=around, backward=backward)
    return answer, made.delta.grad, queries


@pytest.mark.parametrize("kind", [PerQuery, OneForAll])
@pytest.mark.parametrize("backward", [None, lambda loss: loss.backward()])
@pytest.mark.parametrize("fails_in", ["forward", "backward"])
@pytest.mark.parametrize("rows", [slice(None), torch.tensor([9, 2, 3, 7, 0])])
def test_parts_answer_as_the_whole_batch_does(fails_in, rows, backward, kind):
    expected, gradient, _ = asked(Memory(11, fails_in), rows=rows, kind=kind, backward=backward)
    victim, parts = Memory(2, fails_in), Parts()
    found, sums, queries = asked(victim, parts, rows, kind, backward)
    torch.testing.assert_close(found.losses, expected.losses, rtol=1e-12, atol=0)
    assert torch.equal(found.success, expected.success)
    torch.testing.assert_close(sums, gradient, rtol=1e-10, atol=1e-15)
    assert gradient.abs().max() > 1e-4
    counts = torch.zeros(11, dtype=torch.int64)
    counts[rows] = 1  # whatever failed before
    assert torch.equal(queries.asked, counts)
    assert torch.equal(found.asked, counts[rows])
    assert parts.at_a_time.size == 2  # 11, 6, 3, 2 or 5, 3, 2
    assert victim.sizes[-3:] == [2, 2, 1]


def test_what_fitted_once_is_kept():
    victim, parts = Memory(3, "backward"), Parts()
    with pytest.warns(UserWarning, match="do not fit into the device's memory") as warned:
        asked(victim, parts)
    assert [str(each.message).split()[0] for each in warned] == ["11", "6"]
    asked(victim, parts)
    assert victim.sizes == [3, 3, 3, 2] * 2


def test_parts_that_were_answered_before_one_failed_are_asked_once():
    class Filling(Memory):
        """Memory that something else takes while the second part is passed."""

        def __call__(self, perturbed, rows):
            self.most = 1 if len(self.sizes) == 1 else 4
            return super().__call__(perturbed, rows)

    victim, parts = Filling(4, "backward"), Parts()
    parts.at_a_time.size = 4
    found, gradient, queries = asked(victim, parts)
    assert victim.sizes == [4] + [1] * 11
    assert queries.asked.tolist() == found.asked.tolist() == [1] * 11
    _, expected, _ = asked(Memory(11, "backward"))
    torch.testing.assert_close(gradient, expected, rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("fails_in", ["forward", "backward"])
def test_one_query_that_does_not_fit_raises(fails_in):
    parts = Parts()
    with pytest.raises(torch.OutOfMemoryError, match="no memory left"):
        asked(Memory(0, fails_in), parts)
    assert parts.at_a_time.size == 1


def test_a_search_asks_in_parts_without_gradients():
    victim = Memory(4, "forward")
    with torch.no_grad():
        found, gradient, queries = asked(victim, Parts())
        expected, _, _ = asked(Memory(11, "forward"))
    assert gradient is None
    torch.testing.assert_close(found.losses, expected.losses, rtol=1e-12, atol=0)
    assert queries.asked.tolist() == [1] * 11
    assert victim.sizes == [3, 3, 3, 2]


def test_answers_are_joined_in_their_order():
    one, other = (Answer(*(torch.tensor([n, n + 10 * k]) for k in range(3))) for n in (1, 2))
    found = join([one, other])
    assert found.losses.tolist() == [1, 1, 2, 2]
    assert found.asked.tolist() == [1, 21, 2, 22]
