"""An attack's checkpoint: its state by query, without the victim."""

import dataclasses
import inspect
from collections.abc import Sequence
from types import CodeType
from typing import Any

from pytorch_lightning.utilities import rank_zero_warn
from torch import nn
from torch.optim import Optimizer

from lightning_hash._version import __version__
from lightning_hash.attacks import AlphaSchedule, Perturbation, Queries, RateDecay, Rule
from lightning_hash.attacks.recipe import Recipe
from lightning_hash.attacks.state import pack, unpack
from lightning_hash.modules.resumption import check_resumption
from lightning_hash.victims.checkpoints import CHECKPOINT_KEY, CHECKPOINT_VERSION, check_shapes
from lightning_hash.victims.kernels import Kernels

Local = tuple[Sequence[Queries], Sequence[Perturbation]]
PREFIX = "perturbations."


def save_attack(
    checkpoint: dict[str, Any],
    identity: dict[str, Any],
    local: tuple[Sequence[Queries], Sequence[Perturbation], Sequence[Optimizer]] | None,
    *,
    rows: list[dict[str, Any]],
    seconds: float,
    kernels: Kernels | None,
    done: int,
    within: bool,
    doubts: Sequence[str],
) -> None:
    """Put the state of an attack into a checkpoint.

    Args:
        checkpoint: what Lightning made; changed in place.
        identity: what the run that goes on from it must agree in.
        local: this process's batches, perturbations and optimizers; ``None`` where the perturbation
            is shared, whose state Lightning has put there already.
        rows: the result rows so far.
        seconds: time that the iterations have taken.
        kernels: that they run on.
        done: iterations that are done.
        within: whether some batches are one iteration further.
        doubts: what keeps the numbers from being believed.
    """
    state = checkpoint["state_dict"]
    kept = {name: value for name, value in state.items() if name.startswith(PREFIX)}
    checkpoint["state_dict"] = kept if local is None else {}
    checkpoint["optimizer_states"] = checkpoint["optimizer_states"] if local is None else []
    checkpoint[CHECKPOINT_KEY] = {
        "kind": "attack",
        "version": CHECKPOINT_VERSION,
        "program": __version__,
        "identity": identity,
        "queries": None if local is None else pack(*local),
        "rows": rows,
        "seconds": seconds,
        "kernels": None if kernels is None else dataclasses.asdict(kernels),
        "done": done,
        "within": within,
        "doubts": list(doubts),
    }


def load_attack(
    checkpoint: dict[str, Any],
    identity: dict[str, Any],
    local: Local | None,
    recipe: Recipe,
    perturbations: nn.ModuleList,
) -> dict[str, Any]:
    """Lay the state in a checkpoint out for the batches of a run.

    Args:
        checkpoint: what :func:`save_attack` filled; Lightning finds its own parts in it.
        identity: of the run that goes on.
        local: this process's batches and perturbations; ``None`` where the perturbation is shared.
        recipe: the parts of the attack, with its length.
        perturbations: those that Lightning will load.

    Returns:
        Our entry, with ``rows``, ``seconds``, ``kernels``, ``done`` and ``doubts``. The rows are
        those of this attack, which may be longer where nothing depends on its length.

    Raises:
        ValueError: if the checkpoint belongs to another attack, to a longer one, was saved in the
            midst of an iteration, or has perturbations of another shape; names what differs.
    """
    done = min(checkpoint["epoch"] + 1, recipe.iterations)  # of an earlier version
    entry: dict[str, Any] = {"within": False, "done": done}
    entry |= checkpoint[CHECKPOINT_KEY]
    unknown = identity.keys() - entry["identity"].keys()
    if unknown:
        rank_zero_warn(
            f"ckpt_path: the checkpoint is of an earlier version and does not say its "
            f"{', '.join(sorted(unknown))}, which cannot be compared with this run's"
        )
    here = {name: value for name, value in identity.items() if name not in unknown}
    follows = {"attack.iterations": follows_iterations(recipe)}
    check_resumption(entry["identity"], here, "attack", follows)
    if (entry["queries"] is None) != (local is None):
        msg = (
            "ckpt_path: one of checkpoint and attack has a perturbation that all queries share, "
            "the other one for each query; start anew without ckpt_path"
        )
        raise ValueError(msg)
    if entry["within"]:
        msg = (
            f"ckpt_path: the checkpoint was saved in the midst of iteration {entry['done'] + 1}, "
            "when some queries had been stepped and others had not; go on from one that was saved "
            "at the end of an iteration, such as checkpoints/last.ckpt"
        )
        raise ValueError(msg)
    if entry["done"] > recipe.iterations:
        msg = (
            f"ckpt_path: the checkpoint has {entry['done']} iterations, this run's max_epochs is "
            f"{recipe.iterations}; give at least as many, or start anew without ckpt_path"
        )
        raise ValueError(msg)
    for row in entry["rows"]:
        if row["attack"] is not None and "iterations" in row["attack"]:
            row["attack"] = {**row["attack"], "iterations": recipe.iterations}
    if local is not None:
        parameters, optimizers = unpack(entry["queries"], *local)
        checkpoint["state_dict"] = {
            f"{PREFIX}{number}.{name}": value
            for number, named in enumerate(parameters)
            for name, value in named.items()
        }
        checkpoint["optimizer_states"] = optimizers
    own = {f"{PREFIX}{name}": value for name, value in perturbations.named_parameters()}
    saved = {name: value for name, value in checkpoint["state_dict"].items() if name in own}
    check_shapes(saved, own, "ckpt_path: its perturbations are not this attack's")
    return entry


def follows_iterations(recipe: Recipe) -> str | None:
    """Return what of an attack depends on how long it is; ``None`` if nothing does.

    A rule of one's own depends on it if a method of its class names ``iterations``.
    """
    if type(recipe.alpha) is not AlphaSchedule or len(recipe.alpha.values) > 1:
        return "alpha"
    if type(recipe.rate) not in (type(None), RateDecay):
        return "rate"
    if recipe.step is None:
        return "the default step"
    rule = type(recipe.example())
    own = rule.__mro__[: rule.__mro__.index(Rule)] if issubclass(rule, Rule) else ()
    methods = [inspect.unwrap(m) for kind in own for m in vars(kind).values() if callable(m)]
    named = any("iterations" in _names(m.__code__) for m in methods if hasattr(m, "__code__"))
    return f"step {rule.__name__}" if named else None


def _names(code: CodeType) -> set[str]:
    inner = [each for each in code.co_consts if isinstance(each, CodeType)]
    return {*code.co_names, *code.co_varnames}.union(*map(_names, inner))
