"""Numbered tables: which number stands where, and the published ones beside."""

import csv
from pathlib import Path

import pytest

import lightning_hash
from lightning_hash.reports.numbered import numbered_grids
from lightning_hash.reports.papers import TABLES
from lightning_hash.reports.published import published
from lightning_hash.reports.readme import fill_readme, results_table
from lightning_hash.results.rows import write_results
from lightning_hash.results.runs import find_runs
from tests.reports.rows import row

PUBLISHED = Path(lightning_hash.__file__).parent / "reports" / "published"
NAMED = {table.name: table for table in TABLES}
COMMON = {
    "dataset": "photos", "backbone": "convnet", "loss": "PairwiseLoss", "n_query": 100,
    "n_database": 3000, "target_database": "database",
}  # fmt: skip
DHTA = {"attack": "dhta", "metric": "t_map", "epsilon": 0.032}


def made(**changes):
    return row(**{**COMMON, **changes})


def texts(grid):
    return {line[0]: line[1:] for line in grid.texts()}


def first(name, rows):
    return numbered_grids(NAMED[name], rows)[0]


def test_milestones_of_hag():
    rows = [
        made(attack="none", iteration=0, value=0.9, bits=16),
        *(made(iteration=i, value=v, bits=b, threshold=0.5)
          for b in (32, 16) for i, v in ((10, 0.8), (37, 0.7), (100, b / 100))),
        made(iteration=100, value=0.99, bits=16, quantized=True, threshold=0.5),
        made(iteration=100, value=0.98, bits=16, metric="t_map", threshold=0.5),
    ]  # fmt: skip
    grid = first("hag_table1", rows)
    assert grid.columns == ("16 bits", "32 bits")
    assert texts(grid) == {
        "0": ["0.9000", ""], "10": ["0.8000", "0.8000"], "100": ["0.1600", "0.3200"],
    }  # fmt: skip


def test_perceptibility_is_in_thousandths():
    rows = [made(metric="perceptibility", value=0.0215)]
    assert texts(first("hag_table2", rows)) == {"100": ["21.5000"]}


def test_the_papers_setting_is_preferred_and_others_are_told_apart():
    rows = [made(**DHTA, n_t=n, value=n / 100) for n in (1, 5, 9, 11)]
    clean = made(attack="none", metric="t_map", iteration=0, value=0.1)
    own = made(attack="none", metric="map", iteration=0, value=0.9)
    found = texts(first("dhta_table1", [*rows, clean, own]))
    assert found == {"Original": ["10.00"], "DHTA": ["9.00"], "Original, MAP": ["90.00"]}
    found = texts(first("dhta_table1", [clean, *rows[1:2], *rows[3:]]))
    assert found["DHTA (n_t=5)"] == ["5.00"]
    assert found["DHTA (n_t=11)"] == ["11.00"]


def test_an_open_set_has_its_own_table():
    opened = {**DHTA, "target_database": "open_set"}
    rows = [made(**{**opened, "n_t": n, "value": n / 100}) for n in (5, 9)]
    assert texts(first("dhta_table6", rows)) == {"DHTA (n_t=5)": ["5.00"], "DHTA (n_t=9)": ["9.00"]}
    assert all(line.published for line in first("dhta_table1", rows).lines)


def test_epsilons_are_columns_and_one_is_no_table():
    rows = [made(**{**DHTA, "epsilon": e, "value": e}) for e in (0.05, 0.01)]
    grid = first("dhta_table8", rows)
    assert grid.columns == ("ε = 0.01", "ε = 0.05")
    assert texts(grid) == {"32 bits": ["1.00", "5.00"]}
    assert first("dhta_table8", rows[:1]).lines[0].published


def test_seeds_are_averaged_and_data_are_not():
    rows = [made(value=v, seed=s, threshold=0.5) for s, v in ((0, 0.1), (1, 0.3))]
    rows += [made(value=0.7, threshold=0.5, dataset="other")]
    grids = numbered_grids(NAMED["hag_table1"], rows)
    assert [texts(grid).get("100") for grid in grids[:2]] == [
        ["0.7000"], ["0.2000 ± 0.1414 (2)"],
    ]  # fmt: skip


@pytest.mark.parametrize("changes", [{"top_k": 5000}, {"normalizer": "relevant"}, {"loss": "CSQ"}])
def test_protocols_do_not_mix(changes):
    grids = numbered_grids(NAMED["hag_table1"], [made(value=0.1), made(value=0.2, **changes)])
    assert [texts(grid)["100"] for grid in grids[:2]] == [["0.1000"], ["0.2000"]]
    assert grids[0].caption != grids[1].caption


