"""The same command, the same numbers."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.helpers.commands import SMALL_DATA

BURN = "while True: pass"
FILES = ("perturbations.safetensors", "codes.safetensors", "retrieved.csv", "targets.json")


@contextmanager
def burning(processes):
    started = [subprocess.Popen([sys.executable, "-c", BURN]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def attacked(folder, name, seed, options):
    """Run an attack in a process of its own, and return what it wrote."""
    command = [
        sys.executable, "-m", "lightning_hash", "attack", f"--name={name}", *SMALL_DATA,
        "--model.n_queries=12", "--model.batch_size=5", "--trainer.max_epochs=10",
        "--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu", *options,
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONHASHSEED": seed, "XDG_CACHE_HOME": str(folder / "cache")}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    place = folder / "runs" / "attack" / name / "version_0"
    rows = json.loads((place / "results.json").read_text())
    seconds = [row["run"].pop("seconds") for row in rows]
    assert max(seconds) > 0
    return rows, [(place / file).read_bytes() for file in FILES]


@pytest.mark.slow
@pytest.mark.parametrize("kernels", ["auto", "fastest"])
def test_the_same_command_twice_under_another_load(with_victim, kernels):
    options = [f"--model.kernels={kernels}"]
    rows, files = attacked(with_victim, "one", "1", options)
    with burning(2):
        assert attacked(with_victim, "other", "2", options) == (rows, files)
    (used,) = {row["run"]["kernels"] for row in rows}
    assert kernels == "fastest" or used == "float32 channels_last folded"
    (threads,) = {row["run"]["threads"] for row in rows}
    assert threads == int(os.environ.get("OMP_NUM_THREADS", threads)) >= 1
