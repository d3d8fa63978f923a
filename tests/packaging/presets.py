"""Run by the Python of an installed wheel: every preset that ``--help`` lists, as a JSON object.

Prints, for each verb, what ``--print_config`` gives of each preset; of sweeps the number of runs.
"""

import contextlib
import io
import json
import re

import lightning_hash
from lightning_hash.__main__ import main


def run(*arguments):
    """Return what a command prints; one that fails ends the script."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        try:
            status = main(list(arguments))
        except SystemExit as ended:
            status = ended.code
    assert not status, (arguments, status)
    return output.getvalue()


def listed(verb, begin, end):
    text = re.sub(r"(?<=-)\s+", "", run(verb, "--help"))  # a name may be broken at its hyphen
    words = begin.replace(" ", r"\s+")  # which may be on two lines
    names = re.findall(rf"{words}:(.*?){end}", text, re.DOTALL)[0]
    return [name.strip() for name in names.split(",")]


def every_preset():
    found: dict = {"file": lightning_hash.__file__, "sweep": {}}
    for verb in ("fit", "attack"):
        names = listed(verb, "Presets of --config", r"\.\s*$")
        found[verb] = {name: run(verb, "--config", name, "--print_config") for name in names}
    spellings = ("attack/hag", "attack/hag.yaml", "configs/attack/hag.yaml")
    found["hag"] = [run("attack", "--config", name, "--print_config") for name in spellings]
    found["papers"] = len(run("sweep", "configs/papers/*.yaml", "--dry-run").splitlines())
    for name in listed("sweep", "presets", "options:"):
        found["sweep"][name] = len(run("sweep", name, "--dry-run").splitlines())
    return found


if __name__ == "__main__":
    print(json.dumps(every_preset()))
