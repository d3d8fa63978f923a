"""Harmless transforms by several processes."""

import pytest
import torch.distributed as dist

from tests.helpers.processes import finish, start

pytestmark = [
    pytest.mark.ddp,
    pytest.mark.slow,
    pytest.mark.skipif(not dist.is_gloo_available(), reason="torch was built without gloo"),
]
DATA = ["--data.n_train=60", "--data.n_query=7", "--data.n_database=50"]


def test_two_processes_give_the_file_of_one(tmp_path):
    cpu = "--trainer.accelerator=cpu"
    finish(start(tmp_path, "fit", *DATA, "--trainer.max_epochs=1", cpu))
    line = ["robustness", *DATA, "--transforms=[crop, text, flip]", cpu]
    for devices in (1, 2):  # 7 queries in 13 variants: the shares of two processes are uneven
        finish(start(tmp_path, *line, f"--name=by_{devices}", f"--trainer.devices={devices}"))
    one, two = (
        tmp_path / "runs" / "robustness" / f"by_{devices}" / "version_0" for devices in (1, 2)
    )
    assert (one / "robustness.json").read_bytes() == (two / "robustness.json").read_bytes()
    assert (one / "robustness.png").read_bytes() == (two / "robustness.png").read_bytes()
    assert sorted(path.name for path in two.parent.iterdir()) == ["version_0"]
