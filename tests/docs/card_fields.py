"""The tables of docs/audit/card.md; ``python -m tests.docs.card_fields`` writes them there."""

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Mapping

from lightning_hash.results import card_parts
from lightning_hash.results.card import Card
from lightning_hash.utils.whole_file import write_whole
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "audit" / "card.md"
BEGIN, END = "<!-- fields -->", "<!-- /fields -->"
PARTS = (
    Card, card_parts.ThreatResult, card_parts.Side, card_parts.MemberResult, card_parts.Estimate,
    card_parts.Point, card_parts.Check, card_parts.QueryResult,
)  # fmt: skip
PLAIN = {
    float: "number",
    int: "whole number",
    str: "text",
    bool: "true or false",
    typing.Any: "any",
}


def tables():
    """Return a heading and a table for each part of a card."""
    return "\n\n".join(f"### {part.__name__}\n\n{table(part)}" for part in PARTS)


def table(part):
    hints = typing.get_type_hints(part)
    said = meanings(part)
    rows = [
        f"| `{field.name}` | {kind_of(hints[field.name])} | {said[field.name]} |"
        for field in dataclasses.fields(part)
    ]
    return "\n".join(["| field | type | what it is |", "| --- | --- | --- |", *rows])


def meanings(part):
    """Return what the docstring says of each attribute, in Markdown."""
    text = inspect.cleandoc(part.__doc__).partition("Attributes:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^    (\w+): (.*(?:\n {8,}.*)*)", text, re.MULTILINE)
    return {name: markdown(" ".join(said.split())) for name, said in found}


def markdown(text):
    text = re.sub(r":class:`(\w+)`", lambda m: f"[{m[1]}](#{m[1].lower()})", text)
    text = re.sub(r":\w+:`~?([\w.]+)`", r"`\1`", text)
    return text.replace("``", "`").replace("`None`", "`null`").replace("|", "\\|")


def kind_of(hint):
    """Say in words of JSON what an annotation allows."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if dataclasses.is_dataclass(hint):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    if origin is types.UnionType:
        return " or ".join("null" if each is types.NoneType else kind_of(each) for each in inner)
    if origin is typing.Literal:
        return " or ".join(f"`{each}`" for each in inner)
    if origin is tuple and inner[-1] is Ellipsis:
        return f"list of {kind_of(inner[0])}"
    if origin is tuple:
        return f"pair of {' and '.join(map(kind_of, inner))}"
    if origin is Mapping:
        return "mapping" if inner[1] is typing.Any else f"mapping of {kind_of(inner[1])}"
    return PLAIN[hint]


def filled(text):
    return re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n{tables()}\n{END}", text, flags=re.DOTALL)


if __name__ == "__main__":
    write_whole(PAGE, filled(PAGE.read_text()).encode())
