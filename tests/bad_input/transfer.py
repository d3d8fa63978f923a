"""Perturbations, targets, configs of run folders, and victims."""

import json
from pathlib import Path

import torch
from safetensors import safe_open

from tests.bad_input import Case
from tests.bad_input.made import changed, copy_run, retensor, spoil

END = "--victims {tmp}/v.ckpt --runs {tmp}/o --accelerator cpu"
WITH = f"{END} --data {{tmp}}/data.yaml"
TENSORS = {
    "beyond": (
        {"perturbation": lambda p: p + 0.5},
        "query 0 changes a value by 0.5",
        "epsilon is 0.03922",
    ),
    "nan": (
        {"perturbation": lambda p: p * float("nan")},
        "perturbations that are not finite",
        "[0, 1",
    ),
    "whole": ({"perturbation": lambda p: p.to(torch.int8)}, "perturbations floating", "torch.int8"),
    "fewer": ({"perturbation": lambda p: p[:3]}, "a perturbation for each query", "(3, 3, 16, 16)"),
    "small": (
        {"perturbation": lambda p: p[..., :8]},
        "have the shape (3, 16, 8)",
        "the queries (3, 16, 16)",
    ),
    "twice": ({"index": lambda index: index * 0}, "indices must be rising", "[0, 0, 0"),
    "reverse": ({"index": lambda index: index.flip(0)}, "indices must be rising", "[5, 4, 3"),
    "flat": (
        {"index": lambda index: index[:, None]},
        "a perturbation for each query",
        "(6, 1) indices",
    ),
    "floats": ({"index": lambda index: index.float()}, "indices must be whole", "torch.float32"),
    "reached": (
        {"reached": lambda reached: reached + 2},
        "reached must be from 0 to 1",
        "got [2.0",
    ),
    "lost": ({"reached": None}, "no file of perturbations of this version", "reached"),
}
PROTOCOL = {
    "epsilon": (
        "attack.budget.epsilon",
        "x",
        "attack.budget.epsilon must be float or int, got 'x'",
    ),
    "radius": ("attack.budget.epsilon", -1, "attack.budget.epsilon must be at least 0, got -1"),
    "less": ("attack.budget.epsilon", 1e-4, "its epsilon is 0.0001: one of both was changed"),
    "space": (
        "attack.budget.space",
        "x",
        "attack.budget.space must be pixel or normalized, got 'x'",
    ),
    "scale": ("attack.budget.space", "normalized", "does not say the victim's std"),
    "budget": ("attack.budget", None, "attack.budget must be Mapping, got None"),
    "seed": ("attack.seed", "x", "attack.seed must be int, got 'x'"),
    "name": ("attack.name", 3, "attack.name must be str, got 3"),
    "iteration": ("iteration", 9, "iteration must be from 0 to attack.iterations, 2, got 9"),
    "victims": ("victims", [], "victims must be at least one, got []"),
    "victim": ("victims.0", {}, "victims.0 has no backbone"),
    "bits": ("victims.0.bits", 0, "victims.0: bits must be at least 1, got 0"),
    "queries": ("data.n_query", 3, "got 6 for data.n_query 3"),
    "data": ("data", 3, "data must be Mapping, got 3"),
    "sha": ("data.sha256.query", "f", "sha256.query is 'f'"),
    "ranking": ("ranking", {}, "ranking: 'top_k' is missing"),
    "top_k": ("ranking.top_k", -1, "ranking: top_k must be a positive whole number"),
}
HEADS = {"null": "null", "list": "[]", "torn": "{", "deep": "[" * 100_000, "none": None}
TARGETS = {
    "short": ("target", [1], "has 1 columns, the labels of the database 3"),
    "two": ("target", [2, 0, 0], "target must be labels of 0 and 1, got [2, 0, 0]"),
    "text": ("target", "x", "target must be labels of 0 and 1, got 'x'"),
    "null": ("target", None, "target must be labels of 0 and 1, got None"),
    "ragged": ("target", [[1], 0, 0], "target must be labels of 0 and 1"),
    "items": ("anchor", "x", "anchor must be database indices, got 'x'"),
    "none": ("anchor", [], "anchor must be database indices, got []"),
    "far": ("anchor", [10**6] * 9, "names items not in the database"),
    "others": ("anchor", [0, 1, 2, 3, 4, 5, 6, 7, 8], "have other labels than its target"),
    "fewer": ("anchor", [3], "in its anchor set, the first has 1"),
}
DATA = {
    "nothing": "trainer: {max_epochs: 1}\n",
    "null": "data: null\n",
    "number": "data: 3\n",
    "class": "data: {class_path: 3}\n",
    "option": "data: {class_path: lightning_hash.data.ListDataModule, init_args: {foldr: x}}\n",
    "torn": "data: {\n",
}
VICTIMS = {
    "'{'": "a quote or bracket is not closed",
    "'{}'": "source is missing",
    "'{sorce: x}'": "victim.sorce: there is no such option; there are: source",
    "'{source: 3}'": "source must be a text, got 3",
    "'{source: x.pth}'": "a state dict needs backbone and bits",
    "'{source: x.pth, backbone: convnet, bits: 0}'": "victim.bits must be a whole number",
    "'{source: absent.pth, backbone: convnet, bits: 8}'": "absent.pth does not exist",
    "{tmp}/absent.ckpt": "absent.ckpt does not exist",
    "{tmp}/attack.ckpt": "checkpoint of kind 'attack'",
    "{tmp}/data.yaml": "data.yaml",
}


