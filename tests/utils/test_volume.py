"""How much is said: the two flags, and what they leave on the screen."""

import logging
import re
import subprocess
import sys
import warnings
from contextlib import suppress

import pytest

import lightning_hash
from lightning_hash.__main__ import main
from lightning_hash.commands import errors, run_verb
from lightning_hash.commands.errors import show_fault
from lightning_hash.commands.notices import _is_said, fewer_warnings
from lightning_hash.commands.table import VERBS
from lightning_hash.results.rows import write_results
from lightning_hash.results.tables import summary_line
from lightning_hash.utils.volume import Volume, speaking, take_volume, volume
from tests.helpers.commands import SHORT_FIT, SMALL_ATTACK, SMALL_DATA
from tests.reports.rows import row, run


@pytest.mark.parametrize("line", [["--quiet", "report", "x"], ["report", "--quiet", "x"],
                                  ["report", "x", "--quiet"]])  # fmt: skip
def test_a_flag_goes_before_and_behind_the_verb(line, monkeypatch):
    heard = []

    def verb(name, arguments):
        heard.append((name, arguments, volume()))
        return 0

    monkeypatch.setattr("lightning_hash.__main__.run_verb", verb)
    assert main(line) == 0
    assert heard == [("report", ["x"], Volume.QUIET)]
    assert volume() is Volume.USUAL  # of the caller


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["--quiet", "fit", "--verbose"], "--quiet does not go with --verbose; leave one of them"),
        (["fit", "--quiet=true"], "--quiet=true: --quiet takes no value; give it alone, or leave"),
    ],
)
def test_wrong_flags(line, said, capsys):
    assert main(line) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")


def test_words_that_only_look_alike_stay():
    words = ["fit", "--name=--quiet", "--verbose-name", "quiet"]
    assert take_volume(words) == (Volume.USUAL, words)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb_names_both(verb, capsys):
    with suppress(SystemExit):
        main([verb, "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "--quiet prints results and errors alone; --verbose also what" in printed


def test_a_quiet_report_is_a_sentence_and_a_path(tmp_path, capsys):
    write_results(tmp_path / "results.json", run("hag", 0.25))
    (tmp_path / "curves.json").write_text("{")
    assert main(["report", str(tmp_path), "--quiet"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "photos, convnet, 32 bits: hag weakens retrieval, MAP falls from 0.900 to 0.250, by 72%.",
        f"1 runs: {tmp_path}/report/index.html",
    ]
    assert printed.err == ""


def test_an_attack_in_one_line():
    rows = [*run("dhta", 0.25), row(attack="dhta", value=0.9, iteration=0)]
    assert summary_line(rows) == (
        "dhta: MAP 0.9000 clean, 0.2500 attacked; t-MAP 0.1000 clean, 0.4500 attacked"
    )
    doubted = [row(metric="linf", value=0.1, warnings=["too short"])]
    assert summary_line(doubted) == "hag: largest change 0.1000 attacked; doubted, see its warnings"
    with pytest.raises(ValueError, match="no attack"):
        summary_line(run("hag", 0.2)[:3])


def test_the_traceback_of_wrong_input_is_shown_if_asked_for(tmp_path, capsys):
    assert main(["report", str(tmp_path / "absent")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(["--verbose", "report", str(tmp_path / "absent")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("error: ")


def caught():
    try:
        {}["a\x1b[31m"]
    except KeyError as error:
        return error


def test_a_fault_of_the_program_is_one_line_and_a_file(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(errors.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["lightning_hash", "fit"])
    error = caught()
    show_fault(type(error), error, error.__traceback__)
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(r"error: a fault of the program \(KeyError: .*test_volume.py:\d+\); ", line)
    (file,) = tmp_path.iterdir()
    assert line.endswith(f"; its traceback is in {file}")
    assert file.read_text().startswith("Traceback (most recent call last):")
    monkeypatch.setattr(sys, "argv", ["lightning_hash", "--verbose", "fit"])
    show_fault(type(error), error, error.__traceback__)
    assert capsys.readouterr().err.startswith("Traceback (most recent call last):")


@pytest.mark.parametrize(
    ("chosen", "shown"),
    [(Volume.QUIET, []), (Volume.USUAL, ["ours"]), (Volume.VERBOSE, ["ours", "theirs"])],
)
def test_notices_and_warnings(chosen, shown):
    def record(path, level=logging.INFO, text="x"):
        return logging.LogRecord("pytorch_lightning", level, path, 1, text, (), None)

    paths = {"ours": "/a/lightning_hash/b.py", "theirs": "/a/pytorch_lightning/b.py"}
    modules = {"ours": "lightning_hash.data.base", "theirs": "pytorch_lightning.trainer"}
    with speaking(chosen):
        assert [name for name, path in paths.items() if _is_said(record(path))] == shown
        assert _is_said(record(paths["theirs"], logging.ERROR))
        needed = record(paths["theirs"], text="Restoring states from the checkpoint path at a.ckpt")
        assert _is_said(needed) is bool(shown)
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            with fewer_warnings():
                for name, module in modules.items():
                    warnings.warn_explicit(name, UserWarning, "file", 1, module)
    assert [str(each.message) for each in heard] == shown


def process(folder, *words):
    line = [sys.executable, "-m", "lightning_hash", *words]
    return subprocess.run(line, capture_output=True, text=True, cwd=folder, check=False)


@pytest.mark.slow
def test_nothing_of_libraries_is_on_the_screen_unless_asked_for(tmp_path):
    """The demo's verbs, each in a process as a person starts them."""
    ours = (
        r"Restoring states from the checkpoint path at |"
        r"validation: |fit: epoch |hag: iteration |left out: |checkpoints/demo: the checkpoints of|"
        rf"{re.escape(lightning_hash.__path__[0])}/modules/doubts.py:\d+: doubtful: "
    )
    for words in (
        ["fit", *SMALL_DATA, *SHORT_FIT],
        ["attack", *SMALL_ATTACK, "--trainer.max_epochs=2"],
        ["encode", *SMALL_DATA, "--trainer.accelerator=cpu"],
        ["report", "runs/attack/hag"],
    ):
        ended = process(tmp_path, *words)
        assert ended.returncode == 0, ended.stderr
        assert [line for line in ended.stderr.splitlines() if not re.match(ours, line)] == []
        quiet = process(tmp_path, "--quiet", *words)
        assert quiet.stderr == ""
        assert 1 <= len(quiet.stdout.splitlines()) <= 2
    loud = process(tmp_path, "attack", "--verbose", *SMALL_ATTACK, "--trainer.max_epochs=2")
    assert "Seed set to 0" in loud.stderr
    assert "`Trainer.fit` stopped" in loud.stderr


def test_a_verb_of_the_demo_is_as_quiet_as_the_demo(monkeypatch, capsys):
    from lightning_hash.commands import demo

    heard = []

    def verb(name, _):
        heard.append((name, volume()))
        return 0

    monkeypatch.setattr(demo, "run_verb", verb)
    assert main(["demo", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert set(heard) == {(name, Volume.QUIET) for name in ("fit", "attack", "report")}
    assert run_verb.run_verb is not verb
