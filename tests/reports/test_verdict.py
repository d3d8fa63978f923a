"""What a report says first: words and numbers worked out by hand."""

import pytest

from lightning_hash.reports.verdict import MOST, NO_VICTIM, NOT_ENDED, verdict_of
from tests.reports.rows import row, run

ABOUT = "photos, convnet, 32 bits"


def test_the_strongest_of_each_kind():
    """Clean: MAP 0.9, t-MAP 0.1, ceiling 0.95; run() gives t-MAP 0.2 above MAP."""
    rows = [
        *run("hag", 0.3), *run("hag-star", 0.5), *run("dhta", 0.6), *run("p2p", 0.2),
        row(attack="noise", value=0.88, iteration=0),
    ]  # fmt: skip
    verdict = verdict_of(rows)
    assert verdict.headline == (
        f"{ABOUT}: hag weakens retrieval, MAP falls from 0.900 to 0.300, by 67%."
    )
    assert verdict.sentences == (
        # (0.8 - 0.1) / (0.95 - 0.1) = 0.82 of what can be had
        "dhta steers queries to their targets, t-MAP rises from 0.100 to 0.800; the anchor code "
        "itself has 0.950.",
        "noise, without iterations, leaves MAP at 0.880.",
    )
    assert [row.name for row in verdict.shown] == ["hag", "dhta"]
    assert [(b.label, b.metric, b.clean.mean, b.attacked.mean) for b in verdict.bars] == [
        ("hag", "MAP", 0.9, 0.3), ("hag-star", "MAP", 0.9, 0.5), ("noise", "MAP", 0.9, 0.88),
        ("dhta", "t-MAP", 0.1, 0.8), ("p2p", "t-MAP", 0.1, 0.4),
    ]  # fmt: skip
    assert verdict.alt.startswith(f"{ABOUT}. hag: MAP 0.900 clean, 0.300 attacked; ")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.225, "hag breaks retrieval, MAP falls from 0.900 to 0.225, by 75%."),
        (0.226, "hag weakens retrieval, MAP falls from 0.900 to 0.226, by 75%."),
        (0.675, "hag weakens retrieval, MAP falls from 0.900 to 0.675, by 25%."),
        (0.7, "hag hardly weakens retrieval, MAP falls from 0.900 to 0.700, by 22%."),
        (0.9, "hag does not change retrieval measurably, MAP is 0.900, and 0.900 of the clean "
              "queries."),
        (0.95, "hag does not harm retrieval, MAP rises from 0.900 to 0.950."),
    ],
)  # fmt: skip
def test_how_far_map_falls(value, said):
    assert verdict_of(run("hag", value)).headline == f"{ABOUT}: {said}"


@pytest.mark.parametrize(
    ("t_map", "said"),
    [
        (0.8, "dhta steers queries to their targets, t-MAP rises from 0.100 to 0.800"),
        (0.4, "dhta partly steers queries to their targets, t-MAP rises from 0.100 to 0.400"),
        (0.3, "dhta hardly steers queries to their targets, t-MAP rises from 0.100 to 0.300"),
        (0.1, "dhta does not steer queries to their targets, t-MAP is 0.100, and 0.100 of the "
              "clean queries"),
    ],
)  # fmt: skip
def test_how_far_queries_are_steered(t_map, said):
    rows = [*run("dhta", 0.5)[:-1], row(attack="dhta", metric="t_map", value=t_map)]
    (sentence,) = verdict_of(rows).sentences
    assert sentence == f"{said}; the anchor code itself has 0.950."


def test_a_difference_counts_from_two_standard_errors_on():
    """Of 0.04 and 0.03 the difference has 0.05."""

    def verdict(attacked):
        clean = row(attack="none", iteration=0, value=0.9, se=0.04)
        return verdict_of([clean, row(value=attacked, se=0.03)])

    assert "does not change retrieval measurably, MAP is 0.805(30)" in verdict(0.805).headline
    assert "hardly weakens retrieval, MAP falls from 0.900(40)" in verdict(0.795).headline
    assert verdict(0.5).note.startswith("In brackets: the standard error")


def test_seeds_doubts_and_other_victims_are_told():
    rows = [
        *run("hag", 0.2), *run("hag", 0.4, seed=1),
        *run("dhta", 0.3, warnings=["no gradient reaches the input"]),
        *run("hag", 0.5, victim_sha256="b"), *run("hag", 0.75, bits=16),
    ]  # fmt: skip
    verdict = verdict_of(rows)
    assert verdict.headline == (
        "photos, convnet, 32 bits, best.ckpt a: hag weakens retrieval, MAP falls from 0.900 to "
        "0.300 ± 0.141 (2), by 67%."
    )
    assert verdict.sentences[1:] == (
        "Doubted by their own checks, see the warnings: dhta.",
        "On 2 other victims or protocols the strongest attack on each leaves MAP between 0.500 and "
        "0.750.",
    )


def test_a_chart_of_many_attacks_has_those_with_the_largest_changes():
    rows = [r for n in range(1, MOST + 3) for r in run("hag", 0.08 * n, epsilon=n / 1000)]
    verdict = verdict_of(rows)
    assert [bars.attacked.mean for bars in verdict.bars] == pytest.approx(
        [0.08 * n for n in range(1, MOST + 1)]
    )
    assert verdict.sentences == (f"The chart has {MOST} of {MOST + 2} attacks.",)


def test_without_a_number_there_is_no_verdict():
    assert verdict_of([]).headline == NO_VICTIM
    assert verdict_of(run("hag", 0.2)[:3]).headline == NO_VICTIM
    stopped = verdict_of([*run("hag", 0.2)[:3], row(iteration=50)])
    assert (stopped.headline, stopped.bars) == (NOT_ENDED, ())
    other = verdict_of([row(metric="own")])
    assert other.headline == f"{ABOUT}: neither MAP nor t-MAP was measured."
