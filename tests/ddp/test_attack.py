"""The command line under several processes, signals and kills."""

import json
import os
import random
import signal
import socket
import stat
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import lightning_hash
from lightning_hash.codes.code_files import read_codes
from tests.helpers.photos import write_photos
from tests.helpers.processes import TIMEOUT, finish, run, same, start

pytestmark = [
    pytest.mark.ddp,
    pytest.mark.slow,
    pytest.mark.skipif(not dist.is_gloo_available(), reason="torch was built without gloo"),
]
DATA = ["--data.n_train=100", "--data.n_query=30", "--data.n_database=200"]
# 23 queries in batches of 5: two processes take 3 and 2 of the batches, the last one holds 3.
ATTACK = [
    "attack", *DATA, "--model.n_queries=23", "--model.batch_size=5", "--trainer.accelerator=cpu",
    "--model.targets.n_t=3", "--model.evaluate_at=[2]", "--model.objective=AnchorCode",
    "--model.step=lightning_hash.attacks.SignStep", "--model.step.lr=0.004",
    "--trainer.log_every_n_steps=2", "--model.kernels=float32",
]  # fmt: skip
ROOT = Path(lightning_hash.__file__).parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a victim, and an attack of eight iterations by one process."""
    folder = tmp_path_factory.mktemp("ddp")
    finish(start(folder, "fit", *DATA, "--trainer.max_epochs=2", "--trainer.accelerator=cpu"))
    finish(start(folder, *ATTACK, "--name=one", "--trainer.max_epochs=8"))
    return folder


@pytest.mark.parametrize("devices", [2, 6])
def test_any_number_of_processes_gives_the_same_bits(folder, devices):
    """Uneven shares; of six processes one has no queries at all."""
    name = f"by_{devices}"
    arguments = [*ATTACK, f"--name={name}", "--trainer.max_epochs=8"]
    finish(start(folder, *arguments, f"--trainer.devices={devices}"))
    same(run(folder, name), run(folder, "one"))
    rows = json.loads((run(folder, name) / "results.json").read_text())
    assert {row["run"]["devices"] for row in rows} == {f"{devices} x cpu"}
    assert len(list(run(folder, name).glob("events*"))) == 1
    logged = []
    for each in (name, "one"):
        events = EventAccumulator(str(run(folder, each))).Reload()
        scalars = {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}
        logged.append({t: [(s.step, s.value) for s in found] for t, found in scalars.items()})
    assert logged[0].keys() == logged[1].keys()
    assert [step for step, _ in logged[0]["attack/loss"]] == [0, 2, 4, 6, 7]
    for tag, points in logged[0].items():
        assert points == [pytest.approx(point, rel=1e-6) for point in logged[1][tag]], tag


def test_two_processes_have_the_prototypes_of_one(folder):
    """Each trains THA's network by itself."""
    arguments = [
        "attack", *DATA, "--config=attack/tha", "--model.objective.steps=20",
        "--model.n_queries=23", "--model.batch_size=5", "--trainer.accelerator=cpu",
        "--model.evaluate_at=[2]", "--trainer.max_epochs=4", "--model.kernels=float32",
    ]  # fmt: skip
    for devices in (1, 2):
        options = [f"--name=tha_{devices}", f"--trainer.devices={devices}"]
        finish(start(folder, *arguments, *options))
    same(run(folder, "tha_2"), run(folder, "tha_1"))


def test_two_processes_attack_the_candidates_of_one(folder):
    arguments = [
        "attack", *DATA, "--config=attack/candidate", "--model.n_queries=23",
        "--model.batch_size=5", "--trainer.accelerator=cpu", "--model.targets=TargetChoice",
        "--model.targets.n_t=2", "--model.evaluate_at=[2]", "--trainer.max_epochs=4",
        "--model.kernels=float32",
    ]  # fmt: skip
    for devices in (1, 2):
        options = [f"--name=candidates_{devices}", f"--trainer.devices={devices}"]
        finish(start(folder, *arguments, *options))
    same(run(folder, "candidates_2"), run(folder, "candidates_1"))


SURROGATES = {
    "transfer": [],
    "search": [
        "--model.objective=Hinge", "--model.step=lightning_hash.attacks.Square",
        "--model.oracle=Oracle", "--model.oracle.shows=codes", "--model.start=SurrogateStart",
        "--model.start.iterations=3",
    ],
}  # fmt: skip


