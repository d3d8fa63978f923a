import math
import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from lightning_hash.functional import average_precision, mean_average_precision, precision_at
from lightning_hash.metrics import (
    HammingMAP,
    HammingPrecision,
    MeanByIndex,
    Score,
    TargetedHammingMAP,
)
from lightning_hash.metrics.rows import by_index
from tests.reference.ranking import standard_error

KINDS = [
    lambda: HammingMAP(top_k=9),
    lambda: HammingMAP(top_k=9, normalizer="relevant", empty="skip", ties="stable"),
    lambda: TargetedHammingMAP(),
    lambda: HammingPrecision(n=7),
]


def case():
    generator = torch.Generator().manual_seed(0)

    def part(n):
        codes = torch.where(torch.rand(n, 6, generator=generator) < 0.5, -1, 1)
        return codes, (torch.rand(n, 4, generator=generator) < 0.3).long(), torch.arange(n)

    return part(11), part(40)


def fed(metric, batches=1, order=None, repeat=False):
    queries, database = case()
    for part, update in ((queries, metric.update), (database, metric.update_database)):
        rows = (
            torch.arange(len(part[0]))
            if order is None
            else torch.randperm(len(part[0]), generator=torch.Generator().manual_seed(order))
        )
        for chunk in rows.chunk(batches):
            update(*(column[chunk] for column in part))
        if repeat:
            update(*(column[rows[:5]] for column in part))
    return metric


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("order", [None, 1, 2])
@pytest.mark.parametrize("batches", [1, 3])
@pytest.mark.parametrize("repeat", [False, True])
def test_order_batches_and_duplicates_change_nothing(make, order, batches, repeat):
    assert torch.equal(fed(make(), batches, order, repeat).compute(), fed(make()).compute())


def test_values_are_those_of_the_functions():
    (codes, labels, _), (items, item_labels, _) = case()
    inputs = (codes, items, labels, item_labels)
    assert fed(HammingMAP(top_k=9)).compute() == mean_average_precision(*inputs, top_k=9)
    assert fed(HammingPrecision(n=7)).compute() == precision_at(*inputs, 7).mean()
    stable = fed(HammingMAP(top_k=3, empty="skip", ties="stable", normalizer="relevant"))
    expected = mean_average_precision(
        *inputs, top_k=3, empty="skip", ties="stable", normalizer="relevant"
    )
    assert stable.compute() == expected
    score = stable.score()
    assert (score.value, score.n, score.n_empty) == (float(expected), 8, 3)


def test_a_score_carries_its_standard_error():
    (codes, labels, _), (items, item_labels, _) = case()
    values = average_precision(codes, items, labels, item_labels, top_k=3)
    score = fed(HammingMAP(top_k=3)).score()
    assert score.se == pytest.approx(standard_error(values.nan_to_num(0.0).tolist()))
    assert (score.n, score.n_empty) == (11, int(values.isnan().sum()))
    skipped = fed(HammingMAP(top_k=3, empty="skip")).score()
    assert skipped.se == pytest.approx(standard_error(values[~values.isnan()].tolist()))
    assert skipped.n == 11 - score.n_empty < 11
    # Two queries with a precision of 1 and 1/2: deviation 1/(2 sqrt 2), error 1/4.
    metric = HammingPrecision(n=2)
    metric.set_database(torch.ones(2, 3), torch.tensor([[1, 1], [1, 0]]), torch.arange(2))
    metric.update(torch.ones(2, 3), torch.tensor([[1, 0], [0, 1]]), torch.arange(2))
    assert metric.score() == Score(0.75, pytest.approx(0.25), 2, None)
    metric.reset_queries()
    metric.update(torch.ones(1, 3), torch.tensor([[0, 1]]), torch.arange(1))
    assert metric.score() == Score(0.5, None, 1, None)


def test_precision_looks_at_one_rank_at_least():
    with pytest.raises(ValueError, match="n must be a positive whole number, got 0"):
        HammingPrecision(n=0)


def test_every_query_skipped():
    metric = HammingMAP(empty="skip")
    metric.set_database(torch.ones(2, 3), torch.tensor([[1, 0], [1, 0]]), torch.arange(2))
    metric.update(torch.ones(2, 3), torch.tensor([[0, 1], [0, 1]]), torch.arange(2))
    score = metric.score()
    assert math.isnan(score.value)
    assert (score.se, score.n, score.n_empty) == (None, 0, 2)


def test_a_database_that_is_set_again_counts():
    metric = HammingPrecision(n=1)
    labels = torch.tensor([[1, 0], [0, 1]])
    metric.update(torch.ones(1, 3), labels[:1], torch.arange(1))
    for row, expected in ((0, 1.0), (1, 0.0)):
        metric.set_database(torch.ones(1, 3), labels[row : row + 1], torch.arange(1))
        assert metric.compute() == expected


def test_a_whole_database_takes_the_place_of_what_was_added():
    metric = HammingPrecision(n=1)
    labels = torch.tensor([[1, 0]])
    metric.update_database(torch.ones(1, 3), labels, torch.arange(1))
    metric.set_database(-torch.ones(1, 3), labels, torch.arange(1))
    held = metric.database_codes, metric.database_labels, metric.database_index
    assert held == ([], [], [])  # nothing that processes would exchange


def test_reset_queries_keeps_the_database():
    metric = fed(HammingMAP())
    first = metric.compute()
    metric.reset_queries()
    with pytest.raises(ValueError, match="has no query items; call update before compute"):
        metric.compute()
    (codes, labels, index), _ = case()
    metric.update(codes, labels, index)
    assert torch.equal(metric.compute(), first)
    metric.reset()
    metric.update(codes, labels, index)
    with pytest.raises(ValueError, match="has no database items; call update_database"):
        metric.compute()


