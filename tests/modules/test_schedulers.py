"""Learning-rate schedules against what the authors' training loops set before each step."""

import pytest
import torch

from lightning_hash.modules import ExponentialDecay, OneCycle, StepDecay


def rates(schedule, steps, *, lr=1.0, scale=0.1):
    """Return the rates of both groups at each step."""
    first, second = torch.zeros(1), torch.zeros(1)
    optimizer = torch.optim.SGD([{"params": [first], "lr": lr * scale}, {"params": [second]}], lr)
    made = schedule(optimizer)
    found = []
    for _ in range(steps):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        made.step()
    return found


OFFICIAL = {  # steps of the training, its epochs, (starts, gamma), the authors' rate of an epoch
    # HashNet's step_lr_scheduler: init_lr * gamma ** (iter_num // 2000), 10,000 iterations.
    "hashnet": (10_000, 10_000, (["1/5", "2/5", "3/5", "4/5"], 0.5), lambda i: 0.5 ** (i // 2000)),
    # GreedyHash's adjust_learning_rate of cifar1.py: 0.1 ** (epoch // 30), 50 epochs.
    "greedyhash": (50 * 157, 50, (["30/50"], 0.1), lambda e: 0.1 ** (e // 30)),
    # CSQ's adjust_learning_rate: 0.7 ** (epoch // 10), 90 epochs.
    "csq": (90 * 157, 90, ([f"{n}/9" for n in range(1, 9)], 0.7), lambda e: 0.7 ** (e // 10)),
    # DPSH's AdjustLearningRate: 0.1 ** (epoch // 50), set when that epoch has ended, 150 epochs.
    "dpsh": (150 * 40, 150, (["51/150", "101/150"], 0.1), lambda e: 0.1 ** (max(0, e - 1) // 50)),
    # HyP2's StepLR: step_size=10, gamma=0.5, 100 epochs.
    "hyp2": (100 * 40, 100, ([f"{n}/10" for n in range(1, 10)], 0.5), lambda e: 0.5 ** (e // 10)),
    # IDHN's exponential_decay, staircase: 0.5 ** (step // 500), 3,125 steps.
    "idhn": (3125, 3125, ([f"{4 * n}/25" for n in range(1, 7)], 0.5), lambda i: 0.5 ** (i // 500)),
    # DSH's solver: multistep at 60,000 and 65,000 of 70,000.
    "dsh": (
        70_000,
        70_000,
        (["60/70", "65/70"], 0.1),
        lambda i: 0.1 ** sum(i >= step for step in (60_000, 65_000)),
    ),
}


@pytest.mark.parametrize("name", OFFICIAL)
def test_step_decay_is_the_authors_schedule(name):
    steps, epochs, (starts, gamma), rate_of = OFFICIAL[name]
    found = rates(lambda optimizer: StepDecay(optimizer, steps, starts, gamma), steps)
    expected = [rate_of(step * epochs // steps) for step in range(steps)]
    assert [high for _, high in found] == pytest.approx(expected)
    assert [low for low, _ in found] == pytest.approx([0.1 * rate for rate in expected])


def test_a_training_of_one_step_has_the_whole_rate():
    assert rates(lambda optimizer: StepDecay(optimizer, 1, [0.1, 0.2], 0.1), 1)[0][1] == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"starts": [0.5, 0.5]}, r"rise strictly inside \(0, 1\), got \[0.5, 0.5\]"),
        ({"starts": [0.0]}, "rise strictly"),
        ({"starts": [0.5, 1.0]}, "rise strictly"),
        ({"starts": ["half"]}, "numbers or fractions such as '1/9'"),
        ({"gamma": 0.0}, r"gamma must be in \(0, 1\], got 0.0"),
        ({"gamma": 1.5}, r"gamma must be in \(0, 1\], got 1.5"),
    ],
)
def test_wrong_decays(options, message):
    optimizer = torch.optim.SGD([torch.zeros(1)], 1.0)
    with pytest.raises(ValueError, match=message):
        StepDecay(optimizer, 10, **options)


def test_one_cycle_rises_and_falls():
    found = rates(lambda optimizer: OneCycle(optimizer, 100, pct_start=0.4), 100)
    high = [rate for _, rate in found]
    assert max(high) == pytest.approx(1.0)
    assert high.index(max(high)) == pytest.approx(39, abs=1)  # 0.4 of the steps
    assert high[0] == pytest.approx(1 / 25)  # torch's div_factor
    assert high[-1] < 1e-5
    assert all(low == pytest.approx(0.1 * rate) for low, rate in found)
    twice = rates(lambda optimizer: OneCycle(optimizer, 100, max_lr=2.0), 100)
    assert max(rate for _, rate in twice) == pytest.approx(2.0, rel=1e-3)
    assert max(rate for rate, _ in twice) == pytest.approx(0.2, rel=1e-3)


def test_defaults():
    """What a preset that gives nothing gets: 0.1 at a half and at three quarters; a peak at 0.3."""
    found = [rate for _, rate in rates(lambda optimizer: StepDecay(optimizer, 8), 8)]
    assert found == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])
    high = [rate for _, rate in rates(lambda optimizer: OneCycle(optimizer, 100), 100)]
    assert high.index(max(high)) == pytest.approx(29, abs=1)


def test_a_peak_of_its_own_keeps_the_fractions_of_the_groups():
    found = rates(lambda optimizer: OneCycle(optimizer, 100, max_lr=2.0), 100, lr=0.5)
    assert max(high for _, high in found) == pytest.approx(2.0, rel=1e-3)
    assert max(low for low, _ in found) == pytest.approx(0.2, rel=1e-3)


def test_exponential_decay_is_the_authors_logspace():
    """DSDH.m: logspace(-2, -6, 150), a rate an epoch; here one a step."""
    found = rates(lambda optimizer: ExponentialDecay(optimizer, 150, last=1e-4), 150, lr=1e-2)
    expected = torch.logspace(-2, -6, 150, dtype=torch.float64)
    assert [high for _, high in found] == pytest.approx(expected.tolist())
    assert [low for low, _ in found] == pytest.approx((0.1 * expected).tolist())
    ends = rates(lambda optimizer: ExponentialDecay(optimizer, 8), 8)
    assert (ends[0][1], ends[-1][1]) == pytest.approx((1.0, 1e-4))
    assert rates(lambda optimizer: ExponentialDecay(optimizer, 1), 1)[0][1] == 1.0


@pytest.mark.parametrize("last", [0.0, -1.0, 1.5])
def test_wrong_ends(last):
    with pytest.raises(ValueError, match=rf"last must be in \(0, 1\], got {last}"):
        ExponentialDecay(torch.optim.SGD([torch.zeros(1)], 1.0), 10, last)
