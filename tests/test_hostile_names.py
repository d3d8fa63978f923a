"""Names and labels of somebody else on the terminal, and names that lead out of a folder."""

import logging
import os
import subprocess
import sys

import pytest
from PIL import Image
from pytorch_lightning.utilities import rank_zero_info
from rich.console import Console
from rich.table import Table

from lightning_hash.__main__ import main
from lightning_hash.commands.notices import show_visibly
from lightning_hash.engine.callbacks.retrieved import label_names
from lightning_hash.utils.escapes import terminal, visible
from lightning_hash.utils.places import LONGEST, check_inside, check_name

SIGNS = {
    "\x1b[31m": r"\x1b[31m",
    "\x9b31m": r"\x9b31m",
    "\x1b]8;;http://x\x1b\\y": r"\x1b]8;;http://x\x1b\y",
    "a\rb": r"a\rb",
    "a\nb": r"a\nb",
    "\u202edrawkcab\u2066": r"\u202edrawkcab\u2066",
    "\u200b\ufeff": r"\u200b\ufeff",
    "\u2028\x85": r"\u2028\x85",
    "\x00\x07\x7f": r"\x00\x07\x7f",
    "caf\udce9": r"caf\udce9",
    "[old] :bomb: 猫 é": "[old] :bomb: 猫 é",
}  # fmt: skip


@pytest.mark.parametrize("text", SIGNS)
def test_a_terminal_shows_signs_that_it_would_obey(text):
    assert visible(text) == SIGNS[text]
    assert visible("\n", keep="\n") == "\n"


@pytest.mark.parametrize(
    "text",
    ["[old]", "[/]", "[red]x[/]", r"\[x]", "[x]\\", "\\", ":skull:", "[link=file:///x]y[/link]"],
)
def test_rich_takes_nothing_in_a_name_for_its_own(text):
    console = Console(width=60)
    table = Table(title=terminal(text, "table.title"))
    table.add_column(terminal(text))
    table.add_row(terminal(text))
    with console.capture() as printed:
        console.print(table)
        console.print(terminal(text))
    assert printed.get().count(text) == 4


def test_an_error_is_one_visible_line(tmp_path, capsys):
    for line in (
        ["report", f"{tmp_path}/a\nb\x1b[31m\r"],
        ["sweep", f"{tmp_path}/a\nb\x1b[31m\r.yaml"],
        ["score", "--query", f"{tmp_path}/a\nb\x1b[31m\r.txt", "--database", "x.txt"],
        ["fit", "--config", f"{tmp_path}/a\nb\x1b[31m\r.yaml"],
        ["transfer", "--perturbations", f"{tmp_path}/a\nb\x1b[31m\r", "--victims", "x"],
        ["a\nb\x1b[31m\r"],
    ):
        assert main(line) in (1, 2)
        (error,) = capsys.readouterr().err.splitlines()
        assert error.startswith("error: ")
        assert r"a\nb\x1b[31m\r" in error


def test_notices_are_visible(capsys):
    show_visibly()
    show_visibly()
    handler = logging.StreamHandler()
    logger = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    logger.addHandler(handler)
    try:
        rank_zero_info("weights \x1b]8;;x\x07 \u202e 100%")
    finally:
        logger.removeHandler(handler)
    assert capsys.readouterr().err == r"weights \x1b]8;;x\x07 \u202e 100%" "\n"


