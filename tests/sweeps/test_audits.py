"""Audits as runs of a sweep: their commands, and when they are finished."""

import json
from pathlib import Path

import pytest

from lightning_hash.results.card_files import write_card
from lightning_hash.sweeps.command import command_of
from lightning_hash.sweeps.plan import read_plan
from lightning_hash.sweeps.record import begin, complete, finished, folder_of, made_by
from tests.helpers.cards import card, queries
from tests.helpers.processes import finish, start

PLAN = """
runs:
  victim: {verb: fit, options: {model.bits: "{bits}"}}
  audit:
    verb: audit
    config: []
    options: {model.victim: "@victim", threats: [linf-4, linf-8], quick: true, n_queries: 4}
demo: [{run: audit, bits: 8}]
full: [{run: audit, bits: [8, 16]}]
"""


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return read_plan([path], "demo")


def test_the_command_gives_lists_as_words_and_flags_alone(plan):
    victim, audit = plan
    assert command_of(audit, Path("r"), Path("cpu.yaml"))[3:] == [
        "audit", f"--model.victim=r/checkpoints/{victim.digest}/best.ckpt", "--threats", "linf-4",
        "linf-8", "--quick", "--n_queries=4", "--runs", "r", "--name", audit.digest,
    ]  # fmt: skip


def test_an_audit_is_finished_with_its_card(plan, tmp_path):
    victim, audit = plan
    begin(victim, tmp_path)
    folder_of(victim, tmp_path).mkdir(parents=True)
    (folder_of(victim, tmp_path) / "best.ckpt").write_text("trained")
    complete(victim, tmp_path)
    begin(audit, tmp_path)
    place = folder_of(audit, tmp_path)
    killed, whole = place / "version_0", place / "version_1"
    killed.mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"card\.json is missing, although the run ended"):
        complete(audit, tmp_path)
    write_card(whole, card(queries=queries()))
    complete(audit, tmp_path)
    assert finished(audit, tmp_path)
    assert made_by(audit, tmp_path) == whole
    assert not killed.exists()
    table = (whole / "queries.csv").read_text()
    (whole / "queries.csv").write_text(table.replace("0", "1", 1))
    assert not finished(audit, tmp_path)
    (whole / "queries.csv").write_text(table)
    content = json.loads((whole / "card.json").read_text())
    content["suite"] = "v2"
    (whole / "card.json").write_text(json.dumps(content))
    assert not finished(audit, tmp_path)
    begin(audit, tmp_path)
    with pytest.raises(ValueError, match='suite is "v2", but was "v1" when this configuration'):
        complete(audit, tmp_path)


@pytest.mark.slow
def test_a_sweep_of_audits_and_the_same_command_again(tmp_path):
    (tmp_path / "plan.yaml").write_text(
        PLAN.replace('model.bits: "{bits}"', 'model.bits: "{bits}", trainer.max_epochs: 1')
        .replace("[linf-4, linf-8]", "[linf-8]")
        .replace("n_queries: 4", "n_queries: 4, curve: []")
    )
    line = ["sweep", "plan.yaml", "--scale", "demo", "--runs", "r"]
    assert "2 runs made, 0 failed" in finish(start(tmp_path, *line))
    (place,) = (tmp_path / "r" / "audit").glob("*/version_0/card.json")
    before = place.stat().st_mtime_ns
    assert "2 of them finished before" in finish(start(tmp_path, *line))
    assert place.stat().st_mtime_ns == before
