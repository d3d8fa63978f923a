import re
import shlex
from pathlib import Path

import pytest

import lightning_hash
from lightning_hash.__main__ import main
from lightning_hash.commands import demo
from lightning_hash.results.runs import find_runs
from tests.helpers.commands import SMALL_DATA

ROOT = Path(lightning_hash.__file__).parent.parent


def test_commands_in_their_order_until_one_fails(monkeypatch, capsys):
    given = []

    def run(verb, arguments):
        given.append(shlex.join([verb, *arguments]))
        return 7 if "demo/p2p" in arguments else 0

    monkeypatch.setattr(demo, "run_verb", run)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert main(["demo", "--runs", "my runs"]) == 7
    assert given == [
        "fit --runs 'my runs'",
        "attack --runs 'my runs' --name demo/noise --config attack/noise.yaml",
        "attack --runs 'my runs' --name demo/hag --config attack/hag.yaml"
        " --config overlay/quick/sgd.yaml",
        "attack --runs 'my runs' --name demo/p2p --config attack/p2p.yaml"
        " --config overlay/quick/sign.yaml",
    ]
    assert capsys.readouterr().out.splitlines()[0] == f"$ lightning_hash {given[0]}"
    assert demo.os.environ["OMP_NUM_THREADS"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert main(["demo"]) == 7
    assert demo.os.environ["OMP_NUM_THREADS"] == "2"


def test_make_demo_is_the_verb():
    (recipe,) = re.findall(
        r"^demo:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    assert recipe == "\t$(PY) -m lightning_hash demo --runs $(RUNS)\n"


@pytest.mark.slow
def test_the_demo_in_small_from_an_empty_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    run = demo.run_verb
    small = {
        "fit": [*SMALL_DATA, "--trainer.max_epochs=2", "--trainer.accelerator=cpu"],
        "attack": [
            *SMALL_DATA, "--trainer.max_epochs=2", "--trainer.accelerator=cpu",
            "--model.n_queries=5",
        ],
        "report": [],
    }  # fmt: skip
    monkeypatch.setattr(demo, "run_verb", lambda v, line: run(v, [*line, *small[v]]))
    assert main(["demo"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"sample-photos, convnet, 32 bits: hag .* retrieval.*\.", printed[-2])
    assert printed[-1] == "4 runs: runs/report/demo/index.html"
    assert Path("runs/report/demo/index.html").stat().st_size < 2_000_000
    names = {row.name for run in find_runs([Path("runs")]) for row in run.rows if row.is_attack}
    assert names == {"noise", "hag", "p2p", "dhta"}
