import pytest

from lightning_hash.attacks import AlphaSchedule
from tests.reference.attacks import code_alpha, paper_alpha


def test_default_is_the_papers():
    schedule = AlphaSchedule()
    assert [schedule(i, 2000) for i in range(2000)] == [paper_alpha(i) for i in range(2000)]


@pytest.mark.parametrize("length", [10, 100, 500])
def test_other_lengths_keep_the_fractions(length):
    schedule = AlphaSchedule()
    got = [schedule(i, length) for i in range(length)]
    expected = [paper_alpha(i * 2000 // length) for i in range(length)]
    assert got == expected


def test_every_length_changes_at_the_exact_fraction():
    """Without what rounding makes of 0.7 times the length; as the authors' tables of tenths do."""
    schedule = AlphaSchedule()
    for length in range(1, 301):
        got = [schedule(i, length) for i in range(length)]
        assert got == [paper_alpha(i * 2000 // length) for i in range(length)], length
        assert got == [code_alpha(i, length) for i in range(length)], length


def test_one_iteration_is_the_first_alpha():
    assert AlphaSchedule()(0, 1) == 0.1


@pytest.mark.parametrize(
    ("values", "starts", "message"),
    [
        ([0.1], [0.0, 0.5], "one length"),
        ([], [], "one length"),
        ([0.0], [0.0], r"\(0, 1\]"),
        ([1.5], [0.0], r"\(0, 1\]"),
        ([0.1, 1.0], [0.5, 0.6], "begin at 0"),
        ([0.1, 1.0], [0.0, 0.0], "rise strictly"),
        ([0.1, 1.0], [0.0, 1.0], "below 1"),
    ],
)
def test_wrong_schedules(values, starts, message):
    with pytest.raises(ValueError, match=message):
        AlphaSchedule(values, starts)
