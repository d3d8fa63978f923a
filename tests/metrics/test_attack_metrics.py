import json

import pytest
import torch
from jsonargparse import CLI
from torchmetrics import MetricCollection

from lightning_hash.functional import RankingOptions, average_precision, precision_at
from lightning_hash.metrics import (
    AttackMetrics,
    HammingMAP,
    HammingMetric,
    MeanByIndex,
    PerQueryMetric,
    Score,
    hamming,
)
from lightning_hash.modules import HashModule
from tests.reference import ranking

RANKED = ["map", "precision_at_n", "recall_at_3"]


class RecallAt(HammingMetric):
    """Share of the relevant items that is among the first n."""

    def __init__(self, n: int, judged_by: str = "own"):
        super().__init__()
        self.name, self.ranks, self.judged_by = f"recall_at_{n}", n, judged_by

    def values(self, chunk):
        return chunk.hits_at(self.ranks) / chunk.n_relevant


class Distance(PerQueryMetric):
    name = "l2"
    reduction = "max"

    def values(self, adversarial, clean, lengths=None):
        return (adversarial - clean).flatten(1).norm(dim=1)


class Other(PerQueryMetric):
    def __init__(self, name="other"):
        super().__init__()
        self.name = name

    def values(self, codes):
        return codes.sum(dim=1)


class ThreeKnown(PerQueryMetric):
    """Needs exactly what is known of every query."""

    name = "three_known"

    def values(self, codes, labels, index):
        return codes.sum(dim=1) * labels.sum(dim=1) * index


class Strange(PerQueryMetric):
    name = "strange"

    def values(self, gradient):
        return gradient


def case(queries=9, items=8, seed=0):
    generator = torch.Generator().manual_seed(seed)

    def codes(n):
        return torch.where(torch.rand(n, 2, generator=generator) < 0.5, -1, 1)

    def labels(n):
        return (torch.rand(n, 4, generator=generator) < 0.3).long()

    return codes(queries), codes(items), labels(queries), labels(items), labels(queries)


def metrics(*extra, **options):
    query, items, labels, item_labels, targets = case()
    made = AttackMetrics(RankingOptions(**options), extra)
    made.set_database(items, item_labels, torch.arange(len(items)))
    made.set_target_database(items, item_labels, torch.arange(len(items)))
    made.update(query, labels, torch.arange(len(query)), target_labels=targets)
    return made


def slow_recall(labels, ties):
    query, items, _, item_labels, _ = case()
    found = []
    for code, label in zip(query.tolist(), labels.tolist(), strict=True):
        tied = ranking.groups(code, items.tolist(), label, item_labels.tolist())
        hits, total = ranking.hits_at(tied, 3, ties)
        found.append(float(hits / total) if total else None)
    return found


@pytest.mark.parametrize("judged_by", ["own", "target"])
@pytest.mark.parametrize("ties", ["expected", "stable"])
@pytest.mark.parametrize("empty", ["zero", "skip"])
def test_a_metric_of_ones_own_is_one_class(ties, empty, judged_by):
    made = metrics(RecallAt(3, judged_by), ties=ties, empty=empty)
    expected = slow_recall(case()[2 if judged_by == "own" else 4], ties)
    counted = [value or 0.0 for value in expected if value is not None or empty == "zero"]
    score = made.compute(["recall_at_3"])["recall_at_3"]
    assert score.value == pytest.approx(sum(counted) / len(counted))
    assert score.se == pytest.approx(ranking.standard_error(counted))
    assert (score.n, score.n_empty) == (len(counted), expected.count(None))
    assert expected.count(None) > 0


def test_one_ranking_for_all_metrics_of_the_same_labels(monkeypatch):
    made, rankings, make = metrics(RecallAt(3)), [], hamming.make_ranking
    monkeypatch.setattr(hamming, "make_ranking", lambda *a: rankings.append(a) or make(*a))
    assert list(made.compute(RANKED)) == RANKED
    assert len(rankings) == 1
    made.compute([*RANKED, "t_map"])
    assert len(rankings) == 3  # that of the targets is another
    states = [metric for metric in made.values() if getattr(metric, "query_codes", None)]
    assert [metric.name for metric in states] == ["map", "t_map"]


@pytest.mark.parametrize("ties", ["expected", "stable"])
@pytest.mark.parametrize("top_k", [3, None])
def test_scores_are_those_of_the_functions(ties, top_k):
    query, items, labels, item_labels, targets = case()
    made = metrics(ties=ties, top_k=top_k, precision_n=5, normalizer="relevant", empty="skip")
    scores = made.compute(["t_map", "precision_at_n", "map"])
    assert list(scores) == ["t_map", "precision_at_n", "map"]
    for name, judged in (("map", labels), ("t_map", targets)):
        values = average_precision(
            query, items, judged, item_labels, top_k=top_k, normalizer="relevant", ties=ties
        )
        kept = values[~values.isnan()].tolist()
        assert scores[name].value == pytest.approx(sum(kept) / len(kept), rel=1e-14)
        assert scores[name].se == pytest.approx(ranking.standard_error(kept))
        assert (scores[name].n, scores[name].n_empty) == (len(kept), len(values) - len(kept))
    values = precision_at(query, items, labels, item_labels, 5, ties=ties)
    assert scores["precision_at_n"].value == float(values.mean())
    assert scores["precision_at_n"].n_empty is None


