"""The check for a GPU, where there is none."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.slow


def checked(*options):
    return subprocess.run(
        [sys.executable, "-m", "tests.gpu_check", *options], cwd=ROOT, capture_output=True,
        text=True, check=False,
    )  # fmt: skip


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_one_line_says_so():
    answer = checked()
    assert (answer.returncode, answer.stdout) == (1, "")
    assert answer.stderr == "error: torch sees no CUDA device; run this where there is one\n"


def test_the_table_has_a_line_for_each_check(tmp_path):
    """On the CPU, with a check that passes and one that needs a GPU."""
    only = ["--only", "a loss DCH", "d synchronisations hag_star", "f fit", "l "]
    answer = checked("--device=cpu", f"--log={tmp_path / 'log'}", *only)
    assert answer.returncode == 0, answer.stdout
    rows = [line.split(" | ")[:2] for line in answer.stdout.splitlines() if line.startswith("| ")]
    assert rows[1:] == [
        ["| b verb fit", "pass"], ["| a loss DCHLoss", "pass"],
        ["| d synchronisations hag_star", "left out"],
        ["| f fit twice", "pass"], ["| l exported program", "pass"],
        ["| l traced script", "pass"], ["| l LSTM with dropout", "pass"],
    ]  # fmt: skip
