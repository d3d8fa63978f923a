"""The packed ranking against the dense one; test_average_precision has the oracles."""

import importlib

import pytest
import torch

from lightning_hash.functional import packed, ranking
from lightning_hash.functional.average_precision import average_precision
from lightning_hash.functional.packed import PackedRanking
from lightning_hash.functional.precision import precision_at, precision_recall_curve
from lightning_hash.functional.ranking import DenseRanking, make_ranking

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
    whole = slice(0, 5)
    for found, expected in zip(one.histograms(whole), other.histograms(whole), strict=True):
        assert torch.equal(found, expected)
    assert torch.equal(one.n_relevant(whole), other.n_relevant(whole))
    for cut in (1, 49, 50, 51, 200, 201):
        found, expected = (r.ranked_relevance(slice(1, 4), cut) for r in (one, other))
        assert torch.equal(found, expected), cut


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
