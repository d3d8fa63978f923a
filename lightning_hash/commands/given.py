"""Options that the user gave and a verb cannot obey."""

import json
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

from lightning_hash.results.settings import canonical, flatten

# What training alone reads, by the verbs that do not train; on the command line, since configs of
# data, victims and machines are shared by all verbs.
_TRAINING = {
    "data.batch_size": "batches of queries and database are data.eval_batch_size",
    "data.augment": "inputs are changed in training alone",
    "data.jitter": "inputs are changed in training alone",
}
_TEST = {
    "model.weights": "the weights are the checkpoint's: give it with --ckpt_path",
    "model.loss": "the loss is one of training",
    "model.code_bank": "the code bank is one of training",
    "model.feature_cache": "a test goes through pixels",
    "model.optimizer": "the optimizer is one of training",
    "model.lr_scheduler": "the schedule is one of training",
    "model.pretrained_lr_scale": "the rate is one of training",
}
_LOOPS = (
    "max_epochs", "min_epochs", "max_steps", "min_steps", "max_time", "limit_train_batches",
    "limit_val_batches", "overfit_batches", "val_check_interval", "check_val_every_n_epoch",
    "num_sanity_val_steps", "accumulate_grad_batches", "gradient_clip_val",
    "gradient_clip_algorithm", "reload_dataloaders_every_n_epochs",
)  # fmt: skip
_NO_FIT = {f"trainer.{name}": "nothing is trained here" for name in _LOOPS}
_NO_TEST = {"trainer.limit_test_batches": "nothing is tested here"}
_NO_PREDICT = {"trainer.limit_predict_batches": "nothing is predicted here"}
_SMALLEST = {
    "model.epsilon": "each query is attacked at levels of its own, up to --levels",
    "model.evaluate_at": "each attack is scored at its end",
    "trainer.logger": "each attack has a log in its own folder",
    "trainer.default_root_dir": "the folder is RUNS/smallest/NAME",
}
UNUSED: Mapping[str, Mapping[str, str]] = {
    "fit": {
        "trainer.limit_predict_batches": "nothing is predicted here without --model.feature_cache",
    },
    "test": {**_TRAINING, **_TEST, **_NO_FIT, **_NO_PREDICT},
    "encode": {**_TRAINING, **_NO_FIT, **_NO_TEST},
    "robustness": {**_TRAINING, **_NO_FIT, **_NO_TEST},
    "attack": _TRAINING,
    "smallest": {**_TRAINING, **_SMALLEST},
}
# What a shared perturbation reads, which learns on the training items.
LEARNED_ON = "data.batch_size"
# What iterations alone read, of an attack that has none; in configs too, but for the schedule that
# overlays over any preset have.
_ITERATED = ("step", "inputs", "stop_finished", "start_seed", "surrogates", "start")


def given_options(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the user gave, in configs and on the command line, by dotted name.

    Args:
        content: parsed without defaults, nested.

    Returns:
        The values; ``init_args`` is left out of the names.

    Example:
        >>> given_options({"model": {"loss": {"class_path": "a.B", "init_args": {"x": 1}}}})
        {'model.loss.class_path': 'a.B', 'model.loss.x': 1}
    """
    return {name.replace(".init_args.", "."): value for name, value in flatten(content).items()}


def check_command_line(
    verb: str, arguments: Sequence[str], options: Mapping[str, str] | None = None
) -> None:
    """Refuse options that a verb would pass over.

    Args:
        verb: the verb.
        arguments: the command line behind it.
        options: dotted names, and why the verb passes them over; those of the verb by default.

    Raises:
        ValueError: naming the option and the remedy.
    """
    unused = UNUSED[verb] if options is None else options
    for argument in arguments:
        name = argument.removeprefix("--").partition("=")[0].replace(".init_args", "")
        for option, reason in unused.items():
            if argument.startswith("--") and _is_below(name, option):
                msg = f"--{name} changes nothing in {verb}: {reason}; leave it out"
                raise ValueError(msg)


def check_baseline(given: Mapping[str, Any], arguments: Sequence[str], objective: str) -> None:
    """Refuse parts of iterations where an attack has none.

    Args:
        given: as :func:`given_options` returns it.
        arguments: the command line behind the verb.
        objective: its name.

    Raises:
        ValueError: naming the options.
    """
    said = [path for path, value in given.items() if value is not None and value is not False]
    found = [name for name in _ITERATED if _among(said, f"model.{name}")]
    if found:
        names = ", ".join(f"model.{name}" for name in found)
        msg = f"{names}: objective {objective} is not iterated; leave out, or null after a config"
        raise ValueError(msg)
    schedule = {"model.alpha": f"objective {objective} is not iterated"}
    check_command_line("attack", arguments, schedule)


def may_be_shared(perturbation: Any) -> bool:
    """Return whether all queries may share a perturbation.

    Args:
        perturbation: option ``model.perturbation``, parsed; ``None`` is one per query.
    """
    path = getattr(perturbation, "class_path", perturbation)
    if path is None:
        return False
    module, _, name = str(path).rpartition(".")
    return bool(getattr(getattr(import_module(module), name), "shared", True))


def check_network(
    given: Mapping[str, Any], content: Mapping[str, Any], saved: Mapping[str, Any], path: str
) -> None:
    """Refuse to build another network than a checkpoint's.

    Args:
        given: as :func:`given_options` returns it.
        content: all options, parsed.
        saved: ``backbone``, ``bits`` and, where known, ``weights`` of the checkpoint.
        path: its path.

    Raises:
        ValueError: naming the option and both values.
    """
    for name, value in saved.items():
        here = content.get(name)
        if _among(given, f"model.{name}") and canonical(_plain(here)) != canonical(value):
            msg = (
                f"ckpt_path {path}: its model.{name} is {json.dumps(value)}, --model.{name} is "
                f"{json.dumps(_plain(here))}; leave --model.{name} out, or train anew without "
                "--ckpt_path"
            )
            raise ValueError(msg)


def _among(names: Iterable[str], option: str) -> bool:
    return any(_is_below(name, option) for name in names)


def _is_below(name: str, option: str) -> bool:
    return name == option or name.startswith(f"{option}.")


def _plain(value: Any) -> Any:
    return value.as_dict() if hasattr(value, "as_dict") else value
