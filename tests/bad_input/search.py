"""Searches: images, codes, victims and options."""

from pathlib import Path

import torch

from tests.bad_input import Case
from tests.bad_input.made import retensor, spoil

IMAGE = "{tmp}/data/images/query0.png"
SEARCH = "search --accelerator cpu --model.victim {tmp}/v.ckpt"
ON = f"{SEARCH} --codes {{tmp}}/database.safetensors"
CODES = "{tmp}/database.safetensors"
SPOILT = {
    "empty": "no safetensors file", "half": "truncated", "random": "no safetensors file",
    "nul": "no safetensors file", "folder": "is a folder",
}  # fmt: skip
OPTIONS = {
    "--top_k 0": "--top_k must be a positive whole number, got 0",
    "--format xml": "--format must be one of 'table', 'json', got 'xml'",
    "--index annoy": "--index must be one of 'auto', 'faiss', 'packed', got 'annoy'",
    "--picture {tmp}/p.jpg": "--picture must be the path of a .png",
    "--picture {tmp}/data.yaml/p.png": "data.yaml is a file",
    "--size 4": "--size must be at least 8",
    "--size 16 --resize 8": "size 16, resize 8",
    "--size 32": "must be those of the codes",
    "--size 16 --interpolation lanczos": "--interpolation must be one of bilinear",
    "--images_are inputs": "--images_are must be one of 'file', 'input', got 'inputs'",
    "--resize 20": "--resize goes with size",
    "--accelerator tpux": "accelerator: there is no 'tpux'",
    "--data SamplePhotos --data.n_query 3 --data.n_train 3 --data.n_database 40 --data.size 16":
        "list_sha256 is",
}  # fmt: skip
UNKNOWN = {
    "--topk 3": "--topk: there is no such option; there are: --top_k",
    "--data Photos": "--data: there is no 'Photos'",
    "--top_k x": "--top_k must be a whole number, got 'x'",
    "--model.objective HAG": "--model.objective is an option of attack and smallest, not of search",
}
VICTIMS = {
    "{tmp}/absent.ckpt": "absent.ckpt does not exist",
    "{tmp}/attack.ckpt": "checkpoint of kind 'attack'",
    "'{source: os:getcwd, output: codes}'": "--trust",
}


def prepare(folder: Path) -> None:
    spoil(folder / "database.safetensors", folder / "codes", " ".join(SPOILT))
    spoil(folder / "data/images/query0.png", folder / "pictures", "empty half random folder")
    other = '{"victim_sha256": "f"}'
    retensor(folder / "database.safetensors", folder / "other.safetensors", {"made_with": other})
    clips = '{"reading": "frames"}'
    retensor(folder / "database.safetensors", folder / "clips.safetensors", {"made_with": clips})
    content = torch.load(folder / "v.ckpt", weights_only=True)
    for name, size in {"small": 4, "text": "x"}.items():
        content["lightning_hash"]["inputs"] = {"size": size, "interpolation": None}
        torch.save(content, folder / f"{name}.ckpt")
    (folder / "wide.txt").write_text("1 -1 1\n-1 -1 1\n")
    torch.save(torch.nn.Linear(2, 2), folder / "module.pt")


CASES: list[Case] = [
    *((f"{ON} {option} {IMAGE}", 1, (words,)) for option, words in OPTIONS.items()),
    *((f"{ON} {option} {IMAGE}", 2, (words,)) for option, words in UNKNOWN.items()),
    *(
        (f"search --accelerator cpu --codes {CODES} {IMAGE} --model.victim {victim}", 1, (words,))
        for victim, words in VICTIMS.items()
    ),
    *(
        (f"{SEARCH} --codes {{tmp}}/codes/{kind}/database.safetensors {IMAGE}", 1,
         (f"{kind}/database.safetensors", words))
        for kind, words in SPOILT.items()
    ),
    *(
        (f"{ON} {{tmp}}/pictures/{kind}/query0.png", 1, (f"{kind}/query0.png", words))
        for kind, words in {"empty": "it is empty", "half": "cannot be read",
                            "random": "no image", "folder": "holds no images"}.items()
    ),
    (f"{ON} {{tmp}}/absent.png", 1, ("image {tmp}/absent.png does not exist",)),
    (ON, 2, ("IMAGE is missing",)),
    (f"{SEARCH} {IMAGE}", 2, ("--codes is missing",)),
    (f"{SEARCH} --codes {{tmp}}/absent.npy --size 16 {IMAGE}", 1, ("absent.npy does not exist",)),
    (f"{SEARCH} --codes {{tmp}}/wide.txt {IMAGE}", 1, ("size must be given",)),
    *(
        (f"search --accelerator cpu --model.victim {{tmp}}/{name}.ckpt "
         f"--codes {{tmp}}/wide.txt {IMAGE}", 1, (words,))
        for name, words in {"small": "size must be at least 8", "text": "inputs cannot be"}.items()
    ),
    (f"{SEARCH} --codes {{tmp}}/wide.txt --size 16 {IMAGE}", 1, ("3 bits, 8 expected",)),
    (f"{SEARCH} --codes {{tmp}}/module.pt --size 16 {IMAGE}", 1, ("holds Python objects",)),
    (f"{SEARCH} --codes {{tmp}}/data.yaml --size 16 {IMAGE}", 1, ("a code file ends in",)),
    (f"{SEARCH} --codes {{tmp}}/other.safetensors --size 16 {IMAGE}", 1, ("victim_sha256 is f",)),
    (f"{SEARCH} --codes {{tmp}}/clips.safetensors {IMAGE}", 1, ("codes are those of clips",)),
]  # fmt: skip
