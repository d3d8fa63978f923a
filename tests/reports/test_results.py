import dataclasses
import json

import pytest

from lightning_hash.reports.__main__ import latest_version, main
from lightning_hash.reports.results import ResultRow, read_results, write_results
from lightning_hash.reports.tables import comparison_table, format_epsilon, summary_table


def row(**changes):
    given = {
        "metric": "map", "value": 0.5, "iteration": 100, "quantized": False, "attack": "hag",
        "epsilon": 10 / 255, "epsilon_space": "pixel", "n_t": 9, "seed": 0, "victim_sha256": "a",
        "bits": 32, "top_k": 1000, "seconds": 1.25, "iterations": 100,
    }  # fmt: skip
    return ResultRow(**{**given, **changes})


def run(attack, value, **changes):
    return [
        row(metric="map", attack="none", iteration=0, value=0.9, **changes),
        row(metric="t_map", attack="none", iteration=0, value=0.1, **changes),
        row(metric="t_map", attack="anchor", iteration=0, value=0.95, **changes),
        row(attack=attack, value=0.9, iteration=0, **changes),
        row(attack=attack, value=value, **changes),
        row(attack=attack, value=value + 0.01, quantized=True, **changes),
        row(attack=attack, metric="t_map", value=value + 0.2, **changes),
    ]


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
        ({"value": float("nan")}, "value of map must be finite"),
        ({"value": float("inf")}, "value of map must be finite"),
        ({"metric": "mAP"}, "metric must be one of"),
        ({"bits": "32"}, "bits must be int or NoneType, got '32'"),
        ({"quantized": 1}, "quantized must be bool, got 1"),
        ({"bits": True}, "bits must be int or NoneType, got True"),
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
        ('[{"metric": "map"}]', "row 0: .*missing"),
        ('[{"colour": 1}]', "row 0: .*colour"),
    ],
)
def test_wrong_files(tmp_path, text, message):
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_results(path)


def test_comparison_cells():
    _, markdown = comparison_table([run("hag", 0.25), run("dhta", 0.5)])
    lines = [[c.strip() for c in line.strip("|").split("|")] for line in markdown.splitlines()]
    assert lines[2] == ["clean query", "", "", "0.9000", "", "0.1000", "", "", ""]
    assert lines[3] == ["hag", "100", "10/255", "0.2500", "0.2600", "0.4500", "", "", "1.2"]
    assert lines[4][:4] == ["dhta", "100", "10/255", "0.5000"]
    assert lines[5][0] == "ceiling n_t=9"
    assert lines[5][5] == "0.9500"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"top_k": 500}, "top_k"), ({"victim_sha256": "b"}, "victim_sha256"),
        ({"bits": 16}, "bits"), ({"seed": 1}, "seed"), ({"ties": "stable"}, "ties"),
    ],
)  # fmt: skip
def test_numbers_under_different_protocols_are_not_mixed(changes, field):
    with pytest.raises(ValueError, match=f"cannot stand in one table: {field} is"):
        comparison_table([run("hag", 0.25), run("dhta", 0.5, **changes)])


def test_summary_takes_the_last_iteration():
    table = summary_table(run("hag", 0.25))
    cells = [list(column.cells) for column in table.columns]
    assert cells[0] == ["MAP", "t-MAP"]
    assert cells[1] == ["0.9000", "0.1000"]
    assert cells[2] == ["0.2500", "0.4500"]
    assert cells[3] == ["0.2600", ""]
    assert cells[4] == ["", "0.9500"]


@pytest.mark.parametrize(
    ("epsilon", "space", "text"),
    [
        (10 / 255, "pixel", "10/255"), (8 / 255, "pixel", "8/255"), (0.032, "pixel", "0.032"),
        (0.032, "normalized", "0.032 normalized"), (1.0, "pixel", "255/255"), (None, None, ""),
    ],
)  # fmt: skip
def test_epsilon_is_written_as_a_fraction_where_it_is_one(epsilon, space, text):
    assert format_epsilon(epsilon, space) == text


def test_command(tmp_path, capsys):
    for version, value in ((0, 0.3), (2, 0.25), (10, 0.2)):
        folder = tmp_path / "hag" / f"version_{version}"
        folder.mkdir(parents=True)
        write_results(folder / "results.json", run("hag", value))
    assert latest_version(tmp_path / "hag").name == "version_10"
    assert main([str(tmp_path / "hag"), "--markdown", str(tmp_path / "t.md")]) == 0
    assert "| hag | 100 | 10/255 | 0.2000 |" in (tmp_path / "t.md").read_text()
    assert main([str(tmp_path / "absent")]) == 2
    assert "python -m lightning_hash attack writes one" in capsys.readouterr().err