def test_precision_honours_ties_by_hand():
    """Four items at one distance, all but the first relevant: 3/4 on average, 0 by index."""
    found = {}
    for ties in ("expected", "stable"):
        made = AttackMetrics(RankingOptions(ties=ties, precision_n=1), [RecallAt(1)])
        labels = torch.tensor([[0, 1], [1, 0], [1, 0], [1, 0]])
        made.set_database(torch.ones(4, 3), labels, torch.arange(4))
        made.update(torch.ones(1, 3), torch.tensor([[1, 0]]), torch.arange(1))
        scores = made.compute(["precision_at_n", "recall_at_1"]).values()
        found[ties] = [score.value for score in scores]
    assert found == {"expected": [0.75, pytest.approx(0.25)], "stable": [0.0, 0.0]}


def test_what_needs_no_ranking():
    made = AttackMetrics(extra=[Distance(), Other()])
    codes, labels = torch.tensor([[1, 1, -1], [1, -1, -1]]), torch.eye(2).long()
    clean = torch.zeros(2, 3, 2, 2)
    adversarial = clean.clone()
    adversarial[0, 0, 0] = torch.tensor([0.03, -0.04])
    adversarial[1, :, :, 0] = 0.01
    made.update(
        codes, labels, torch.tensor([7, 3]), clean=clean, adversarial=adversarial,
        clean_codes=-codes, anchor_codes=codes.flip(0),
    )  # fmt: skip
    names = ["hamming_to_clean", "hamming_to_anchor", "perceptibility", "linf", "l2", "other"]
    scores = made.compute(names)
    sizes = [(0.0025 / 12) ** 0.5, (6e-4 / 12) ** 0.5]
    assert scores == {
        "hamming_to_clean": Score(3.0, 0.0, 2),
        "hamming_to_anchor": Score(1.0, 0.0, 2),
        "perceptibility": Score(
            pytest.approx(sum(sizes) / 2), pytest.approx((sizes[0] - sizes[1]) / 2), 2
        ),
        "linf": Score(pytest.approx(0.04), None, 2),
        "l2": Score(pytest.approx(0.05), None, 2),
        "other": Score(0.0, 1.0, 2),
    }


def test_names_are_what_is_known():
    made = AttackMetrics(extra=[RecallAt(3), RecallAt(5, "target"), Distance(), Other()])
    everything = [
        "map", "precision_at_n", "t_map", "hamming_to_clean", "hamming_to_anchor",
        "perceptibility", "linf", "recall_at_3", "recall_at_5", "l2", "other",
    ]  # fmt: skip
    known = {
        "database", "target_database", "target_labels", "anchor_codes", "clean_codes", "clean",
        "adversarial",
    }  # fmt: skip
    assert made.names(known) == everything
    assert made.names(()) == ["other"]
    assert made.names(["database", "target_labels"]) == [
        "map", "precision_at_n", "recall_at_3", "other",
    ]  # fmt: skip
    assert made.names(["clean"]) == ["other"]
    bare = AttackMetrics(extra=[ThreeKnown()])
    assert bare.names(()) == ["three_known"]
    bare.update(torch.ones(2, 3), torch.tensor([[1], [0]]), torch.tensor([5, 6]))
    assert bare.compute(["three_known"])["three_known"].value == 7.5


def test_queries_are_forgotten_and_the_database_is_kept():
    made = metrics(RecallAt(3))
    first = made.compute([*RANKED, "t_map"])
    made.reset_queries()
    with pytest.raises(ValueError, match="HammingMAP has no query items; call update before"):
        made.compute(["precision_at_n"])
    query, _, labels, _, targets = case()
    order = torch.tensor([4, 8, 0, 2, 1, 6, 7, 3, 5, 4])  # another order, one query twice
    for rows in order.split(4):
        made.update(query[rows], labels[rows], rows, target_labels=targets[rows])
    assert made.compute([*RANKED, "t_map"]) == first


def test_it_is_a_collection_and_copies_what_it_is_given():
    recall = RecallAt(3)
    one, other = (
        AttackMetrics(RankingOptions(ties="stable"), [recall]),
        AttackMetrics(extra=[recall]),
    )
    assert isinstance(one, MetricCollection)
    assert one["recall_at_3"].ties == "stable"
    assert recall.ties == other["recall_at_3"].ties == "expected"


def built(model: HashModule):
    return model


def test_a_metric_of_ones_own_is_one_line_of_a_config():
    recall = {"class_path": f"{__name__}.RecallAt", "init_args": {"n": 3}}
    config = {"bits": 8, "ranking": {"ties": "stable", "top_k": 7}, "metrics": [recall]}
    model = {"class_path": "lightning_hash.modules.HashModule", "init_args": config}
    module = CLI(built, args=[f"--config={json.dumps({'model': model})}"])
    assert module.retrieval.metrics.ranking == RankingOptions(top_k=7, ties="stable")
    assert module.retrieval.metrics.names(["database"]) == RANKED
    assert module.retrieval.metrics["recall_at_3"].ties == "stable"


@pytest.mark.parametrize(
    ("extra", "error", "message"),
    [
        ([HammingMAP()], ValueError, "HammingMAP must have a name of .* has, got 'map'"),
        ([RecallAt(3), RecallAt(3)], ValueError, "no other metric has, got 'recall_at_3'"),
        ([Other("update")], ValueError, "no other metric has, got 'update'"),
        ([Other("a.b")], ValueError, "must have a name of letters, digits and _"),
        ([MeanByIndex()], TypeError, "HammingMetrics and PerQueryMetrics, got MeanByIndex"),
    ],
)
def test_wrong_metrics(extra, error, message):
    with pytest.raises(error, match=message):
        AttackMetrics(extra=extra)


def test_wrong_names_and_parameters():
    with pytest.raises(ValueError, match=r"name must be one of 'map', .*, got 'mapp'"):
        metrics().compute(["mapp"])
    with pytest.raises(
        ValueError, match=r"Strange\.values: parameter must be one of 'codes', .* got"
    ):
        Strange()