def test_an_index_with_two_contents_is_refused():
    metric = fed(HammingMAP())
    (codes, labels, index), _ = case()
    metric.update(-codes[3:4], labels[3:4], index[3:4])
    with pytest.raises(ValueError, match="query index 3 was given twice with different contents"):
        metric.compute()


def test_one_process_rounds_nothing(monkeypatch):
    for name, value in (("is_initialized", True), ("get_world_size", 1)):
        monkeypatch.setattr(dist, name, lambda value=value: value)
    rows = torch.tensor([[1.0, -2.0], [1.002, -2.0]])
    with pytest.raises(ValueError, match="query index 4 was given twice"):
        by_index("query", torch.tensor([4, 4]), rows)


def test_an_item_of_another_batch_may_differ_by_rounding(monkeypatch):
    """A distributed sampler repeats items; another batch rounds otherwise."""
    for name, value in (("is_initialized", True), ("get_world_size", 2)):
        monkeypatch.setattr(dist, name, lambda value=value: value)
    index = torch.tensor([4, 7, 4])
    codes = torch.ones(3, 16, dtype=torch.int8)
    codes[2, :2] = -1
    logits = torch.tensor([[1.0, -2.0], [3.0, 0.5], [1.002, -2.0]])
    labels = torch.tensor([[1, 0], [0, 1], [1, 0]], dtype=torch.uint8)
    unique, *columns = by_index("query", index, codes, logits, labels)
    assert unique.tolist() == [4, 7]
    assert [len(column) for column in columns] == [2, 2, 2]
    assert columns[0][0].sum() == 16
    (twice, _) = by_index("query", torch.tensor([1, 1]), torch.zeros(2, 3))  # nothing to round
    assert twice.tolist() == [1]
    codes[2, 2] = -1
    logits[2, 0] = 1.01
    labels[2, 1] = 1
    for column in (codes, logits, labels):
        with pytest.raises(ValueError, match="query index 4 was given twice"):
            by_index("query", index, column)
    monkeypatch.undo()  # one process passes each item once
    codes[2] = torch.tensor([-1, *[1] * 15])
    with pytest.raises(ValueError, match="query index 4 was given twice"):
        by_index("query", index, codes)


def test_bits_that_differ_are_named():
    metric = fed(HammingMAP())
    metric.reset_queries()
    (codes, labels, index), _ = case()
    metric.update(codes[:, :4], labels, index)
    with pytest.raises(ValueError, match="query_codes have 4 bits, database_codes 6"):
        metric.compute()


@pytest.mark.parametrize(
    ("codes", "labels", "index", "message"),
    [
        (torch.zeros(2, 3), torch.ones(2, 2), torch.arange(2), "query codes must be -1 or"),
        (torch.ones(2, 3), torch.full((2, 2), 5), torch.arange(2), "labels must be 0 or 1, got 5"),
        (torch.ones(2, 3), torch.ones(3, 2), torch.arange(2), "labels must have a row per index"),
        (torch.ones(2, 3), torch.ones(2, 2), torch.ones(2), "index must be integer"),
    ],
)  # fmt: skip
def test_wrong_updates(codes, labels, index, message):
    with pytest.raises(ValueError, match=message):
        HammingMAP().update(codes, labels, index)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "top_k must be a positive whole number"),
        ({"normalizer": "x"}, "normalizer must be one of"),
        ({"empty": "x"}, "empty must be one of 'zero', 'skip', got 'x'"),
        ({"ties": "x"}, "ties must be one of"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        HammingMAP(**options)


def test_mean_by_index():
    metric = MeanByIndex()
    metric.update(torch.tensor([1.0, 2.0]), torch.tensor([5, 3]))
    metric.update(torch.tensor([2.0, 6.0]), torch.tensor([3, 9]))
    assert metric.compute().item() == 3.0
    largest = MeanByIndex("max")
    largest.update(torch.tensor([1.0, -2.0]), torch.tensor([0, 1]))
    assert largest.compute().item() == 1.0
    assert largest.score() == Score(1.0, None, 2)
    assert metric.score() == Score(3.0, pytest.approx(standard_error([1.0, 2.0, 6.0])), 3)
    metric.update(torch.tensor([7.0]), torch.tensor([5]))
    with pytest.raises(ValueError, match="index 5 was given twice"):
        metric.compute()


def _share(rank, path, results):
    os.environ["OMP_NUM_THREADS"] = "1"
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=2)
    queries, database = case()
    values = []
    for make in KINDS:
        metric = make()
        # Uneven and overlapping shares: 4 + 9 of 11 queries, 25 + 20 of 40 items.
        for part, update, bounds in (
            (queries, metric.update, [(0, 4), (2, 11)]),
            (database, metric.update_database, [(0, 25), (20, 40)]),
        ):
            start, stop = bounds[rank]
            update(*(column[start:stop] for column in part))
        first = metric.compute()
        metric.reset_queries()
        start, stop = [(0, 4), (2, 11)][rank]
        metric.update(*(column[start:stop] for column in queries))
        values.append((first.item(), metric.compute().item()))
    results[rank] = values
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.ddp
def test_two_processes_give_the_value_of_one(tmp_path):
    if not (dist.is_available() and dist.is_gloo_available()):
        pytest.skip("torch was built without gloo")
    with mp.Manager() as manager:
        results = manager.dict()
        mp.spawn(_share, (tmp_path / "store", results), nprocs=2)
        expected = [fed(make()).compute().item() for make in KINDS]
        for rank in range(2):
            assert [first for first, _ in results[rank]] == expected
            assert [second for _, second in results[rank]] == expected
    assert not any(math.isnan(value) for value in expected)
