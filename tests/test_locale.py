"""A machine whose locale knows ASCII alone shows every verb's text, escaped where it must be."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.reports.rows import run

ASCII = {
    "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii",
    "OMP_NUM_THREADS": "1",
}  # fmt: skip


def command(*arguments, folder):
    line = [sys.executable, "-m", "lightning_hash", *map(str, arguments)]
    environment = {**os.environ, **ASCII, "PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, check=False)


def write_run(folder):
    rows = [dataclasses.asdict(row) for row in run("hag", 0.5, backbone="résnet → ε")]
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")


def test_a_report_escapes_what_the_terminal_cannot_show(tmp_path):
    write_run(tmp_path / "runs")
    (tmp_path / "README.md").write_text("é <!-- results --> <!-- /results -->\n", encoding="utf-8")
    made = command("report", "runs", "--readme", "README.md", folder=tmp_path)
    assert (made.returncode, made.stderr) == (0, b"")
    assert rb"r\xe9snet \u2192 \u03b5" in made.stdout
    assert "résnet → ε" in (tmp_path / "runs/report/index.html").read_text(encoding="utf-8")
    assert (tmp_path / "README.md").read_text(encoding="utf-8").startswith("é <!-- results -->")


def test_a_folder_whose_name_is_no_utf8_is_in_the_report(tmp_path):
    write_run(Path(os.fsdecode(os.fsencode(tmp_path) + b"/runs/caf\xe9")))
    made = command("report", "runs", folder=tmp_path)
    assert (made.returncode, made.stderr) == (0, b"")
    assert b"/caf\xe9" in (tmp_path / "runs/report/rows.csv").read_bytes()  # a path as it is


@pytest.mark.slow
def test_lists_tables_help_and_plans_are_read_and_shown(tmp_path):
    Image.new("RGB", (16, 16), (200, 0, 0)).save(tmp_path / "a.png")
    for split in ("train", "query", "database"):
        (tmp_path / f"{split}.csv").write_text("path,röt\na.png,1\n", encoding="utf-8")
    options = ["--data.folder=.", "--data.size=16"]
    made = command("check-data", "--data=CSVDataModule", *options, folder=tmp_path)
    assert made.returncode == 1
    assert b"is a label or the class numbers" in made.stderr.splitlines()[-1]
    (tmp_path / "plan.yaml").write_text(
        "runs: {v: {verb: fit, options: {model.bits: '{bits}', name: 'é'}}}\n"
        "full: [{run: v, bits: [8, 16]}]\n", encoding="utf-8",
    )  # fmt: skip
    made = command("sweep", "plan.yaml", "--dry-run", folder=tmp_path)
    assert (made.returncode, made.stderr) == (0, b"")
    assert made.stdout.count(b"--model.bits") == 2
    assert command("demo", "--help", folder=tmp_path).returncode == 0
