"""The two commands that are killed, in small, and what they must leave behind."""

import json
import re
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file

DATA = [
    "--data.n_train=60", "--data.n_query=16", "--data.n_database=80", "--data.eval_batch_size=16",
    "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false", "--name=trial",
]  # fmt: skip
FIT = [
    "fit", *DATA, "--data.batch_size=8", "--trainer.max_epochs=8",
    "--trainer.check_val_every_n_epoch=3", "--trainer.num_sanity_val_steps=2",
]  # fmt: skip
ATTACK = [
    "attack", *DATA, "--model.n_queries=13", "--model.batch_size=4", "--trainer.max_epochs=30",
    "--model.evaluate_at=[0,10]", "--model.targets.n_t=3", "--model.kernels=float32",
    "--checkpoint_every=4",
]  # fmt: skip
COMMANDS = {"fit": FIT, "attack": ATTACK}
_READERS = {
    ".ckpt": lambda path: torch.load(path, weights_only=True),
    ".json": lambda path: json.loads(path.read_text()),
    ".safetensors": load_file,
    ".png": lambda path: Image.open(path).load(),
}


def torn(folder):
    """Return the files under their own names that cannot be read."""
    found = []
    for path in sorted(folder.rglob("*")):
        reader = _READERS.get(path.suffix)
        if reader is None or path.name.startswith(".") or not path.is_file():
            continue
        try:
            reader(path)
        except Exception as error:  # every format raises its own
            found.append(f"{path}: {error}")
    return found


def left(verb, folder):
    """Return all that a run that has ended leaves behind and that must be equal, by name."""
    if verb == "fit":
        place = folder / "checkpoints" / "trial"
        found = {
            name: _plain(_READERS[".ckpt"](place / name)) for name in ("best.ckpt", "last.ckpt")
        }
        printed = (folder / "log.txt").read_text().rpartition("retrieval, clean queries")[2]
        return {**found, "printed": re.findall(r"(test/\w+) +│ +([\d.]+)", printed)}
    versions = (folder / "runs" / "attack" / "trial").glob("version_*")
    place = max(versions, key=lambda path: int(path.name.partition("_")[2]))
    rows = json.loads((place / "results.json").read_text())
    for row in rows:
        row["run"] = {k: v for k, v in row["run"].items() if k not in ("seconds", "devices")}
    names = ("perturbations.safetensors", "codes.safetensors")
    images = {p.name: p.read_bytes() for p in (place / "images").glob("*.png")}
    return {
        "results.json": rows, **{name: load_file(place / name) for name in names},
        "targets.json": json.loads((place / "targets.json").read_text()), "images": images,
        "retrieved.csv": (place / "retrieved.csv").read_text(),
    }  # fmt: skip


def _plain(checkpoint):
    """Leave out of a checkpoint where its files are, and the one value that decides nothing.

    That is the score of the checkpoint saved last, which Lightning does not take up again.
    """
    places = ("best_model_path", "dirpath", "kth_best_model_path", "last_model_path")
    for state in checkpoint["callbacks"].values():
        for name in (*places, "current_score"):
            state.pop(name, None)
        if "best_k_models" in state:
            state["best_k_models"] = list(state["best_k_models"].values())
    return checkpoint


def differences(found, expected, where=""):
    """Return the places at which two nested values differ, tensors by their bits."""
    if isinstance(expected, dict) and isinstance(found, dict):
        here = [f"{where}: {sorted(found.keys() ^ expected.keys(), key=str)}"]
        here = here if found.keys() != expected.keys() else []
        common = [key for key in expected if key in found]
        return here + [
            d for k in common for d in differences(found[k], expected[k], f"{where}/{k}")
        ]
    if isinstance(expected, (list, tuple)) and isinstance(found, (list, tuple)):
        if len(found) != len(expected):
            return [f"{where}: {len(found)} and {len(expected)} entries"]
        pairs = enumerate(zip(found, expected, strict=True))
        return [d for n, (a, b) in pairs for d in differences(a, b, f"{where}/{n}")]
    if isinstance(expected, torch.Tensor):
        equal = isinstance(found, torch.Tensor) and torch.equal(found, expected)
    else:
        equal = found == expected
    return [] if equal else [where]


def victim_of(folder):
    """Return the folder of the victim that an attack in this folder needs."""
    return Path(folder) / "checkpoints" / "demo"
