"""A signal, and two processes on one GPU."""

import socket
import time

import torch
from safetensors.torch import load_file

from tests.gpu_check.frame import Check, finish, start
from tests.helpers.commands import SMALL_DATA

LINE = [
    "attack", *SMALL_DATA, "--model.n_queries=18", "--model.batch_size=4",
    "--model.targets.n_t=3", "--model.evaluate_at=[2]", "--model.objective=AnchorCode",
    "--model.step=lightning_hash.attacks.SignStep", "--model.step.lr=0.004",
    "--model.kernels=float32",
]  # fmt: skip


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def check_signal(place):
    """SIGTERM in an attack: 143, and the same command with --ckpt_path last ends with 0."""
    iterations = 3000 if place.cuda else 200
    line = [*LINE, *place.trainer, "--name=stopped", f"--trainer.max_epochs={iterations}"]
    line.append("--checkpoint_every=3")
    process = start(place.folder, *line)
    last = place.folder / "runs/attack/stopped/version_0/checkpoints/last.ckpt"
    end = time.monotonic() + 120
    while not last.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    process.terminate()
    finish(process, 143, 60)
    assert not (last.parent.parent / "perturbations.safetensors").exists(), "it had ended before"
    output = finish(start(place.folder, *line, "--ckpt_path=last"))
    assert "Restoring states" in output, output[-500:]
    return f"143, then 0 after {iterations} iterations"


def check_two_ranks(place):
    """Two processes of one device each, as two nodes of torchrun, over gloo."""
    line = [*LINE, *place.trainer, "--trainer.max_epochs=8"]
    one = start(place.folder, *line, "--name=one")
    strategy = "lightning_hash.engine.strategies.QueryParallelStrategy"
    gloo = [
        "--name=nodes", "--trainer.num_nodes=2", f"--trainer.strategy={strategy}",
        "--trainer.strategy.process_group_backend=gloo",
    ]  # fmt: skip
    shared = {
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2",
        "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1", "TORCHELASTIC_RUN_ID": "check",
    }  # fmt: skip
    ranks = [
        start(
            place.folder, *line, *gloo, **shared, RANK=str(r), NODE_RANK=str(r), GROUP_RANK=str(r)
        )
        for r in range(2)
    ]
    for process in (one, *ranks):
        finish(process)
    found = [
        load_file(place.folder / f"runs/attack/{name}/version_0/perturbations.safetensors")
        for name in ("one", "nodes")
    ]
    assert found[0].keys() == found[1].keys(), f"{found[0].keys()} and {found[1].keys()}"
    apart = {
        key: float((found[0][key].double() - found[1][key].double()).abs().max())
        for key in found[0]
        if not torch.equal(found[0][key], found[1][key])
    }
    assert not apart, f"largest differences {apart}"
    return f"{', '.join(found[0])}: the bits of one process"


CHECKS = [
    Check("j SIGTERM and --ckpt_path last", check_signal, 300, apart=True),
    Check("k two ranks on one device", check_two_ranks, 200, apart=True),
]
