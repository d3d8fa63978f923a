"""A hash layer that several processes compute is that of one."""

import pytest
import torch
import torch.distributed as dist

from tests.helpers.processes import finish, start

pytestmark = [
    pytest.mark.ddp,
    pytest.mark.slow,
    pytest.mark.skipif(not dist.is_gloo_available(), reason="torch was built without gloo"),
]


def test_two_processes_compute_what_one_does(tmp_path):
    """Of 63 items two processes pass one twice."""
    fit = [
        "fit", "--config=fit/itq", "--data.n_train=63", "--data.n_query=9", "--model.bits=8",
        "--data.n_database=31", "--data.eval_batch_size=16", "--trainer.accelerator=cpu",
    ]  # fmt: skip
    found = []
    for devices in (1, 2):
        output = finish(start(tmp_path, *fit, f"--trainer.devices={devices}", f"--name={devices}"))
        saved = torch.load(tmp_path / "checkpoints" / str(devices) / "best.ckpt", weights_only=True)
        state = saved["state_dict"]
        found.append((state, [line for line in output.splitlines() if "test/" in line]))
    (one, said), (two, also_said) = found
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=1e-4, rtol=1e-4)
    assert one["network.hash_layer.bias"].any()
    assert said == also_said
    assert len(said) >= 3
