import pytest
import torch
from torch import nn

from lightning_hash.attacks import L2, LInf, PerQuery, Queries, query_generator
from lightning_hash.attacks.attack import attack
from lightning_hash.attacks.draws import query_draws
from lightning_hash.attacks.objectives import Hinge
from lightning_hash.attacks.searches import NES, SignHunter, Square
from lightning_hash.attacks.searches.square import _run, window_side
from tests.reference import searches

BITS, QUERIES, EPSILON = 10, 4, 0.11


class Counted(nn.Module):
    """A network that counts how often it is asked about each query, by the query's clean input."""

    def __init__(self, shape):
        super().__init__()
        torch.manual_seed(2)
        size = torch.Size(shape).numel()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(size, 16), nn.Tanh())
        self.last = nn.Linear(16, BITS)
        self.double()
        self.rows, self.seen = 0, []

    def forward(self, inputs):
        self.rows += len(inputs)
        self.seen.append(inputs.detach().clone())
        return self.last(self.layers(inputs))


def made(
    rule, shape=(3, 5, 6), iterations=60, epsilon=EPSILON, objective=None, index=None, **options
):
    generator = torch.Generator().manual_seed(4)
    clean = torch.rand(QUERIES, *shape, generator=generator, dtype=torch.float64)
    model = Counted(shape)
    queries = Queries.untargeted(clean, model(clean).detach())
    if index is not None:
        queries.index = index
    model.rows, model.seen = 0, []
    perturbation = PerQuery(clean, LInf(epsilon))
    step = rule(perturbation.parameters(), **options)
    objective = objective or Hinge()
    found = attack(model, objective, perturbation, step, queries, iterations)

    def ask(row):
        def loss(values):
            image = torch.tensor(values, dtype=torch.float64).view(1, *shape)
            with torch.no_grad():
                logits = model.last(model.layers(image))
            return objective(logits, queries.reference[row : row + 1], 1.0).item()

        return loss

    return clean, model, queries, found, ask


def flat(images, row):
    return images[row].flatten().tolist()


@pytest.mark.parametrize("share", [0.8, 0.05])
def test_square_is_the_loop_over_pixels(share):
    clean, model, queries, found, ask = made(Square, share=share, seed=9, iterations=80)
    for row in range(QUERIES):

        def uniform(number, count, row=row):
            return query_draws(9, queries.index[row : row + 1], number, count)[0].tolist()

        image, asked = searches.square(
            ask(row), flat(clean, row), (3, 5, 6), EPSILON, 80, share, uniform
        )
        for mine, theirs in zip(model.seen, asked, strict=True):
            assert flat(mine, row) == pytest.approx(theirs, abs=1e-12)
        assert flat(found, row) == pytest.approx(image, abs=1e-12)
        assert len({tuple(each) for each in asked}) > 20
    assert model.rows == 80 * QUERIES
    assert queries.asked.tolist() == [80] * QUERIES


def test_signhunter_is_the_loop_over_values():
    shape = (1, 3, 5)
    clean, model, queries, found, ask = made(SignHunter, shape=shape, iterations=75)
    for row in range(QUERIES):
        image, asked = searches.signhunter(ask(row), flat(clean, row), EPSILON, 75)
        for mine, theirs in zip(model.seen, asked, strict=True):
            assert flat(mine, row) == pytest.approx(theirs, abs=1e-12)
        assert flat(found, row) == pytest.approx(image, abs=1e-12)
    assert queries.asked.tolist() == [75] * QUERIES


