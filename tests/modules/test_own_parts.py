"""A universal perturbation and a search of one's own under the Trainer, by one process."""

from functools import partial

import pytest
import torch
from torch import nn
from torch.utils.data import DistributedSampler

from lightning_hash.attacks import HAG, AlphaSchedule, Rule, query_generator
from tests.conftest import Blobs, TinyNet
from tests.helpers.attacks import attack, rows_of
from tests.helpers.one_for_all import OneForAll
from tests.helpers.own_parts import GLOBAL_BATCH, WIDE, killed, run, search, sgd, told, universal
from tests.helpers.random_search import RandomSearch

EPSILON = 10 / 255


def delta(module):
    (perturbation,) = module.perturbations
    return perturbation.delta.detach()


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    module = universal()
    return module, run(tmp_path_factory.mktemp("universal"), module)


def test_a_universal_perturbation_learns_on_the_training_split(learned):
    """Six passes in three batches equal a loop over the mean loss of each batch."""
    module, scores = learned
    items, victim = Blobs(60, 0), TinyNet().eval().requires_grad_(requires_grad=False)
    images = torch.stack([items[i][0] for i in range(60)])
    expected = nn.Parameter(torch.zeros(1, 3, 8, 8))
    optimizer, alpha = sgd([expected]), AlphaSchedule()
    sampler = DistributedSampler(items, num_replicas=1, rank=0, shuffle=True, seed=0)
    for iteration in range(6):
        sampler.set_epoch(iteration)
        batches = torch.tensor(list(sampler)).split(GLOBAL_BATCH)
        assert len(batches) == 3
        for batch in batches:
            optimizer.zero_grad()
            logits = victim((images[batch] + 2 * expected).clamp(0, 1))
            HAG()(logits, victim(images[batch]), alpha(iteration, 6)).mean().backward()
            optimizer.step()
            with torch.no_grad():
                expected.clamp_(-EPSILON / 2, EPSILON / 2)
    torch.testing.assert_close(delta(module), expected.detach(), rtol=0, atol=1e-7)
    bound = delta(module).abs() > EPSILON / 2 - 1e-8
    assert 0.1 < bound.float().mean() < 0.5  # the budget holds some values, the others are free
    queries = Blobs(13, 1)
    clean = torch.stack([queries[i][0] for i in range(13)])
    added = (clean + 2 * delta(module)).clamp(0, 1) - clean
    assert torch.equal(scores.outcome().tensors["perturbation"], added)
    (linf,) = rows_of(scores, "hag", metric="linf", quantized=False, iteration=6)
    assert linf["value"] == pytest.approx(float(added.abs().amax(dim=(1, 2, 3)).mean()), abs=1e-7)


def test_rows_of_a_universal_perturbation_say_what_made_it(learned):
    _, scores = learned
    for row in rows_of(scores, "hag"):
        assert row["attack"]["perturbation"] == {
            "class": "tests.helpers.one_for_all.OneForAll", "gain": 2.0,
        }  # fmt: skip
        assert row["attack"]["learned_on"] == {"split": "train", "global_batch": GLOBAL_BATCH}
        assert row["queries"] is None
    own = rows_of(scores, "hag", metric="map", quantized=False)
    assert [row["iteration"] for row in own] == [0, 3, 6]


@pytest.mark.parametrize("at", [(3, 0), (5, 1)])
def test_a_killed_universal_perturbation_goes_on(learned, tmp_path, at):
    """The second is killed between two batches of an epoch: the epoch is taken anew."""
    path = killed(tmp_path, universal(), at)
    resumed = universal()
    scores = run(tmp_path, resumed, ckpt_path=path)
    assert torch.equal(delta(resumed), delta(learned[0]))
    assert told(scores.rows) == told(learned[1].rows)


def test_a_universal_perturbation_of_another_gain_is_refused(tmp_path):
    path = killed(tmp_path, universal(), (3, 0))
    message = "its attack.perturbation.gain is 2.0, this run's is 1.0"
    with pytest.raises(ValueError, match=message):
        run(tmp_path, universal(gain=1.0), ckpt_path=path)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    module = search()
    return module, run(tmp_path_factory.mktemp("search"), module)


def counts(module):
    return torch.cat([queries.asked for queries in module.batches])


def alone(query, image, iterations, bits=3):
    """Search one query in plain words: the perturbation and the questions asked."""
    victim, best, reached, tries = TinyNet().eval(), torch.zeros_like(image), 0.0, 0
    clean, asked = victim(image[None]) > 0, 1
    for iteration in range(iterations):
        for _ in range(3 if iteration else 2):
            if reached >= bits:
                continue
            noise = torch.randn(image.shape, generator=query_generator(f"0/{query}/{tries}"))
            tried = (WIDE * noise.sign()).clamp(-image, 1 - image)
            moved = int(((victim((image + tried)[None]) > 0) != clean).sum())
            asked, tries = asked + 1, tries + 1
            if moved > reached:
                best, reached = tried, moved
    return best, asked


