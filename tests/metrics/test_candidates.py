"""Ranks of candidates, against a loop over all orders of ties."""

import pytest
import torch

from lightning_hash.functional import Retrieval, distance_counts
from lightning_hash.metrics import InTopK, RankPercentile
from tests.reference import ranking as reference


def draw(seed, items=30, queries=11, bits=5, classes=3):
    generator = torch.Generator().manual_seed(seed)

    def codes(count):
        return (torch.randint(0, 2, (count, bits), generator=generator) * 2 - 1).to(torch.int8)

    labels = (torch.rand(queries, classes, generator=generator) < 0.5).to(torch.uint8)
    labels[torch.arange(queries), torch.arange(queries) % classes] = 1
    index = torch.randperm(1000, generator=generator)[:items]
    return codes(items), index, codes(queries), labels, codes(6)


@pytest.mark.parametrize("chunk", [7, 4_000_000])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("bits", [3, 40])
def test_against_the_loop(bits, packed, chunk, monkeypatch):
    monkeypatch.setattr("lightning_hash.functional.packed.BLOCK", chunk)
    monkeypatch.setattr("lightning_hash.functional.ranking.CPU_CHUNK", chunk)
    if not packed:
        monkeypatch.delattr("numpy.bitwise_count", raising=False)
    items, index, asking, labels, now = draw(bits, bits=bits)
    retrieval = Retrieval.of(asking, labels, items, index)
    places = [4, 0, 29, 7, 11, 4]
    now[0] = items[4]  # a candidate that has not moved
    targets = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 0]])
    target = {"codes": now, "labels": labels[:6], "target_labels": targets}
    for judged_by, judged in (("target", targets), ("own", labels[:6])):
        metrics = [
            RankPercentile(retrieval, judged_by),
            *(InTopK(k, retrieval, judged_by) for k in (1, 8, 30)),
        ]
        expected = []
        for code, place, label in zip(now.tolist(), places, judged.tolist(), strict=True):
            queries = [
                query
                for query, other in zip(asking.tolist(), labels.tolist(), strict=True)
                if reference.relevant(label, other)
            ]
            expected.append(
                [
                    reference.rank_percentile(code, place, queries, items.tolist()),
                    *(reference.in_top_k(code, place, queries, items.tolist(), k)
                      for k in (1, 8, 30)),
                ]
            )  # fmt: skip
        for metric, numbers in zip(metrics, zip(*expected, strict=True), strict=True):
            values = metric.values(**{**target, "index": index[places]})
            assert values.tolist() == pytest.approx([float(n) for n in numbers], abs=1e-12)
    assert metrics[-1].values(**{**target, "index": index[places]}).tolist() == [1.0] * 6


def test_by_hand():
    """Of three others one is nearer and one as near: rank 1 or 2 of 0, ..., 3."""
    items = torch.tensor([[1, 1, 1], [1, 1, -1], [-1, -1, -1], [-1, -1, 1]])
    query, label = items[:1], torch.tensor([[1, 0]])
    retrieval = Retrieval.of(query, label, items, torch.arange(4))
    candidate = {"codes": torch.tensor([[1, -1, 1]]), "labels": label, "index": torch.tensor([3])}
    for metric, expected in ((RankPercentile(), 1.5 / 3), (InTopK(2), 0.5), (InTopK(1), 0.0)):
        metric.retrieval = retrieval
        assert metric.values(**candidate, target_labels=label).tolist() == [expected]
    pair = Retrieval.of(query, label, items[:2], torch.arange(2))
    given = {"codes": items[2:3], "labels": label, "index": torch.tensor([1])}
    assert RankPercentile(pair, "own").values(**given).tolist() == [1.0]  # behind its only other
    # The item itself is no other: one that stays in place and is nearest is first.
    stays = {"codes": items[1:2], "labels": label, "index": torch.tensor([1])}
    nearest = {"codes": items[:1], "labels": label, "index": torch.tensor([0])}
    for given, share in ((stays, 1 / 3), (nearest, 0.0)):
        metric = RankPercentile(retrieval, "own")
        assert metric.values(**given).tolist() == pytest.approx([share])


def test_a_database_is_counted_once():
    items, _, asking, *_ = draw(1, items=500)
    counts = distance_counts(asking, items)
    expected = [
        [sum(reference.distance(q, i) == d for i in items.tolist()) for d in range(6)]
        for q in asking.tolist()
    ]
    assert counts.tolist() == expected


def test_the_mean_over_candidates_and_what_is_refused():
    items, index, asking, labels, now = draw(2)
    retrieval = Retrieval.of(asking, labels, items, index)
    metric = InTopK(3, retrieval, "own")
    metric.update(index[:4], codes=now[:4], labels=labels[:4])
    metric.update(index[4:6], codes=now[4:], labels=labels[4:6])
    whole = metric.values(now, labels[:6], index[:6])
    assert metric.compute().item() == pytest.approx(whole.mean().item(), abs=1e-7)
    with pytest.raises(ValueError, match="candidate 2000 is none of the 30 database items"):
        retrieval.ranks(now[:1], torch.tensor([2000]))
    with pytest.raises(ValueError, match="ranked among other items, got a database of 1"):
        Retrieval.of(asking, labels, items[:1], index[:1])
    with pytest.raises(ValueError, match="k must be a positive whole number, got 0"):
        InTopK(0)
    with pytest.raises(ValueError, match="judged_by must be one of 'own', 'target', got 'x'"):
        RankPercentile(judged_by="x")
    given = {"codes": now, "labels": labels[:6], "index": index[:6]}
    with pytest.raises(
        ValueError, match=r"in_top_k is of candidates and needs queries .* a target"
    ):
        InTopK(3, retrieval).values(**given)
    with pytest.raises(ValueError, match="rank_percentile is of candidates and needs queries that"):
        RankPercentile(judged_by="own").values(**given)
