"""Which runs a report is of: by victim and settings, never by name; what is left out is said."""

import csv
import json
import os

import pytest
from matplotlib.image import imsave

from lightning_hash.__main__ import main
from lightning_hash.commands.report import report
from lightning_hash.reports.overview import overview_grids
from lightning_hash.results.rows import write_results
from lightning_hash.results.runs import find_runs
from tests.reports.rows import row, run


def write(folder, rows, age=0):
    folder.mkdir(parents=True, exist_ok=True)
    write_results(folder / "results.json", rows)
    os.utime(folder / "results.json", (1e9 - age, 1e9 - age))


def numbers(root):
    """Return heading, line and MAP of all attacks that the overview shows."""
    rows = [row for found in find_runs([root]) for row in found.rows]
    grids = overview_grids(rows)
    return {
        (grid.about, line[0]): line[1]
        for grid in grids
        for line in grid.texts()
        if line[0].startswith("hag")
    }


def test_two_victims_of_one_name_are_two(tmp_path):
    for version, sha in enumerate(("aaaaaaaaaa", "bbbbbbbbbb")):
        changes = {"victim_sha256": sha, "victim.name": f"v{version}/best.ckpt"}
        write(tmp_path / "hag" / f"version_{version}", run("hag", 0.2 + version / 10, **changes))
    assert numbers(tmp_path) == {
        ("photos, convnet, 32 bits, v0/best.ckpt aaaaaaaa", "hag"): "0.2000",
        ("photos, convnet, 32 bits, v1/best.ckpt bbbbbbbb", "hag"): "0.3000",
    }
    page = report([tmp_path], tmp_path / "out").read_text()
    assert "v0/best.ckpt aaaaaaaa</h3>" in page
    assert "v1/best.ckpt bbbbbbbb</h3>" in page
    tables = {path.name for path in (tmp_path / "out" / "tables").glob("overview*.csv")}
    assert len(tables) == 2


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({"epsilon": 8 / 255}, ["hag, ε 10/255", "hag, ε 8/255"]),
        ({"iterations": 200, "iteration": 200}, ["hag, 100 iterations", "hag, 200 iterations"]),
        ({"lr": 1.0}, ["hag, lr=0.0077", "hag, lr=1"]),
        ({"run.kernels": "bfloat16"}, ["hag, kernels=float32", "hag, kernels=bfloat16"]),
        ({"run.precision": "bf16"}, ["hag", "hag, precision=bf16"]),
    ],
)
def test_versions_of_other_settings_are_all_shown(tmp_path, changes, lines):
    write(tmp_path / "hag" / "version_0", run("hag", 0.2))
    rows = run("hag", 0.3)[-3:]
    rows = [
        row(**{"value": 0.3, "metric": r.metric, "quantized": r.quantized, **changes}) for r in rows
    ]
    write(tmp_path / "hag" / "version_1", rows)
    assert {line: value for (_, line), value in numbers(tmp_path).items()} == dict(
        zip(lines, ("0.2000", "0.3000"), strict=True)
    )
    assert not find_runs([tmp_path]).left_out


def test_seeds_are_mean_and_spread(tmp_path):
    for seed in (0, 1):
        write(tmp_path / "hag" / f"version_{seed}", run("hag", 0.2 + seed / 5, seed=seed))
    assert list(numbers(tmp_path).values()) == ["0.3000 ± 0.1414 (2)"]


def test_the_newest_of_equal_runs_counts_and_the_others_are_named(tmp_path):
    write(tmp_path / "hag" / "version_2", run("hag", 0.25))
    write(tmp_path / "hag" / "version_10", run("hag", 0.2), age=9)  # a version outranks a date
    write(tmp_path / "other", run("hag", 0.2), age=99)
    write(tmp_path / "hag" / "version_11", [row(iteration=50)])
    runs = find_runs([tmp_path])
    assert [found.folder.name for found in runs] == ["version_10"]
    said = {each.path.name: each.reason for each in runs.left_out}
    newest = f"replaced by {tmp_path}/hag/version_10, a run of equal settings "
    assert said == {
        "version_2": f"{newest}(its numbers differ by up to 0.05)",
        "other": f"{newest}(with equal numbers)",
        "version_11": f"stopped at iteration 50 of 100; {newest}(with equal numbers)",
    }


