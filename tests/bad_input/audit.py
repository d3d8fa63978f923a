"""Audits: threats, numbers, victims, data, and folders of audits."""

import shutil
from pathlib import Path

from lightning_hash.__main__ import main
from tests.bad_input import Case

AUDIT = "audit --config {tmp}/data.yaml --quick --accelerator cpu"
ON = f"{AUDIT} --model.victim {{tmp}}/v.ckpt"
HERE = f"{ON} --runs {{tmp}}/o"
OPTIONS = {
    "--threats linf-9": "threats: 'linf-9' is no threat model; there are: linf-2",
    "--threats linf-8 linf-8": "threats must be one or several different names",
    "--only linf-4": "--only must name some of --threats linf-8, got 'linf-4'",
    "--only x": "threats: 'x' is no threat model; there are: linf-2",
    "--n_queries 0": "n_queries must be at least 1, got 0",
    "--batch_size 0": "batch_size must be at least 1, got 0",
    "--seed -1": "--seed must be at least 0, got -1",
    "--devices 0": "devices",
    "--accelerator tpux": "accelerator",
    "--name ../x": "--name must stay below its folder",
    "--name ''": "--name must stay below its folder",
    "--curve -1": "curve",
    "--curve x": "curve",
    "--curve 1/255 1/255": "curve",
    "--curve 9": "curve",
    "--kernels fast": "kernels",
    "--checkpoint_every 0": "checkpoint_every must be at least 1, got 0",
    "--ranking.top_k 0": "top_k must be a positive whole number",
    "--data.query '9 from nothing'": "nothing",
}
VICTIMS = {
    "{tmp}/absent.ckpt": "absent.ckpt does not exist",
    "{tmp}/attack.ckpt": "checkpoint of kind 'attack'",
    "{tmp}/data.yaml": "data.yaml",
    "'{source: absent.pth, backbone: convnet, bits: 8}'": "absent.pth does not exist",
    "'{source: 3}'": "source must be a text, got 3",
}


UNKNOWN = {
    "--ranking.ties x": "--ranking.ties: there is no 'x'; there are: expected, stable",
    "--model.objective HAG": "--model.objective is an option of attack and smallest, not of audit",
    "--quick=3": "--quick must be true or false, got '3'",
    "--smalest": "--smalest: there is no such option; there are: --smallest",
}
SHORT = f"{AUDIT} --model.victim {{tmp}}/v.ckpt --n_queries 2 --curve"
DAMAGED = {  # a file of a killed audit, what becomes of it, and what is said
    "asked": ("audit.json", "{", "what was asked"),
    "ended": ("linf-8/noise/member.json", "{", "noise/member.json"),
    "listed": ("linf-8/noise/member.json", "[]", "does not say which queries no gradient"),
    "flat": ("linf-8/noise/member.json", '{"flat": ["x"]}', "does not say which queries no gra"),
    "questions": (
        "linf-8/noise/member.json",
        '{"flat": [], "questions": {"0": "x"}}',
        "does not say how many questions were asked",
    ),
    "other": ("linf-8/noise/member.json", '{"flat": []}', "holds another attack than is run here"),
    "codes": ("linf-8/hag/codes.safetensors", None, "hag/codes.safetensors cannot be read"),
    "rows": ("linf-8/hag/results.json", None, "hag/results.json"),
    "none": ("linf-8/square/codes.safetensors", "", "square/codes.safetensors"),
}


def prepare(folder: Path) -> None:
    (folder / "file").write_text("x")
    line = SHORT.replace("{tmp}", str(folder)).split()
    assert main([*line, "--runs", f"{folder}/made"]) == 0
    made = folder / "made/audit/audit/version_0"
    (made / "card.json").unlink()
    for name, (file, text, _) in DAMAGED.items():
        place = folder / "d" / name / "audit/audit/version_0"
        shutil.copytree(made, place)
        whole = (place / file).read_bytes()
        (place / file).write_bytes(whole[: len(whole) // 2] if text is None else text.encode())


CASES: list[Case] = [
    *((f"{HERE} {option}", 1, (words,)) for option, words in OPTIONS.items()),
    *((f"{HERE} {option}", 2, (words,)) for option, words in UNKNOWN.items()),
    *(
        (f"{AUDIT} --runs {{tmp}}/o --model.victim {victim}", 1, (words,))
        for victim, words in VICTIMS.items()
    ),
    (f"{ON} --runs {{tmp}}/file/o", 1, ("run folder",)),
    *((f"{SHORT} --runs {{tmp}}/d/{name}", 1, (words,)) for name, (_, _, words) in DAMAGED.items()),
]
