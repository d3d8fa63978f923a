"""An ONNX victim under several processes: each reads and checks the file by itself."""

import os

import pytest
import torch.distributed as dist

from tests.helpers.onnx_files import network, write
from tests.helpers.processes import ROOT, finish, run, same, start

onnx = pytest.importorskip("onnx", reason="pip install '.[onnx]'")
for package in ("onnx2torch", "onnxruntime"):
    pytest.importorskip(package, reason="pip install '.[onnx]'")
pytestmark = [
    pytest.mark.ddp,
    pytest.mark.slow,
    pytest.mark.skipif(not dist.is_gloo_available(), reason="torch was built without gloo"),
]


def test_two_processes_give_the_same_bits(tmp_path):
    write(network(onnx, batch=1, flatten=False), tmp_path / "a.onnx")
    command = [
        "attack", "--model.victim={source: a.onnx, preprocess: none}", "--data.size=8",
        "--data.n_train=100", "--data.n_query=30", "--data.n_database=200", "--model.n_queries=13",
        "--model.batch_size=5", "--trainer.accelerator=cpu", "--trainer.max_epochs=6",
        "--model.evaluate_at=[2]", "--model.kernels=float32", "--model.objective=AnchorCode",
        "--model.targets.n_t=3",
    ]  # fmt: skip
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    for devices in (1, 2):
        options = [f"--name=by_{devices}", f"--trainer.devices={devices}"]
        finish(start(tmp_path, *command, *options, PYTHONPATH=path))
    same(run(tmp_path, "by_2"), run(tmp_path, "by_1"))
