"""Perturbations on other victims: which number stands where."""

import pytest

from lightning_hash.reports.transfers import published_transfers, transfer_grids
from tests.reports.rows import row

SMALL = {"victim_sha256": "s", "bits": 16}
LARGE = {"victim_sha256": "l", "bits": 32}


def texts(grid):
    return {line[0]: line[1:] for line in grid.texts()}


def on(victim, sources, combination, value, **changes):
    given = {"sources": sources, "combination": combination, "restarts": None}
    return row(**{**victim, "value": value, "transfer": given, **changes})


def clean(victim, value, **changes):
    return row(attack="none", iteration=0, **{**victim, "value": value, **changes})


def test_lines_and_columns():
    rows = [
        clean(SMALL, 0.9), clean(LARGE, 0.8),
        on(SMALL, "convnet-16", "single", 0.1, se=0.02), on(LARGE, "convnet-16", "single", 0.3),
        on(SMALL, "convnet-32", "single", 0.4), on(LARGE, "convnet-32", "single", 0.2),
        on(LARGE, "convnet-16+convnet-32", "sum", 0.05, epsilon=20 / 255),
        on(LARGE, "convnet-16+convnet-32", "clipped", 0.06),
        on(LARGE, "convnet-16+convnet-32", "joint", 0.07),
        on(LARGE, "convnet-16+convnet-32", "joint", 0.99, quantized=True),
        on(LARGE, "convnet-16+convnet-32", "median", 0.08),
        clean(LARGE, 0.99, top_k=5), clean({"victim_sha256": "x"}, 0.99),
    ]  # fmt: skip
    (grid,) = transfer_grids(rows)
    assert grid.title == "HAG Tables IV to VI, MAP of perturbations on other victims"
    assert grid.columns == ("convnet-16", "convnet-32")
    assert texts(grid) == {
        "None": ["0.9000", "0.8000"],
        "convnet-16 (r1), ε 10/255": ["0.1000(200)", "0.3000"],
        "convnet-32 (r2), ε 10/255": ["0.4000", "0.2000"],
        "r1 + r2, ε 20/255": ["", "0.0500"],
        "clip(r1 + r2), ε 10/255": ["", "0.0600"],
        "joint(r1, r2), ε 10/255": ["", "0.0700"],
        "median(r1, r2), ε 10/255": ["", "0.0800"],
    }


@pytest.mark.parametrize("name", ["dhta", "p2p", "feature", "cgat-targeted"])
def test_every_targeted_attack_has_a_table_of_t_map(name):
    given = {"metric": "t_map", "attack": name}
    rows = [on(SMALL, "a", "single", 0.3, attack=name), on(SMALL, "a", "single", 0.6, **given)]
    rows += [clean(SMALL, 0.2, metric="t_map")]
    first, second = transfer_grids(rows)
    assert ("t-MAP" in first.title, "t-MAP" in second.title) == (False, True)
    assert texts(second) == {"None": ["0.2000"], "a (r1), ε 10/255": ["0.6000"]}


def test_untargeted_attacks_have_none():
    rows = [on(SMALL, "a", "single", 0.6, metric="t_map"), on(SMALL, "a", "single", 0.3)]
    assert len(transfer_grids(rows)) == 1


def test_random_starts_are_lines_and_seeds_repetitions():
    rows = [on(SMALL, "a", "single", v, start_seed=s) for s, v in ((0, 0.1), (1, 0.2))]
    rows += [on(SMALL, "a", "single", 0.4, start_seed=1, seed=1)]
    best = {"sources": "a", "combination": "best", "restarts": 2}
    rows += [row(**SMALL, value=0.05, transfer=best)]
    (grid,) = transfer_grids(rows)
    assert texts(grid) == {
        "None": [""],
        "a (r1), start 0, ε 10/255": ["0.1000"],
        "a (r2), start 1, ε 10/255": ["0.3000 ± 0.1414 (2)"],
        "best of 2 on a, ε 10/255": ["0.0500"],
    }


def test_sizes_of_anchor_sets_are_lines():
    rows = [on(SMALL, "a", "single", n / 10, attack="dhta", n_t=n) for n in (5, 9)]
    (grid,) = transfer_grids(rows)
    assert texts(grid) == {
        "None": [""],
        "a (r1), ε 10/255, n_t=5": ["0.5000"],
        "a (r1), ε 10/255, n_t=9": ["0.9000"],
    }
    assert "n_t" not in grid.notes[0]
    assert "TargetChoice (n_t 5, rule different)" in transfer_grids(rows[:1])[0].notes[0]