def test_published_values_stand_beside():
    rows = [made(**{**DHTA, "dataset": "imagenet100", "bits": 48, "n_t": 9, "value": 0.8})]
    grid = first("dhta_table9", rows)
    assert grid.columns == ("16 bits", "32 bits", "48 bits", "64 bits")
    assert texts(grid) == {
        "DHTA": ["", "", "80.00", ""],
        "DHTA (published)": ["63.68", "77.76", "82.31", "82.10"],
        "Feature-based Attack (published)": ["23.80", "28.47", "34.24", "33.05"],
    }


def test_published_values_are_those_of_the_papers():
    assert published("hag_table1")["NUS-WIDE"]["1500", "32 bits"] == 0.1486
    assert published("hag_table2")["FLICKR25K"]["500", "16 bits"] == 2.9729
    assert published("hag_table3")["FLICKR25K"]["HAG*", "64 bits"] == 0.2410
    assert published("hag_table4")["MS-COCO"]["DPH-VGG19 (r3)", "DPH-VGG16*"] == 0.4968
    assert published("hag_table6")["NUS-WIDE"]["r1 + r2 + r3 + r4", "HashNet-ResNet50*"] == 0.6143
    assert published("dhta_table1")["NUS-WIDE, HashNet"]["P2P", "32 bits"] == 81.79
    assert published("dhta_table3")["JHMDB"]["50", "64 bits"] == 48.97
    assert published("dhta_table5")["ImageNet"]["HAG", "16 bits"] == 1.88
    assert published("dhta_table6")["ImageNet"]["DHTA (n_t=9)", "48 bits"] == 55.12
    assert published("dhta_table8")["JHMDB"]["32 bits", "ε = 0.05"] == 62.76
    assert published("dhta_perceptibility") == {
        data: {("DHTA", "16 to 64 bits"): value}
        for data, value in (
            ("ImageNet", 8.35), ("NUS-WIDE", 9.07), ("JHMDB", 5.81), ("UCF-101", 7.72),
        )
    }  # fmt: skip
    assert all(published(name) for name in (*NAMED, "hag_table5"))
    assert {
        value for data in published("dhta_table3").values() for value in data.values() if value > 90
    } == set()


@pytest.mark.parametrize("path", sorted(PUBLISHED.glob("*.csv")), ids=lambda path: path.stem)
def test_no_published_value_overwrites_another(path):
    lines = list(csv.reader(path.read_text().splitlines()))
    names = [(line[0], line[1]) for line in lines]
    assert len(set(names)) == len(names)
    assert len(set(lines[0])) == len(lines[0])


def test_published_perceptibility_stands_beside():
    rows = [
        made(**{**DHTA, "metric": "perceptibility", "dataset": "imagenet100", "value": 0.0072,
                "bits": bits, "n_t": 9})
        for bits in (48, 32)
    ]  # fmt: skip
    grid = first("dhta_perceptibility", rows)
    assert grid.columns == ("32 bits", "48 bits", "16 to 64 bits")
    assert texts(grid) == {"DHTA": ["7.20", "7.20", ""], "DHTA (published)": ["", "", "8.35"]}


def test_readme(tmp_path):
    rows = [made(value=0.125, threshold=0.5), made(attack="hag-star", value=0.25)]
    clean = made(attack="none", metric="t_map", iteration=0, value=0.1)
    rows += [clean, made(**{**DHTA, "n_t": 9, "value": 0.75})]
    table = results_table(rows).splitlines()
    assert table[0] == "| 32 bits | published | photos, convnet |"
    assert "| MAP after HAG (HAG Table III) | 0.1164 FLICKR25K | 0.1250 |" in table
    (line,) = [line for line in table if "t-MAP after DHTA" in line]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[0] == "t-MAP after DHTA, % (DHTA Tables 1, 2 and 7)"
    assert "77.76 ImageNet" in cells[1]
    assert "62.04 JHMDB" in cells[1]
    assert cells[2] == "75.00"
    assert "photos (100 queries, 3000 database items); convnet" in table[-1]
    assert (
        "DHTA: 100 iterations, LInf (ε 0.032), AnchorCode, CleanLogits, SGD (lr 0.0077" in table[-1]
    )
    assert "PerQuery, TargetChoice (n_t 9, rule different)." in table[-1]
    path = tmp_path / "README.md"
    path.write_text("a\n<!-- results -->\nold\n<!-- /results -->\nb\n")
    fill_readme(path, rows)
    assert (
        path.read_text() == "a\n<!-- results -->\n" + "\n".join(table) + "\n<!-- /results -->\nb\n"
    )
    path.write_text("nothing")
    with pytest.raises(ValueError, match="must hold <!-- results -->"):
        fill_readme(path, rows)


