"""Run folders and the files in them."""

import json
from pathlib import Path

from tests.bad_input import Case
from tests.bad_input.made import changed, copy_run, spoil, write_json

WRONG = {
    "share": ("value", 1.5, "value must be from 0 to 1, got 1.5"),
    "negative": ("value", -0.1, "value must be from 0 to 1, got -0.1"),
    "text": ("value", "0.5", "value must be float or int, got '0.5'"),
    "null": ("value", None, "value must be float or int, got None"),
    "nan": ("value", float("nan"), "value must be finite, got nan"),
    "count": ("n", -3, "n must be from 1 to 6, got -3"),
    "more": ("n", 7, "n must be from 1 to 6, got 7"),
    "empty": ("n_empty", 99, "n_empty must be from 0 to 6, got 99"),
    "error": ("se", -1.0, "se must be at least 0, got -1.0"),
    "iteration": ("iteration", -1, "iteration must be at least 0, got -1"),
    "quantized": ("quantized", 1, "quantized must be bool, got 1"),
    "metric": ("metric", "", "metric and attack.name must not be empty"),
    "schema": ("schema", 9, "schema must be 2, got 9"),
    "field": ("extra", 3, "unknown field 'extra'"),
    "victim": ("victim", [], "victim must be Mapping, got []"),
    "bits": ("victim.bits", 0, "victim.bits must be at least 1, got 0"),
    "backbone": ("victim.backbone", {"a": 1}, "victim.backbone must be str or null"),
    "kernels": ("run.kernels", {"a": 1}, "run.kernels must be str or null"),
    "ranking": ("ranking.top_k", 0, "ranking.top_k must be at least 1, got 0"),
    "shape": ("data.input_shape", ["x"], "input_shape must hold positive whole numbers"),
    "warnings": ("warnings", [3], "warnings must be texts, got [3]"),
}
SPOILT = {
    "empty": "it is empty",
    "half": "is no JSON: line",
    "random": "no UTF-8 text",
    "nul": "is no JSON",
    "utf16": "no UTF-8 text",
    "latin1": "no UTF-8 text",
    "deep": "nested too deeply",
    "list": "holds no rows",
    "null": "list of result rows, got NoneType",
    "folder": "directory",
}


def prepare(folder: Path) -> None:
    rows = json.loads((folder / "run/results.json").read_text())
    for name, (path, value, _) in WRONG.items():
        write_json(folder / "rows" / name / "results.json", changed(rows, f"0.{path}", value))
    other = {**rows[-1], "value": rows[-1]["value"] + 0.01}
    write_json(folder / "rows/twice/results.json", [*rows, other])
    text = json.dumps(rows).replace('"value"', '"value": 0.1, "value"')
    write_json(folder / "rows/key/results.json", text)
    late = [{**row, "iteration": 9} if row["attack"] else row for row in rows]
    write_json(folder / "rows/late/results.json", late)
    nested = changed(rows, "0.run.kernels", json.loads("[" * 200 + "]" * 200))
    write_json(folder / "rows/nested/results.json", nested)
    write_json(
        folder / "rows/missing/results.json", [{k: v for k, v in rows[0].items() if k != "n"}]
    )
    write_json(folder / "rows/lists/results.json", [rows])
    spoil(folder / "run/results.json", folder / "spoilt", " ".join(SPOILT))
    for place in ("a", "b"):
        clean = [row for row in rows if row["attack"] is None]
        write_json(folder / f"some/{place}/results.json", clean)
    write_json(folder / "some/b/results.json", "[")
    copy_run(folder, "unfinished")
    (folder / "runs/unfinished/results.json").unlink()
    (folder / "README.md").write_bytes(b"<!-- results -->\ncaf\xe9\n<!-- /results -->\n")
    (folder / "NO.md").write_text("nothing\n")


CASES: list[Case] = [
    *(
        (f"report {{tmp}}/rows/{name}", 1, (f"rows/{name}/results.json", "row 0", words))
        for name, (_, _, words) in WRONG.items()
    ),
    ("report {tmp}/rows/twice", 1, ("twice/results.json", "row 27", "in row 26", "same settings")),
    ("report {tmp}/rows/key", 1, ("key/results.json", "'value' stands twice")),
    ("report {tmp}/rows/late", 1, ("at most attack.iterations, 2, got 9",)),
    ("report {tmp}/rows/nested", 1, ("row 0", "run.kernels", "nested too deeply")),
    ("report {tmp}/rows/missing", 1, ("row 0: field n is missing",)),
    ("report {tmp}/rows/lists", 1, ("row 0: must be a mapping, got list",)),
    *(
        (f"report {{tmp}}/spoilt/{kind}", 1, (f"{kind}/results.json", words))
        for kind, words in SPOILT.items()
    ),
    ("report {tmp}/some --output {tmp}/page", 0, ("left out: ", "b/results.json", "is no JSON")),
    ("report {tmp}/runs/unfinished", 1, ("has no results.json", "stopped before its end")),
    ("report {tmp}/absent", 1, ("absent is no folder",)),
    ("report {tmp}/data.yaml", 1, ("data.yaml is no folder",)),
    ("report {tmp}/data", 1, ("data holds no results.json",)),
    (
        "report {tmp}/run --output {tmp}/data.yaml",
        1,
        ("report {tmp}/data.yaml", "is a file", "--output"),
    ),
    (
        "report {tmp}/run --output {tmp}/p --readme {tmp}/README.md",
        1,
        ("README.md:2", "no UTF-8 text"),
    ),
    ("report {tmp}/run --output {tmp}/p --readme {tmp}/NO.md", 1, ("NO.md must hold", "results")),
    (
        "report {tmp}/run --output {tmp}/p --readme {tmp}/absent.md",
        1,
        ("absent.md does not exist",),
    ),
    ("report {tmp}/run --outptu x", 2, ("--outptu: there is no such option; there are: --output",)),
]
