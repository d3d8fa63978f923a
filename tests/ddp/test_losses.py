"""Losses with parameters, with a schedule and with a bank, trained by two gloo processes."""

import os

import pytest
import pytorch_lightning as pl
import torch
import torch.distributed as dist

from lightning_hash.engine.trainer import HashTrainer
from lightning_hash.losses import (
    BiHalfLoss,
    DPNLoss,
    DSDHLoss,
    DSHLoss,
    DTSHLoss,
    GreedyHashLoss,
    HashNetLoss,
    HyP2Loss,
    IDHNLoss,
    OrthoHashLoss,
)
from lightning_hash.modules import HashModule
from lightning_hash.utils.trust import trusting
from tests.conftest import BlobData
from tests.helpers.processes import Plain, in_processes

pytestmark = [
    pytest.mark.ddp,
    pytest.mark.skipif(not dist.is_gloo_available(), reason="torch was built without gloo"),
]


def _losses():
    """Return losses and whether they have a bank."""
    alone = [
        GreedyHashLoss(), BiHalfLoss(gamma=0.3), HyP2Loss(), OrthoHashLoss(), DPNLoss(),
        DTSHLoss(margin=0.0), DSHLoss(), IDHNLoss(), DSDHLoss(eta=1.0),
    ]  # fmt: skip
    return [(loss, False) for loss in alone] + [(HashNetLoss(), True), (DSDHLoss(eta=1.0), True)]


def _fits(world=1):
    """Return the weights after nine steps with each loss, and the rows of the bank."""
    found = []
    for loss, bank in _losses():
        pl.seed_everything(0, verbose=False)
        with trusting():
            module = HashModule(
                {"class_path": "tests.ddp.test_collectives.Plain"}, bits=8, loss=loss,
                code_bank=bank, optimizer=lambda p: torch.optim.SGD(p, lr=0.2, momentum=0.9),
            )  # fmt: skip
        trainer = HashTrainer(
            accelerator="cpu", devices=world, strategy="ddp" if world > 1 else "auto", max_epochs=3,
            logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, num_sanity_val_steps=0, limit_val_batches=0,
        )  # fmt: skip
        data = BlobData(batch_size=24 // world, selected_on="test")
        trainer.fit(module, datamodule=data)
        state = {key: value.clone() for key, value in module.state_dict().items()}
        found.append((state, None if module._bank is None else module._bank.rows()[0]))
    return found


def _fits_in_process(rank):
    os.environ |= {
        "LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": "2", "RANK": str(rank),
        "GROUP_RANK": "0", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "test",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1",
    }  # fmt: skip
    return _fits(2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_training_by_two_processes_is_that_of_one_with_the_global_batch():
    alone = _fits()
    start = Plain().state_dict()
    for found in in_processes(_fits_in_process):
        for (state, rows), (expected, expected_rows) in zip(found, alone, strict=True):
            assert state.keys() == expected.keys()
            for name, value in state.items():
                torch.testing.assert_close(value, expected[name], rtol=0, atol=2e-5)
            if rows is not None:
                assert rows.shape == (60, 8)  # every process has the rows of both
                torch.testing.assert_close(rows, expected_rows, rtol=0, atol=1e-3)
    own = {name for state, _ in alone for name in state if name.startswith("loss.")}
    assert own == {"loss.classifier.weight", "loss.classifier.bias", "loss.proxies", "loss.centers"}
    for state, _ in alone:
        assert max((state[f"network.{name}"] - start[name]).abs().max() for name in start) > 1e-2
