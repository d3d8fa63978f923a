"""Options of Lightning's Trainer that would change a number without standing in its row."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytorch_lightning as pl
from pytorch_lightning.callbacks import (
    BaseFinetuning,
    BatchSizeFinder,
    Callback,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelPruning,
    StochasticWeightAveraging,
    WeightAveraging,
)
from pytorch_lightning.plugins.precision import (
    BitsandbytesPrecision,
    DoublePrecision,
    MixedPrecision,
    Precision,
)
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from pytorch_lightning.utilities import rank_zero_info

from lightning_hash.modules.preparation import check_precision

# Lightning's callbacks that change weights, rates or batches by themselves.
CHANGING: tuple[type[Callback], ...] = (
    BaseFinetuning, BatchSizeFinder, GradientAccumulationScheduler, LearningRateFinder,
    ModelPruning, StochasticWeightAveraging, WeightAveraging,
)  # fmt: skip


class _Rule(NamedTuple):
    option: str
    breaks: Callable[[Any], bool]
    reason: str


def is_partial(limit: float) -> bool:
    """Return whether a limit of the Trainer leaves batches out: 1 is one batch, 1.0 all of them."""
    return isinstance(limit, int) or limit != 1.0


def _some(limit: float) -> bool:
    return limit != 0 and is_partial(limit)


_BAREBONES = _Rule(
    "barebones", bool,
    "nothing is logged, metrics neither; leave it out and give logger: false and "
    "enable_checkpointing: false",
)  # fmt: skip
_DEV_RUN = _Rule("fast_dev_run", bool, "single batches stand for the whole; leave it out")
_TEST = _Rule(
    "limit_test_batches", is_partial,
    "the numbers would be of some queries or a part of the database; leave it out and make the "
    "data set smaller, or give an attack fewer n_queries",
)  # fmt: skip
_PREDICT = _Rule(
    "limit_predict_batches", is_partial,
    "the rest of the split would have no codes, and a database would be its first batches; leave "
    "it out and make the data set smaller",
)  # fmt: skip
_ATTACK = (
    _DEV_RUN,
    _BAREBONES,
    _Rule(
        "overfit_batches", lambda value: value > 0,
        "the other queries would stay as they are; leave it out and give fewer n_queries",
    ),
    _Rule(
        "limit_train_batches", is_partial,
        "the other queries would stay as they are; leave it out and give fewer n_queries",
    ),
    _TEST,
    _PREDICT,
    _Rule(
        "max_steps", lambda value: value != -1,
        "an attack would end in the midst of an iteration; leave it out: max_epochs is the number "
        "of iterations",
    ),
    _Rule(
        "accumulate_grad_batches", lambda value: value != 1,
        "queries have losses of their own, and each is stepped in every iteration; leave it out",
    ),
    _Rule(
        "gradient_clip_val", bool,
        "the step of one query would depend on the others of its batch; leave it out: the budget "
        "bounds the perturbation, and NormalizedStep the step",
    ),
)  # fmt: skip
_FIT = (
    _BAREBONES,
    *(
        _Rule(option, lambda value: value == 0, "nothing would be trained; leave it out")
        for option in ("max_epochs", "max_steps", "limit_train_batches")
    ),
    _Rule(
        "overfit_batches", lambda value: value > 0,
        "val/map would rank a part of the database; leave it out and give limit_train_batches, or "
        "limit_val_batches: 0 for no validation",
    ),
    _Rule(
        "limit_val_batches", _some,
        "val/map would rank a part of the database; leave it out, or give 0 for no validation",
    ),
    _Rule(
        "limit_test_batches", _some,
        "the numbers would be of some queries or a part of the database; leave it out and make the "
        "data set smaller, or give 0 for no test",
    ),
)  # fmt: skip


def check_attack_trainer(trainer: pl.Trainer) -> None:
    """Refuse a Trainer that would run another attack than its rows say.

    Args:
        trainer: runs the attack.

    Raises:
        ValueError: naming the option, its value and the remedy.
    """
    check_precision(trainer)
    _refuse(trainer, _ATTACK)
    connector = trainer._accelerator_connector
    if connector._layer_sync is not None:
        _fail("sync_batchnorm", True, "the victim is in eval mode, where batches change nothing; "
              "leave it out")  # fmt: skip
    strategy = trainer.strategy
    known = isinstance(strategy, SingleDeviceStrategy) or type(strategy) is DDPStrategy
    if not (known or hasattr(strategy, "query_parallel")):
        _fail("strategy", type(strategy).__name__, "it may split or convert the perturbations; "
              "give auto, or query_parallel for several processes")  # fmt: skip
    _check_plugin(trainer, (Precision, MixedPrecision, DoublePrecision))
    _check_callbacks(trainer, CHANGING)


def check_pass_trainer(trainer: pl.Trainer, stage: str) -> None:
    """Refuse a Trainer that would pass some items only through a network.

    Args:
        trainer: runs the pass.
        stage: ``"predict"`` for codes, ``"test"`` for numbers.

    Raises:
        ValueError: naming the option, its value and the remedy.
    """
    _refuse(trainer, (_DEV_RUN, _PREDICT) if stage == "predict" else (_DEV_RUN, _BAREBONES, _TEST))
    _check_plugin(trainer)
    _check_callbacks(trainer, (BatchSizeFinder,))


def check_fit_trainer(trainer: pl.Trainer, *, computes: bool = False) -> None:
    """Refuse a Trainer that would validate a training on a part of the database.

    How it trains is the user's choice and stands in the checkpoint. ``fast_dev_run`` keeps no
    checkpoint; that its numbers are of single batches is said.

    Args:
        trainer: runs the training.
        computes: whether the model computes its hash layer, so that no epoch is needed.

    Raises:
        ValueError: naming the option, its value and the remedy.
    """
    if getattr(trainer, "fast_dev_run", False):
        rank_zero_info("trainer.fast_dev_run: val/map is of single batches, and no victim is kept")
        return
    _refuse(trainer, [rule for rule in _FIT if not (computes and rule.option == "max_epochs")])


def _refuse(trainer: pl.Trainer, rules: Sequence[_Rule]) -> None:
    for option, breaks, reason in rules:
        value = getattr(trainer, option)
        if breaks(value):
            _fail(option, value, reason)


def _check_plugin(trainer: pl.Trainer, kinds: tuple[type[Precision], ...] = ()) -> None:
    plugin = type(trainer.precision_plugin)
    ours = plugin.__module__.startswith(f"{Precision.__module__.rpartition('.')[0]}.")
    if plugin in kinds or (not kinds and ours and plugin is not BitsandbytesPrecision):
        return
    _fail("plugins", plugin.__name__, "what it makes of the weights stands in no row; leave it out "
          "and give trainer.precision")  # fmt: skip


def _check_callbacks(trainer: pl.Trainer, kinds: tuple[type[Callback], ...]) -> None:
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, kinds):
            _fail("callbacks", type(callback).__name__, "it changes weights, rates or batches, "
                  "and no row says so; leave it out")  # fmt: skip


def _fail(option: str, value: Any, reason: str) -> None:
    msg = f"trainer.{option} = {value}: {reason}"
    raise ValueError(msg)
