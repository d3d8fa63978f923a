import dataclasses
import json
import subprocess
import sys

import pytest
from rich.table import Table

from lightning_hash.results.rows import ResultRow, read_results, write_results
from lightning_hash.results.tables import format_epsilon, print_table, summary_table
from tests.reports.rows import row, run


def test_round_trip(tmp_path):
    rows = run("hag", 0.25)
    write_results(tmp_path / "results.json", rows)
    assert read_results(tmp_path / "results.json") == rows
    flat = json.loads((tmp_path / "results.json").read_text())
    assert list(flat[0]) == [field.name for field in dataclasses.fields(ResultRow)]


def test_a_failed_write_keeps_the_file(tmp_path, monkeypatch):
    path = tmp_path / "results.json"
    write_results(path, run("hag", 0.25))
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_results(path, run("dhta", 0.1))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"value": float("nan")}, "value must be finite"),
        ({"value": float("inf")}, "value must be finite"),
        ({"metric": 3}, "metric must be str, got 3"),
        ({"se": float("nan")}, "se must be finite"),
        ({"bits": "32"}, "victim.bits must be int or null, got '32'"),
        ({"quantized": 1}, "quantized must be bool, got 1"),
        ({"bits": True}, "victim.bits must be int or null, got True"),
        ({"n": None}, "n must be int, got None"),
        ({"lr": float("inf")}, "attack.step.lr must be finite, got inf"),
        ({"attack.step.betas": {0.9}}, r"attack.step.betas must be JSON .* got \{0.9\}"),
        ({"attack.step": {1: 2}}, "attack.step must have names as keys, got 1"),
        ({"attack.name": None}, "attack.name must be str, got None"),
        ({"ranking": None}, "ranking must be Mapping, got None"),
        ({"schema": 3}, "schema must be 2, got 3: made by another version"),
    ],
)
def test_wrong_rows(changes, message):
    with pytest.raises(ValueError, match=message):
        row(**changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "is no JSON"),
        ("{}", "must hold a list of result rows, got dict"),
        ('[{"schema": 2, "metric": "map"}]', "row 0: field value is missing"),
        ('[{"schema": 2, "colour": 1}]', "row 0: unknown field 'colour'; known are schema, metric"),
        ("[3]", "row 0: must be a mapping, got int"),
        ('[{"metric": "map"}]', "row 0: schema must be 2, got None: made by another version"),
        ('[{"schema": 1}]', "row 0: schema must be 2, got 1: .* run the attack again"),
    ],
)
def test_wrong_files(tmp_path, text, message):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_results(path)


def test_mappings_are_open_copied_and_looked_up():
    step = {"class": "torch.optim.Adam", "betas": (0.9, 0.999), "fused": None}
    made = row(**{"attack.step": step, "data.colours": {"mean": 0.5}})
    step["lr"] = 1
    assert made.get("attack.step.betas") == [0.9, 0.999]
    assert made.get("attack.step.lr") is None
    assert made.get("data.colours.mean") == 0.5
    assert (made.get("attack.alpha.values"), made.get("value")) == (None, 0.5)
    assert row(attack="none").get("attack.budget.epsilon") is None
    with pytest.raises(AttributeError):
        made.get("epsilon")


def test_keys_of_rows_are_equal_where_settings_are():
    one = row(**{"attack.step": {"class": "A", "lr": 1, "fused": None}})
    same = row(**{"attack.step": {"lr": 1.0, "class": "A"}}, value=0.9)
    assert one.key("attack", "data") == same.key("attack", "data")
    other = row(**{"attack.step": {"lr": True, "class": "A"}})
    assert one.key("attack") != other.key("attack")
    assert one.key("attack", without=["attack.step.lr"]) == other.key(
        "attack", without=["attack.step.lr"]
    )
    assert one.key("data") == other.key("data")


@pytest.mark.parametrize("module", ["results.runs", "results.tables", "commands.report", "sweeps"])
def test_reading_needs_no_torch(module):
    code = (
        f"import sys, lightning_hash.{module}\n"
        "heavy = {'torch', 'pytorch_lightning', 'lightning', 'torchmetrics', 'jsonargparse'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_summary_shows_standard_errors_and_unknown_metrics():
    rows = [row(value=0.25, se=0.0125), row(metric="hit_rate", value=0.75, quantized=True)]
    table = summary_table([*rows, row(metric="precision_at_n", value=0.125)])
    cells = [list(column.cells) for column in table.columns]
    assert cells[0] == ["MAP", "precision@100", "hit_rate"]
    assert cells[2] == ["0.2500(125)", "0.1250", ""]
    assert cells[3] == ["", "", "0.7500"]
    assert table.caption == "in brackets: standard error over the queries, in the last digits"


def test_summary_says_how_often_was_asked_and_how_many_queries_came_through():
    asked = {"iteration": 500, "iterations": 500, "queries": 214.25, "n": 20}
    early = row(**{**asked, "iteration": 100, "queries": 100.0})
    for changes, said in (
        ({}, "214.2 questions per query"),
        (
            {"n_finished": 17, "queries_finished": 163.0},
            "214.2 questions per query; 17 of 20 queries finished, after 163 questions each",
        ),
        ({"n_finished": 0}, "214.2 questions per query; 0 of 20 queries finished"),
        ({"queries": None, "n_finished": 3}, "3 of 20 queries finished"),
    ):
        table = summary_table([early, row(**{**asked, **changes})])
        assert str(table.caption).splitlines() == [said]
    both = summary_table([row(**asked, se=0.5)])
    assert str(both.caption).splitlines()[1].startswith("in brackets: standard error")


def test_summary_takes_the_last_iteration():
    table = summary_table(run("hag", 0.25))
    cells = [list(column.cells) for column in table.columns]
    assert cells[0] == ["MAP", "t-MAP"]
    assert cells[1] == ["0.9000", "0.1000"]
    assert cells[2] == ["0.2500", "0.4500"]
    assert cells[3] == ["0.2600", ""]
    assert cells[4] == ["", "0.9500"]


def test_the_summary_of_a_stopped_attack_says_so():
    table = summary_table([row(iteration=200, iterations=5000)])
    assert str(table.title).startswith("hag, 32 bits, stopped at iteration 200 of 5000: ")


def test_a_table_of_many_columns_is_wider_than_the_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    table = Table()
    texts = [f"0.{number}234(567)" for number in range(10, 22)]
    for number in range(len(texts)):
        table.add_column(f"column{number}", justify="right")
    table.add_row(*texts)
    print_table(table)
    lines = capsys.readouterr().out.splitlines()
    assert any(all(text in line for text in texts) for line in lines)


def test_a_table_is_never_cut_by_a_narrow_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "30")
    print_table(summary_table([row(value=0.25, se=0.0125), row(value=0.5, quantized=True)]))
    printed = capsys.readouterr().out
    assert "0.2500(125)" in printed
    assert "…" not in printed


@pytest.mark.parametrize(
    ("epsilon", "space", "text"),
    [
        (10 / 255, "pixel", "10/255"), (8 / 255, "pixel", "8/255"), (0.032, "pixel", "0.032"),
        (0.032, "normalized", "0.032 normalized"), (1.0, "pixel", "255/255"), (None, None, ""),
    ],
)  # fmt: skip
def test_epsilon_is_written_as_a_fraction_where_it_is_one(epsilon, space, text):
    assert format_epsilon(epsilon, space) == text
