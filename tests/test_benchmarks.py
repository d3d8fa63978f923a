"""Each benchmark runs, in small; what is timed on a GPU does not wait for it."""

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
import torch

import lightning_hash
from benchmarks.clock import Clock, machine
from benchmarks.questions import ATTACKS, Case

ROOT = Path(lightning_hash.__file__).parent.parent


class Event:
    """A GPU whose events are 250 ms apart."""

    log: ClassVar[list[str]] = []

    def __init__(self, enable_timing=False):
        assert enable_timing
        self.number = len(self.log)
        self.log.append(f"made {self.number}")

    def record(self):
        self.log.append(f"recorded {self.number}")

    def synchronize(self):
        self.log.append(f"waited for {self.number}")

    def elapsed_time(self, end):
        return 250.0 * (
            self.log.index(f"made {end.number}") > self.log.index(f"made {self.number}")
        )


def test_a_gpu_is_timed_by_its_events_and_waited_for_once(monkeypatch):
    def forbidden(*args):
        raise AssertionError("the host waits for the device")

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", forbidden)
    monkeypatch.setattr("time.perf_counter", forbidden)
    Event.log.clear()
    with Clock("cuda").timed() as seconds:
        Event.log.append("work")
    assert seconds == [0.25]
    assert Event.log == ["made 0", "recorded 0", "work", "made 3", "recorded 3", "waited for 3"]


def test_a_cpu_is_timed_by_the_hosts_clock(monkeypatch):
    monkeypatch.setattr("time.perf_counter", iter([10.0, 13.5]).__next__)
    with Clock("cpu").timed() as seconds:
        pass
    assert seconds == [3.5]


def test_a_table_of_a_gpu_names_tf32(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H1")
    assert "H1, times by events of the GPU, TF32 off but where a row names it" in machine("cuda", 1)
    assert "TF32" not in machine("cpu", 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "rows"),
    [
        ("attack", ["--quick"], ["like the DHTA authors' loop", "| AttackModule", "| 32x32 |"]),
        (
            "questions",
            ["--quick"],
            [
                "| Square, per question | 32x32",
                "| SignHunter, per question",
                "| NES, per question",
                "| APGD, per image and iteration",
                "| universal, per image and iteration",
            ],
        ),
        ("evaluator", ["--quick"], ["ties expected", "torchmetrics RetrievalMAP", "| 10000 |"]),
        (
            "clips",
            ["--quick"],
            ["| convnet | 2 | 3 | 64 |", "| the features in their files"],
        ),
        ("search", ["--quick"], ["| 1 | 64 | ours, packed search", "| 2 | 1 | ours"]),
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_a_loop_that_is_compared_ends_where_the_program_does(name):
    """Else it would be another algorithm that is timed."""
    case = Case(name, 8, 6, 12 if name in ("Square", "SignHunter", "APGD") else 3, "cpu")
    (bare, _), (module, _) = case.bare(), case.module()
    moved = (bare != 0).float().mean()
    assert moved > 0.5
    differ = (bare - module).abs() > 1e-6
    assert differ.float().mean() < 1e-3  # a sign of a sum that is nearly 0, of NES
