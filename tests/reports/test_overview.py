"""Attacks side by side."""

import pytest

from lightning_hash.reports.overview import overview_grids
from lightning_hash.results.rows import write_results
from lightning_hash.results.runs import find_runs
from lightning_hash.results.tables import summary_table
from tests.reports.rows import row, run


def texts(grid):
    return {line[0]: line[1:] for line in grid.texts()}


def test_cells():
    (grid,) = overview_grids([*run("hag", 0.25), *run("dhta", 0.5)])
    assert grid.columns == ("MAP", "MAP 8-bit", "t-MAP", "t-MAP 8-bit", "perceptibility")
    assert texts(grid) == {
        "clean query": ["0.9000", "", "0.1000", "", ""],
        "hag": ["0.2500", "0.2600", "0.4500", "", ""],
        "dhta": ["0.5000", "0.5100", "0.7000", "", ""],
        "ceiling n_t=9": ["", "", "0.9500", "", ""],
    }
    assert grid.notes[1] == (
        "hag: 100 iterations, LInf (ε 10/255), HAG (threshold 0.5), CleanLogits, SGD (lr 0.0077, "
        "momentum 0.9, dampening 0, weight_decay 0), PerQuery; 1.2 s on 1 x cpu."
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"top_k": 500}, {"victim_sha256": "b"}, {"bits": 16}, {"ties": "stable"},
        {"n_database": 7}, {"list_sha256_query": "other"}, {"target_database": "open_set"},
        {"target_rule": "disjoint"}, {"data.interpolation": "bicubic"},
    ],
)  # fmt: skip
def test_numbers_under_different_protocols_are_not_mixed(changes):
    grids = overview_grids([*run("hag", 0.25), *run("dhta", 0.5, **changes)])
    assert sorted([*texts(grid)][1] for grid in grids) == ["dhta", "hag"]


def test_settings_of_one_attack_are_told_apart():
    (grid,) = overview_grids([*run("hag", 0.25), *run("hag", 0.2, epsilon=8 / 255)])
    found = texts(grid)
    assert found["hag, ε 10/255"][0] == "0.2500"
    assert found["hag, ε 8/255"][0] == "0.2000"


def test_attacks_on_some_frames_stand_in_their_order():
    rows = [r for frames in (None, 4, 1) for r in run("dhta", (frames or 8) / 10, frames=frames)]
    (grid,) = overview_grids(rows)
    names = [name for name in texts(grid) if name.startswith("dhta")]
    assert names == ["dhta, 1 frame", "dhta, 4 frames", "dhta, all frames"]
    assert texts(grid)["dhta, 4 frames"][0] == "0.4000"


def test_seeds_are_averaged_and_an_attack_that_was_killed_has_no_number():
    (grid,) = overview_grids(
        [*run("hag", 0.2), *run("hag", 0.4, seed=1), row(attack="p2p", iteration=50)]
    )
    assert texts(grid)["hag"][0] == "0.3000 ± 0.1414 (2)"
    assert "p2p: not at its end, no number." in grid.notes
    assert "p2p" not in texts(grid)


def test_equal_runs_with_unequal_numbers_are_named():
    (grid,) = overview_grids([*run("hag", 0.2), *run("hag", 0.24)])
    assert texts(grid)["hag"][0] == "0.2200"
    assert "Runs of one victim, seed and setting differ by up to 0.04" in grid.remarks[-1]


def test_a_metric_that_nobody_knows_has_a_column():
    (grid,) = overview_grids([*run("hag", 0.25), row(metric="hit_rate", value=0.75)])
    assert grid.columns[-1] == "hit_rate"
    assert texts(grid)["hag"][-1] == "0.7500"
    assert texts(grid)["clean query"][-1] == ""


def test_clean_queries_of_another_draw_are_repetitions(tmp_path):
    for seed, value in ((0, 0.5), (1, 0.7)):
        rows = [row(attack="none", value=value, iteration=0), row(value=0.1, seed=seed)]
        write_results(tmp_path / str(seed) / "results.json", [*rows, row(quantized=True)])
    rows = [row for found in find_runs([tmp_path]) for row in found.rows]
    (grid,) = overview_grids(rows)
    assert texts(grid)["clean query"][0] == "0.6000 ± 0.1414 (2)"
    assert not any("differ by up to" in remark for remark in grid.remarks)


def test_clean_queries_stand_with_the_rule_of_their_targets(tmp_path):
    for rule, value in (("different", 0.2), ("disjoint", 0.1)):
        given = {"metric": "t_map", "value": value, "target_rule": rule}
        rows = [row(attack="none", **{**given, "iteration": 0}), row(**given)]
        write_results(tmp_path / rule / "results.json", rows)
    rows = [row for found in find_runs([tmp_path]) for row in found.rows]
    grids = overview_grids(rows)
    assert [texts(grid)["clean query"][2] for grid in grids] == ["0.2000", "0.1000"]


def test_questions_are_said_where_they_are_counted():
    (grid,) = overview_grids([row(queries=300.0)])
    assert grid.notes[0].endswith("; 300 questions per query, 1.2 s on 1 x cpu.")


def test_tables_of_one_heading_say_which_victim():
    rows = [r for sha in ("abcdefghijk", "b") for r in run("hag", 0.2, victim_sha256=sha)]
    rows += run("hag", 0.2, victim_sha256="c", bits=16)
    grids = overview_grids(rows)
    assert {grid.about: grid.notes[-2] for grid in grids} == {
        "photos, convnet, 16 bits": "Victim: best.ckpt c.",
        "photos, convnet, 32 bits, best.ckpt abcdefgh": "Victim: best.ckpt abcdefgh.",
        "photos, convnet, 32 bits, best.ckpt b": "Victim: best.ckpt b.",
    }
    assert [texts(grid)["hag"][0] for grid in grids] == ["0.2000"] * 3


