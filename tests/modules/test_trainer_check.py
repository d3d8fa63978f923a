"""Every option of Lightning's Trainer, and every callback of Lightning's, judged."""

import inspect

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning import callbacks as known
from pytorch_lightning.plugins.precision import HalfPrecision, Precision
from torch.optim import SGD

from lightning_hash.commands.attack import run_attack
from lightning_hash.engine.encode_splits import encode_splits
from lightning_hash.modules import HashModule
from lightning_hash.modules.trainer_check import CHANGING, check_attack_trainer, is_partial
from lightning_hash.victims.victim import Victim
from tests.conftest import TinyNet
from tests.helpers.attacks import make, rows_of
from tests.helpers.attacks import trainer as hash_trainer
from tests.helpers.own_parts import universal

QUIET = {
    "accelerator": "cpu", "devices": 1, "logger": False, "enable_checkpointing": False,
    "enable_progress_bar": False, "enable_model_summary": False, "max_epochs": 3,
}  # fmt: skip

# An option that is not named here fails the test below it: judge it, then name it.
HARMLESS = {  # the value that is tried: the perturbations are the same bits
    "min_epochs": 2, "min_steps": 4, "limit_val_batches": 1, "val_check_interval": 1,
    "check_val_every_n_epoch": 2, "num_sanity_val_steps": 3, "log_every_n_steps": 1,
    "enable_checkpointing": True, "enable_progress_bar": True, "enable_model_summary": True,
    "gradient_clip_algorithm": "norm", "inference_mode": False, "use_distributed_sampler": False,
    "profiler": "simple", "detect_anomaly": True, "reload_dataloaders_every_n_epochs": 1,
    "default_root_dir": "elsewhere", "enable_autolog_hparams": False, "model_registry": "a",
    "logger": True, "callbacks": [known.ModelSummary()], "plugins": [Precision()],
    "benchmark": True,
}  # fmt: skip
RECORDED = {  # where a row says it, and how the value that is tried stands there
    "accelerator": ("cpu", "run.devices", "1 x cpu"),
    "devices": (1, "run.devices", "1 x cpu"),
    "num_nodes": (1, "run.devices", "1 x cpu"),
    "precision": ("bf16-mixed", "run.precision", "bf16-mixed"),
    "max_epochs": (2, "attack.iterations", 2),
    "max_time": ({"hours": 1}, "iteration", 3),  # of a row: see tests/modules/test_stops.py
    "deterministic": (True, "run.deterministic", True),
}
REFUSED = {
    "fast_dev_run": (True, "fast_dev_run = True: single batches stand for the whole"),
    "max_steps": (4, "max_steps = 4: an attack would end in the midst of an iteration"),
    "limit_train_batches": (2, "limit_train_batches = 2: the other queries would stay"),
    "limit_test_batches": (0.5, "limit_test_batches = 0.5: the numbers would be of some queries"),
    "limit_predict_batches": (1, "limit_predict_batches = 1: the rest of the split would have no"),
    "overfit_batches": (1, "overfit_batches = 1: the other queries would stay as they are"),
    "accumulate_grad_batches": (2, "accumulate_grad_batches = 2: queries have losses of their own"),
    "gradient_clip_val": (1.0, "gradient_clip_val = 1.0: the step of one query would depend on"),
    "barebones": (True, "barebones = True: nothing is logged"),
    "sync_batchnorm": (True, "sync_batchnorm = True: the victim is in eval mode"),
    "strategy": ("fsdp", "strategy = FSDPStrategy: it may split or convert the perturbations"),
}
STOPS = {"EarlyStopping", "Timer"}  # whose iterations the rows count: tests/modules/test_stops.py
READS = {
    "BasePredictionWriter", "Callback", "Checkpoint", "DeviceStatsMonitor", "LambdaCallback",
    "LearningRateMonitor", "ModelCheckpoint", "ModelSummary", "OnExceptionCheckpoint",
    "ProgressBar", "RichModelSummary", "RichProgressBar", "SpikeDetection", "ThroughputMonitor",
    "TQDMProgressBar",
}  # fmt: skip