@pytest.mark.parametrize("kind", SURROGATES)
def test_processes_share_out_what_surrogates_make(folder, kind):
    """The surrogate has another code length; of six processes one has no queries."""
    if not (folder / "checkpoints/bits8/best.ckpt").is_file():
        short = ["--trainer.max_epochs=2", "--trainer.accelerator=cpu", "--model.bits=8"]
        finish(start(folder, "fit", *DATA, *short, "--name=bits8"))
    own = [part for part in ATTACK if kind == "transfer" or not part.startswith("--model.step")]
    arguments = [*own, *SURROGATES[kind], "--model.surrogates=checkpoints/bits8/best.ckpt"]
    several = 2 if kind == "transfer" else 6
    for devices in (1, several):
        options = [f"--name={kind}_{devices}", f"--trainer.devices={devices}"]
        finish(start(folder, *arguments, *options, "--trainer.max_epochs=5"))
    same(run(folder, f"{kind}_{several}"), run(folder, f"{kind}_1"))


def test_two_processes_encode_what_one_encodes(folder):
    encode = ["encode", *DATA, "--trainer.accelerator=cpu", "--data.eval_batch_size=16"]
    for devices in (1, 2):
        arguments = [f"--trainer.devices={devices}", f"--output=codes_{devices}.safetensors"]
        finish(start(folder, *encode, *arguments))
    one, two = (read_codes(folder / f"codes_{devices}.safetensors") for devices in (1, 2))
    assert torch.equal(one.codes, two.codes)
    assert torch.equal(one.labels, two.labels)
    assert one.index.tolist() == two.index.tolist() == list(range(200))
    assert one.made_with == two.made_with


def test_two_nodes_of_torchrun(folder):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1"]
    rendezvous = [f"--master_port={port}", "--master_addr=127.0.0.1"]
    arguments = [
        *ATTACK, "--name=nodes", "--trainer.max_epochs=8", "--trainer.num_nodes=2",
        "--trainer.strategy=query_parallel",
    ]  # fmt: skip
    agents = [
        start(folder, *arguments, before=[*torchrun, f"--node_rank={rank}", *rendezvous])
        for rank in range(2)
    ]
    for agent in agents:
        finish(agent)
    same(run(folder, "nodes"), run(folder, "one"))


