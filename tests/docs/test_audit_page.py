"""The page of the audit has the threat models and the suite of the code."""

import re

import pytest

from lightning_hash.attacks import APGD, AlphaSchedule, Square
from lightning_hash.audits.curve import EPSILONS, LEVELS
from lightning_hash.audits.suite import TOP, V1, V1_QUICK, K
from lightning_hash.audits.threats import DEFAULT, THREATS
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "audit" / "index.md").read_text(encoding="utf-8")
NORMS = {"linf": "L-infinity", "l2": "L2"}


def rows(heading):
    """Return the cells of each line of the table that begins with a heading, by its first."""
    table = PAGE.partition(f"\n| {heading} |")[2].partition("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    return {first.strip("`"): rest for first, *rest in cells}


def threat_row(threat):
    questions = "" if threat.questions is None else f"{threat.questions:,}"
    return [NORMS[threat.norm], threat.epsilon, threat.sees, questions]


def member_row(member, quick):
    objective = member.objective()
    aimed = type(objective).__name__
    if member.targeted and getattr(objective, "targeted", None):
        aimed += ", targeted"
    step = member.options["step"].__name__ if "step" in member.options else "SGD"
    return [aimed, step, f"{member.iterations:,}", f"{quick.iterations:,}"]


def test_threat_models_are_those_of_the_code():
    assert rows("threat") == {name: threat_row(threat) for name, threat in THREATS.items()}
    assert f"Default: `{DEFAULT}`" in PAGE


def test_members_are_those_of_the_code_in_their_order():
    page = rows("member")
    assert list(page) == [member.name for member in V1.members]
    for member, quick in zip(V1.members, V1_QUICK.members, strict=True):
        *said, why = page[member.name]
        assert said == member_row(member, quick)
        assert len(why) > 20


def test_what_the_text_says_of_all_members_holds():
    slopes = [m.options.get("alpha") for m in V1.members if m.options.get("step") in (APGD, Square)]
    assert len(slopes) == len(V1.members) - 1
    assert all(AlphaSchedule([1.0], [0.0]).values == slope.values for slope in slopes)
    assert [m.name for m in V1.members if m.starts_at_random] == ["apgd-feature"]
    assert f"{V1.n_queries} queries are drawn by `--seed`, {V1_QUICK.n_queries} with" in PAGE
    assert f"first k = {K} results" in PAGE
    assert f"the first {K} that its clean code retrieves" in PAGE
    assert f"of the first {TOP} results" in PAGE
    *first, last = EPSILONS
    assert f"at {', '.join(map(str, first))} and {last} over 255" in PAGE
    assert f"of {LEVELS} levels" in PAGE


@pytest.mark.parametrize("name", ["linf-8", "hag"])
def test_a_changed_cell_is_noticed(name, monkeypatch):
    heading = "threat" if name in THREATS else "member"
    before = rows(heading)
    text = PAGE.replace("8/255 | gradients", "9/255 | gradients").replace("| 500 |", "| 501 |")
    monkeypatch.setitem(globals(), "PAGE", text)
    after = rows(heading)
    assert {key for key in before if before[key] != after[key]} == {name}


def test_links_lead_to_the_checks():
    assert {"more-iterations", "random-outputs"} <= set(re.findall(r"lity\.md#([\w-]+)", PAGE))
