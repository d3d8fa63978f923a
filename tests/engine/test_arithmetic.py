"""What is called float32 is float32: in training, in every pass that is scored, and on a GPU."""

import pytest
import torch
from pytorch_lightning import Callback

from lightning_hash.commands.fit import run_fit
from lightning_hash.commands.test import run_test
from lightning_hash.data import SampleClips
from lightning_hash.engine.trainer import HashTrainer
from lightning_hash.modules import HashModule
from lightning_hash.victims.borrow import borrowed, exact_arithmetic
from tests.conftest import BlobData, TinyNet


def flags():
    cudnn = torch.backends.cudnn
    return cudnn.allow_tf32, torch.get_float32_matmul_precision(), cudnn.deterministic


class Watch(Callback):
    def __init__(self):
        self.seen = {}

    def on_train_batch_start(self, *args):
        self.seen["fit"] = flags()

    def on_validation_batch_start(self, *args):
        self.seen["validation"] = flags()

    def on_test_batch_start(self, *args):
        self.seen["test"] = flags()

    def on_predict_batch_start(self, *args):
        self.seen["features"] = flags()


@pytest.fixture
def loose():
    """The settings that torch has on a GPU, and more of their kind."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    yield flags()
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


def trainer(folder, watch, **options):
    return HashTrainer(
        max_epochs=1, accelerator="cpu", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[watch],
        default_root_dir=folder, **options,
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore:no validated epoch is kept")
def test_fit_and_test_are_exact_and_give_the_settings_back(tmp_path, loose):
    data, watch = BlobData(batch_size=12, eval_batch_size=32), Watch()
    model = HashModule("convnet", 8)
    run_fit(trainer(tmp_path, watch), model, datamodule=data)
    exact = (False, "highest", True)
    assert watch.seen == {"fit": exact, "validation": exact, "test": exact}
    assert flags() == loose
    watch.seen.clear()
    run_test(trainer(tmp_path, watch), model, data)
    assert watch.seen == {"test": exact}
    assert flags() == loose


@pytest.mark.filterwarnings("ignore:no validated epoch is kept")
def test_features_that_are_kept_are_exact(tmp_path, loose):
    backbone = {
        "class_path": "lightning_hash.models.VideoNetwork",
        "init_args": {"frames": "convnet", "hidden": 6},
    }
    data = SampleClips(
        n_train=10, n_query=5, n_database=5, frames=2, size=16, batch_size=5, jitter=None,
        selected_on="test",
    )  # fmt: skip
    watch = Watch()
    model = HashModule(backbone, 8, feature_cache=str(tmp_path / "features"))
    run_fit(trainer(tmp_path, watch), model, datamodule=data)
    assert watch.seen["features"] == (False, "highest", True)


@pytest.mark.parametrize("context", [exact_arithmetic, lambda: borrowed(TinyNet())])
@pytest.mark.parametrize("refuses", [True, False])
def test_who_asks_for_an_error_gets_no_warning(monkeypatch, context, refuses):
    """``--trainer.deterministic true`` has been set by then, as Lightning sets it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    torch.use_deterministic_algorithms(mode=refuses)
    try:
        with context():
            assert torch.are_deterministic_algorithms_enabled()
            assert torch.is_deterministic_algorithms_warn_only_enabled() is not refuses
        assert torch.are_deterministic_algorithms_enabled() is refuses
        assert not torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(mode=False)