def test_checkpoints_of_one_content_are_one_victim(tmp_path):
    write(tmp_path / "a", run("hag", 0.2, **{"victim.name": "a/best.ckpt"}), age=9)
    write(tmp_path / "b", run("hag", 0.3, **{"victim.name": "b/copy.ckpt"}))
    assert list(numbers(tmp_path).values()) == ["0.3000"]


def test_victims_without_a_fingerprint_are_told_apart_by_name(tmp_path):
    for name in ("a", "b"):
        rows = run("hag", 0.2, victim_sha256=None, **{"victim.name": name})
        write(tmp_path / name, rows)
    assert {about for about, _ in numbers(tmp_path)} == {
        "photos, convnet, 32 bits, a", "photos, convnet, 32 bits, b",
    }  # fmt: skip


def test_an_unfinished_run_has_no_final_number(tmp_path, capsys):
    rows = [row(iteration=100, iterations=2000, value=0.123), row(attack="none", iteration=0)]
    write(tmp_path / "runs" / "hag", rows)
    write(tmp_path / "runs" / "dhta", run("dhta", 0.5))
    assert main(["report", str(tmp_path / "runs"), "--output", str(tmp_path / "out")]) == 0
    captured = capsys.readouterr()
    assert f"left out: {tmp_path}/runs/hag: stopped at iteration 100 of 2000" in captured.err
    table = (tmp_path / "out/tables/overview-photos-convnet-32-bits.md").read_text()
    assert "| hag" not in table
    assert "hag: not at its end, no number." in table
    assert "hag at iteration 100 of 2000, seed 0: MAP 0.1230; 2000 iterations" in table
    page = (tmp_path / "out" / "index.html").read_text()
    assert "stopped at iteration 100 of 2000: no final number" in page


TORN = json.dumps([{"schema": 2, "metric": "map"}])[:-9]
BAD = {
    "torn": (TORN, "is no JSON"),
    "empty": ("", "is no JSON"),
    "no rows": ("[]", "holds no rows"),
    "old": ('[{"schema": 1}]', "row 0: schema must be 2, got 1"),
    "fields": ('[{"schema": 2, "metric": "map"}]', "row 0: field value is missing"),
    "unknown": ('[{"schema": 2, "colour": 1}]', "row 0: unknown field 'colour'"),
    "mapping": ("{}", "must hold a list of result rows, got dict"),
}


