"""Each check of an audit, on numbers made by hand."""

import math
import statistics

import pytest
import torch

from lightning_hash.audits import believe
from lightning_hash.audits.copies import drawn_anew, estimate_statistics
from lightning_hash.functional import RankingOptions
from lightning_hash.models import build_model
from tests.conftest import TinyNet


def bound(values):
    """Two standard errors below the mean, from the definition."""
    return statistics.mean(values) - 2 * statistics.stdev(values) / math.sqrt(len(values))


def test_the_worst_attack_says_whether_a_gradient_reaches_each_query():
    reached = {"hag": [True, False, True, True], "apgd-hinge": [True] * 4}
    check = believe.zero_gradient("linf-8", reached)
    assert (check.figure, check.threshold, check.failed) == (0.25, 0, True)
    assert (check.name, check.threat) == ("zero-gradient", "linf-8")
    assert check.said.endswith("exactly zero: hag 25%")
    assert check.remedy
    fine = believe.zero_gradient("linf-8", {"apgd-hinge": [True] * 4})
    assert (fine.figure, fine.failed, fine.remedy) == (0, False, "")
    none = believe.zero_gradient("codes-1000", {})
    assert (none.figure, none.failed) == (None, False)


@pytest.mark.parametrize(("mean", "failed"), [(0.0026, False), (0.0027, True)])
def test_square_may_find_two_thousandths_beyond_two_standard_errors(mean, failed):
    """Gains of m + .0006 and m - .0006, twice each: the standard error is .0006 / sqrt(3)."""
    gradients = torch.tensor([0.5, 0.4, 0.2, 0.1], dtype=torch.float64)
    after = gradients - mean - torch.tensor([6, 6, -6, -6], dtype=torch.float64) / 10_000
    lower = believe.black_box_beats_gradients("linf-8", gradients, after)
    assert lower.figure == pytest.approx(mean - 2 * 0.0006 / 3**0.5)
    assert lower.failed == failed
    assert f"lowers MAP by {mean} (standard error 0.0003)" in lower.said
    higher = believe.black_box_beats_gradients("linf-8", 1 - gradients, 1 - after, targeted=True)
    assert (higher.figure, higher.failed) == (pytest.approx(lower.figure), failed)
    assert "raises t-MAP" in higher.said


def again(worst, rerun, *, targeted=False, numbers=None):
    numbers = list(range(len(worst))) if numbers is None else numbers
    return believe.Again(
        member="apgd-hag", iterations=100, numbers=numbers, worst=torch.tensor(worst),
        targeted=targeted, rerun=rerun,
    )  # fmt: skip


def test_an_attack_is_run_again_on_what_is_left():
    asked = []

    def rerun(member, numbers, iterations, seed):
        asked.append((member, list(numbers), iterations, seed))
        return torch.tensor([0.9, 0.1])  # the first is worse than before

    start = again([0.5, 0.0, 0.4], rerun, numbers=[7, 8, 9])
    longer = believe.more_iterations("linf-8", start)
    assert asked == [("apgd-hag", [7, 9], 500, None)]
    assert longer.figure == pytest.approx(bound([0.0, 0.0, 0.3]))
    asked.clear()
    believe.restarts("linf-8", start)
    assert asked == [("apgd-hag", [7, 9], 100, seed) for seed in (1, 2, 3, 4, 5)]


def test_the_best_of_all_restarts_counts_per_query():
    runs = {1: [0.2, 0.9], 2: [0.8, 0.1], 3: [0.7, 0.7], 4: [0.7, 0.7], 5: [0.7, 0.7]}
    check = believe.restarts(
        "linf-8", again([0.5, 0.5], lambda m, n, i, seed: torch.tensor(runs[seed]))
    )
    assert check.figure == pytest.approx(bound([0.3, 0.4]))
    assert check.failed  # .35 with a standard error of .05
    assert "5 random starts of apgd-hag lower the worst MAP of 2 queries by 0.3500" in check.said


def test_targeted_runs_are_worse_where_t_map_rises():
    found = torch.tensor([0.9, 0.1, 0.6])
    start = again([0.5, 0.5, 0.6], lambda *_: found, targeted=True)
    assert start.gain([(1, None)]).tolist() == pytest.approx([0.4, 0.0, 0.0])
    start = again([1.0, 0.0], lambda m, numbers, *_: torch.tensor([0.2]), targeted=True)
    assert start.gain([(1, None)]).tolist() == pytest.approx([0.0, 0.2])  # 1 is the end


