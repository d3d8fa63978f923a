import dataclasses
import json

import pytest

from lightning_hash.results.rows import ResultRow, read_results, write_results
from lightning_hash.results.tables import format_epsilon, summary_table
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