def test_an_attack_on_all_frames_is_the_papers():
    """Table 2 leaves attacks on some frames out, where there is one on all."""
    rows = [
        made(attack="none", metric="t_map", iteration=0, value=0.1),
        *(made(**DHTA, value=v, n_t=9, frames=k) for k, v in ((2, 0.4), (None, 0.8), (5, 0.7))),
    ]
    assert texts(first("dhta_table1", rows))["DHTA"] == ["80.00"]
    some = [rows[0], rows[1]]
    assert texts(first("dhta_table1", some))["DHTA"] == ["40.00"]


def test_every_setting_makes_a_line_of_its_own_and_seeds_are_repetitions():
    rows = [made(**{"attack.step.nesterov": n}, value=v) for n, v in ((False, 0.1), (True, 0.2))]
    rows += [made(**{"attack.objective.beta": 50.0}, value=0.3), made(value=0.4, **OTHER_STEP)]
    rows += [made(value=0.5, **{"attack.targets.seed": 1, "attack.seed": 1})]
    assert texts(first("hag_table1", rows)) == {
        "100 (step=SGD, nesterov=False)": ["0.3000 ± 0.2828 (2)"],
        "100 (step=SGD, nesterov=True)": ["0.2000"],
        "100 (beta=50, step=SGD, nesterov=False)": ["0.3000"],
        "100 (step=SignStep)": ["0.4000"],
    }


def test_settings_that_are_alike_when_rounded_are_no_line_together():
    rows = [made(lr=lr, value=v) for lr, v in ((0.0077, 0.1), (0.00770001, 0.2))]
    assert texts(first("hag_table1", rows)) == {
        "100 (step.lr=0.0077)": ["0.1000"], "100 (step.lr=0.00770001)": ["0.2000"],
    }  # fmt: skip


OTHER_STEP = {"attack.step": {"class": "lightning_hash.attacks.SignStep", "lr": 0.1}}


def test_a_victim_of_unknown_length_and_loss_is_shown():
    rows = [made(value=0.1, bits=b, loss=None) for b in (None, 16)]
    grid = first("hag_table1", rows)
    assert grid.columns == ("16 bits", "unknown bits")
    assert texts(grid) == {"100": ["0.1000", "0.1000"]}
    assert "convnet, foreign model" in grid.caption
    rows = [made(**{**DHTA, "dataset": "imagenet", "bits": None, "loss": None, "value": 0.8})]
    assert first("dhta_table9", rows).columns[-1] == "unknown bits"


def test_tables_that_read_alike_say_what_they_differ_in():
    rows = [made(value=0.1), made(value=0.2, **{"data.interpolation": "bilinear"})]
    rows += [made(value=0.3, list_sha256_query="abcdefghijk")]
    grids = numbered_grids(NAMED["hag_table1"], rows)[:3]
    assert {texts(grid)["100"][0]: grid.caption.partition(" Here ")[2] for grid in grids} == {
        "0.1000": "sha256.query=q.", "0.2000": "sha256.query=q, interpolation=bilinear.",
        "0.3000": "sha256.query=abcdefgh.",
    }  # fmt: skip


def test_one_run_has_its_standard_error_and_several_their_deviation():
    single = [made(value=0.0275, se=0.004)]
    grid = first("hag_table1", single)
    assert texts(grid) == {"100": ["0.0275(40)"]}
    assert (
        "In brackets: the standard error over the queries in units of the last digit, 0.0275(40)."
        in grid.remarks
    )
    several = first("hag_table1", [*single, made(value=0.0375, se=0.004, seed=1)])
    assert texts(several) == {"100": ["0.0325 ± 0.0071 (2)"]}
    assert not any("standard error" in remark for remark in several.remarks)


def test_an_attacks_beginning_is_the_clean_query_of_its_draw(tmp_path):
    for seed, value in ((0, 0.5), (1, 0.7)):
        given = {"value": value, "iteration": 0}
        rows = [made(attack="none", **given), made(seed=seed, **given), made(seed=seed)]
        write_results(tmp_path / str(seed) / "results.json", rows)
    rows = [row for run in find_runs([tmp_path]) for row in run.rows]
    assert texts(first("hag_table1", rows))["0"] == ["0.6000 ± 0.1414 (2)"]