def test_nothing_is_run_where_every_query_is_at_the_end():
    def never(*_):
        raise AssertionError

    check = believe.more_iterations("linf-8", again([0.0] * 20, never))
    assert (check.figure, check.failed) == (0, False)


@pytest.mark.parametrize(("moved", "failed"), [(9, True), (2, False)])
def test_a_few_queries_may_move_by_chance(moved, failed):
    """Of 20 queries whose worst AP falls from .9 to 0, two are .09 with an error of .062."""
    after = torch.tensor([0.0] * moved + [0.9] * (20 - moved))
    check = believe.more_iterations("linf-8", again([0.9] * 20, lambda *_: after))
    assert check.figure == pytest.approx(bound([0.9] * moved + [0.0] * (20 - moved)), abs=1e-6)
    assert check.failed == failed
    assert check.threshold == 0.02


def test_twenty_queries_are_drawn():
    rows = believe.some_of(100)
    assert len(set(rows)) == 20
    assert rows == sorted(rows) == believe.some_of(100)
    assert rows != believe.some_of(100, seed=1)
    assert rows[-1] > 50  # not the first ones
    assert believe.some_of(5) == [0, 1, 2, 3, 4]


def test_noise_takes_map():
    clean, noisy = torch.tensor([0.9, 0.8, 1.0, 0.7]), torch.tensor([0.5, 0.5, 0.5, 0.4])
    check = believe.noise("linf-8", clean, noisy, flipped=0.125)
    assert check.figure == pytest.approx(bound([0.4, 0.3, 0.5, 0.3]))
    assert check.failed
    assert "takes 0.3750 (standard error 0.0479) of MAP and flips 12.5% of the bits" in check.said
    assert not believe.noise("linf-8", clean, clean - 0.02, flipped=0.01).failed
    assert believe.noise("linf-8", clean, clean - 0.021, flipped=0.01).failed


def test_passes_that_differ_and_batches_that_matter():
    logits = torch.arange(24.0).view(6, 4) - 12

    def steady(start, stop):
        return logits[start:stop]

    random, mode = believe.outputs(steady, 6)
    assert (random.figure, mode.figure, random.failed, mode.failed) == (0, 0, False, False)

    def of_batch(start, stop):
        return logits[start:stop] - logits[start:stop].mean(dim=0)

    random, mode = believe.outputs(of_batch, 6)
    assert not random.failed
    assert mode.failed
    # Of the whole the mean row is 2.5, of its halves 1 and 4: 1.5 rows of 4, of a largest of 10.
    assert mode.figure == pytest.approx(6 / 10)

    def noisy(start, stop):
        return logits[start:stop] + 0.1 * torch.rand(stop - start, 4)

    random, mode = believe.outputs(noisy, 6)
    assert random.failed
    assert 0.001 < random.figure < 0.1 / 11
    assert (mode.figure, mode.failed) == (None, False)
    assert "cannot be told" in mode.said


def test_modules_in_train_mode_are_named():
    _, mode = believe.outputs(lambda a, b: torch.ones(b - a, 2), 6, ["net.norm", "net.other"])
    assert mode.failed
    assert "in train mode are net.norm, net.other" in mode.said


def test_random_weights_are_compared_with_the_best_copy():
    clean = torch.tensor([0.9, 0.7, 0.8, 0.6])
    copies = [torch.tensor([0.2, 0.1, 0.3, 0.2]), torch.tensor([0.5, 0.4, 0.3, 0.2])]
    check = believe.random_weights(clean, copies)
    assert check.figure == pytest.approx(bound([0.4, 0.3, 0.5, 0.4]))
    assert not check.failed
    assert "the best of 2 copies with random weights 0.3500" in check.said
    assert believe.random_weights(copies[1], [copies[0], copies[1]]).failed
    noisy = believe.random_weights(copies[1], copies[:1])  # .15 above, with an error of .08
    assert noisy.failed
    for nothing in (
        believe.random_weights(clean, []),
        believe.random_weights(clean, copies, labelled=False),
    ):
        assert (nothing.figure, nothing.failed) == (None, False)


