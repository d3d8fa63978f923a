"""The page of the checks says what the code holds figures against."""

import re

import pytest

from lightning_hash.audits import believe
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "audit" / "believability.md").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
ROWS = dict(re.findall(r"^\| \[([\w-]+)\]\(#\1\) \| .* \| ([\d.]+) \|$", PAGE, re.MULTILINE))


def test_each_check_has_its_heading_and_no_other():
    assert sorted(HEADINGS) == sorted(believe.THRESHOLDS)
    assert sorted(ROWS) == sorted(believe.THRESHOLDS)


@pytest.mark.parametrize("name", believe.THRESHOLDS)
def test_thresholds_are_those_of_the_code(name):
    threshold = believe.THRESHOLDS[name]
    assert float(ROWS[name]) == threshold
    section = PAGE.split(f"## {name}\n")[1].split("\n## ")[0]
    if threshold:  # a threshold has its reason, which names it
        assert f"Threshold {threshold:g}" in section
    assert "What to do: " in section


def test_numbers_of_the_text_are_those_of_the_code():
    assert (believe.LONGER, believe.STARTS, believe.QUERIES, believe.ERRORS) == (5, 5, 20, 2)
    for words in ("five times the iterations on 20 queries", "from five random starts"):
        assert words in PAGE
