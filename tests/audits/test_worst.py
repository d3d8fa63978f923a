"""The worst case per query, beside loops and by hand."""

import math

import pytest
import torch

from lightning_hash.audits.own_results import labels_by_results
from lightning_hash.audits.worst import Worst, ap_per_query, estimate, first_relevant, spread
from lightning_hash.codes.code_set import plain_code_set
from lightning_hash.functional import RankingOptions
from tests.reference import audit as reference

NAN = math.nan


def draw(seed, count, bits=3, classes=2):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.where(torch.rand(count, bits, generator=generator) > 0.5, 1, -1)
    labels = (torch.rand(count, classes, generator=generator) > 0.5).byte()
    return codes.to(torch.int8), labels


@pytest.mark.parametrize("k", [1, 2, 3, 6, 9])
def test_what_stands_first_under_every_order_of_ties(k):
    for seed in range(8):
        codes, labels = draw(seed, 5)
        database = plain_code_set(*draw(seed + 100, 6))
        none, every = first_relevant(codes, labels, database, k)
        for row in range(5):
            distances = [(codes[row] != item).sum().item() for item in database.codes]
            relevant = [bool((labels[row] * item).sum()) for item in database.labels]
            expected = reference.first_k(distances, relevant, k)
            assert (none[row].item(), every[row].item()) == expected


@pytest.mark.parametrize("targeted", [False, True])
def test_the_worst_case_beside_a_loop(targeted):
    generator = torch.Generator().manual_seed(3)
    attacks = torch.randint(0, 4, (4, 60), generator=generator) / 3
    attacks[torch.rand(4, 60, generator=generator) < 0.4] = NAN
    attacks[:, 7] = NAN
    worst = Worst.over(list(attacks), targeted=targeted)
    expected = reference.worst_case(attacks.tolist(), targeted)
    end = float(targeted)
    for row, found in enumerate(expected):
        if found is None:
            assert worst.values[row].isnan()
            continue
        value, number = found
        assert worst.values[row].item() == pytest.approx(value, abs=1e-6)
        assert worst.by[row].item() == number
    alive = [n for n, found in enumerate(expected) if found is not None and found[0] != end]
    assert worst.left(targeted=targeted) == alive


def test_a_query_that_no_attack_harms_more_is_won_by_the_first():
    worst = Worst.over([torch.tensor([0.5, 0.5]), torch.tensor([0.5, 0.25])], targeted=False)
    assert worst.by.tolist() == [0, 1]


def test_estimates():
    values = torch.tensor([0.0, 1.0, NAN, 0.5], dtype=torch.float64)
    found = estimate(values)
    assert (found.value, found.n) == (0.5, 3)
    assert found.se == pytest.approx(0.5 / math.sqrt(3))  # standard deviation .5
    assert estimate(values[1:2]).se is None
    with pytest.raises(ValueError, match="no query has a relevant item in the database"):
        estimate(values[2:3])
    assert spread({1: 0.25}, 3).nan_to_num(-1).tolist() == [-1, 0.25, -1]


@pytest.mark.parametrize(("empty", "expected"), [("zero", [1.0, 0.0]), ("skip", [1.0, NAN])])
def test_a_query_without_relevant_items(empty, expected):
    codes, labels = torch.ones(2, 2, dtype=torch.int8), torch.tensor([[1, 0], [0, 1]])
    database = plain_code_set(codes, torch.tensor([[1, 0], [1, 0]], dtype=torch.uint8))
    found = ap_per_query(codes, labels, database, RankingOptions(empty=empty))
    torch.testing.assert_close(found, torch.tensor(expected).double(), equal_nan=True)


def test_relevant_without_labels_is_what_comes_first_with_its_ties():
    codes = torch.tensor([[1, 1, 1], [-1, -1, -1]])
    items = torch.tensor([[1, 1, 1], [1, 1, -1], [1, -1, 1], [-1, -1, 1], [-1, -1, -1]])
    database = plain_code_set(items.to(torch.int8), torch.zeros(5, 0, dtype=torch.uint8))
    found = labels_by_results(codes, database, k=2)
    assert found.T.tolist() == [[1, 1, 1, 0, 0], [0, 0, 0, 1, 1]]  # two items are one bit away
