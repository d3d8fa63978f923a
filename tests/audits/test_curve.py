"""MAP against epsilon, and the smallest epsilon of each query."""

import re

import pytest
import torch

from lightning_hash.audits.curve import (
    Bisection,
    Reached,
    check_epsilons,
    curve,
    epsilons_of,
    level_of,
    smallest_levels,
    unit_of,
)


def reached(ap, broken=None):
    ap = torch.tensor(ap)
    return Reached(ap, ap == 0 if broken is None else torch.tensor(broken))


def test_a_curve_never_rises_and_begins_each_run_at_the_last():
    attacks = {
        "1/255": reached([0.9, 0.8, 1.0]),
        "2/255": reached([0.5, 0.0, 0.9]),
        "4/255": reached([0.7, 0.2, 0.3]),  # a worse run than at half the size
    }
    asked = []

    def run(epsilon, previous):
        asked.append((epsilon, previous))
        return attacks[epsilon]

    found = curve(["4/255", "1/255", "2/255"], run)
    assert asked == [("1/255", None), ("2/255", "1/255"), ("4/255", "2/255")]
    assert list(found) == ["1/255", "2/255", "4/255"]
    assert found["2/255"].ap.tolist() == pytest.approx([0.5, 0.0, 0.9])
    assert found["4/255"].ap.tolist() == pytest.approx([0.5, 0.0, 0.3])
    assert found["4/255"].broken.tolist() == [False, True, False]
    for smaller, larger in (("1/255", "2/255"), ("2/255", "4/255")):
        assert (found[larger].ap <= found[smaller].ap).all()


def test_what_is_known_counts_at_its_epsilon_and_above_and_not_below():
    known = {"8/255": reached([0.1, 0.9], [True, False]), "0.02": reached([0.8, 0.3])}
    asked = []

    def run(*arguments):
        asked.append(arguments)
        return reached([0.5, 0.5])

    found = curve(["4/255", "8/255", "16/255"], run, known)
    assert asked == [("4/255", None), ("16/255", "4/255")]  # 8/255 is known
    assert found["4/255"].ap.tolist() == pytest.approx([0.5, 0.5])  # 0.02 is 5.1/255
    assert found["8/255"].ap.tolist() == pytest.approx([0.1, 0.3])
    assert found["16/255"].ap.tolist() == pytest.approx([0.1, 0.3])
    assert [found[each].broken[0].item() for each in found] == [False, True, True]


def test_epsilons_of_a_curve_differ():
    with pytest.raises(ValueError, match=r"must differ, got 4/255 and 0.01568627450980392"):
        curve(["4/255", "0.01568627450980392"], lambda *_: reached([0.5]))


@pytest.mark.parametrize(
    ("epsilons", "norm", "message"),
    [
        (["x"], "linf", "curve: epsilon must be a number or a fraction such as '10/255', got 'x'"),
        (["4/255", "8"], "linf", "curve: epsilon must be in (0, 1] in pixel space, got 8"),
        (["0"], "l2", "curve: epsilon must be positive and finite, got 0"),
        (["1", "2/2"], "linf", "curve: epsilons of a curve must differ, got 1 and 2/2"),
    ],
)
def test_epsilons_that_no_curve_has(epsilons, norm, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check_epsilons(epsilons, norm)
    check_epsilons(["0.1", "3"], "l2")
    check_epsilons((), "linf")


def test_epsilons_without_a_choice():
    assert epsilons_of("linf", "2/255") == ("1/255", "2/255", "4/255", "8/255", "16/255")
    assert epsilons_of("l2", "3") == ("0.375", "0.75", "1.5", "3", "6")


def test_levels_of_epsilon():
    assert unit_of("linf", "2/255") == 1 / 255
    assert unit_of("l2", "3") * 16 == pytest.approx(6)
    levels = [level_of(each, unit_of("l2", "3")) for each in epsilons_of("l2", "3")]
    assert levels == [1, 2, 4, 8, 16]
    assert level_of("0.0161", 1 / 255) is None


class Attack:
    """Succeeds on each query at the levels that it is given; counts what it is asked."""

    def __init__(self, *levels):
        self.levels, self.asked = levels, []

    def __call__(self, level, rows):
        self.asked.append((level, list(rows)))
        return [level in self.levels[row] for row in rows]


@pytest.mark.parametrize("levels", [1, 2, 7, 16])
def test_bisection_finds_the_smallest_of_a_success_that_rises(levels):
    """For every place where success may begin, none included."""
    attack = Attack(*(range(first, levels + 1) for first in range(1, levels + 2)))
    found = smallest_levels(levels + 1, attack, levels=levels)
    assert found == (*range(1, levels + 1), None)
    for row in range(levels + 1):
        times = sum(row in rows for _, rows in attack.asked)
        assert times <= 1 + (levels - 1).bit_length()  # at most 8 with 128 levels


def test_bisection_claims_only_what_was_shown_where_success_does_not_rise():
    """An attack that succeeds at 3 and 12 and fails at 4 to 8 and at 16."""
    attack = Attack({3, 12}, {3, 9, 16}, {5})
    known = {4: [False, False, False], 8: [False] * 3, 12: [True, False, False]}
    found = smallest_levels(3, attack, known)
    assert found == (12, 16, None)  # the last fails at the largest, and nobody has seen level 5
    assert all(level not in (4, 8, 12) for level, _ in attack.asked)


def test_a_failure_above_a_success_is_no_bound_below_it():
    search = Bisection(1, levels=8)
    for level, success in ((2, False), (4, True), (6, False), (8, True)):
        search.know([0], level, [success])
    assert search.ask() == {3: [0]}
    search.know([0], 3, [False])
    assert search.ask() == {}
    assert search.result() == (4,)
    search.know([0], 6, [True])  # nor does a later success above it
    assert search.result() == (4,)


def test_bisection_needs_queries_and_levels():
    with pytest.raises(ValueError, match="count and levels must be at least 1, got 0 and 16"):
        Bisection(0)
    with pytest.raises(ValueError, match="level must be from 1 to 4, got 5"):
        Bisection(1, 4).know([0], 5, [True])