def test_victims_of_one_length_are_columns_of_their_own():
    rows = [made(value=v, victim_sha256=s, bits=b) for s, b, v in (
        ("aaaaaaaaaa", 32, 0.1), ("bbbbbbbbbb", 32, 0.3), ("c", 16, 0.5))]  # fmt: skip
    grid = first("hag_table1", rows)
    assert grid.columns == ("16 bits", "32 bits, best.ckpt aaaaaaaa", "32 bits, best.ckpt bbbbbbbb")
    assert texts(grid) == {"100": ["0.5000", "0.1000", "0.3000"]}
    assert "Victims: 16 bits: best.ckpt c; 32 bits: best.ckpt aaaaaaaa; 32 bits: best.ckpt " in (
        " ".join(grid.notes)
    )
    table = results_table([made(value=r.value, **{**HAG_TABLE3, "victim_sha256": s})
                           for r, s in zip(rows, "ab", strict=False)])  # fmt: skip
    assert "| photos, convnet, best.ckpt a | photos, convnet, best.ckpt b |" in table
    assert "| 0.1164 FLICKR25K | 0.1000 | 0.3000 |" in table


HAG_TABLE3 = {"threshold": 0.5}


def test_victims_of_one_length_are_lines_of_their_own():
    rows = [made(**{**DHTA, "epsilon": e, "value": e, "victim_sha256": s})
            for e in (0.01, 0.05) for s in ("a", "b")]  # fmt: skip
    grid = first("dhta_table8", rows)
    assert [*texts(grid)] == ["32 bits, best.ckpt a", "32 bits, best.ckpt b"]


def test_epsilons_that_are_alike_when_rounded_are_columns_of_their_own():
    rows = [
        made(**{**DHTA, "epsilon": e, "value": v}) for e, v in ((0.032, 0.1), (0.03200001, 0.2))
    ]
    grid = first("dhta_table8", rows)
    assert grid.columns == ("ε = 0.032", "ε = 0.032 (0.03200001)")
    assert texts(grid)["32 bits"] == ["10.00", "20.00"]


def test_what_the_papers_setting_displaces_is_said():
    rows = [made(value=0.1, epsilon=10 / 255), made(value=0.2, epsilon=8 / 255)]
    grid = first("hag_table1", rows)
    assert texts(grid) == {"100": ["0.1000"]}
    assert "hag: left out, since the paper's setting is there: ε 8/255." in grid.notes


def test_published_values_of_another_protocol_say_so():
    given = {**DHTA, "dataset": "imagenet100", "backbone": "vgg11", "n_t": 9, "top_k": 1000,
             "input_shape": [3, 224, 224]}  # fmt: skip
    grid = first("dhta_table9", [made(**given, iterations=2000, iteration=2000)])
    assert grid.notes[-1] == (
        "Published values, ImageNet (here imagenet100): the same protocol, as far as the paper "
        "gives it; victims of its own."
    )
    other = {**given, "n_query": 50, "input_shape": [3, 64, 64], "backbone": "convnet", "top_k": 9}
    grid = first("dhta_table9", [made(**{**other, "epsilon": 8 / 255})])
    assert grid.notes[-1] == (
        "Published values, ImageNet (here imagenet100): 100 queries (here 50), AP over the first "
        "1000 (here the first 9), vgg11 (here convnet), inputs of 3x224x224 (here 3x64x64), "
        "ε 0.032 (here 8/255), 2000 iterations (here 100)."
    )


def test_published_tables_say_their_protocol():
    grid = numbered_grids(NAMED["hag_table1"], [])[0]
    assert grid.caption.startswith("Published values: 200 queries, AP over the first 1000, vgg16")


def test_the_readmes_published_values_are_those_of_the_papers_data():
    """They were named by the data beside them, where these were the paper's."""
    rows = [made(**{**DHTA, "dataset": "imagenet100", "n_t": 9, "value": 0.8})]
    (line,) = [line for line in results_table(rows).splitlines() if "t-MAP after DHTA" in line]
    assert "77.76 ImageNet" in line
    assert "imagenet100" not in line


def test_settings_of_a_line_stand_in_the_readme():
    rows = [made(value=v, lr=lr) for lr, v in ((0.1, 0.3), (0.2, 0.4))]
    table = results_table(rows)
    assert "0.3000 (lr=0.1), 0.4000 (lr=0.2)" in table
    assert "HAG\\* is HAG with an alpha that is always 1." in table


def test_milestones_of_an_unfinished_attack_are_said_to_be():
    grid = first("hag_table1", [made(iteration=50, value=0.3), made(iteration=10, value=0.4)])
    assert texts(grid) == {"10": ["0.4000"], "50": ["0.3000"]}
    assert "hag: not at its end, iteration 50 of 100." in grid.notes


def test_a_random_start_is_no_clean_query():
    rows = [made(attack="none", iteration=0, value=0.9)]
    rows += [made(iteration=0, value=0.5, start_seed=3), made(value=0.1, start_seed=3)]
    assert texts(first("hag_table1", rows)) == {
        "0": ["0.9000"], "0 (random start)": ["0.5000"], "100": ["0.1000"],
    }  # fmt: skip