def test_other_settings_and_protocols_are_other_tables():
    rows = [on(SMALL, "a", "single", 0.1), on(SMALL, "a", "single", 0.2, lr=1.0)]
    rows += [on(SMALL, "a", "single", 0.3, ties="stable")]
    grids = transfer_grids(rows)
    assert [texts(grid)["a (r1), ε 10/255"] for grid in grids] == [
        ["0.1000"], ["0.2000"], ["0.3000"],
    ]  # fmt: skip


def test_published_tables_are_those_of_the_data():
    assert [grid.about for grid in published_transfers([on(SMALL, "a", "single", 0.1)])] == [
        "MS-COCO", "FLICKR25K", "NUS-WIDE",
    ]  # fmt: skip
    coco = on(SMALL, "a", "single", 0.1, dataset="coco_hag")
    assert [grid.about for grid in published_transfers([coco])] == ["MS-COCO"]


def test_perturbations_of_victims_of_one_name_are_lines_of_their_own():
    rows = []
    for sha, value in (("aaaaaaaaaa", 0.1), ("bbbbbbbbbb", 0.3)):
        given = {"sources": "convnet-16", "combination": "single", "restarts": None,
                 "sha256": [sha]}  # fmt: skip
        rows.append(row(**SMALL, value=value, transfer=given))
    joined = {"sources": "convnet-16-aaaaaa+convnet-16-bbbbbb", "combination": "sum",
              "restarts": None, "sha256": ["aaaaaaaaaa", "bbbbbbbbbb"]}  # fmt: skip
    rows.append(row(**SMALL, value=0.05, transfer=joined))
    (grid,) = transfer_grids(rows)
    found = texts(grid)
    assert found["convnet-16-aaaaaa (r1), ε 10/255"] == ["0.1000"]
    assert found["convnet-16-bbbbbb (r2), ε 10/255"] == ["0.3000"]
    assert found["r1 + r2, ε 10/255"] == ["0.0500"]


def test_victims_of_one_name_are_columns_of_their_own():
    victims = [{"victim_sha256": sha, "bits": 16, "backbone": f"{module}.Net"}
               for sha, module in (("ssssssss", "a"), ("tttttttt", "b"))]  # fmt: skip
    rows = [on(victim, "x", "single", v) for victim, v in zip(victims, (0.1, 0.2), strict=True)]
    (grid,) = transfer_grids(rows)
    assert grid.columns == ("Net-16, best.ckpt ssssssss", "Net-16, best.ckpt tttttttt")
    assert texts(grid)["x (r1), ε 10/255"] == ["0.1000", "0.2000"]
    assert "Victims: Net-16, best.ckpt ssssssss: best.ckpt ssssssss;" in " ".join(grid.notes)


def test_a_plus_in_a_backbones_name_is_no_second_victim():
    victim = {"victim_sha256": "s", "bits": 16, "backbone": "alexnet+lstm"}
    (grid,) = transfer_grids([on(victim, "x", "single", 0.1)])
    assert grid.columns == ("alexnet+lstm-16",)


def test_tables_of_other_settings_have_other_headings():
    rows = [on(SMALL, "a", "single", 0.1), on(SMALL, "a", "single", 0.2, lr=1.0)]
    assert [grid.about for grid in transfer_grids(rows)] == ["photos; lr=0.0077", "photos; lr=1"]


def test_clean_queries_are_those_of_the_same_draw():
    rows = [clean(SMALL, v, **{"run.draw": {"seed": s}}) for s, v in ((0, 0.9), (1, 0.5))]
    (grid,) = transfer_grids([*rows, on(SMALL, "a", "single", 0.1)])
    assert texts(grid)["None"] == ["0.9000"]


def test_combinations_of_other_runs_are_lines_of_their_own():
    rows = []
    for run, value in (("runs/a", 0.1), ("runs/b", 0.2)):
        given = {"sources": "x+y", "combination": "sum", "restarts": None, "parts": [{"run": run}]}
        rows.append(row(**SMALL, value=value, transfer=given))
    (grid,) = transfer_grids(rows)
    assert texts(grid)["x + y, ε 10/255, runs=runs/a"] == ["0.1000"]
    assert texts(grid)["x + y, ε 10/255, runs=runs/b"] == ["0.2000"]
