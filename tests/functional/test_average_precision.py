import itertools
import math

import pytest
import torch

from lightning_hash.functional import (
    average_precision,
    mean_average_precision,
    packed,
    precision_at,
    precision_at_n_curve,
    precision_recall_curve,
)
from tests.reference import ranking

NORMALIZERS, TIES = ("retrieved", "relevant"), ("expected", "stable")


def random_case(seed, queries, items, bits, classes=3):
    generator = torch.Generator().manual_seed(seed)

    def codes(n):
        return torch.where(torch.rand(n, bits, generator=generator) < 0.5, -1, 1)

    def labels(n):
        return (torch.rand(n, classes, generator=generator) < 0.35).long()

    return codes(queries), codes(items), labels(queries), labels(items)


def tied(case, row):
    query_codes, database_codes, query_labels, database_labels = (t.tolist() for t in case)
    return ranking.groups(query_codes[row], database_codes, query_labels[row], database_labels)


@pytest.mark.parametrize("normalizer", NORMALIZERS)
@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("top_k", [1, 2, 3, 5, 6, 7, 99, None])
def test_against_every_order(normalizer, ties, top_k):
    for seed in range(6):
        case = random_case(seed, queries=6, items=7, bits=2)
        got = average_precision(*case, top_k=top_k, normalizer=normalizer, ties=ties).tolist()
        for row in range(6):
            expected = ranking.average_precision(tied(case, row), top_k, normalizer, ties)
            if expected is None:
                assert math.isnan(got[row])
            else:
                assert got[row] == pytest.approx(float(expected), abs=1e-13)


@pytest.mark.slow
@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_a_cut_through_many_ties_against_sampled_orders(normalizer):
    case = random_case(3, queries=2, items=400, bits=4)
    got = average_precision(*case, top_k=60, normalizer=normalizer)
    for row in range(2):
        expected = ranking.sampled_average_precision(
            tied(case, row), 60, normalizer, 3000, seed=row
        )
        assert got[row].item() == pytest.approx(expected, abs=0.004)


def test_expected_stays_exact_at_a_large_database():
    """All tied, a third relevant, full ranking: compared with the sum of McSherry and Najork."""
    items, hits = 30_000, 10_000
    codes = torch.ones(items, 4)
    labels = torch.zeros(items, 2, dtype=torch.long)
    labels[:hits, 0] = 1
    labels[hits:, 1] = 1
    got = average_precision(codes[:1], codes, labels[:1], labels).item()
    slope = (hits - 1) / (items - 1)
    expected = math.fsum((1 + j * slope) / (1 + j) for j in range(items)) / items
    assert got == pytest.approx(expected, rel=1e-12)


def line(hits):
    """A database in which item i is at distance i, with these relevant items."""
    bits = len(hits)
    database = torch.tensor([[-1] * i + [1] * (bits - i) for i in range(bits)])
    labels = torch.tensor([[1, 0] if hit else [0, 1] for hit in hits])
    return torch.ones(1, bits), database, torch.tensor([[1, 0]]), labels


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize(
    ("hits", "top_k", "normalizer", "expected"),
    [
        ([1, 1, 0, 0], None, "retrieved", 1.0),
        ([0, 0, 1, 1], None, "retrieved", (1 / 3 + 2 / 4) / 2),
        ([1, 0, 1, 0, 1], 3, "retrieved", (1 + 2 / 3) / 2),
        ([1, 0, 1, 0, 1], 3, "relevant", (1 + 2 / 3) / 3),
        ([0, 0, 1], 2, "retrieved", math.nan),
        ([0, 0, 0], None, "relevant", math.nan),
        ([0, 1], 50, "retrieved", 0.5),
    ],
)
def test_by_hand(ties, hits, top_k, normalizer, expected):
    got = average_precision(*line(hits), top_k=top_k, normalizer=normalizer, ties=ties).item()
    assert got == pytest.approx(expected, nan_ok=True)


def test_all_tied_by_hand():
    """Two items at one distance, one relevant: 1 in one order, 1/2 in the other; by index 1/2."""
    codes, labels = torch.ones(2, 3), torch.tensor([[0, 1], [1, 0]])
    case = (codes[:1], codes, torch.tensor([[1, 0]]), labels)
    assert average_precision(*case).item() == 0.75
    assert average_precision(*case, ties="stable").item() == 0.5
    # With top_k = 1 one order has nothing and counts 0; the query is not empty.
    assert average_precision(*case, top_k=1).item() == 0.5
    assert math.isnan(average_precision(*case, top_k=1, ties="stable").item())


@pytest.mark.parametrize("bits", [127, 128, 255, 256, 300])
def test_the_largest_distance_is_no_small_one(bits):
    """An irrelevant item at distance 0 and a relevant one at distance K, by hand."""
    query = torch.ones(1, bits)
    labels = torch.tensor([[1, 0]])
    value = average_precision(
        query, torch.cat([query, -query]), labels, torch.tensor([[0, 1], [1, 0]])
    )
    assert value.tolist() == [0.5]


def test_expected_does_not_depend_on_the_order_of_the_database():
    query, database, query_labels, labels = random_case(0, 5, 60, 4)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    first = average_precision(query, database, query_labels, labels, top_k=10)
    second = average_precision(query, database[order], query_labels, labels[order], top_k=10)
    assert torch.equal(first.nan_to_num(9), second.nan_to_num(9))


