import json
import re

import numpy as np
import pytest
import torch

from lightning_hash.__main__ import main
from lightning_hash.codes.code_files import read_codes, write_codes
from lightning_hash.codes.code_set import plain_code_set
from lightning_hash.commands.score import score
from lightning_hash.functional import RankingOptions

# Distances of query 0 to the database: 0, 1, 2, 3; of query 1: 3, 2, 1, 0.
DATABASE = [[1, 1, 1], [1, 1, -1], [1, -1, -1], [-1, -1, -1]]
LABELS = [[1, 0], [0, 1], [1, 0], [0, 1]]
QUERY, QUERY_LABELS, TARGETS = [[1, 1, 1], [-1, -1, -1]], [[1, 0], [1, 0]], [[0, 1], [0, 1]]
CLEAN = [[1, 1, 1], [-1, 1, 1]]


@pytest.fixture
def files(tmp_path):
    for name, rows in (
        ("database_code", DATABASE), ("database_label", LABELS), ("query_code", QUERY),
        ("query_label", QUERY_LABELS), ("targets", TARGETS), ("clean", CLEAN),
    ):  # fmt: skip
        np.savetxt(tmp_path / f"{name}.txt", np.array(rows), fmt="%d")
    return tmp_path


def test_values_by_hand(files):
    rows = score(
        str(files / "query_code.txt"), str(files / "database_code.txt"),
        target_labels=str(files / "targets.txt"), clean=str(files / "clean.txt"),
        query_labels=str(files / "query_label.txt"), attack="dhta",
        ranking=RankingOptions(top_k=None, precision_n=2),
    )  # fmt: skip
    # Relevant ranks: query 0 at 1 and 3, query 1 at 2 and 4; targets the other way round.
    first, second = (1 + 2 / 3) / 2, (1 / 2 + 2 / 4) / 2
    expected = {
        "map": (first + second) / 2, "t_map": (first + second) / 2, "precision_at_n": 0.5,
        "hamming_to_clean": 1.0,
    }  # fmt: skip
    assert {row.metric: row.value for row in rows} == pytest.approx(expected)
    data = rows[0].data
    assert (data["n_query"], data["n_database"]) == (2, 4)
    assert data["database_codes"] == "database_code.txt"
    assert all((row.name, row.victim["bits"], row.data) == ("dhta", 3, data) for row in rows)
    # The standard error of a mean of two is half of what they differ.
    assert {row.metric: row.se for row in rows}["map"] == pytest.approx((first - second) / 2)


def test_near_duplicates_by_hand(files, capsys):
    """Relevant items are 0 and 2 bits from query 0, others 1 and 3; from query 1 the reverse."""
    arguments = [
        f"--query={files}/query_code.txt", f"--database={files}/database_code.txt",
        "--match_at=[0,1]", f"--match_curve={files}/curve.csv",
    ]  # fmt: skip
    assert main(["score", *arguments, "--json"]) == 0
    rows = {row["metric"]: row["value"] for row in json.loads(capsys.readouterr().out)}
    assert rows["detection_at_0"] == rows["recall_at_1"] == rows["collision_rate"] == 0.5
    assert (rows["detection_at_1"], rows["false_match_at_0"], rows["false_match_at_1"]) == (
        1.0, 0.25, 0.5,
    )  # fmt: skip
    lines = (files / "curve.csv").read_text().splitlines()
    assert lines == [
        "threshold,detection,false_matches,random_false_matches", "0,0.5,0.25,0.125",
        "1,1.0,0.5,0.5", "2,1.0,0.75,0.875", "3,1.0,1.0,1.0",
    ]  # fmt: skip
    assert main(["score", *arguments]) == 0
    printed = capsys.readouterr().out
    for label in ("detection rate at 1", "false matches at 0", "recall@1", "exact collisions"):
        assert label in printed
    assert main(["score", *arguments[:2], f"--match_curve={files}/drawn.png"]) == 0
    assert (files / "drawn.png").read_bytes()[:4] == b"\x89PNG"
    assert (files / "drawn.csv").read_text() == (files / "curve.csv").read_text()


def test_a_curve_replaces_no_codes(tmp_path):
    for name, rows in (("query", QUERY), ("database", DATABASE)):
        np.savetxt(tmp_path / f"{name}.csv", np.array(rows), fmt="%d", delimiter=",")
    query, database = (str(tmp_path / f"{name}.csv") for name in ("query", "database"))
    with pytest.raises(ValueError, match=r"would replace .*database.csv, which is read; give anot"):
        score(query, database, match_curve=str(tmp_path / "database.png"))


def test_a_curve_that_cannot_be_written_is_known_before(tmp_path):
    """Nothing is read before: there are no codes."""
    (tmp_path / "curve.csv").mkdir()
    for name in ("curve.csv", "curve.png"):
        with pytest.raises(IsADirectoryError, match=r"match_curve .*curve.csv cannot be written"):
            score("query.npy", "database.npy", match_curve=str(tmp_path / name))


def test_rates_are_of_the_queries_that_can_be_found(tmp_path):
    """Of two queries at distance 0 one has a copy; table and curve say the same."""
    (tmp_path / "query.txt").write_text("1 0 1 1 1\n0 0 1 1 1\n")
    (tmp_path / "database.txt").write_text("1 0 1 1 1\n0 1 -1 1 1\n")
    curve = tmp_path / "c.csv"
    options = {"bits": 3, "match_at": 0, "match_curve": str(curve)}
    rows = {
        row.metric: (row.value, row.n, row.n_empty)
        for row in score(str(tmp_path / "query.txt"), str(tmp_path / "database.txt"), **options)
    }
    assert rows["map"] == (0.5, 2, 1)
    assert rows["detection_at_0"] == rows["recall_at_1"] == (1.0, 1, 1)
    assert rows["false_match_at_0"] == (0.25, 2, 0)  # 0 of 1 item, and 1 of 2
    assert curve.read_text().splitlines()[1] == "0,1.0,0.25,0.125"