def test_nes_is_the_loop_over_samples():
    options = {"lr": 0.02, "pairs": 3, "sigma": 0.01, "momentum": 0.5, "seed": 5}
    clean, model, queries, found, ask = made(NES, iterations=6, **options)
    for row in range(QUERIES):

        def normal(iteration, pair, row=row):
            generator = query_generator(f"5/{int(queries.index[row])}/{iteration}/{pair}")
            return torch.randn(3, 5, 6, generator=generator).double().flatten().tolist()

        places = searches.nes(ask(row), flat(clean, row), EPSILON, 6, (0.02, 3, 0.01, 0.5), normal)
        for mine, theirs in zip(model.seen[6::7], places, strict=True):
            assert flat(mine, row) == pytest.approx(theirs, abs=1e-9)
        best = min(
            places, key=lambda place: (-success(queries, model, place, row), ask(row)(place))
        )
        assert flat(found, row) == pytest.approx(best, abs=1e-9)
    assert model.rows == 6 * 7 * QUERIES
    assert queries.asked.tolist() == [42] * QUERIES


def success(queries, model, place, row):
    image = torch.tensor(place, dtype=torch.float64).view(1, 3, 5, 6)
    with torch.no_grad():
        logits = model.last(model.layers(image))
    return queries.success(logits, slice(row, row + 1)).item()


@pytest.mark.parametrize(
    ("rule", "options"), [(Square, {}), (SignHunter, {}), (NES, {"lr": 0.03, "pairs": 10})]
)
def test_searches_find_something_and_stay_inside(rule, options):
    iterations = 12 if rule is NES else 200
    clean, _, _, found, ask = made(rule, iterations=iterations, **options)
    assert (found - clean).abs().max() <= EPSILON + 1e-12
    assert found.min() >= 0
    assert found.max() <= 1
    for row in range(QUERIES):
        assert ask(row)(flat(found, row)) < ask(row)(flat(clean, row))


@pytest.mark.parametrize(
    ("rule", "options"), [(Square, {}), (SignHunter, {}), (NES, {"lr": 0.03, "pairs": 2})]
)
def test_clips_are_searched_too(rule, options):
    clean, _, _, found, ask = made(rule, shape=(2, 3, 4, 4), iterations=40, **options)
    assert (found - clean).abs().max() <= EPSILON + 1e-12
    assert ask(0)(flat(found, 0)) < ask(0)(flat(clean, 0))
    if rule is Square:  # one window for all frames: they move alike where the box leaves room
        moved = (found - clean).sign()
        assert ((moved[:, 0] == moved[:, 1]) | (moved[:, :2] == 0).any(dim=1)).float().mean() > 0.9


def test_draws_follow_the_query_not_its_place():
    swapped = torch.tensor([2, 0, 3, 1])
    plain = made(Square, iterations=1)[3] - made(Square, iterations=1)[0]
    other = made(Square, iterations=1, index=swapped)
    moved = other[3] - other[0]
    inside = (plain.abs() > EPSILON - 1e-9) & (moved[swapped.argsort()].abs() > EPSILON - 1e-9)
    assert inside.float().mean() > 0.5
    assert torch.equal(plain.sign()[inside], moved[swapped.argsort()].sign()[inside])


def test_ties_are_accepted():
    """Of a loss that is constant every proposal is: the last one is left."""

    class Flat(Hinge):
        def forward(self, logits, reference, alpha):
            return torch.zeros(len(logits), dtype=logits.dtype)

    _, model, _, found, _ = made(Square, iterations=30, objective=Flat())
    assert torch.equal(found, model.seen[-1])


def test_schedule_of_the_windows():
    """Changes at 3, 11, 41, 101, 201, 401, 801, 1201 and 1601 of 2,000, as in AutoAttack."""
    sides = [window_side(1.0, number, 2000, 1000, 1000) for number in range(2000)]
    changes = [n for n in range(1, 2000) if sides[n] != sides[n - 1]]
    assert changes == [3, 11, 41, 101, 201, 401, 801, 1201, 1601]
    assert (sides[0], sides[-1]) == (1000, round((1e6 / 512) ** 0.5))
    for halved, after in enumerate((10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)):
        before, behind = (window_side(1.0, n, 10_000, 1000, 1000) for n in (after, after + 1))
        assert before == round(1000 * 0.5 ** (halved / 2))
        assert behind == round(1000 * 0.5 ** ((halved + 1) / 2))
    assert window_side(1e-9, 0, 10, 8, 8) == 1
    assert window_side(1.0, 0, 10, 8, 40) == 8


