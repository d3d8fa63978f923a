"""What is optimised: queries, chosen frames, perturbations that are there already."""

import pytest
import torch
from torch import nn

from lightning_hash.attacks import (
    HAG,
    AnchorCode,
    Answer,
    ChosenFrames,
    LInf,
    PerQuery,
    Queries,
    SignStep,
    iterate,
    query_generator,
)
from lightning_hash.attacks.around import Unfinished
from lightning_hash.attacks.attack import attack
from lightning_hash.attacks.perturbations import Given
from tests.conftest import TinyNet
from tests.helpers.one_for_all import OneForAll


def clips(lengths=None, count=2):
    inputs = torch.full((count, 4, 3, 2, 2), 0.5)
    return inputs, None if lengths is None else torch.tensor(lengths)


def gradient(rows):
    """The largest gradient in frame 2 of the first clip, in frames 3 and 0 of the second."""
    sizes = torch.tensor([[0.0, 1.0, 3.0, 2.0], [2.0, 0.0, 1.0, 3.0]])
    return sizes[rows].view(-1, 4, 1, 1, 1).expand(-1, 4, 3, 2, 2)


@pytest.mark.parametrize(
    ("count", "lengths", "live"),
    [
        (1, None, [[0, 0, 1, 0], [0, 0, 0, 1]]),
        (2, None, [[0, 0, 1, 1], [1, 0, 0, 1]]),
        (4, None, [[1, 1, 1, 1], [1, 1, 1, 1]]),
        (2, [2, 3], [[1, 1, 0, 0], [1, 0, 1, 0]]),
    ],
)
def test_the_frames_with_the_largest_gradient_change(count, lengths, live):
    inputs, frames = clips(lengths)
    made = ChosenFrames(inputs, LInf(0.1), frames, count=count)
    made.draw(inputs, torch.tensor([0, 1]), seed=0)
    made.prepare(inputs, gradient)
    assert made.live.int().tolist() == live
    assert (made.delta != 0).flatten(2).any(dim=2).int().tolist() == live
    assert (made(inputs) != inputs).flatten(2).any(dim=2).int().tolist() == live
    assert made.passes_live_frames
    assert not PerQuery(inputs, LInf(0.1)).passes_live_frames


def test_frames_are_chosen_one_clip_at_a_time():
    """So that memory holds a pass of one."""
    inputs, frames = clips(None)
    asked = []
    ChosenFrames(inputs, LInf(0.1), frames, count=1).prepare(
        inputs, lambda rows: [asked.append(rows), gradient(rows)][1]
    )
    assert asked == [slice(0, 1), slice(1, 2)]


@pytest.mark.parametrize(
    ("inputs", "count", "message"),
    [
        (torch.rand(1, 4, 3, 2, 2), 0, "count must be at least 1, got 0"),
        (torch.rand(1, 4, 3, 2, 2), 5, r"ChosenFrames of count 5 .* got inputs \(4, 3, 2, 2\)"),
        (torch.rand(4, 3, 8, 8), 1, r"chooses frames of clips .* got inputs \(3, 8, 8\)"),
    ],
)
def test_frames_that_cannot_be_chosen(inputs, count, message):
    with pytest.raises(ValueError, match=message):
        ChosenFrames(inputs, LInf(0.1), count=count)


def test_padding_never_changes():
    inputs, lengths = clips([1, 3])
    made = PerQuery(inputs, LInf(0.1), lengths)
    made.draw(inputs, torch.tensor([0, 1]), seed=0)
    assert (made.delta != 0).flatten(2).any(dim=2).int().tolist() == [[1, 0, 0, 0], [1, 1, 1, 0]]
    made.delta.data.fill_(1.0)
    assert (made(inputs) != inputs).flatten(2).any(dim=2).sum(dim=1).tolist() == [1, 3]
    made.project(inputs)
    assert (made.delta != 0).flatten(2).any(dim=2).sum(dim=1).tolist() == [1, 3]
    assert made.delta.max() == torch.tensor(0.1)


def test_what_is_there_already_is_added():
    inputs = torch.full((2, 3, 2, 2), 0.5)
    delta = torch.linspace(-0.1, 0.1, 24).view(2, 3, 2, 2)
    made = Given(inputs, LInf(0.1), delta=delta)
    torch.testing.assert_close(made(inputs), inputs + delta)
    assert torch.equal(made.values(inputs), delta)
    assert set(made.settings()) == {"class"}  # what it is given is no setting
    with pytest.raises(ValueError, match=r"have the shape \(3, 2, 2\), the queries \(3, 4, 4\)"):
        Given(torch.rand(2, 3, 4, 4), LInf(0.1), delta=delta)


def test_the_layout_of_the_inputs_is_taken():
    inputs = torch.rand(2, 3, 4, 4)
    made = PerQuery(inputs, LInf(0.1))
    made.project(inputs)
    last = inputs.contiguous(memory_format=torch.channels_last)
    made.prepare(last, gradient)
    assert made.delta.is_contiguous(memory_format=torch.channels_last)
    made.prepare(inputs, gradient)
    assert made.delta.is_contiguous()
    other = torch.zeros_like(inputs)
    made.delta.data.fill_(-1.0)
    made.prepare(other, gradient)
    made.project(other)  # onto the box of these inputs, not of the first ones
    assert made.delta.min() == 0


