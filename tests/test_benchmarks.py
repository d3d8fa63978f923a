"""Each benchmark runs, in small."""

import subprocess
import sys
from pathlib import Path

import pytest

import lightning_hash

ROOT = Path(lightning_hash.__file__).parent.parent


pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "options", "rows"),
    [
        ("attack", ["--quick"], ["like the DHTA authors' loop", "| AttackModule", "| 32x32 |"]),
        ("evaluator", ["--quick"], ["ties expected", "torchmetrics RetrievalMAP", "| 10000 |"]),
        (
            "clips",
            ["--quick"],
            ["| convnet | 2 | 3 | 64 |", "| the features in their files"],
        ),
        ("encoder", ["--quick", "--workers", "0"], ["run_encode", "JPEG files"]),
    ],
)
def test_benchmarks(name, options, rows):
    answer = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *options], cwd=ROOT, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr[-2000:]
    table = [line for line in answer.stdout.splitlines() if line.startswith("| ")]
    for row in rows:
        assert any(row in line for line in table), row