def test_torchrun_without_devices_is_one_run(folder):
    """Two processes that each run the whole would write the same files."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    arguments = [*ATTACK, "--name=torchrun", "--trainer.max_epochs=8"]
    finish(start(folder, *arguments, before=torchrun))
    same(run(folder, "torchrun"), run(folder, "one"))
    assert [path.name for path in run(folder, "torchrun").parent.iterdir()] == ["version_0"]
    rows = json.loads((run(folder, "torchrun") / "results.json").read_text())
    assert {row["run"]["devices"] for row in rows} == {"2 x cpu"}
    output = finish(start(folder, *arguments, "--trainer.devices=1", before=torchrun), 1)
    assert "make 1 processes, torchrun has started 2, each of which would run the whole" in output


def killed(folder, name, devices, iterations=150):
    """Start a long attack and kill all of it some time after its first checkpoint."""
    arguments = [*ATTACK, f"--name={name}", f"--trainer.max_epochs={iterations}"]
    arguments += ["--checkpoint_every=3", f"--trainer.devices={devices}"]
    process = start(folder, *arguments)
    wait_for(run(folder, name) / "checkpoints" / "last.ckpt", process)
    time.sleep(random.uniform(0, 1))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (run(folder, name) / "perturbations.safetensors").exists(), "it had ended before"
    return arguments[:-1]


def wait_for(path, process):
    end = time.monotonic() + TIMEOUT
    while not path.exists():
        if process.poll() is not None or time.monotonic() > end:
            pytest.fail(f"no {path}:\n{process.communicate()[0][-3000:]}")
        time.sleep(0.05)


@pytest.fixture(scope="module")
def long(folder):
    finish(start(folder, *ATTACK, "--name=long", "--trainer.max_epochs=150"))
    return run(folder, "long")


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_kill_and_resume_with_the_other_number_of_processes(folder, long, before, after):
    name = f"killed_{before}"
    arguments = killed(folder, name, before)
    # A torn file is the newest, as another program's crash would leave it.
    whole = run(folder, name) / "checkpoints" / "last.ckpt"
    torn = run(folder, name, 9) / "checkpoints" / "last.ckpt"
    torn.parent.mkdir(parents=True)
    torn.write_bytes(whole.read_bytes()[:2000])
    resumed = [*arguments, f"--trainer.devices={after}", "--ckpt_path=last"]
    output = finish(start(folder, *resumed))
    assert "left out: " in output
    assert f"Restoring states from the checkpoint path at runs/attack/{name}/version_0" in output
    same(run(folder, name, 10), long)


def test_sigkill_of_one_rank_ends_the_run(folder):
    arguments = [*ATTACK, "--name=orphan", "--trainer.max_epochs=100000", "--trainer.devices=2"]
    process = start(folder, *arguments, "--checkpoint_every=3")
    wait_for(run(folder, "orphan") / "checkpoints" / "last.ckpt", process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ranks = [
        int(child) for child in children
        if b"lightning_hash" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]  # fmt: skip
    assert len(ranks) == 1
    os.kill(ranks[0], signal.SIGKILL)
    process.communicate(timeout=TIMEOUT)
    assert process.returncode != 0


@pytest.mark.parametrize(
    ("signum", "devices", "whole_group"),
    [(signal.SIGTERM, 2, False), (signal.SIGTERM, 1, True), (signal.SIGINT, 2, True)],
)
def test_a_signal_saves_the_iteration(folder, long, signum, devices, whole_group):
    name = f"{signal.Signals(signum).name}_{devices}"
    arguments = [*ATTACK, f"--name={name}", "--trainer.max_epochs=150"]
    process = start(
        folder, *arguments, f"--trainer.devices={devices}", "--checkpoint_every=1000000"
    )
    wait_for(run(folder, name) / "results.json", process)  # written at iteration 2
    time.sleep(random.uniform(0, 0.5))
    (os.killpg if whole_group else os.kill)(process.pid, signum)
    output = finish(process, 128 + signum)
    checkpoint = run(folder, name) / "checkpoints" / "last.ckpt"
    assert f"stopped by {signal.Signals(signum).name} after iteration" in output
    assert f"go on with --ckpt_path runs/attack/{name}/version_0/checkpoints/last.ckpt" in output
    finish(start(folder, *arguments, f"--ckpt_path={checkpoint}"))
    same(run(folder, name, 1), long)


def test_slurm_announces_the_end_and_requeues(folder, long, tmp_path):
    script = tmp_path / "scontrol"
    script.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    job = {
        "SLURM_JOB_ID": "1234", "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
        "SLURM_NODEID": "0", "SLURM_JOB_NAME": "attack", "SLURM_NODELIST": "localhost",
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
    }  # fmt: skip
    arguments = [*ATTACK, "--name=slurm", "--trainer.max_epochs=150", "--ckpt_path=last"]
    process = start(folder, *arguments, "--trainer.enable_progress_bar=false", **job)
    wait_for(run(folder, "slurm") / "results.json", process)
    process.send_signal(signal.SIGUSR1)
    output = finish(process, 128 + signal.SIGUSR1)
    assert "no run of this name has a checkpoint, this one is new" in output
    assert (tmp_path / "asked").read_text() == "requeue 1234\n"
    assert not list(folder.glob("hpc_ckpt*"))
    finish(start(folder, *arguments, **job))  # what SLURM runs again is the same command
    same(run(folder, "slurm", 1), long)


@pytest.mark.parametrize("devices", [2, 5])
def test_images_in_their_own_size_are_shared_out_by_batches(folder, devices):
    """Four batches of as many sizes; of five processes one has no queries."""
    place = folder / "photos"
    if not place.is_dir():
        write_photos(place)
    data = [
        "--data=FolderDataModule", f"--data.folder={place}", "--data.size=8", "--data.resize=10",
        "--data.train=train", "--data.query=query", "--data.database=database",
    ]  # fmt: skip
    victim = ["--trust", "--model.victim={source: tests.victims.test_foreign:make_small}"]
    arguments = [
        *[each for each in ATTACK if not each.startswith(("--data", "--model.n_queries"))], *data,
        *victim, "--model.n_queries=null", "--model.batch_size=8", "--model.resolution=original",
        "--model.jpeg=80", "--trainer.max_epochs=4",
    ]  # fmt: skip
    for count in (1, devices):
        name = f"sizes_{count}"
        if not (folder / "runs/attack" / name).is_dir():
            finish(start(folder, *arguments, f"--name={name}", f"--trainer.devices={count}"))
    same(run(folder, f"sizes_{devices}"), run(folder, "sizes_1"))
