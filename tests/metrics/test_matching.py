"""Near-duplicate search: what is within a threshold, beside loops over all pairs."""

import math

import pytest
import torch

from lightning_hash.functional import RankingOptions, make_ranking, match_curve, random_match_rate
from lightning_hash.functional.ranking import DenseRanking
from lightning_hash.metrics import (
    AttackMetrics,
    BitFlipRate,
    CollisionRate,
    DetectionRate,
    FalseMatchRate,
    RecallAtOne,
)
from tests.reference.ranking import first_is_relevant, matches, random_matches, standard_error

BITS = 6


def case(seed=0):
    """Few bits, so that there are ties and collisions; the first query has no relevant item, the
    second nothing but relevant ones."""
    generator = torch.Generator().manual_seed(seed)

    def part(n):
        codes = torch.where(torch.rand(n, BITS, generator=generator) < 0.5, -1, 1)
        return codes, (torch.rand(n, 4, generator=generator) < 0.3).long()

    (queries, own), (database, labels) = part(9), part(40)
    labels = torch.cat([labels, torch.ones(40, 1, dtype=torch.long)], dim=1)
    own = torch.cat([own, torch.zeros(9, 1, dtype=torch.long)], dim=1)
    own[0], own[1, -1] = 0, 1
    return queries, own, database, labels


def expected(threshold, seed=0):
    queries, own, database, labels = (each.tolist() for each in case(seed))
    pairs = [
        matches(code, row, database, labels, threshold)
        for code, row in zip(queries, own, strict=True)
    ]
    return [[value for value in column if value is not None] for column in zip(*pairs, strict=True)]


def fed(metric, seed=0):
    queries, own, database, labels = case(seed)
    metric.update_database(database, labels, torch.arange(len(database)))
    metric.update(queries, own, torch.arange(len(queries)))
    return metric


def mean(values):
    return float(sum(values) / len(values))


@pytest.mark.parametrize("threshold", range(BITS + 1))
@pytest.mark.parametrize("seed", range(3))
def test_rates_are_those_of_loops(threshold, seed):
    found, false = expected(threshold, seed)
    for metric, values in ((DetectionRate, found), (FalseMatchRate, false)):
        score = fed(metric(threshold), seed).score()
        assert score.value == pytest.approx(mean(values), abs=1e-12)
        assert score.se == pytest.approx(standard_error(values), abs=1e-12)
        assert (score.n, score.n_empty) == (len(values), 9 - len(values))


@pytest.mark.parametrize("kind", [make_ranking, DenseRanking])
def test_the_curve_is_all_thresholds(kind):
    curve = match_curve(kind(*(case()[i] for i in (0, 2, 1, 3))))
    for threshold in range(BITS + 1):
        found, false = expected(threshold)
        assert float(curve.detection[threshold]) == pytest.approx(mean(found), abs=1e-12)
        assert float(curve.false_matches[threshold]) == pytest.approx(mean(false), abs=1e-12)
        assert curve.random[threshold] == float(random_matches(BITS, threshold))
    assert curve.queries == len(found) < 9


def test_the_threshold_for_a_rate_of_false_matches():
    curve = match_curve(make_ranking(*(case()[i] for i in (0, 2, 1, 3))))
    rates = curve.false_matches.tolist()
    assert curve.threshold(rates[2]) == max(t for t in range(BITS + 1) if rates[t] <= rates[2])
    assert curve.threshold(1.0) == BITS
    assert rates[0] > 0  # there are collisions
    assert curve.threshold(0.0) is None


def test_pdqs_threshold_in_random_codes():
    """P(Binomial(256, 1/2) <= 31) is about 1.4e-37: no chance match, as PDQ's paper assumes."""
    rate = random_match_rate(31, 256)
    assert rate == sum(math.comb(256, i) for i in range(32)) / 2**256
    assert 1e-38 < rate < 1e-36
    assert random_match_rate(64, 64) == 1
    for bits, threshold in ((64, 65), (64, -1), (0, 0)):
        with pytest.raises(ValueError, match=f"got {threshold}"):
            random_match_rate(threshold, bits)


def test_the_first_item():
    queries, own, database, labels = (each.tolist() for each in case())
    values = [first_is_relevant(c, r, database, labels) for c, r in zip(queries, own, strict=True)]
    values = [value for value in values if value is not None]
    assert any(0 < value < 1 for value in values)  # ties of both kinds
    assert fed(RecallAtOne()).score().value == pytest.approx(mean(values), abs=1e-12)


def test_collisions():
    queries, own, database, labels = (each.tolist() for each in case())
    pairs = [matches(c, r, database, labels, 0)[1] for c, r in zip(queries, own, strict=True)]
    values = [share > 0 for share in pairs if share is not None]
    assert 0 < sum(values) < len(values)
    score = fed(CollisionRate()).score()
    assert (score.value, score.n_empty) == (pytest.approx(mean(values)), 1)


def test_flipped_bits():
    metric = BitFlipRate()
    clean = torch.ones(2, 4)
    codes = torch.tensor([[1.0, 1, 1, 1], [1, -1, -1, -1]])
    metric.update(torch.arange(2), codes=codes, clean_codes=clean)
    assert float(metric.compute()) == 0.375


def test_among_the_numbers_of_an_attack():
    queries, own, database, labels = case()
    metrics = AttackMetrics(
        RankingOptions(empty="zero"), [DetectionRate(1), DetectionRate(3), RecallAtOne()]
    )
    metrics.set_database(database, labels, torch.arange(40))
    metrics.update(queries, own, torch.arange(9))
    scores = metrics.compute(["map", "detection_at_1", "detection_at_3", "recall_at_1"])
    for threshold in (1, 3):
        found = expected(threshold)[0]
        assert scores[f"detection_at_{threshold}"].value == pytest.approx(mean(found))
        assert scores[f"detection_at_{threshold}"].n == len(found) < scores["map"].n == 9


@pytest.mark.parametrize("threshold", [-1, True])
def test_a_threshold_is_a_number_of_bits(threshold):
    with pytest.raises(ValueError, match=f"threshold must be .* got {threshold}"):
        DetectionRate(threshold)


def test_a_threshold_beyond_the_code():
    with pytest.raises(ValueError, match="detection_at_7: threshold 7 is more than the 6 bits"):
        fed(DetectionRate(7)).compute()


def test_which_way_a_rate_is_better():
    """For the search: found is good, a false match is not."""
    assert [DetectionRate(0).higher_is_better, RecallAtOne().higher_is_better] == [True, True]
    assert [FalseMatchRate(0).higher_is_better, CollisionRate().higher_is_better] == [False, False]
