"""What a person is told who mistypes an option or a config: one line, ours, with the names."""

import logging
import shlex
from collections import Counter

import pytest
import yaml

from lightning_hash.__main__ import main
from lightning_hash.commands.table import VERBS
from tests.bad_input.options import CASES, prepare

FOREIGN = ("Union subtypes", "Traceback", "jsonargparse", "NestedArg", "Namespace(", "Parser key")
LONGEST = 320


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("bad")
    prepare(place)
    return place


@pytest.fixture
def there(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def run(line, capsys):
    """Return the exit status and what stands on stderr."""
    capsys.readouterr()
    try:
        status = main(shlex.split(line))
    except SystemExit as ended:
        status = ended.code
    return status, capsys.readouterr().err


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0][:60])
def test_a_mistake_is_one_line(there, capsys, case):
    line, status, words = case
    found, said = run(line.replace("{tmp}", str(there)), capsys)
    last = said.rstrip("\n").rpartition("\n")[2]
    assert last.startswith("error: ")
    assert found == status, last
    for word in words:
        assert word in last
    assert len(last) <= LONGEST
    for foreign in FOREIGN:
        assert foreign not in said
    assert "usage:" not in said


def test_every_verb_has_cases():
    counts = Counter(line.split()[0] for line, _, _ in CASES)
    assert set(counts) == set(VERBS)
    assert len(CASES) >= 200
    assert len({line for line, _, _ in CASES}) == len(CASES)