def prepare(folder: Path) -> None:
    source = folder / "run/perturbations.safetensors"
    with safe_open(source, "pt") as file:
        protocol = json.loads(file.metadata()["protocol"])
    for name, (change, *_) in TENSORS.items():
        place = copy_run(folder, f"t_{name}")
        retensor(source, place / source.name, **change)
    for name, (path, value, _) in PROTOCOL.items():
        place, text = copy_run(folder, f"p_{name}"), json.dumps(changed(protocol, path, value))
        retensor(source, place / source.name, {"protocol": text})
    for name, text in HEADS.items():
        place = copy_run(folder, f"h_{name}")
        retensor(source, place / source.name, {"protocol": text})
    for name, scale in {"two": "[1, 1]", "zero": "[0, 1, 1]", "word": "x"}.items():
        place = copy_run(folder, f"s_{name}")
        text = json.dumps(changed(protocol, "attack.budget.space", "normalized"))
        retensor(source, place / source.name, {"protocol": text, "scale": scale})
    targets = json.loads((folder / "run/targets.json").read_text())
    query = next(iter(targets))
    for name, (part, value, _) in TARGETS.items():
        copy_run(folder, f"a_{name}", "targets.json", changed(targets, f"{query}.{part}", value))
    for name, text in {
        "list": "[]",
        "empty": "",
        "none": "{}",
        "word": '{"x": {"target": [1]}}',
    }.items():
        copy_run(folder, f"j_{name}", "targets.json", text)
    for name, text in DATA.items():
        copy_run(folder, f"d_{name}", "config.yaml", text)
    spoil(source, folder / "spoilt", "empty half last random nul folder")


CASES: list[Case] = [
    *(
        (f"transfer --perturbations {{tmp}}/runs/t_{name} {WITH}", 1, words)
        for name, (_, *words) in TENSORS.items()
    ),
    *(
        (f"transfer --perturbations {{tmp}}/runs/p_{name} {WITH}", 1, (words,))
        for name, (*_, words) in PROTOCOL.items()
    ),
    *(
        (
            f"transfer --perturbations {{tmp}}/runs/h_{name} {WITH}",
            1,
            (f"h_{name}/pert", "protocol"),
        )
        for name in HEADS
    ),
    ("transfer --perturbations {tmp}/runs/s_two " + WITH, 1, ("a positive number for each of 3",)),
    ("transfer --perturbations {tmp}/runs/s_zero " + WITH, 1, ("a positive number for each of 3",)),
    ("transfer --perturbations {tmp}/runs/s_word " + WITH, 1, ("its scale is no JSON",)),
    *(
        (f"transfer --perturbations {{tmp}}/runs/a_{name} {WITH}", 1, ("targets.json", words))
        for name, (*_, words) in TARGETS.items()
    ),
    ("transfer --perturbations {tmp}/runs/j_list " + WITH, 1, ("targets.json: must be an object",)),
    (
        "transfer --perturbations {tmp}/runs/j_empty " + WITH,
        1,
        ("targets.json is no JSON: it is emp",),
    ),
    ("transfer --perturbations {tmp}/runs/j_none " + WITH, 1, ("targets.json: holds no targets",)),
    (
        "transfer --perturbations {tmp}/runs/j_word " + WITH,
        1,
        ("query x: a query is named by its",),
    ),
    *(
        (f"transfer --perturbations {{tmp}}/runs/d_{name} {END}", 1, (f"d_{name}/config.yaml",))
        for name in DATA
    ),
    *(
        (
            f"transfer --perturbations {{tmp}}/spoilt/{kind} {WITH}",
            1,
            (f"{kind}/perturbations.safe",),
        )
        for kind in ("empty", "half", "last", "random", "nul", "folder")
    ),
    *(
        (
            f"transfer --perturbations {{tmp}}/run --victims {victim} --runs {{tmp}}/o "
            "--accelerator cpu --data {tmp}/data.yaml",
            1,
            (words,),
        )
        for victim, words in VICTIMS.items()
    ),
    (
        f"transfer --perturbations {{tmp}}/absent {WITH}",
        1,
        ("absent/perturbations.safetensors does",),
    ),
    (
        f"transfer --perturbations {{tmp}}/data.yaml {WITH}",
        1,
        ("data.yaml/perturbations.safetens",),
    ),
    (
        f"transfer --perturbations {{tmp}}/run --combination sum {WITH}",
        1,
        ("at least two", "got 1"),
    ),
    (
        f"transfer --perturbations {{tmp}}/run {{tmp}}/runs/h_null --combination sum {WITH}",
        1,
        ("combination sum is one of all runs", "left out"),
    ),
    (
        f"transfer --perturbations {{tmp}}/run --batch_size 0 {WITH}",
        1,
        ("batch_size must be at", "0"),
    ),
]
