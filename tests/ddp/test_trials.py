"""Five of each of the trials of ``python -m tests.trials``."""

import os
import subprocess
import sys

import pytest

from tests.helpers.processes import ROOT

pytestmark = [pytest.mark.ddp, pytest.mark.slow]


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("verb", ["fit", "attack"])
def test_kills_and_signals(verb, world):
    line = ["--kills=5", "--moments=5", f"--verbs={verb}", f"--worlds={world}", "--seed=1"]
    found = subprocess.run(
        [sys.executable, "-m", "tests.trials", *line], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr
    rows = [row.strip("| ").split(" | ") for row in found.stdout.splitlines() if "|" in row]
    assert rows[0] == [
        "run", "processes", "kills", "ended before", "torn", "hangs", "differences",
    ]  # fmt: skip
    assert rows[2][:3] + rows[2][4:] == [verb, str(world), "5", "0", "0", "0"]
    for row in rows[5:]:
        assert row[3:7] == ["5", "0", "0", "0"], row
