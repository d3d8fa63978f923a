"""Checkpoints and codes that a test is given."""

import shutil
from pathlib import Path

import numpy as np
import torch

from tests.bad_input import Case
from tests.bad_input.files_of_victims import DAMAGE, OF_ANY, OF_FIT, checkpoints
from tests.bad_input.made import WITH_DATA, retensor, spoil

TEST = f"test {WITH_DATA} --runs {{tmp}}/o --ckpt_path"
CODES = f"{TEST} {{tmp}}/v.ckpt --codes {{tmp}}"


def prepare(folder: Path) -> None:
    checkpoints(folder / "ckpt", folder / "v.ckpt")
    source = folder / "database.safetensors"
    spoil(source, folder / "codes", "empty half random")
    retensor(source, folder / "64.safetensors", {"bits": "64"})
    retensor(source, folder / "order.safetensors", labels=lambda labels: labels.flip(0))
    retensor(source, folder / "made.safetensors", {"made_with": '{"victim_sha256": "f"}'})
    fewer = {name: lambda rows: rows[:9] for name in ("codes", "labels", "index")}
    retensor(source, folder / "fewer.safetensors", paths=torch.empty(0), **fewer)
    np.save(folder / "ones.npy", np.ones((36, 16), np.int8))
    shutil.copy(folder / "query.safetensors", folder / "q.safetensors")


CASES: list[Case] = [
    *(
        (f"{TEST} {{tmp}}/ckpt/{kind}/v.ckpt", 1, (f"{kind}/v.ckpt", "fit"))
        for kind in DAMAGE.split()
        if kind != "random"
    ),
    *(
        (f"{TEST} {{tmp}}/ckpt/{name}.ckpt", 1, (f"ckpt/{name}.ckpt", words))
        for name, words in OF_ANY.items()
    ),
    *(
        (f"{TEST} {{tmp}}/ckpt/{name}.ckpt", 1, (OF_FIT[name],))
        for name in ("no_bits", "nan", "shape", "lost", "more", "number")
    ),
    (
        f"{TEST} {{tmp}}/absent.ckpt",
        1,
        ("ckpt_path: victim {tmp}/absent.ckpt does not exist", "fit"),
    ),
    (f"{TEST} {{tmp}}/attack.ckpt", 1, ("kind 'attack', not 'victim'",)),
    (
        f"test {WITH_DATA} --runs {{tmp}}/o --name absent",
        1,
        ("checkpoints/absent/best.ckpt does not",),
    ),
    (f"{CODES}/64.safetensors", 1, ("64.safetensors", "header says 64 bits")),
    (
        f"{CODES}/order.safetensors",
        1,
        ("order.safetensors", "items are not those of data", "database's order"),
    ),
    (
        f"{CODES}/made.safetensors",
        1,
        ("made.safetensors", "made with something else", "victim_sha256"),
    ),
    (f"{CODES}/fewer.safetensors", 1, ("fewer.safetensors: 9 items", "36 with 3")),
    (f"{CODES}/q.safetensors", 1, ("q.safetensors", "made with something else", "split is query")),
    (f"{CODES}/ones.npy", 1, ("ones.npy: 16 bits, the model has 8",)),
    (f"{CODES}/absent.npy", 1, ("codes {tmp}/absent.npy does not exist",)),
    *(
        (f"{CODES}/codes/{kind}/database.safetensors", 1, (f"{kind}/database", "encode"))
        for kind in ("empty", "half", "random")
    ),
]