def test_a_random_start_needs_a_kind_that_has_one():
    with pytest.raises(ValueError, match="OneForAll has no random start; leave start_seed out"):
        OneForAll(torch.rand(2, 3, 4, 4), LInf(0.1)).draw(torch.rand(1), torch.tensor([0]), 0)


def test_draws_do_not_change_between_versions():
    """Results that were published with a seed can be had again."""
    draws = torch.randint(0, 10**6, (3,), generator=query_generator("0/4")).tolist()
    assert draws == [653902, 654089, 642184]


def test_a_shared_perturbation_minimises_the_mean_and_others_the_sum():
    victim = TinyNet().double().requires_grad_(requires_grad=False)
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(2)).double()
    anchors = torch.where(torch.rand(4, 8, generator=torch.Generator().manual_seed(3)) > 0.5, 1, -1)
    queries = Queries.towards(images, anchors.double())
    shared, single = OneForAll(images, LInf(0.1)).double(), PerQuery(images, LInf(0.1))
    for made in (shared, single):
        rule = torch.optim.SGD(made.parameters(), lr=1e-3)
        iterate(lambda x, rows: victim(x), AnchorCode(), made, rule, queries, 1.0)
    torch.testing.assert_close(shared.delta.grad.view(3, 8, 8), single.delta.grad.mean(dim=0))
    assert single.delta.grad.abs().max() > 1e-3


def test_an_objective_may_see_something_beside_the_logits():
    """Loss and gradient are those of what it sees, success is that of the logits."""
    victim = TinyNet().requires_grad_(requires_grad=False)
    images = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    anchors = torch.ones(3, 8)
    queries = Queries.towards(images, anchors)
    made = PerQuery(images, LInf(0.1))
    rule = SignStep(made.parameters(), lr=0.01)
    answer = iterate(
        lambda x, rows: (victim(x), -victim(x)), AnchorCode(), made, rule, queries, 1.0
    )
    logits = victim(images)
    torch.testing.assert_close(answer.losses, AnchorCode()(-logits, anchors, 1.0))
    assert answer.success.tolist() == (-(logits <= 0).sum(dim=1).float()).tolist()
    assert not answer.losses.requires_grad


def test_the_bare_loop_runs_at_alpha_1_by_default():
    victim = TinyNet().requires_grad_(requires_grad=False)
    images = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    found = []
    for alpha in ({}, {"alpha": lambda *_: 1.0}, {"alpha": lambda *_: 0.1}):
        made = PerQuery(images, LInf(0.1))
        queries, rule = Queries.untargeted(images, victim(images)), torch.optim.SGD
        step = rule(made.parameters(), lr=0.05)
        found.append(attack(victim, HAG(), made, step, queries, 2, **alpha))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_finished_queries_are_neither_asked_nor_stepped():
    """The middle query is finished when it is asked about first; a resumption knows it."""
    images = torch.full((3, 1, 2, 2), 0.5)
    queries = Queries.untargeted(images, torch.ones(3, 4))
    made, asked = PerQuery(images, LInf(0.5)), []

    def closure(rows):
        asked.append(rows.tolist())
        return Answer(rows.float() + 10 * len(asked), rows.float(), rows)

    def step(unfinished):
        def iteration():
            answer = unfinished.around(closure)()
            made.delta.data += 0.1
            return answer

        return unfinished.step(made, iteration)

    unfinished = Unfinished(lambda rows, answer: rows == 1, queries)
    assert step(unfinished).losses.tolist() == [10, 11, 12]
    assert step(unfinished).losses.tolist() == [20, 11, 22]
    assert asked == [[0, 1, 2], [0, 2]]
    assert queries.done.tolist() == [False, True, False]
    assert made.delta.flatten(1)[:, 0].tolist() == pytest.approx([0.2, 0.0, 0.2])
    resumed = Unfinished(lambda rows, answer: rows == 1, queries)
    assert step(resumed).losses.tolist() == [30, 11, 32]
    assert asked[-1] == [0, 2]
    assert made.delta.flatten(1)[:, 0].tolist() == pytest.approx([0.3, 0.0, 0.3])
    resumed.around(closure)(torch.tensor([1]))
    assert asked[-1] == [1]  # who names rows gets them
    assert isinstance(made.delta, nn.Parameter)


def test_a_batch_moves_with_or_without_lengths():
    inputs, lengths = clips([1, 3])
    bare = Queries.untargeted(inputs, torch.ones(2, 4))
    towards = Queries.towards(inputs, torch.ones(2, 4))
    assert bare.labels.shape == towards.labels.shape == (2, 0)  # none are known
    whole = Queries(inputs, bare.labels, bare.index, lengths)
    for queries in (bare, whole):
        queries.to(torch.device("cpu"))
    assert bare.lengths is None
    assert bare.lengths_of() == ()
    assert torch.equal(whole.lengths, lengths)
    assert torch.equal(whole.lengths_of(torch.tensor([1]))[0], lengths[1:])