def test_empty_queries():
    query, database, _, labels = line([1, 0, 1])
    query, query_labels = query.expand(2, -1), torch.tensor([[1, 0], [0, 0]])
    ap = (1 + 2 / 3) / 2
    case = (query, database, query_labels, labels)
    assert mean_average_precision(*case).item() == pytest.approx(ap / 2)
    assert mean_average_precision(*case, empty="skip").item() == pytest.approx(ap)
    only = (query[1:], database, query_labels[1:], labels)
    assert mean_average_precision(*only).item() == 0.0
    assert math.isnan(mean_average_precision(*only, empty="skip").item())
    with pytest.raises(ValueError, match="empty must be"):
        mean_average_precision(*case, empty="none")


@pytest.mark.parametrize(("ties", "top_k"), list(itertools.product(TIES, (7, None))))
def test_chunks_do_not_change_a_value(monkeypatch, ties, top_k):
    case = random_case(5, 9, 40, 6)
    whole = average_precision(*case, top_k=top_k, ties=ties)
    monkeypatch.setattr(packed, "QUERIES", 2)
    monkeypatch.setattr(packed, "BLOCK", 7)
    assert torch.equal(
        average_precision(*case, top_k=top_k, ties=ties).nan_to_num(9), whole.nan_to_num(9)
    )


@pytest.mark.parametrize("dtype", [torch.int8, torch.float64, torch.bfloat16, torch.int64])
def test_any_real_dtype(dtype):
    query, database, query_labels, labels = random_case(2, 3, 30, 16)
    got = average_precision(query.to(dtype), database.to(dtype), query_labels.int(), labels)
    expected = average_precision(query, database, query_labels, labels)
    assert torch.equal(got.nan_to_num(9), expected.nan_to_num(9))


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("n", [1, 3, 5, 7, 50])
def test_precision_against_every_order(ties, n):
    case = random_case(11, queries=5, items=7, bits=2)
    expected = [float(ranking.precision_at(tied(case, row), n, ties)) for row in range(5)]
    assert precision_at(*case, n, ties=ties).tolist() == pytest.approx(expected)
    with pytest.raises(ValueError, match="n must be a positive whole number, got 0"):
        precision_at(*case, 0, ties=ties)
    with pytest.raises(ValueError, match=r"n must be a positive whole number, got -1"):
        precision_at_n_curve(*case, [n, -1], ties=ties)
    curve = precision_at_n_curve(*case, [2, n], ties=ties)
    assert curve[1].item() == pytest.approx(sum(expected) / 5)


def test_precision_recall_by_hand():
    query, database, query_labels, labels = line([1, 0, 1])
    precision, recall = precision_recall_curve(query, database, query_labels, labels)
    assert precision.tolist() == pytest.approx([1, 1 / 2, 2 / 3, 2 / 3])
    assert recall.tolist() == pytest.approx([1 / 2, 1 / 2, 1, 1])


def test_precision_leaves_out_queries_that_retrieve_nothing():
    query = torch.tensor([[1, 1], [-1, -1]])
    database, labels = torch.tensor([[1, 1]]), torch.tensor([[1, 0]])
    precision, recall = precision_recall_curve(
        query, database, torch.tensor([[1, 0], [0, 1]]), labels
    )
    assert precision.tolist() == [1, 1, 0.5]
    assert recall.tolist() == [1, 1, 1]  # the second query has nothing to find


def bad(**changes):
    query, database, query_labels, labels = random_case(0, 2, 5, 4)
    inputs = {
        "query_codes": query, "database_codes": database,
        "query_labels": query_labels, "database_labels": labels,
    }  # fmt: skip
    return {**inputs, **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query_codes": torch.ones(2, 3)}, "query_codes have 3 bits, database_codes 4"),
        ({"query_codes": torch.zeros(2, 4)}, "must be -1 or \\+1, got 0.0 in row 0, bit 0"),
        ({"query_codes": torch.full((2, 4), math.nan)}, "must be -1 or \\+1, got nan"),
        ({"query_codes": torch.ones(4)}, "query_codes must have shape"),
        ({"database_codes": torch.ones(0, 4), "database_labels": torch.ones(0, 3)}, "is empty"),
        ({"query_labels": torch.full((2, 3), 2)}, "query_labels must be 0 or 1, got 2 in row 0"),
        ({"query_labels": torch.ones(3, 3)}, "must have a row per code: 2 codes, 3 rows"),
        ({"query_labels": torch.ones(2, 4)}, "query_labels have 4 columns, database_labels 3"),
        ({"top_k": 0}, "top_k must be a positive whole number"),
        ({"top_k": -3}, "top_k must be a positive whole number"),
        ({"top_k": 2.5}, "top_k must be a positive whole number"),
        ({"normalizer": "both"}, "normalizer must be one of 'retrieved', 'relevant', got 'both'"),
        ({"ties": "random"}, "ties must be one of"),
    ],
)  # fmt: skip
def test_wrong_input(changes, message):
    with pytest.raises(ValueError, match=message):
        average_precision(**bad(**changes))


def test_codes_of_bool_are_refused():
    with pytest.raises(
        TypeError, match=r"query_codes must be a tensor of a real dtype, got torch\.bool"
    ):
        average_precision(**bad(query_codes=torch.ones(2, 4, dtype=torch.bool)))
