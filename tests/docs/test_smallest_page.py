"""The page of the smallest epsilon has the fields of the file, and the rounds of the code."""

import dataclasses
import json
import math
import re

from lightning_hash.results.smallest import SCHEMA, LevelRun, QuerySmallest, Smallest
from tests.docs.pages import ROOT
from tests.docs.test_search_and_robustness_pages import table, words

PAGE = (ROOT / "docs" / "smallest.md").read_text(encoding="utf-8")


def test_fields_are_those_of_the_file(tmp_path):
    query = QuerySmallest(0, "", 1, 2, 3, None)
    run = LevelRun(1, 1, 1, 1, 0.0, "level-001")
    made = Smallest(2, False, 8, 8, {"name": "a"}, {}, {}, {}, (run,), (query,))
    content = json.loads(made.write(tmp_path).read_text())
    of_file = [*content, *dataclasses.asdict(run), *dataclasses.asdict(query)]
    said = [name for row in table(PAGE, "field of `smallest.json`") for name in words(row[0])]
    assert sorted(said) == sorted(of_file)
    assert content["schema"] == SCHEMA
    assert ["`schema`", str(SCHEMA)] in table(PAGE, "field of `smallest.json`")
    (columns,) = (row[1] for row in table(PAGE, "file") if row[0] == "`smallest.csv`")
    assert words(columns) == (tmp_path / "smallest.csv").read_text().splitlines()[0].split(",")


def test_rounds_are_those_of_the_formula():
    few, all_levels = re.search(r"(\d+) of 32 levels and (\d+) of all 255", PAGE).groups()
    assert int(few) == math.ceil(math.log2(33))
    assert int(all_levels) == math.ceil(math.log2(256))
