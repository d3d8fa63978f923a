"""The smallest epsilon of each query by several processes."""

import json

import pytest
import torch.distributed as dist

from tests.helpers.processes import finish, start

pytestmark = [
    pytest.mark.ddp,
    pytest.mark.slow,
    pytest.mark.skipif(not dist.is_gloo_available(), reason="torch was built without gloo"),
]
DATA = ["--data.n_train=60", "--data.n_query=7", "--data.n_database=50"]


def test_two_processes_find_what_one_finds(tmp_path):
    cpu = "--trainer.accelerator=cpu"
    finish(start(tmp_path, "fit", *DATA, "--trainer.max_epochs=1", cpu))
    line = [
        "smallest", *DATA, cpu, "--model.stop_at=4", "--levels=15", "--trainer.max_epochs=10",
        "--model.step=SignStep", "--model.step.lr=4/255",
        "--model.n_queries=7", "--model.batch_size=2", "--model.kernels=float32",
    ]  # fmt: skip
    found = []
    for devices in (1, 2):  # groups of fewer queries than processes are among them
        finish(start(tmp_path, *line, f"--name=by_{devices}", f"--trainer.devices={devices}"))
        root = tmp_path / "runs" / "smallest" / f"by_{devices}"
        assert [path.name for path in root.glob("version_*")] == ["version_0"]
        found.append(json.loads((root / "version_0" / "smallest.json").read_text()))
    one, two = found
    assert one["queries"] == two["queries"]
    assert len({each["level"] for each in one["queries"]}) > 1
    for each in (*one["runs"], *two["runs"]):
        del each["seconds"]
    assert one["runs"] == two["runs"]
    assert two["run"]["devices"] == "2 x cpu"
