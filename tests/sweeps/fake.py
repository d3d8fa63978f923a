"""Runs without torch: what a fit or an attack leaves behind, and what may go wrong."""

import json
import sys
import time
from pathlib import Path


def main(verb, folder, do, *found):
    folder.mkdir(parents=True, exist_ok=True)
    trail = folder.parent.parent / "trail.txt"
    with trail.open("a") as file:
        file.write(f"{folder.name}\n")
    assert all(Path(path).exists() for path in found)
    if do == "fail":
        print("error: bits must be at least 1, got 0", file=sys.stderr)
        return 1
    if do == "sleep":
        (folder / "asleep").touch()
        time.sleep(1 if len(list(folder.iterdir())) == 1 else 0)
    if do == "meet":
        started = time.monotonic()
        while len(trail.read_text().split()) < 2 and time.monotonic() < started + 20:
            time.sleep(0.02)
    if verb == "fit":
        (folder / "best.ckpt").write_text(f"trained at {time.monotonic_ns()}")
        return 0
    version = folder / f"version_{len(list(folder.glob('version_*')))}"
    version.mkdir()
    if do == "die once" and version.name == "version_0":
        return 9
    row = {"metric": "map", "value": 0.5, "iteration": 9, "quantized": True, "attack": "hag"}
    if do == "unfinished":
        row["quantized"] = False
    (version / "results.json").write_text(json.dumps([row]))
    (version / "perturbations.safetensors").write_text("perturbed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:]))