def test_a_search_asks_about_unfinished_queries_three_times_a_step(searched):
    module, scores = searched
    queries = Blobs(13, 1)
    expected = {n: [alone(i, queries[i][0], n) for i in range(13)] for n in (3, 6)}
    asked = torch.tensor([count for _, count in expected[6]])
    assert counts(module).tolist() == asked.tolist()
    assert asked.max() == 3 * 6  # some are never finished ...
    assert (asked < 3 * 6).sum() >= 3  # ... others are, in the midst of a step too
    assert (asked % 3 > 0).any()
    perturbations = torch.stack([perturbation for perturbation, _ in expected[6]])
    assert torch.equal(scores.outcome().tensors["perturbation"], perturbations)
    for iteration, mean in (
        (0, 0.0),
        (3, sum(count for _, count in expected[3]) / 13),
        (6, sum(count for _, count in expected[6]) / 13),
    ):
        rows = rows_of(scores, "hag", iteration=iteration)
        assert {row["queries"] for row in rows} == {mean}
    assert {row["queries"] for row in rows_of(scores, "none")} == {None}


def test_rows_of_a_search_name_its_settings(searched):
    for row in rows_of(searched[1], "hag"):
        assert row["attack"]["step"] == {
            "class": "tests.helpers.random_search.RandomSearch", "bits": 3, "seed": 0,
        }  # fmt: skip


@pytest.mark.parametrize("batch_size", [5, 13])
def test_a_killed_search_goes_on(searched, tmp_path, batch_size):
    """Also in other batches: its state belongs to the queries."""
    path = killed(tmp_path, search(), (3, 1))
    resumed = search(batch_size=batch_size)
    scores = run(tmp_path, resumed, ckpt_path=path)
    assert counts(resumed).tolist() == counts(searched[0]).tolist()
    for name, expected in searched[1].outcome().tensors.items():
        assert torch.equal(scores.outcome().tensors[name], expected), name
    assert told(scores.rows) == told(searched[1].rows)
    for rule in resumed.rules:
        ((_, state),) = rule.optimizer.state.items()
        assert state["tries"].dtype == torch.int64
        assert state["success"].dtype == torch.float32


def test_a_search_that_has_other_settings_is_refused(tmp_path):
    path = killed(tmp_path, search(), (3, 0))
    with pytest.raises(ValueError, match=r"its attack.step.bits is 3, this run's is 4"):
        run(tmp_path, search(bits=4), ckpt_path=path)


def test_questions_do_not_depend_on_the_batches(searched, tmp_path, blobs):
    """What a query is asked does not depend on its neighbours, which finish at other times."""
    step = partial(RandomSearch, bits=3)
    scores = attack(tmp_path, blobs, step=step, epsilon=WIDE, batch_size=13)
    given, expected = (s.outcome().tensors["perturbation"] for s in (scores, searched[1]))
    assert torch.equal(given, expected)
    assert told(scores.rows) == told(searched[1].rows)


class Remembering(Rule):
    """Keeps whatever it is given."""

    def __init__(self, params):
        super().__init__(params, {})

    def step(self, closure=None):
        return closure()


@pytest.mark.parametrize(
    "kept", [torch.int64, torch.uint8, torch.bool, torch.float64, torch.float16, torch.float32]
)
def test_the_state_of_a_rule_keeps_its_types(kept):
    """torch.optim gives every tensor the type of the parameter: 2^24 + 1 questions are none."""
    parameter = nn.Parameter(torch.zeros(2, 3))
    rule, loaded = Remembering([parameter]), Remembering([parameter])
    value = torch.tensor([1, 0]) if kept == torch.bool else torch.tensor([2**24 + 1, 3])
    rule.state[parameter] = {"kept": value.to(kept), "number": 7}
    loaded.load_state_dict(rule.state_dict())
    state = loaded.state[parameter]
    assert (state["kept"].dtype, state["number"]) == (kept, 7)
    assert torch.equal(state["kept"], value.to(kept))


def test_a_search_for_a_shared_perturbation_is_refused(tmp_path, blobs):
    with pytest.raises(ValueError, match="RandomSearch asks about queries one by one, and OneFor"):
        attack(tmp_path, blobs, perturbation=OneForAll, step=RandomSearch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": RandomSearch}, "stop_finished: RandomSearch is a search"),
        ({"perturbation": OneForAll}, "stop_finished: OneForAll is shared by all queries"),
    ],
)
def test_finished_queries_are_those_of_step_rules_and_queries_of_their_own(
    tmp_path, blobs, options, message
):
    with pytest.raises(ValueError, match=message):
        attack(tmp_path, blobs, stop_finished=True, **options)
