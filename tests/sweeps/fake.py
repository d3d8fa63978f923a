"""Runs without torch: what a fit or an attack leaves behind, and what may go wrong."""

import json
import os
import sys
import time
from pathlib import Path


def row(attack, iteration, quantized=False):
    return {
        "schema": 2, "metric": "map", "value": 0.5, "n": 3, "iteration": iteration,
        "quantized": quantized, "attack": attack, "victim": {}, "data": {"dataset": "blobs"},
        "ranking": {"top_k": 5}, "run": {},
    }  # fmt: skip


def main(verb, folder, do, *found):
    folder.mkdir(parents=True, exist_ok=True)
    trail = folder.parent.parent / "trail.txt"
    with trail.open("a") as file:
        file.write(f"{folder.name}\n")
    assert all(Path(path).exists() for path in found)
    if do == "fail":
        print("error: bits must be at least 1, got 0", file=sys.stderr)
        return 1
    if do == "name its devices":
        (folder / "devices.txt").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "all"))
    if do == "sleep":
        (folder / "asleep").touch()
        time.sleep(1 if len(list(folder.iterdir())) == 1 else 0)
    if do == "meet":
        started = time.monotonic()
        while len(trail.read_text().split()) < 2 and time.monotonic() < started + 20:
            time.sleep(0.02)
    if do == "stopped once":
        first = not (folder / "best.ckpt").exists()
        (folder / "best.ckpt").write_text("half trained" if first else "trained")
        return 143 if first else 0
    if do == "not validated":
        (folder / "last.ckpt").write_text("trained")
        return 0
    if verb == "fit":
        (folder / "best.ckpt").write_text(f"trained at {time.monotonic_ns()}")
        return 0
    version = folder / f"version_{len(list(folder.glob('version_*')))}"
    version.mkdir()
    if do == "die once" and version.name == "version_0":
        return 9
    settings = {"name": "hag", "iterations": 9, "step": {"class": "SGD", "lr": 0.1}}
    clean, ceiling = row(None, 0), row({"name": "anchor", "targets": {"n_t": 9}}, 0)
    rows = [clean, ceiling, row(settings, 4), row(settings, 9), row(settings, 9, True)]
    if do == "unfinished":
        rows.pop()
    if do == "stop early":
        rows = [clean, row(settings, 4), row(settings, 4, True)]
    if do == "change":
        rows[-2] = row({**settings, "step": {"class": "SGD", "lr": 0.2}}, 9)
    if do == "other data":
        rows[0] = {**rows[0], "data": {"dataset": "photos"}}
    if do == "other now" and found:  # as a program whose default has changed would
        settings["step"]["beta"] = len(trail.read_text().split())
    if verb == "transfer":
        rows.append(row({**settings, "name": "dhta"}, 9, True))
    (version / "results.json").write_text(json.dumps(rows))
    (version / "perturbations.safetensors").write_text("perturbed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))
