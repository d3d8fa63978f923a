"""Bars on a terminal, a line now and then elsewhere."""

import io
import sys
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console

from lightning_hash.engine.callbacks import PassProgress
from lightning_hash.functional.ranking import Measure, make_ranking, measure
from lightning_hash.utils import progress
from lightning_hash.utils.progress import steps, tracked, watched
from lightning_hash.utils.volume import Volume, speaking


@pytest.fixture
def terminal(monkeypatch):
    """A terminal in place of stderr; what was drawn on it."""
    drawn = io.StringIO()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    make = progress.make_bar

    def on_terminal(console=None, **options):
        console = Console(file=drawn, force_terminal=True, width=100)
        return make(console, **options)

    monkeypatch.setattr(progress, "make_bar", on_terminal)
    monkeypatch.setattr("lightning_hash.engine.callbacks.progress.make_bar", on_terminal)
    return drawn


def test_a_bar_on_a_terminal_counts_and_says_what(terminal):
    assert list(tracked(iter("abc"), 3, "looking at [old]\x1b[2J")) == ["a", "b", "c"]
    drawn = terminal.getvalue()
    assert "looking at [old]\\x1b[2J" in drawn
    assert "3/3" in drawn
    assert "0:00:00" in drawn  # the time that is left
    with speaking(Volume.QUIET):
        before = terminal.getvalue()
        assert list(tracked("ab", 2, "letters")) == ["a", "b"]
        assert terminal.getvalue() == before


def test_without_a_terminal_a_line_now_and_then(monkeypatch, capsys):
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    list(tracked(range(5), 5, "figures"))  # at 20, 40, 60, 80 and 100 s
    assert capsys.readouterr().err.splitlines() == ["figures: 2/5", "figures: 4/5"]
    with speaking(Volume.QUIET):
        list(tracked(range(5), 5, "figures"))
    assert capsys.readouterr().err == ""


def test_inner_loops_are_shown_where_somebody_watches(terminal):
    assert list(steps([1, 2])) == [1, 2]
    codes, labels = torch.ones(3, 8), torch.ones(3, 2)
    ranking = make_ranking(codes, codes, labels, labels)
    measure(ranking, [Measure(lambda chunk: chunk.hits_at(1), 1)])
    assert terminal.getvalue() == ""
    with watched("ranking"):
        measure(ranking, [Measure(lambda chunk: chunk.hits_at(1), 1)])
    assert "ranking" in terminal.getvalue()
    assert "1/1" in terminal.getvalue()


def test_passes_of_a_trainer(terminal):
    trainer = SimpleNamespace(
        is_global_zero=True, num_predict_batches=[2, 3], num_test_batches=[4]
    )  # fmt: skip
    bar = PassProgress()
    for loader, total in enumerate(trainer.num_predict_batches):
        for number in range(total):
            bar.on_predict_batch_end(trainer, None, None, None, number, loader)
    bar.on_predict_end(trainer, None)
    for number in range(4):
        bar.on_test_batch_end(trainer, None, None, None, number)
    bar.on_test_end(trainer, None)
    drawn = terminal.getvalue()
    assert drawn.count("encoding") >= 2
    for said in ("2/2", "3/3", "scoring", "4/4", "batches"):
        assert said in drawn
    bar.disable()
    before = terminal.getvalue()
    bar.on_test_batch_end(trainer, None, None, None, 0)
    assert terminal.getvalue() == before
