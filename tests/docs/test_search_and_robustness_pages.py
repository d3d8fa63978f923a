"""The pages of search and robustness have the lists and fields of the code."""

import dataclasses
import re

import torch

from lightning_hash.codes.code_set import plain_code_set
from lightning_hash.codes.found import Found
from lightning_hash.data.harmless import TRANSFORMS, VERSION
from lightning_hash.functional.thresholds import default_threshold, random_match_rate
from lightning_hash.reports.search_answer import Items, answer_json
from lightning_hash.results.robustness import SCHEMA, FalseMatches, Robustness, TransformRow
from tests.docs.pages import ROOT

SEARCH, ROBUSTNESS = (
    (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("search", "robustness")
)


def table(page, heading):
    """Return the cells of each line of the table that begins with a heading."""
    lines = page.partition(f"\n| {heading} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def words(cells):
    return re.findall(r"`(\w+)`", cells)


def test_transforms_are_those_of_the_code():
    rows = {words(name)[0]: strengths for name, strengths, _ in table(ROBUSTNESS, "transform")}
    assert rows == {name: ", ".join(map(str, each.strengths)) for name, each in TRANSFORMS.items()}
    assert f"is the version of this list, now {VERSION}." in ROBUSTNESS
    found = re.search(r"(\d+) of 256, (\d+) of 64, (\d+) of 32\.", ROBUSTNESS)
    assert list(map(int, found.groups())) == [default_threshold(k) for k in (256, 64, 32)]


def test_fields_of_the_file_are_those_of_the_code():
    fields = [name for row in table(ROBUSTNESS, "field") for name in words(row[0])]
    of_file = ["schema", *(f.name for f in dataclasses.fields(Robustness))]
    of_rows = [f.name for f in dataclasses.fields(TransformRow)]
    assert sorted(fields) == sorted([*of_file, *of_rows])
    assert ["`schema`", str(SCHEMA)] in table(ROBUSTNESS, "field")
    (matches,) = (row[1] for row in table(ROBUSTNESS, "field") if row[0] == "`false_matches`")
    named = {f.name for f in dataclasses.fields(FalseMatches)}
    assert named == set(words(matches)) - {"null"}


def test_rates_of_random_codes_are_those_of_the_formula():
    pdq, phash = re.search(r"of random codes (\S+) and (\S+) of the pairs", ROBUSTNESS).groups()
    assert f"{random_match_rate(31, 256):.0e}" == pdq
    assert f"{random_match_rate(10, 64):.0e}".replace("e-0", "e-") == phash


def test_fields_of_an_answer_are_those_of_the_code():
    codes = plain_code_set(torch.ones(2, 8), torch.zeros(2, 0))
    rows = torch.zeros(1, 1, dtype=torch.int64)
    answer = answer_json(["a"], Found(codes.codes[:1], rows, rows, codes, "x"), Items(codes), "c")
    image = answer["images"][0]
    said = [name for row in table(SEARCH, "field") for name in words(row[0])]
    assert sorted(said) == sorted([*answer, *image])
    (results,) = (row[1] for row in table(SEARCH, "field") if row[0] == "`results`")
    assert words(results) == list(image["results"][0])
