"""The good files that bad inputs are made of, and ways to spoil them."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lightning_hash.__main__ import main

SIZES = {"train": 20, "query": 6, "database": 36}
DATA = """data:
  class_path: lightning_hash.data.ListDataModule
  init_args: {{folder: {folder}/data, size: 16, batch_size: 8}}
"""
QUIET = "--trainer.accelerator=cpu --trainer.enable_progress_bar=false"
WITH_DATA = f"--config {{tmp}}/data.yaml {QUIET}"


def make(folder: Path) -> None:
    """Make data of three classes, a victim, an attack on it, and codes: in a few seconds."""
    images = folder / "data" / "images"
    images.mkdir(parents=True)
    random = np.random.default_rng(0)
    for split, count in SIZES.items():
        lines = []
        for number in range(count):
            pixels = random.integers(0, 80, (16, 16, 3)).astype(np.uint8)
            pixels[..., number % 3] += 120
            Image.fromarray(pixels).save(images / f"{split}{number}.png")
            label = " ".join(str(int(number % 3 == column)) for column in range(3))
            lines.append(f"images/{split}{number}.png {label}\n")
        (folder / "data" / f"{split}.txt").write_text("".join(lines))
    (folder / "data.yaml").write_text(DATA.format(folder=folder))
    options = WITH_DATA.format(tmp=folder).split()
    victim = f"--model.victim={folder}/v.ckpt"
    fit = ["--trainer.max_epochs=1", "--model.bits=8", "--model.lr_scheduler=null"]
    places = [f"--runs={folder}/runs", f"--checkpoints={folder}/checkpoints", "--name=v"]
    assert main(["fit", *options, *fit, *places]) == 0
    shutil.copy(folder / "checkpoints/v/last.ckpt", folder / "v.ckpt")
    steps = ["--trainer.max_epochs=2", "--model.n_queries=null", "--model.kernels=float32"]
    assert main(["attack", *options, *steps, victim, f"--runs={folder}/runs", "--name=a"]) == 0
    shutil.move(folder / "runs/attack/a/version_0", folder / "run")
    for split in ("query", "database"):
        encode = [f"--split={split}", f"--output={folder}/{split}.safetensors"]
        assert main(["encode", *options, victim, *encode]) == 0
    shutil.copy(folder / "run/checkpoints/last.ckpt", folder / "attack.ckpt")
    for left in ("runs", "checkpoints", "run/images", "run/strips", "run/checkpoints"):
        shutil.rmtree(folder / left)
    for events in (folder / "run").glob("events*"):
        events.unlink()


def lay_out(made: Path, folder: Path) -> None:
    """Copy what :func:`make` made, and let configs name the place where it is now."""
    shutil.copytree(made, folder)
    for config in (folder / "data.yaml", folder / "run/config.yaml"):
        config.write_text(config.read_text().replace(str(made), str(folder)))


def spoil(path: Path, place: Path, kinds: str = "empty half last random nul folder") -> None:
    """Write damaged copies of a file to ``PLACE/KIND/NAME``."""
    whole = path.read_bytes()
    contents = {
        "empty": b"",
        "half": whole[: len(whole) // 2],
        "last": whole[:-1],
        "random": np.random.default_rng(1).integers(0, 256, 512, dtype=np.uint8).tobytes(),
        "nul": bytes(len(whole)),
        "text": b"hello\nworld\n",
        "utf16": whole.decode(errors="replace").encode("utf-16"),
        "latin1": b"caf\xe9 " + whole,
        "deep": b"[" * 100_000,
        "list": b"[]",
        "null": b"null",
        "number": b"3",
    }
    for kind in kinds.split():
        copy_of = place / kind / path.name
        copy_of.parent.mkdir(parents=True, exist_ok=True)
        if kind == "folder":
            copy_of.mkdir()
        else:
            copy_of.write_bytes(contents[kind])


def retensor(source: Path, target: Path, metadata=None, **changes) -> None:
    """Copy a safetensors file with tensors and header entries changed; ``None`` removes one."""
    tensors = load_file(source)
    with safe_open(source, "pt") as file:
        head = file.metadata()
    for name, change in changes.items():
        value = change(tensors[name]) if callable(change) else change
        tensors = {**tensors, name: value}
    head = {**head, **(metadata or {})}
    kept = {name: value.contiguous() for name, value in tensors.items() if value is not None}
    target.parent.mkdir(parents=True, exist_ok=True)
    save_file(kept, target, {name: text for name, text in head.items() if text is not None})


def changed(content, path: str, value):
    """Return a copy of JSON with the value at a dotted path changed."""
    content = copy.deepcopy(content)
    *keys, last = path.split(".")
    place = content
    for key in keys:
        place = place[int(key) if isinstance(place, list) else key]
    place[int(last) if isinstance(place, list) else last] = value
    return content


def write_json(path: Path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def copy_run(folder: Path, name: str, file: str = "", content=None) -> Path:
    """Copy the attack's run folder, with a file of it replaced: text, bytes or JSON."""
    place = folder / "runs" / name
    shutil.copytree(folder / "run", place)
    if isinstance(content, bytes):
        (place / file).write_bytes(content)
    elif content is not None:
        write_json(place / file, content)
    return place
