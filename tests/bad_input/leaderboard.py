"""Cards of audits."""

import json
from pathlib import Path

from lightning_hash.results.card_files import write_card
from tests.bad_input import Case
from tests.bad_input.made import spoil, write_json
from tests.helpers.cards import card, queries

SIDE = "threats.0.untargeted"
WRONG = {
    "share": (f"{SIDE}.clean.value", 1.5, f"{SIDE}.clean.value must be from 0 to 1, got 1.5"),
    "text": (f"{SIDE}.clean.value", "1", f"{SIDE}.clean.value must be float or int, got '1'"),
    "nan": (f"{SIDE}.clean.value", float("nan"), f"{SIDE}.clean.value must be finite, got nan"),
    "huge": (f"{SIDE}.clean.n", 10**400, f"{SIDE}.clean.n must be at least -1e+100, got 1000"),
    "null": (f"{SIDE}.k", None, f"{SIDE}.k must be int, got None"),
    "broken": (f"{SIDE}.broken", 101, f"{SIDE}.broken must be from 0 to 100, got 101"),
    "worst": (
        f"{SIDE}.worst.value",
        0.5,
        "value must be at most that of hag, 0.012, got 0.5",
    ),
    "schema": ("schema", 7, "schema must be 1, got 7"),
    "norm": ("threats.0.norm", "l1", "threats.0.norm must be linf or l2, got 'l1'"),
    "epsilon": ("threats.0.epsilon", "8/0", "must be a positive number such as 8/255 or 0.5"),
    "name": ("threats.0.name", "../x", "threats.0.name must be at most 100 letters"),
    "empty": ("threats", [], "threats must not be empty, got []"),
    "check": ("checks.0.failed", "no", "checks.0.failed must be bool, got 'no'"),
    "bits": ("victim.bits", 0, "victim.bits must be at least 1, got 0"),
    "extra": ("extra", 1, "extra is no field; known are schema, suite"),
    "about": ("about.url", "x", "about.url is no field; known are id, paper"),
    "id": ("about.id", "../../a", "about.id must be at most 100 letters"),
}
SPOILT = {
    "empty": "it is empty", "half": "is no JSON: line", "random": "no UTF-8 text",
    "deep": "nested too deeply", "list": "must be a mapping, got []",
    "folder": "card.json does not exist",
}  # fmt: skip
ADD = "leaderboard {tmp}/new --id a --by me --add {tmp}/cards"


def prepare(folder: Path) -> None:
    good = card(about={"id": "good", "by": "me"})
    path = write_card(folder / "board/good.json", good)
    content = json.loads(path.read_text())
    for name, (place, value, _) in WRONG.items():
        write_json(folder / "cards" / f"{name}.json", _changed(content, place, value))
    write_card(folder / "table", card(queries=queries()))
    table = folder / "table/queries.csv"
    table.write_text(table.read_text().replace("0.4,hag", "0.5,hag"))
    spoil(path, folder / "spoilt", " ".join(SPOILT))
    (folder / "none").mkdir()
    write_card(folder / "mixed/good.json", good)
    write_card(folder / "mixed/other.json", good)


def _changed(content: object, place: str, value: object) -> object:
    whole = json.loads(json.dumps(content))
    part, (*keys, last) = whole, place.split(".")
    for key in keys:
        part = part[int(key)] if isinstance(part, list) else part[key]
    part[last] = value
    return whole


CASES: list[Case] = [
    *(
        (f"{ADD}/{name}.json", 1, (f"cards/{name}.json", words))
        for name, (*_, words) in WRONG.items()
    ),
    *(
        (f"leaderboard {{tmp}}/new --id a --by me --add {{tmp}}/spoilt/{kind}/good.json", 1,
         (f"{kind}/good.json", words))
        for kind, words in SPOILT.items()
    ),
    ("leaderboard {tmp}/new --id a --by me --add {tmp}/table", 1,
     ("table/queries.csv", "linf-8/worst must have the mean that the card says")),
    ("leaderboard {tmp}/new --id a --by me --add {tmp}/absent", 1,
     ("absent/card.json does not exist", "audit writes one")),
    ("leaderboard {tmp}/new --id a --add {tmp}/board/good.json --by ' '", 1, ("--by is missing",)),
    ("leaderboard {tmp}/new --add {tmp}/cards/share.json --id", 2, ("--id: the value is missing",)),
    ("leaderboard {tmp}/new --add {tmp}/board/good.json --id a/b", 1,
     ("--id must be at most 100 letters", "got 'a/b'")),
    ("leaderboard {tmp}/board --add {tmp}/board/good.json", 1,
     ("good.json is there already", "another --id")),
    ("leaderboard {tmp}/board --id a", 1, ("--id is said of a card that is added", "--add")),
    ("leaderboard {tmp}/absent", 1, ("absent is no folder", "--add")),
    ("leaderboard {tmp}/none", 1, ("none holds no cards", "--add")),
    ("leaderboard {tmp}/data.yaml", 1, ("data.yaml is no folder",)),
    ("leaderboard {tmp}/board --output {tmp}/data.yaml", 1, ("is a file", "--output")),
    ("leaderboard {tmp}/board --outptu x", 2, ("--outptu: there is no such option", "--output")),
    ("leaderboard {tmp}/mixed --output {tmp}/page", 0,
     ("left out: ", "mixed/other.json", "about.id must be the file's name, 'other'")),
]  # fmt: skip