def settings(grid):
    header, *body = grid.table()
    return {line[0]: dict(zip(header, line, strict=True)) for line in body}


def test_settings_that_lines_differ_in_have_columns():
    rows = [*run("hag", 0.25), *run("dhta", 0.5, epsilon=8 / 255, lr=1.0)]
    rows += run("noise", 0.9, epsilon=0.032)
    (grid,) = overview_grids(rows)
    found = settings(grid)
    assert grid.settings == ("ε", "step")
    assert {name: found[name]["ε"] for name in found} == {
        "clean query": "", "dhta": "8/255", "hag": "10/255", "noise": "0.032", "ceiling n_t=9": "",
    }  # fmt: skip
    assert [found[name]["step"] for name in ("dhta", "hag", "noise")] == [
        "SGD, lr=1", "SGD, lr=0.0077", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("column", "first", "second", "texts"),
    [
        ("seeds", {}, {"seed": 1}, ("0", "1")),
        ("iterations", {}, {"iterations": 200, "iteration": 200}, ("100", "200")),
        ("kernels", {}, {"run.kernels": "bfloat16"}, ("float32", "bfloat16")),
        ("precision", {"run.precision": "32"}, {"run.precision": "bf16"}, ("32", "bf16")),
        ("version", {"run.version": "1"}, {"run.version": "2"}, ("1", "2")),
        ("questions", {"queries": 90.5}, {"queries": 300.0}, ("90.5", "300")),
        ("ε", {}, {"epsilon_space": "normalized"}, ("10/255", "10/255 normalized")),
        ("ε", {}, {"attack.budget.class": "x.L2", "epsilon": 0.5}, ("10/255", "0.5 L2")),
    ],
)
def test_each_such_setting(column, first, second, texts):
    rows = [row(value=0.1, **first), row(attack="hag-star", value=0.2, **second)]
    (grid,) = overview_grids(rows)
    assert grid.settings == (column,)
    assert [settings(grid)[name][column] for name in ("hag", "hag-star")] == list(texts)


def test_what_all_numbers_come_from_is_said():
    given = {"data.interpolation": "bicubic", "run.version": "2"}
    (grid,) = overview_grids([row(**given), row(attack="dhta", **given)])
    assert "All numbers: interpolation bicubic, kernels float32, version 2." in grid.notes


def test_clean_queries_of_seeds_that_no_attack_has_are_left_out():
    clean = [
        row(attack="none", iteration=0, value=v, **{"run.draw": {"seed": s}})
        for s, v in ((0, 0.5), (1, 0.9))
    ]
    (grid,) = overview_grids([*clean, row(seed=0)])
    assert texts(grid)["clean query"][0] == "0.5000"


def test_numbers_after_rounding_never_stand_with_others():
    rows = [row(metric="hit_rate", value=v, quantized=q) for q, v in ((False, 0.75), (True, 0.25))]
    (grid,) = overview_grids(rows)
    assert grid.columns[-2:] == ("hit_rate", "hit_rate 8-bit")
    assert texts(grid)["hag"][-2:] == ["0.7500", "0.2500"]


def test_headings_of_other_protocols_say_what_they_differ_in():
    grids = overview_grids([*run("hag", 0.25), *run("hag", 0.5, top_k=500)])
    assert [grid.about for grid in grids] == [
        "photos, convnet, 32 bits; top_k=1000", "photos, convnet, 32 bits; top_k=500",
    ]  # fmt: skip
    grids = overview_grids([*run("hag", 0.25), *run("hag", 0.5, target_rule="disjoint")])
    assert [grid.about.partition("; ")[2] for grid in grids] == ["rule=different", "rule=disjoint"]


def test_any_small_difference_of_equal_runs_is_said():
    (grid,) = overview_grids([row(value=0.2), row(value=0.2002)])
    assert "differ by up to 0.0002" in grid.remarks[-1]
    (grid,) = overview_grids([row(value=0.2), row(value=0.2)])
    assert not any("differ by up to" in remark for remark in grid.remarks)


def test_what_a_run_doubts_of_its_own_numbers_is_said():
    doubted = row(value=0.77)
    for field, value in (("warnings", ["the budget is hardly used"]), ("budget_used", 0.25)):
        object.__setattr__(doubted, field, value)
    (grid,) = overview_grids([doubted])
    assert "hag: warning: the budget is hardly used" in grid.notes
    assert grid.notes[0].endswith("; 25% of the budget used, 1.2 s on 1 x cpu.")


def test_numbers_after_jpeg_have_columns_of_their_own():
    rows = [
        row(value=value, quantized=quantized, jpeg=jpeg)
        for value, quantized, jpeg in (
            (0.1, False, None), (0.2, True, None), (0.3, True, 90), (0.4, True, 50)
        )
    ]  # fmt: skip
    (grid,) = overview_grids(rows)
    assert grid.columns[-2:] == ("MAP JPEG 90", "MAP JPEG 50")
    assert texts(grid)["hag"][:2] == ["0.1000", "0.2000"]
    assert texts(grid)["hag"][-2:] == ["0.3000", "0.4000"]
    table = summary_table(rows)
    headers = [str(column.header) for column in table.columns]
    assert headers == ["", "clean", "hag", "8-bit", "JPEG 90", "JPEG 50", "ceiling"]
    assert [next(iter(column.cells)) for column in table.columns] == [
        "MAP", "", "0.1000", "0.2000", "0.3000", "0.4000", "",
    ]  # fmt: skip
    for wrong in (0, 101):
        with pytest.raises(ValueError, match=f"jpeg must be from 1 to 100, got {wrong}"):
            row(quantized=True, jpeg=wrong)