def test_every_option_of_the_trainer_is_judged():
    options = set(inspect.signature(pl.Trainer.__init__).parameters) - {"self"}
    assert options == {*HARMLESS, *RECORDED, *REFUSED}
    assert len(options) == len(HARMLESS) + len(RECORDED) + len(REFUSED)


def test_every_callback_of_lightning_is_judged():
    changing = {n for n in known.__all__ if issubclass(getattr(known, n), CHANGING)}
    assert set(known.__all__) == changing | STOPS | READS
    assert not changing & (STOPS | READS)


@pytest.fixture(autouse=True)
def _switches():
    """Give back what the Trainer sets for the whole process."""
    before = torch.backends.cudnn.benchmark
    yield
    torch.use_deterministic_algorithms(mode=False)
    torch.backends.cudnn.benchmark = before


def perturbed(blobs, module=None, **options):
    scores = run_attack(pl.Trainer(**{**QUIET, **options}), module or make(), blobs)
    return scores, scores.outcome().tensors["perturbation"]


@pytest.fixture(scope="module")
def expected():
    from tests.conftest import BlobData

    return perturbed(BlobData(batch_size=12, eval_batch_size=32))[1]


@pytest.mark.parametrize("option", HARMLESS)
def test_harmless(option, blobs, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, found = perturbed(blobs, **{option: HARMLESS[option]})
    assert found.abs().max() > 1e-4
    assert torch.equal(found, expected)


def test_loaders_made_anew_are_those_of_before(blobs, tmp_path):
    """A shared perturbation learns on training items, whose order depends on the epoch alone."""
    results = [
        perturbed(blobs, universal(), reload_dataloaders_every_n_epochs=every)[1]
        for every in (0, 1)
    ]
    assert results[0].abs().max() > 1e-3
    assert torch.equal(*results)


@pytest.mark.parametrize("option", RECORDED)
def test_recorded(option, blobs):
    from lightning_hash.results.rows import ResultRow

    value, path, wanted = RECORDED[option]
    scores, _ = perturbed(blobs, **{option: value})
    rows = [ResultRow(**row) for row in rows_of(scores, attack="hag", quantized=True)]
    assert {row.get(path) for row in rows} == {wanted}


@pytest.mark.parametrize("option", REFUSED)
def test_refused(option, blobs):
    value, message = REFUSED[option]
    options = {**QUIET, option: value}
    if option == "barebones":
        options = {name: options[name] for name in ("accelerator", "devices", option)}
    if option == "strategy":
        run = pl.Trainer(**QUIET)
        run._accelerator_connector.strategy = pl.strategies.FSDPStrategy()
        with pytest.raises(ValueError, match=f"trainer.{message}.*; "):
            check_attack_trainer(run)
        return
    with pytest.raises(ValueError, match=f"trainer.{message}.*; "):
        run_attack(pl.Trainer(**options), make(), blobs)


@pytest.mark.parametrize(
    ("limit", "partial"), [(1.0, False), (1, True), (0, True), (0.0, True), (0.3, True), (70, True)]
)
def test_one_is_a_batch_and_one_point_zero_is_all(limit, partial):
    assert is_partial(limit) == partial


def test_attach_refuses_by_itself(blobs):
    """A module that is attached by hand has the user's Trainer."""
    from lightning_hash.data.queries import QueryData

    data = QueryData(blobs, None, 5, 0)
    data.setup("predict")
    with pytest.raises(ValueError, match=r"trainer\.limit_train_batches = 0: the other queries"):
        make().attach(data, None, pl.Trainer(**QUIET, limit_train_batches=0))


@pytest.mark.parametrize(
    "callback",
    [
        known.GradientAccumulationScheduler({0: 1, 2: 2}),
        known.StochasticWeightAveraging(1e-2),
        known.EMAWeightAveraging(),
        known.LearningRateFinder(),
        known.BatchSizeFinder(),
        known.ModelPruning("l1_unstructured"),
        known.BackboneFinetuning(),
    ],
)
def test_callbacks_that_change_an_attack_are_refused(callback, blobs):
    message = f"trainer.callbacks = {type(callback).__name__}: it changes weights, rates or batches"
    with pytest.raises(ValueError, match=message):
        run_attack(pl.Trainer(**QUIET, callbacks=[callback]), make(), blobs)


class Meddles(pl.Callback):
    """Does once what no row says."""

    def __init__(self, what, hook):
        self.what = what
        setattr(self, hook, self._meddle)
        self.left = 1

    def _meddle(self, trainer, module, *args):
        if trainer.current_epoch < 1 or not self.left:
            return
        self.left -= 1
        if self.what == "rate":
            module.rules[1].optimizer.param_groups[0]["lr"] *= 2
        else:
            module.perturbations[1].delta.data[0, 0, 0, 0] += 1e-3


@pytest.mark.parametrize(
    "hook", ["on_train_batch_start", "on_train_batch_end", "on_train_epoch_end", "on_train_end"]
)
@pytest.mark.parametrize("what", ["rate", "perturbation"])
def test_a_callback_of_ones_own_that_changes_an_attack_is_noticed(what, hook, blobs):
    with pytest.raises(ValueError, match=r"changed between two steps, .*leave the .*: Meddles"):
        perturbed(blobs, callbacks=[Meddles(what, hook)])


def test_custom_precision_is_refused(blobs):
    class Short(Precision):
        pass

    with pytest.raises(ValueError, match=r"trainer\.plugins = Short: what it makes of the weights"):
        run_attack(pl.Trainer(**QUIET, plugins=[Short()]), make(), blobs)
    with pytest.raises(ValueError, match="bf16-true: the perturbations would lose"):
        run_attack(pl.Trainer(**QUIET, plugins=[HalfPrecision("bf16-true")]), make(), blobs)
    with pytest.raises(ValueError, match=r"trainer\.plugins = Short"):
        encode_splits(pl.Trainer(**QUIET, plugins=[Short()]), Victim(TinyNet()), blobs, ["query"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit_predict_batches": 1}, "limit_predict_batches = 1: the rest of the split"),
        ({"limit_predict_batches": 0.5}, "limit_predict_batches = 0.5: the rest of the split"),
        ({"fast_dev_run": 2}, "fast_dev_run = 2: single batches"),
        ({"callbacks": [known.BatchSizeFinder()]}, "callbacks = BatchSizeFinder"),
    ],
)
def test_codes_are_of_whole_splits(options, message, blobs):
    with pytest.raises(ValueError, match=f"trainer.{message}"):
        encode_splits(pl.Trainer(**QUIET, **options), Victim(TinyNet()), blobs, ["database"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit_test_batches": 1}, "limit_test_batches = 1: the numbers would be of some"),
        ({"fast_dev_run": True}, "fast_dev_run = True: single batches"),
    ],
)
def test_a_test_is_of_all_queries_and_the_whole_database(options, message, blobs):
    with pytest.raises(ValueError, match=f"trainer.{message}"):
        pl.Trainer(**QUIET, **options).test(HashModule(bits=8), datamodule=blobs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit_val_batches": 1}, "limit_val_batches = 1: val/map would rank a part"),
        ({"limit_val_batches": 0.5}, "limit_val_batches = 0.5: val/map would rank a part"),
        ({"overfit_batches": 2}, "overfit_batches = 2: val/map would rank a part"),
        ({"limit_test_batches": 2}, "limit_test_batches = 2: the numbers would be of some"),
    ],
)
def test_a_training_is_validated_on_the_whole_database(options, message, blobs):
    with pytest.raises(ValueError, match=f"trainer.{message}"):
        pl.Trainer(**QUIET, **options).fit(HashModule(bits=8), datamodule=blobs)


def test_how_a_training_was_cut_short_stands_in_its_checkpoint(tmp_path, blobs):
    run = hash_trainer(tmp_path, 2, limit_train_batches=1, accumulate_grad_batches=2)
    run.fit(HashModule(bits=8, optimizer=lambda p: SGD(p, lr=0.1)), datamodule=blobs)
    run.save_checkpoint(tmp_path / "v.ckpt")
    settings = torch.load(tmp_path / "v.ckpt", weights_only=True)["lightning_hash"]["settings"]
    assert settings["trainer"]["limit_train_batches"] == 1
    assert settings["trainer"]["accumulate_grad_batches"] == 2
    assert settings["data"]["global_batch"] == 12
