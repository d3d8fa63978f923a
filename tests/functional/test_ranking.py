"""The packed ranking against the dense one; test_average_precision has the oracles."""

import importlib

import pytest
import torch

from lightning_hash.functional import packed, ranking
from lightning_hash.functional.average_precision import (
    average_precision,
    chunk_average_precision,
)
from lightning_hash.functional.packed import PackedRanking
from lightning_hash.functional.precision import (
    precision_at,
    precision_at_n_curve,
    precision_recall_curve,
    retrieval_curves,
)
from lightning_hash.functional.ranking import DenseRanking, Measure, make_ranking, measure

# The package has functions of the modules' names.
MODULES = [
    importlib.import_module(f"lightning_hash.functional.{name}")
    for name in ("average_precision", "precision")
]
ap_module = MODULES[0]


def case(seed, queries, items, bits, labels, share=0.3):
    generator = torch.Generator().manual_seed(seed)
    codes = (torch.rand(queries + items, bits, generator=generator) < 0.3) * 2 - 1
    given = torch.rand(queries + items, labels, generator=generator) < share / labels**0.5
    return codes[:queries], codes[queries:], given[:queries].long(), given[queries:].long()


@pytest.mark.parametrize("bits", [1, 7, 8, 31, 32, 33, 64, 65, 127, 128, 255, 256, 300])
@pytest.mark.parametrize("labels", [1, 32, 33, 64, 65, 100])
def test_packed_is_dense(monkeypatch, bits, labels):
    monkeypatch.setattr(packed, "BLOCK", 64)  # several blocks
    query, database, own, theirs = case(bits * 101 + labels, 5, 201, bits, labels)
    database[:50] = query[0]  # many at distance 0
    one, other = (kind(query, database, own, theirs) for kind in (PackedRanking, DenseRanking))
    assert (one.size, one.bits) == (other.size, other.bits) == (201, bits)
    for cut in (0, 1, 49, 50, 51, 200, 201):
        for rows in (slice(0, 5), slice(1, 4), slice(0, 0)):
            found, expected = one.walk(rows, cut), other.walk(rows, cut)
            assert found[2].shape == (rows.stop - rows.start, cut)
            for mine, theirs_ in zip(found, expected, strict=True):
                assert torch.equal(mine, theirs_), cut


@pytest.mark.parametrize("ties", ["expected", "stable"])
@pytest.mark.parametrize("normalizer", ["retrieved", "relevant"])
@pytest.mark.parametrize("top_k", [1, 60, 119, 120, 500, None])
def test_values_are_those_of_the_dense_ranking(monkeypatch, ties, normalizer, top_k):
    parts = case(3, 9, 120, 12, 6)
    options = {"top_k": top_k, "normalizer": normalizer, "ties": ties}
    found = average_precision(*parts, **options)
    precision = precision_at(*parts, top_k or 120, ties=ties)
    curve = precision_recall_curve(*parts)
    for module in MODULES:
        monkeypatch.setattr(module, "make_ranking", DenseRanking)
    monkeypatch.setattr(ranking, "CPU_CHUNK", 250)  # two queries at a time
    torch.testing.assert_close(
        found, average_precision(*parts, **options), rtol=1e-12, atol=1e-12, equal_nan=True
    )
    torch.testing.assert_close(precision, precision_at(*parts, top_k or 120, ties=ties))
    torch.testing.assert_close(curve, precision_recall_curve(*parts), equal_nan=True)


@pytest.mark.parametrize("ties", ["expected", "stable"])
def test_measures_together_are_measures_alone_and_each_query_is_looked_at_once(monkeypatch, ties):
    parts = case(7, 11, 90, 5, 4)
    looked, look = [], PackedRanking._look
    monkeypatch.setattr(PackedRanking, "_look", lambda self, q: looked.append(q) or look(self, q))
    monkeypatch.setattr(packed, "QUERIES", 4)  # three chunks
    made = make_ranking(*parts)
    measures = [
        Measure(lambda chunk: chunk.hits_at(3), 3),
        Measure(lambda chunk: chunk_average_precision(chunk, 30, "relevant"), 30),
        Measure(lambda chunk: torch.stack([chunk.n_relevant, chunk.hits_at(500)], 1)),
    ]
    at_3, ap, counts = measure(made, measures, ties)
    assert looked == list(range(11))
    torch.testing.assert_close(at_3 / 3, precision_at(*parts, 3, ties=ties))
    expected = average_precision(*parts, top_k=30, normalizer="relevant", ties=ties)
    torch.testing.assert_close(ap, expected, rtol=0, atol=0, equal_nan=True)
    similar = (parts[2].float() @ parts[3].float().T > 0).sum(dim=1).double()
    torch.testing.assert_close(counts, torch.stack([similar, similar], 1))


@pytest.mark.parametrize("ties", ["expected", "stable"])
def test_curves_are_of_one_ranking(monkeypatch, ties):
    parts = case(8, 6, 70, 5, 4)
    expected = (
        precision_at_n_curve(*parts, [1, 9, 30], ties=ties), *precision_recall_curve(*parts)
    )  # fmt: skip
    looked, look = [], PackedRanking._look
    monkeypatch.setattr(PackedRanking, "_look", lambda self, q: looked.append(q) or look(self, q))
    found = retrieval_curves(*parts, [1, 9, 30], ties=ties)
    assert looked == list(range(6))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def test_which_ranking(monkeypatch):
    parts = case(1, 2, 9, 8, 3)
    assert isinstance(make_ranking(*parts), PackedRanking)
    monkeypatch.delattr(ranking.np, "bitwise_count")  # NumPy 1
    assert isinstance(make_ranking(*parts), DenseRanking)


def test_codes_that_are_no_plain_matrix():
    query, database, own, theirs = case(2, 4, 30, 16, 5)
    expected = average_precision(query, database, own, theirs)
    wide = torch.stack([database, -database], dim=2).flatten(1)[:, ::2]  # not contiguous
    assert not wide.is_contiguous()
    found = average_precision(query.bfloat16(), wide, own.bool(), theirs)
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    assert not found.isnan().all()
    assert average_precision(query[:0], database, own[:0], theirs).shape == (0,)


@pytest.mark.parametrize(
    ("n", "p", "c"),
    [
        (20_000, 7_000, 5_000), (20_000, 3, 5_000), (20_000, 19_999, 10_000), (5_000, 5_000, 77),
        (9, 4, 5), (1, 1, 1), (1, 0, 1), (0, 0, 0), (6_000, 3_000, 5_999),
    ],
)  # fmt: skip
def test_what_is_left_out_of_the_hypergeometric_sum_has_no_weight(n, p, c):
    n, p, c = (torch.tensor([float(value)], dtype=torch.float64) for value in (n, p, c))
    likely = ap_module._likely(n, p, c)
    everything = torch.arange(int(torch.minimum(p, c)) + 1, dtype=torch.float64).unsqueeze(0)
    probability = ap_module._hypergeometric(everything, n[:, None], p[:, None], c[:, None])
    inside = (everything >= likely.min()) & (everything <= likely.max())
    assert float(probability[~inside].sum()) < 1e-15
    found = ap_module._hypergeometric(likely, n[:, None], p[:, None], c[:, None])
    possible = likely <= torch.minimum(p, c)
    torch.testing.assert_close(
        found[possible], probability[0, likely[possible].long()], rtol=1e-10, atol=1e-16
    )
    assert float(found[~possible].sum()) == 0