def test_one_bad_run_never_blocks_the_page(tmp_path, capsys):
    root = tmp_path / "runs"
    write(root / "good", run("hag", 0.2))
    for name, (text, _) in BAD.items():
        (root / name).mkdir()
        (root / name / "results.json").write_text(text)
    write(root / "nan", run("hag", 0.2))
    path = root / "nan" / "results.json"
    path.write_text(path.read_text().replace("0.9,", "NaN,"))
    (root / "bytes").mkdir()
    (root / "bytes" / "results.json").write_bytes(b"\xff\xfe\x00")
    (root / "folder" / "results.json").mkdir(parents=True)
    (root / "link").mkdir()
    (root / "link" / "results.json").symlink_to(root / "gone")
    (root / "killed").mkdir()
    (root / "killed" / "perturbations.safetensors").write_bytes(b"")
    arguments = ["report", str(root), str(tmp_path / "absent"), "--output", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert "1 runs: " in capsys.readouterr().out
    with (tmp_path / "out" / "left_out.csv").open() as file:
        said = {entry["path"]: entry["reason"] for entry in csv.DictReader(file)}
    wanted = {f"{root}/{name}/results.json": reason for name, (_, reason) in BAD.items()}
    wanted |= {
        f"{root}/nan/results.json": "row 0: value must be finite, got nan",
        f"{root}/bytes/results.json": "is no JSON",
        f"{root}/folder/results.json": "cannot be read (Is a directory)",
        f"{root}/link/results.json": "is a link that leads out of ",
        f"{root}/killed": "has no results.json: the run was stopped before its end",
        str(tmp_path / "absent"): "is no folder",
    }
    assert said.keys() == wanted.keys()
    for place, reason in wanted.items():
        assert said[place].startswith(reason), place
    page = (tmp_path / "out" / "index.html").read_text()
    assert all(place in page for place in wanted)


def test_damaged_files_of_a_run_are_named_and_its_numbers_stay(tmp_path):
    folder = tmp_path / "runs" / "hag"
    write(folder, run("hag", 0.2))
    for name in ("codes.safetensors", "perturbations.safetensors"):
        (folder / name).write_bytes(b"torn")
    (folder / "curves.json").write_text('{"curves": [{"query": "clean"}]}')
    (folder / "strips").mkdir()
    imsave(folder / "strips" / "000003.png", [[0.0, 1.0]])
    whole = (folder / "strips" / "000003.png").read_bytes()
    (folder / "strips" / "000005.png").write_bytes(whole[:40])
    (folder / "strips" / "odd.png").write_bytes(whole)
    page = report([tmp_path / "runs"], tmp_path / "out").read_text()
    assert "0.2000" in page
    assert "query 3" in page
    assert "query odd" in page
    assert page.count("data:image/webp") == 2
    with (tmp_path / "out" / "left_out.csv").open() as file:
        assert {os.path.basename(entry["path"]) for entry in csv.DictReader(file)} == {
            "codes.safetensors", "perturbations.safetensors", "curves.json", "000005.png",
        }  # fmt: skip


def test_nothing_that_can_be_read_is_an_error(tmp_path, capsys):
    (tmp_path / "results.json").write_text("[")
    assert main(["report", str(tmp_path)]) == 1
    assert f"{tmp_path}/results.json is no JSON" in capsys.readouterr().err


def test_a_folder_that_nobody_may_read_is_named(tmp_path, monkeypatch):
    write(tmp_path / "good", run("hag", 0.2))
    write(tmp_path / "locked", run("hag", 0.3))
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)
    runs = find_runs([tmp_path])
    assert [found.folder.name for found in runs] == ["good"]
    assert [(each.path.name, each.reason) for each in runs.left_out] == [
        ("locked", "cannot be read (Permission denied)")
    ]


def test_rows_say_their_folder(tmp_path):
    write(tmp_path / "hag", run("hag", 0.2))
    report([tmp_path], tmp_path / "out")
    with (tmp_path / "out" / "rows.csv").open() as file:
        assert {entry["folder"] for entry in csv.DictReader(file)} == {str(tmp_path / "hag")}


def test_names_are_shown_as_they_are(tmp_path):
    name = "a|b_*<i>$q$ [/x]" + "y" * 200
    for sha in ("a", "b"):
        rows = run("hag", 0.2, dataset=name, victim_sha256=sha, **{"victim.name": "_<b>_"})
        write(tmp_path / sha, rows)
    page = report([tmp_path], tmp_path / "out").read_text()
    assert "<i>" not in page
    assert "a|b_*&lt;i&gt;$q$ [/x]" in page
    assert main(["report", str(tmp_path), "--output", str(tmp_path / "out")]) == 0
    text = next((tmp_path / "out" / "tables").glob("overview*.md")).read_text()
    assert r"a\|b\_\*&lt;i&gt;\$q\$ \[/x]" in text
    text = next((tmp_path / "out" / "tables").glob("overview*.tex")).read_text()
    assert r"a|b\_*\textless{}i\textgreater{}\$q\$ [/x]" in text
