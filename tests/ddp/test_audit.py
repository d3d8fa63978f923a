"""Audits by several processes, and those that were killed."""

import json
import os
import signal
import time

import pytest
import torch.distributed as dist

from tests.helpers.processes import finish, start

pytestmark = [
    pytest.mark.ddp,
    pytest.mark.slow,
    pytest.mark.skipif(not dist.is_gloo_available(), reason="torch was built without gloo"),
]
DATA = ["--data.n_train=100", "--data.n_query=30", "--data.n_database=200"]
# 7 queries in batches of 2: of two processes the second has a batch of one, and later none.
AUDIT = [
    "audit", *DATA, "--accelerator=cpu", "--quick", "--n_queries=7", "--batch_size=2",
    "--kernels=float32", "--checkpoint_every=3", "--curve", "2/255", "4/255",
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a victim, and an audit by one process."""
    folder = tmp_path_factory.mktemp("audit")
    fit = ["fit", *DATA, "--trainer.max_epochs=2", "--trainer.accelerator=cpu"]
    finish(start(folder, *fit))
    finish(start(folder, *AUDIT, "--name=one"))
    return folder


def place_of(folder, name):
    (place,) = (folder / "runs" / "audit" / name).glob("version_*")
    return place


def numbers(folder, name):
    """The card but for clocks and devices, and the table of queries."""
    place = place_of(folder, name)

    def plain(value):
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if k not in ("run", "seconds")}
        return [plain(each) for each in value] if isinstance(value, list) else value

    return plain(json.loads((place / "card.json").read_text())), (place / "queries.csv").read_text()


@pytest.mark.parametrize("devices", [2, 3])
def test_any_number_of_processes_gives_the_same_card(folder, devices):
    finish(start(folder, *AUDIT, f"--name=by_{devices}", f"--devices={devices}"))
    assert numbers(folder, f"by_{devices}") == numbers(folder, "one")
    card = json.loads((place_of(folder, f"by_{devices}") / "card.json").read_text())
    assert card["run"]["devices"] == f"{devices} x cpu"


def wait_for(folder, name, pattern):
    deadline = time.monotonic() + 120
    root = folder / "runs" / "audit" / name
    while not list(root.glob(f"version_*/{pattern}")):
        assert time.monotonic() < deadline, pattern
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("signum", "pattern", "devices"),
    [
        (signal.SIGKILL, "linf-8/hag/checkpoints/last.ckpt", 1),
        (signal.SIGTERM, "linf-8/apgd-anchor/checkpoints/last.ckpt", 2),
        (signal.SIGKILL, "linf-8/square/member.json", 2),
        (signal.SIGKILL, "linf-8/curve-2_255/checkpoints/last.ckpt", 1),
    ],
)
def test_a_killed_audit_goes_on(folder, signum, pattern, devices):
    name = f"{signum.name}_{devices}_{pattern.split('/')[1]}"
    line = [*AUDIT, f"--name={name}", f"--devices={devices}"]
    process = start(folder, *line)
    wait_for(folder, name, pattern)
    os.killpg(process.pid, signum)
    process.communicate(timeout=120)
    assert process.returncode in (-signum, 128 + signum)
    assert not (place_of(folder, name) / "card.json").exists()
    finish(start(folder, *line))
    assert numbers(folder, name) == numbers(folder, "one")
