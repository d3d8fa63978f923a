"""Signals to programs that do not attack."""

import os
import re
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from tests.helpers.commands import SMALL_DATA
from tests.helpers.processes import TIMEOUT, finish, start

pytestmark = pytest.mark.slow
LONG = ["--data.n_train=100", "--data.n_query=20", "--data.n_database=6000",
        "--data.eval_batch_size=1", "--trainer.accelerator=cpu"]  # fmt: skip
FIT = ["fit", *SMALL_DATA, "--trainer.accelerator=cpu", "--trainer.max_epochs=100000",
       "--trainer.check_val_every_n_epoch=1", "--name=long",
       "--trainer.enable_progress_bar=false"]  # fmt: skip


def wait_for(path, process):
    end = time.monotonic() + TIMEOUT
    while not path.exists():
        assert process.poll() is None, process.communicate()[0][-3000:]
        assert time.monotonic() < end
        time.sleep(0.05)


def wait_until_it_listens(process):
    """A program that is killed while it imports ends with the signal by itself."""
    end = time.monotonic() + TIMEOUT
    while True:
        status = Path(f"/proc/{process.pid}/status").read_text()
        caught = int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16)
        if caught >> (signal.SIGTERM - 1) & 1:
            return
        assert process.poll() is None, process.communicate()[0][-3000:]
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_training_ends_with_the_signal(with_victim, signum, devices):
    """Lightning alone ends with 0, and the half-trained victim would pass for a whole one."""
    process = start(with_victim, *FIT, f"--trainer.devices={devices}")
    wait_for(with_victim / "checkpoints" / "long" / "last.ckpt", process)
    if devices == 2 and signum == signal.SIGINT:
        os.killpg(process.pid, signum)
    else:
        process.send_signal(signum)
    output = finish(process, 128 + signum)
    assert f"stopped by {signum.name} in epoch" in output
    assert "test/map" not in output


def test_a_training_that_was_stopped_goes_on(with_victim):
    """With the same command, from the checkpoint of its last epoch."""
    options = [*SMALL_DATA, "--trainer.accelerator=cpu", "--trainer.check_val_every_n_epoch=1"]
    line = ["fit", *options, "--trainer.max_epochs=300", "--name=on"]
    process = start(with_victim, *line, "--trainer.enable_progress_bar=false")
    wait_for(with_victim / "checkpoints" / "on" / "last.ckpt", process)
    process.terminate()
    finish(process, 128 + signal.SIGTERM)
    again = [*line, "--ckpt_path=checkpoints/on/last.ckpt", "--trainer.max_time=00:00:00:00"]
    output = finish(start(with_victim, *again), 1)
    assert "Restoring states" in output
    assert "was stopped by max_time in epoch" in output


def test_a_rank_does_not_outlive_the_process_that_started_it(with_victim):
    """Killed before the ranks have met: the other would look for it for half an hour."""
    process = start(with_victim, *FIT, "--trainer.devices=2")
    task, end = Path(f"/proc/{process.pid}/task/{process.pid}/children"), time.monotonic() + TIMEOUT
    children = []
    while not children:
        assert time.monotonic() < end
        for child in task.read_text().split():
            with suppress(OSError):  # others come and go
                if b"lightning_hash" in Path(f"/proc/{child}/cmdline").read_bytes():
                    children.append(Path("/proc") / child)
    process.kill()
    process.wait()
    end = time.monotonic() + 60  # it has to import what looks for it
    while children[0].exists():
        assert time.monotonic() < end
        time.sleep(0.1)
    process.communicate()


def test_slurm_announces_the_end_of_a_training(with_victim):
    """It goes on from its last epoch, and leaves no checkpoint of Lightning's own beside."""
    script = with_victim / "scontrol"
    script.write_text(f'#!/bin/sh\necho "$@" >> {with_victim}/asked\n')
    script.chmod(0o755)
    job = {
        "SLURM_JOB_ID": "1234", "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
        "SLURM_NODEID": "0", "SLURM_JOB_NAME": "fit", "SLURM_NODELIST": "localhost",
        "PATH": f"{with_victim}:{os.environ['PATH']}",
    }  # fmt: skip
    process, last = start(with_victim, *FIT, **job), with_victim / "checkpoints/long/last.ckpt"
    wait_for(last, process)
    process.send_signal(signal.SIGUSR1)
    output = finish(process, 128 + signal.SIGUSR1)
    assert "stopped by SIGUSR1 in epoch" in output
    assert (with_victim / "asked").read_text() == "requeue 1234\n"
    assert not list(with_victim.glob("hpc_ckpt*"))
    done = torch.load(last, weights_only=True)["epoch"]
    process = start(with_victim, *FIT, **job, SLURM_RESTART_COUNT="1")
    while torch.load(last, weights_only=True)["epoch"] <= done:
        time.sleep(0.05)
        assert process.poll() is None, process.communicate()[0][-3000:]
    process.terminate()
    output = finish(process, 128 + signal.SIGTERM)
    assert "Restoring states from the checkpoint path at checkpoints/long/last.ckpt" in output


@pytest.mark.parametrize("verb", ["encode", "test", "attack", "transfer"])
def test_passes_end_with_the_signal(with_victim, verb):
    """Lightning looks at it in no prediction, and forgets it between two passes."""
    victim = "checkpoints/demo/best.ckpt"
    line = {
        "encode": ["encode", *LONG, "--output=codes.npy"],
        "test": ["test", *LONG],
        "attack": ["attack", *LONG, "--name=long", "--trainer.max_epochs=2"],
    }  # fmt: skip
    if verb == "transfer":
        small = [*LONG, "--trainer.max_epochs=1", "--name=a", "--model.n_queries=4"]
        small += ["--model.kernels=float32", "--trainer.enable_progress_bar=false"]
        finish(start(with_victim, "attack", *small))
        line["transfer"] = ["transfer", "--perturbations", "runs/attack/a", "--victims", victim]
        line["transfer"] += ["--accelerator", "cpu"]
    process = start(with_victim, *line[verb])
    wait_until_it_listens(process)
    time.sleep(1)
    assert process.poll() is None, "it had ended before"
    process.terminate()
    finish(process, 128 + signal.SIGTERM)
    assert not (with_victim / "codes.npy").exists()
    assert not list(with_victim.glob("runs/transfer/*/*/results.json"))