def test_copies_have_other_weights_and_leave_all_as_it_was():
    network = build_model("convnet", bits=8).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    one, same, other = (drawn_anew(network, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    weights = [each.hash_layer.weight for each in (network, one, same, other)]
    assert torch.equal(weights[1], weights[2])
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[3])
    norm = network.extractor[1]
    norm.running_mean += 3
    assert drawn_anew(network, 1).extractor[1].running_mean.eq(0).all()  # statistics too
    assert drawn_anew(torch.nn.ReLU(), 0) is None
    assert drawn_anew(torch.jit.script(torch.nn.Linear(2, 2)), 0) is None
    assert drawn_anew(TinyNet(), 0) is not None


def test_batch_norms_take_their_statistics_from_a_batch():
    network = build_model("convnet", bits=8).eval()
    images = torch.rand(6, 3, 16, 16)
    first = network.extractor[0](network.normalize(images))
    estimate_statistics(network, lambda: network(images))
    norm = network.extractor[1]
    torch.testing.assert_close(norm.running_mean, first.mean(dim=(0, 2, 3)))
    assert norm.momentum == 0.1
    assert not any(module.training for module in network.modules())
    statistics = norm.running_mean.clone()
    network(images * 0)
    assert torch.equal(norm.running_mean, statistics)


def test_clean_map_at_chance():
    database, kinds = torch.eye(8).mul(2).sub(1).repeat(4, 1), torch.eye(8).repeat(4, 1)
    ranking = RankingOptions()
    good = believe.chance(database[:8], database, kinds[:8], kinds, ranking)
    assert not good.failed
    # AP of a random order of 32 with 4 relevant, by its closed form; every query has AP 1.
    harmonic = sum(1 / rank for rank in range(1, 33))
    assert good.figure == pytest.approx(1 - (harmonic / 32 * (1 - 3 / 31) + 3 / 31))
    moved = believe.chance(database[:8], database, kinds[:8].roll(1, dims=0), kinds, ranking)
    assert moved.failed
    assert moved.figure < 0
    none = believe.chance(database[:8], database, kinds[:8] * 0, kinds, ranking)
    assert none.failed
    free = believe.chance(database[:8], database, kinds[:8], kinds, ranking, labelled=False)
    assert (free.figure, free.failed) == (None, False)


def test_an_epsilon_that_turns_an_image_into_a_plain_one():
    image = torch.zeros(1, 3, 2, 2)
    image[0, 0] = torch.tensor([[0.1, 0.5], [0.1, 0.3]])  # half of .4
    image[0, 1] = 0.9  # plain, whatever its value
    assert believe.to_plain(image, "linf").item() == pytest.approx(0.2)
    apart = [0.15, 0.25, 0.15, 0.05]
    assert believe.to_plain(image, "l2").item() == pytest.approx(math.hypot(*apart))
    for epsilon, failed in ((0.19, False), (0.21, True)):
        assert believe.large_epsilon("x", image, None, "linf", epsilon).failed == failed


def test_an_epsilon_at_which_two_budgets_meet():
    """Images of two labels that are .3 apart have one in common from .15 on."""
    images = torch.rand(4, 3, 4, 4) * 0.01
    images[:, :, 0, 0] = torch.tensor([0.0, 0.3, 0.9, 0.9])[:, None]
    images[:, :, 3, 3] = 1.0  # none of them is plain
    labels = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 1]])
    apart = believe.to_stranger(images, labels, "linf")
    assert apart.tolist() == pytest.approx([0.3, 0.3, 0.6, 0.9], abs=0.02)
    assert believe.to_stranger(images[2:], labels[2:], "l2").isinf().all()
    assert believe.to_stranger(images, labels, "l2")[0] == pytest.approx(0.3 * 3**0.5, abs=0.02)
    for epsilon, lost in ((0.14, 0), (0.16, 0.5), (0.31, 0.75)):
        check = believe.large_epsilon("linf-x", images, labels, "linf", epsilon)
        assert check.figure == lost
        assert check.failed == (lost > 0.02)
    assert believe.large_epsilon("linf-x", images, None, "linf", 0.16).figure == 0


def test_a_victim_of_one_code():
    codes = torch.where(torch.arange(40)[:, None] < 37, 1, -torch.ones(40, 8).long())
    labels = torch.eye(4).repeat(10, 1)
    check = believe.codes_collapsed({"queries": (-torch.eye(8), None), "database": (codes, labels)})
    assert check.figure == 37 / 40
    assert check.failed
    assert "92.5% of the database" in check.said
    one = labels[:1].expand(40, -1)  # all items have one label
    assert not believe.codes_collapsed({"database": (codes, one)}).failed
    few = codes[30:]  # 7 of 10, and no label has as many
    assert believe.codes_collapsed({"database": (few, labels[:10])}).figure == 0.7
    assert believe.codes_collapsed({"database": (few, one[:10])}).figure == 0.7
    assert believe.codes_collapsed({"database": (codes[2:], labels[2:])}).figure < 0.93