def test_rates_of_no_query_are_named_and_not_measured(tmp_path):
    (tmp_path / "query.txt").write_text("1 0 1 1 1\n")
    (tmp_path / "database.txt").write_text("0 1 1 1 -1\n")
    sides = str(tmp_path / "query.txt"), str(tmp_path / "database.txt")
    with pytest.warns(UserWarning, match="detection_at_1 is not measured: all 1 queries are empty"):
        rows = score(*sides, bits=3, match_at=1)
    assert {row.metric for row in rows} & {"detection_at_1", "recall_at_1"} == set()
    assert {"map", "false_match_at_1"} <= {row.metric for row in rows}
    with pytest.warns(UserWarning, match="map is not measured: all 1 queries are empty"):
        rows = score(*sides, bits=3, ranking=RankingOptions(empty="skip"))
    assert [(row.metric, row.value) for row in rows] == [("precision_at_n", 0.0)]


def test_lists_of_hashes(tmp_path):
    """The first digit of a hash is its first bits: 8 is 1000."""
    (tmp_path / "query.hex").write_text("80\n\n# two\n0F  # of photo.png\n")
    (tmp_path / "query_label.txt").write_text("1 0\n0 1\n")
    (tmp_path / "known.b64").write_text("gA==\nDw==\n")  # 0x80, 0x0f
    (tmp_path / "signs.txt").write_text("-1 -1 -1 -1 1 1 1 1\n1 -1 -1 -1 -1 -1 -1 -1\n")
    for name, labels in (("known", "1 0\n0 1\n"), ("signs", "0 1\n1 0\n")):
        (tmp_path / f"{name}_label.txt").write_text(labels)
    for database in ("known.b64", "signs.txt"):
        rows = score(str(tmp_path / "query.hex"), str(tmp_path / database), match_at=0)
        found = {row.metric: row.value for row in rows}
        assert (found["map"], found["detection_at_0"], found["collision_rate"]) == (1, 1, 0)
    read = read_codes(tmp_path / "query.hex")
    for name in ("again.hex", "again.b64"):
        write_codes(tmp_path / name, read)
        assert torch.equal(read_codes(tmp_path / name).codes, read.codes)
        assert torch.equal(read_codes(tmp_path / name).labels, read.labels)
    assert (tmp_path / "again.hex").read_text() == "80\n0f\n"
    odd = plain_code_set(read.codes[:, :7], read.labels)
    with pytest.raises(ValueError, match="7 bits are no whole bytes"):
        write_codes(tmp_path / "odd.hex", odd)
    assert not (tmp_path / "odd.hex").exists()


def test_command(files, capsys):
    arguments = [
        "score", f"--query={files}/query_code.txt", f"--database={files}/database_code.txt",
        "--ranking.top_k=1",
    ]  # fmt: skip
    assert main(arguments) == 0
    printed = capsys.readouterr().out  # query 0 finds one at rank 1, query 1 does not
    (line,) = [line for line in printed.splitlines() if "MAP" in line]
    assert re.findall(r"[\d.]+", line) == ["0.5000", "0.5000", "2"]
    assert main([*arguments, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["metric"], row["value"]) for row in rows] == [
        ("map", 0.5), ("precision_at_n", 0.5),
    ]  # fmt: skip
    assert {row["ranking"]["top_k"] for row in rows} == {1}


def test_precision_honours_ties(tmp_path, capsys):
    """Both items at one distance of the query, the second relevant: 1/2 on average, 0 by index."""
    for name, rows in (("query", [[1, 1]]), ("database", [[1, -1], [-1, 1]])):
        np.savetxt(tmp_path / f"{name}_code.txt", np.array(rows), fmt="%d")
    np.savetxt(tmp_path / "query_label.txt", np.array([[1, 0]]), fmt="%d")
    np.savetxt(tmp_path / "database_label.txt", np.array([[0, 1], [1, 0]]), fmt="%d")
    found = {}
    for ties in ("expected", "stable"):
        arguments = [
            "score", f"--query={tmp_path}/query_code.txt", "--ranking.precision_n=1", "--json",
            f"--database={tmp_path}/database_code.txt", f"--ranking.ties={ties}",
        ]  # fmt: skip
        assert main(arguments) == 0
        rows = {row["metric"]: row for row in json.loads(capsys.readouterr().out)}
        row = rows["precision_at_n"]
        found[ties] = (row["value"], row["ranking"]["precision_n"])
        assert row["ranking"]["ties"] == ties
    assert found == {"expected": (0.5, 1), "stable": (0.0, 1)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_labels": "database_label.txt"}, "target_labels: 4 rows for 2 queries"),
        ({"query": "absent.txt"}, r"absent\.txt does not exist"),
        ({"query": "wide.npy"}, r"have 3 bits, those of .*wide\.npy 4;"),
    ],
)
def test_what_does_not_go_together(files, monkeypatch, options, message):
    monkeypatch.chdir(files)
    np.save("wide.npy", torch.ones(2, 4).numpy())
    np.save("wide_label.npy", np.array(QUERY_LABELS))
    arguments = {"query": "query_code.txt", "database": "database_code.txt", **options}
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        score(**arguments)