def test_windows_reach_every_place():
    """The public code's corners stop one short: its last row and column never change."""
    index = torch.arange(3000)
    draws = query_draws(0, index, 0, 1)[:, 0]
    hit = torch.bincount(_run(draws, 7, 3).flatten(), minlength=7)
    assert hit[0] > 0
    assert hit[-1] > 0
    assert hit.tolist() == pytest.approx([600, 1200, 1800, 1800, 1800, 1200, 600], rel=0.1)


def test_draws_are_uniform_and_their_own():
    found = query_draws(3, torch.arange(500), 2, 40)
    assert found.min() >= 0
    assert found.max() < 1
    counts = torch.histc(found.flatten(), 20, 0, 1) / found.numel()
    assert counts.tolist() == pytest.approx([0.05] * 20, rel=0.12)
    flat_draws = torch.cat([
        query_draws(seed, torch.arange(50), iteration, 5).flatten()
        for seed in (0, 1) for iteration in (-1, 0, 1)
    ])  # fmt: skip
    assert len(flat_draws.unique()) == len(flat_draws)
    assert abs(torch.corrcoef(found.T).fill_diagonal_(0)).max() < 0.2
    for seed, query, iteration in ((0, 0, 0), (3, 7, 5), (2**31, 10**6, -1)):
        drawn = query_draws(seed, torch.tensor([query]), iteration, 3)[0].tolist()
        assert drawn == splitmix(seed, query, iteration, 3)  # by hand, in Python's whole numbers


def splitmix(seed, query, iteration, count):
    mask = 2**64 - 1

    def mixed(value):
        value = value * 0x9E3779B97F4A7C15 & mask
        value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & mask
        value = (value ^ value >> 27) * 0x94D049BB133111EB & mask
        return value ^ value >> 31

    state = mixed((mixed((query + seed * 2**32) & mask) + iteration) & mask)
    return [(mixed((state + place) & mask) >> 11) * 2.0**-53 for place in range(count)]


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        (Square, {"share": 0.0}, r"share must be in \(0, 1\], got 0.0"),
        (NES, {"pairs": 0}, "pairs must be positive, got 0"),
        (NES, {"sigma": -1}, "sigma must be positive, got -1"),
        (NES, {"momentum": 1.0}, r"momentum must be in \[0, 1\), got 1.0"),
    ],
)
def test_wrong_options(rule, options, message):
    with pytest.raises(ValueError, match=message):
        rule([nn.Parameter(torch.zeros(1, 1))], **options)


def test_another_ball_is_refused():
    inputs = torch.rand(1, 3, 4, 4)
    perturbation = PerQuery(inputs, L2(0.5))
    rule = Square(perturbation.parameters())
    queries = Queries.untargeted(inputs, torch.ones(1, 4))
    with pytest.raises(
        ValueError, match="Square proposes corners of an L-infinity ball, the budget"
    ):
        rule.prepare(perturbation, queries, 5)


@pytest.mark.parametrize("rule", [Square, SignHunter, NES])
def test_layout_in_memory_changes_nothing(rule):
    generator = torch.Generator().manual_seed(4)
    clean = torch.rand(3, 3, 4, 5, generator=generator, dtype=torch.float64)
    model, found = Counted((3, 4, 5)), []
    for layout in (torch.contiguous_format, torch.channels_last):
        inputs = clean.contiguous(memory_format=layout)
        queries = Queries.untargeted(inputs, model(clean).detach())
        perturbation = PerQuery(inputs, LInf(EPSILON))
        step = rule(perturbation.parameters())
        found.append(attack(model, Hinge(), perturbation, step, queries, 20))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-9)
