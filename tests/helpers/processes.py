"""Commands and functions that run in processes of their own."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file
from torch import nn

import lightning_hash

ROOT = Path(lightning_hash.__file__).parent.parent
TIMEOUT = 240


def start(folder, *arguments, before=(), **environment):
    return subprocess.Popen(
        [*(before or [sys.executable]), "-m", "lightning_hash", *arguments], cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def finish(process, status=0):
    try:
        output, _ = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        pytest.fail(f"still running after {TIMEOUT} s:\n{output[-3000:]}")
    assert process.returncode == status, output[-3000:]
    return output


def run(folder, name, version=0):
    return folder / "runs" / "attack" / name / f"version_{version}"


def values(path):
    rows = json.loads((path / "results.json").read_text())
    return [(r["attack"], r["metric"], r["iteration"], r["quantized"], r["value"]) for r in rows]


def same(found, expected):
    a, b = tensors(found), tensors(expected)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert values(found) == values(expected)
    assert len(values(found)) > 20


def in_processes(function, world=2):
    """Call a function of the rank in each process; return what each returned."""
    with torch.multiprocessing.Manager() as manager:
        results = manager.dict()
        arguments = (function, world, _free_port(), results)
        torch.multiprocessing.spawn(_in_process, arguments, nprocs=world)
        return [results[rank] for rank in range(world)]


class Plain(nn.Sequential):
    """No batch norm, whose statistics are each process's own."""

    def __init__(self, bits=8):
        generator = torch.Generator().manual_seed(11)
        super().__init__(
            OrderedDict(a=nn.Conv2d(3, 6, 3, 2), b=nn.Tanh(), c=nn.Flatten(), d=nn.Linear(54, bits))
        )
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2


def tensors(path):
    return load_file(path / "perturbations.safetensors") | load_file(path / "codes.safetensors")


def _free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def _in_process(rank, function, world, port, results):
    torch.set_num_threads(1)
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=world)
    results[rank] = function(rank)
    dist.destroy_process_group()
