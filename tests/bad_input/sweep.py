"""Sweep files: kinds of values, missing parts, and what lies in the sweep's folder."""

import copy
from pathlib import Path

import yaml

from tests.bad_input import Case
from tests.bad_input.made import changed

GOOD = {
    "runs": {
        "v": {"verb": "fit", "config": ["fit/hag"], "options": {"model/bits": "{bits}"}},
        "a": {"verb": "attack", "config": ["attack/hag"], "options": {"model/victim": "@v"}},
    },
    "full": [{"run": "a", "bits": [8, 16]}],
}
WRONG = {
    "verb": (
        "runs.v.verb",
        "test",
        "runs, v: verb must be one of fit, attack, transfer, audit, got 'test'",
    ),
    "config_text": ("runs.v.config", "fit/hag", "runs, v: config must be a list of files"),
    "config_number": (
        "runs.v.config",
        3,
        "config must be a list of files, such as [attack/hag], got 3",
    ),
    "config_null": ("runs.v.config", None, "config must be a list of files"),
    "config_nested": ("runs.v.config", [["x"]], "config must be a list of files"),
    "config_absent": ("runs.v.config", ["absent"], "full, entry 1: config absent does not exist"),
    "config_value": ("runs.v.config", ["{bits}"], "config must name files, got 8"),
    "options_text": (
        "runs.v.options",
        "x",
        "runs, v: options must be a mapping of names and values",
    ),
    "options_list": (
        "runs.v.options",
        [3],
        "options must be a mapping of names and values, got [3]",
    ),
    "options_null": (
        "runs.v.options",
        None,
        "options must be a mapping of names and values, got None",
    ),
    "options_dots": ("runs.v.options", {"a..b": 1}, "options must be a mapping of names"),
    "options_number": ("runs.v.options", {3: 1}, "key 3 is read as int, not as a text"),
    "options_nan": ("runs.v.options", {"x": float("nan")}, "options.x must be finite, got nan"),
    "values": (
        "runs.v.values",
        [],
        "runs, v: values must be a mapping of names and values, got []",
    ),
    "run": ("runs.v", 3, "runs, v must be a mapping, got 3"),
    "key": ("runs.v", {"verb": "fit", "optons": {}}, "runs, v: unknown key 'optons'"),
    "runs": ("runs", [], "runs must be a mapping of names and runs"),
    "runs_path": ("runs", "absent", "sweep file absent does not exist"),
    "scale": ("full", {"run": "a"}, "full must be a list of at least one entry"),
    "scale_empty": ("full", [], "full must be a list of at least one entry, got []"),
    "entry": ("full.0", "a", "full, entry 1: must be a mapping with a key run, got 'a'"),
    "entry_null": ("full.0", None, "full, entry 1: must be a mapping with a key run, got None"),
    "name": ("full.0.run", 3, "full, entry 1: there is no run 3; there are: v, a"),
    "name_nested": ("full.0.run", [["a"]], "full, entry 1: there is no run ['a']"),
    "grid": ("full.0.bits", [], "full, entry 1: bits is an empty list; give at least one value"),
    "unused": ("full.0.bit", 3, "full, entry 1: no option of a or of what it needs has {bit}"),
    "value": ("runs.v.options", {"x": "{y}"}, "full, entry 1: run v has no value of y"),
    "reference": ("runs.a.options", {"x": "@w"}, "full, entry 1: there is no run 'w'"),
    "reference_empty": ("runs.a.options", {"x": "@"}, "full, entry 1: there is no run ''"),
    "reference_value": ("runs.a.options", {"x": "@v bits=["}, "a quote or bracket is not closed"),
    "itself": ("runs.v.options", {"x": "@v"}, "full, entry 1: run v needs itself"),
}
TEXTS = {
    "list": ("[]", "must be a mapping, got list"),
    "tab": ("runs:\n\tv: 3\n", "is no YAML: line 2"),
    "python": ("a: !!python/name:os.system\n", "is no YAML: line 1"),
}


def prepare(folder: Path) -> None:
    for name, (path, value, _) in WRONG.items():
        content = changed(copy.deepcopy(GOOD), path, value)
        text = yaml.safe_dump(content, sort_keys=False).replace("model/", "model.")
        (folder / f"{name}.yaml").write_text(text)
    (folder / "good.yaml").write_text(yaml.safe_dump(GOOD).replace("model/", "model."))
    for name, (text, _) in TEXTS.items():
        (folder / f"{name}.yaml").write_text(text)


CASES: list[Case] = [
    *(
        (f"sweep {{tmp}}/{name}.yaml --dry-run --runs {{tmp}}/s", 1, (words,))
        for name, (_, _, words) in WRONG.items()
    ),
    *(
        (f"sweep {{tmp}}/{name}.yaml --dry-run", 1, (f"{name}.yaml", words))
        for name, (_, words) in TEXTS.items()
    ),
    ("sweep {tmp}/absent.yaml --dry-run", 1, ("sweep file {tmp}/absent.yaml does not exist",)),
    ("sweep {tmp}/good.yaml --scale demo --dry-run", 1, ("demo must be a list", "got None")),
    ("sweep {tmp}/good.yaml --trainer absent --dry-run", 1, ("trainer: config absent does not",)),
    ("sweep {tmp}/good.yaml --jobs 0", 1, ("jobs must be at least 1, got 0",)),
    ("sweep {tmp}/good.yaml --only zz --dry-run", 1, ("--only zz: there is no run", "there are")),
    (
        "sweep {tmp}/good.yaml --runs {tmp}/data.yaml",
        1,
        ("--runs {tmp}/data.yaml cannot be written",),
    ),
    (
        "sweep {tmp}/good.yaml --slurm {tmp}/data",
        1,
        ("--slurm {tmp}/data cannot be written", "folder"),
    ),
]
