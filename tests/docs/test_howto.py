"""Each page adds a part by the code and the command that it shows."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

import lightning_hash
from lightning_hash.__main__ import main
from tests.helpers.commands import SMALL_DATA

PAGES = Path(lightning_hash.__file__).parent.parent / "docs" / "howto"
ATTACK = [
    *SMALL_DATA, "--trainer.accelerator=cpu", "--model.n_queries=6", "--trainer.max_epochs=3",
    "--model.kernels=float32",
]  # fmt: skip


def read(page):
    """Return the name of the page's last file, its code and the arguments of its last command."""
    text = (PAGES / f"{page}.md").read_text()
    name = re.findall(r"^`(\w+\.py)`:$", text, re.MULTILINE)[-1]
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[-1]
    command = re.findall(r"```shell\n(.*?)```", text, re.DOTALL)[-1]
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "lightning_hash"]
    return name, code, words[3:]


def run(page, folder, monkeypatch, *more):
    name, code, words = read(page)
    (folder / name).write_text(code)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    sys.modules.pop(name.removesuffix(".py"), None)
    assert main([*words, *more]) == 0


def rows(folder):
    (path,) = folder.glob("runs/attack/*/version_0/results.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize(
    ("page", "part", "settings"),
    [
        ("objective", "objective", {"class": "margin.Margin", "margin": 2.0}),
        ("step", "step", {"lr": 0.5, "decay": 0.9}),
        ("perturbation", "perturbation", {"class": "one_delta.OneDelta", "gain": 1.0}),
        ("search", "step", {"class": "random_search.RandomSearch", "seed": 0}),
    ],
)
def test_a_part_of_ones_own_stands_in_the_rows(page, part, settings, with_victim, monkeypatch):
    tmp_path = with_victim
    run(page, tmp_path, monkeypatch, *ATTACK)
    last = [row for row in rows(tmp_path) if row["attack"] and row["attack"].get(part)][-1]
    assert settings.items() <= last["attack"][part].items()
    linf = [r["value"] for r in rows(tmp_path) if r["metric"] == "linf" and not r["quantized"]]
    assert 0 < linf[-1] <= 10 / 255 + 1e-6
    questions = 4.0 if page == "search" else None  # the start and one an iteration
    assert next(r["queries"] for r in rows(tmp_path) if r["quantized"]) == questions


def test_a_metric_of_ones_own_stands_in_rows_and_tables(with_victim, monkeypatch, capsys):
    run("metric", with_victim, monkeypatch, *ATTACK)
    recall = [row for row in rows(with_victim) if row["metric"] == "recall"]
    # 500 ranks of 200 items are the whole database, in which everything relevant is found.
    assert {row["value"] for row in recall} == {1.0}
    assert {row["n"] for row in recall} == {6}
    assert "recall" in capsys.readouterr().out


def test_data_of_ones_own(tmp_path, monkeypatch, capsys):
    run("data", tmp_path, monkeypatch, "--trainer.accelerator=cpu", "--trainer.max_epochs=2")
    assert (tmp_path / "checkpoints" / "squares" / "best.ckpt").is_file()
    assert "test/map" in capsys.readouterr().out


def test_every_page_is_in_the_table():
    listed = set(re.findall(r"\((\w+)\.md\)", (PAGES / "README.md").read_text()))
    assert listed == {path.stem for path in PAGES.glob("*.md")} - {"README"}