def test_warnings_are_visible(tmp_path):
    """Where Lightning's form of warnings is imported behind the start, as by the verbs."""
    (tmp_path / "s.yaml").write_text("runs: {a: {verb: fit}}\nfull: [{run: a}]\n")
    code = (
        "import sys, warnings; from lightning_hash.__main__ import main; "
        "main(['sweep', sys.argv[1], '--dry-run']); import pytorch_lightning; "
        "from lightning_hash.commands.notices import show_visibly; show_visibly(); "
        "warnings.warn('left out: \\x1b[2J [old] %s'); "
        "pytorch_lightning.utilities.rank_zero_warn('\\u202e')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "s.yaml"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert r"left out: \x1b[2J [old] %s" in done.stderr
    assert r"\u202e" in done.stderr
    assert visible(done.stderr, keep="\n") == done.stderr


def test_check_data_prints_the_names_of_a_list(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "250")
    odd = "[old]\x1b[31m\u202e :bomb:.png"
    for number, name in enumerate((odd, "b.png", "c.png")):
        Image.new("RGB", (9, 9), (number, 0, 0)).save(tmp_path / name)
    names = ["[/red]\x1b]0;x\x07", "[link=file:///etc/passwd]x"]
    rows = f"path,{','.join(names)}\n{odd},1,0\nb.png,0,1\nc.png,1,0\nlost\x1b[2J[bold].png,1,1\n"
    for split in ("train", "query", "database"):
        (tmp_path / f"{split}.csv").write_text(rows)
    line = ["check-data", "--data=lightning_hash.data.CSVDataModule", f"--data.folder={tmp_path}"]
    assert main([*line, f"--data.root={tmp_path}", "--data.size=8"]) == 1
    said = capsys.readouterr().out
    assert visible(said, keep="\n") == said
    for text in (r"[/red]\x1b]0;x\x07", "[link=file:///etc/passwd]x", r"lost\x1b[2J[bold].png"):
        assert text in said
    assert r"[old]\x1b[31m\u202e :bomb:.png" in said


def test_names_of_labels_come_apart_again():
    import re

    import torch

    names = ["a|b", "c\\", "d"]
    (joined,) = label_names(torch.tensor([[1, 1, 1]]), names)
    assert joined == r"a\|b|c\\|d"
    parts = re.findall(r"(?:\\.|[^|\\])+", joined)
    assert [re.sub(r"\\(.)", r"\1", part) for part in parts] == names


BAD = [
    "", ".", "..", "../x", "../../x", "a/../../x", "/etc/x", "a//b", "a/", "a/./b", "a\0b", "a\nb",
    "a\x1b[31m", "-x", "a/--trust", "x" * 256, "é" * 128, "\udce9", "a\u202eb",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_name_that_leads_elsewhere(name):
    with pytest.raises(ValueError, match=r"--name must .*, got .*; give words such as") as caught:
        check_name(name, "--name")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["hag", "demo/hag", "a b", "x...", ".x", "猫", "x" * LONGEST])
def test_a_name_that_stays(name):
    assert check_name(name, "--name") == name


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "..", "", "a\nb", "x" * 300])
@pytest.mark.parametrize("verb", ["fit", "test", "attack"])
def test_no_verb_writes_outside_of_its_runs(tmp_path, monkeypatch, capsys, verb, name):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert main([verb, f"--name={name}"]) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith("error: --name must ")
    assert os.listdir(inner) == []
    assert os.listdir(tmp_path) == ["a"]


def test_transfer_writes_inside_of_its_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = ["transfer", "--perturbations", "x", "--victims", "y", "--name", "../../x"]
    assert main(line) == 1
    assert capsys.readouterr().err.startswith("error: --name must stay below its folder")
    assert os.listdir(tmp_path) == []


def test_links_are_followed_before_a_path_is_inside(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "run" / "own").write_text("x")
    (tmp_path / "run" / "a").symlink_to("own")
    (tmp_path / "run" / "b").symlink_to("../secret")
    (tmp_path / "run" / "loop").symlink_to("loop")
    for name in ("own", "a", "absent", "loop"):
        assert check_inside(tmp_path / "run" / name, tmp_path / "run") == tmp_path / "run" / name
    for name in ("b", "../secret"):
        with pytest.raises(ValueError, match="is a link that leads out of"):
            check_inside(tmp_path / "run" / name, tmp_path / "run")
