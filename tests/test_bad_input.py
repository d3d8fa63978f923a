"""Every bad input of the table ends in one line that names it, and leaves nothing behind."""

import importlib
import os
import pkgutil
import shlex
import sys
import warnings
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

import tests.bad_input
from lightning_hash.__main__ import main
from lightning_hash.commands.table import VERBS
from tests.bad_input.made import lay_out, make

MODULES = {
    name: module
    for _, name, _ in pkgutil.iter_modules(tests.bad_input.__path__)
    if hasattr(module := importlib.import_module(f"tests.bad_input.{name}"), "CASES")
}
TABLE = [(name, *case) for name, module in MODULES.items() for case in module.CASES]
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# What libraries say, and nobody who mistypes wants to read.
FOREIGN = ("Union subtypes", "Traceback", "jsonargparse", "Namespace(", "Parser key", "usage:")
FINISHED = ("results.json", "*.ckpt", "*.safetensors", "index.html", "*.sh")
_watched: list[str] | None = None


def _note(event, arguments):
    if _watched is None:
        return
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES:
        _watched.append(arguments[0])
    elif event in ("os.mkdir", "os.rename", "os.link", "os.symlink"):
        made = arguments[0 if event == "os.mkdir" else 1]
        if not os.path.lexists(made):
            _watched.append(made)


sys.addaudithook(_note)


@contextmanager
def writes():
    """Yield the list of paths that are written to meanwhile."""
    global _watched
    _watched = found = []
    try:
        yield found
    finally:
        _watched = None


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "files"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        make(folder)
    return folder


@pytest.fixture(scope="module")
def place_of(made, tmp_path_factory):
    """Return the prepared folder of a module's cases, each prepared once."""
    known = {}

    def place(name):
        if name not in known:
            known[name] = tmp_path_factory.mktemp(name) / "files"
            lay_out(made, known[name])
            getattr(MODULES[name], "prepare", lambda folder: None)(known[name])
        return known[name]

    return place


def finished_files(folder):
    return {path for pattern in FINISHED for path in folder.rglob(pattern)}


def left_outside(path, folder):
    """Return whether something that was written is there, and not below a folder."""
    if not isinstance(path, str | bytes | os.PathLike):
        return False  # a descriptor
    real = Path(os.path.realpath(os.fsdecode(path)))
    if real.is_relative_to(folder.parent) or real == Path(os.devnull):
        return False
    return "__pycache__" not in real.parts and os.path.lexists(real)


@pytest.mark.parametrize(
    ("module", "line", "status", "words"),
    TABLE,
    ids=[f"{name}: {', '.join(words)}" for name, _, _, words in TABLE],
)
def test_a_bad_input_ends_in_one_line(module, line, status, words, place_of, capsys, monkeypatch):
    folder = place_of(module)
    monkeypatch.chdir(folder)
    before = finished_files(folder)
    capsys.readouterr()
    with writes() as written, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = main(shlex.split(line.replace("{tmp}", str(folder))))
        except SystemExit as end:
            found = end.code
    printed = capsys.readouterr().err
    last = (printed.strip().splitlines() or [""])[-1]
    assert found == status, printed
    assert [each for each in FOREIGN if each in printed] == []
    for word in words:
        assert word.replace("{tmp}", str(folder)) in last
    if status:  # report says what it left out, and ends well
        assert last.startswith("error: ")
        assert printed.count("error: ") == 1
    if status:
        assert finished_files(folder) == before
    assert [path for path in written if left_outside(path, folder)] == []


def test_the_table_is_as_large_as_was_asked_for():
    verbs = Counter(line.split()[0] for _, line, _, _ in TABLE)
    assert sum(verbs.values()) >= 200
    assert {verb: verbs[verb] for verb in VERBS if verbs[verb] < 20} == {}
    assert all(words for _, _, _, words in TABLE)
    assert len({line for _, line, _, _ in TABLE}) == len(TABLE)
