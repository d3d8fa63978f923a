"""How runs end in one line where the machine is not what was asked for."""

import errno

import pytest
import torch

from lightning_hash.__main__ import main
from lightning_hash.commands.errors import explained


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--trainer.accelerator=gpu"], "trainer.accelerator: torch sees no GPU on this machine"),
        (["--trainer.devices=0", "--trainer.accelerator=cpu"], "--trainer.devices must be a num"),
        (["--trainer.max_epochs=-2"], "--trainer.max_epochs must be a whole number from 0 on"),
    ],
)
def test_a_trainer_that_cannot_be(options, line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["fit", *options]) == 1
    assert f"error: {line}" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "text",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79 GiB",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "[enforce fail at alloc_cpu.cpp] . DefaultCPUAllocator: can't allocate memory: you tried",
    ],
)
@pytest.mark.parametrize("kind", [RuntimeError, torch.OutOfMemoryError])
def test_memory_that_ran_out_names_the_batch_size(text, kind):
    line = explained(kind(text))
    assert line.startswith("the device's memory does not hold this")
    assert "--data.batch_size" in line
    assert "\n" not in line


def test_a_full_disk_names_the_place():
    error = OSError(errno.ENOSPC, "No space left on device", "runs/rows.json")
    assert "no space left on the disk of runs/rows.json" in explained(error)


def test_an_error_of_the_program_keeps_its_traceback():
    assert explained(RuntimeError("a kernel failed")) is None
    assert explained(KeyError("x")) is None
