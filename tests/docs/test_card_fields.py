"""The page of the card has every field as the dataclasses have it."""

import dataclasses
import json

from lightning_hash.results.card_files import write_card
from tests.docs.card_fields import BEGIN, END, PAGE, PARTS, filled, kind_of, meanings
from tests.helpers.cards import card


def test_the_tables_are_those_of_the_dataclasses():
    text = PAGE.read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    assert text == filled(text), "run python -m tests.docs.card_fields"


def test_every_field_has_its_type_and_its_meaning():
    for part in PARTS:
        names = [field.name for field in dataclasses.fields(part)]
        assert sorted(meanings(part)) == sorted(names)
        assert all(len(said) > 8 for said in meanings(part).values())
    text = PAGE.read_text()
    assert "| `se` | number or null | its standard error over the queries;" in text
    assert "| `sees` | `gradients` or `logits` or `codes` or `distances` or `ids` | what" in text
    assert "| `untargeted` | [Side](#side) or null | MAP;" in text
    assert "| `smallest` | list of number or null | per query" in text
    assert kind_of(tuple[float, str]) == "pair of number and text"


def test_a_written_card_has_the_fields_of_the_page(tmp_path):
    content = json.loads(write_card(tmp_path, card()).read_text())
    section = PAGE.read_text().partition("### Card")[2].partition("### ")[0]
    named = [line.split("`")[1] for line in section.splitlines() if line.startswith("| `")]
    assert [*content] == [name for name in named if name != "queries"]
