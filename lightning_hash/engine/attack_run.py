"""An attack on the queries of a data set: encode the database, optimise, score."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from lightning_hash.codes.code_set import CodeSet
from lightning_hash.data.base import OPEN_SET, HashDataModule
from lightning_hash.data.queries import QueryData
from lightning_hash.engine.callbacks import AttackCheckpoint
from lightning_hash.engine.encode_splits import encode_splits
from lightning_hash.engine.stops import stopped_early
from lightning_hash.modules.attack_module import AttackModule
from lightning_hash.modules.candidates import check_candidates
from lightning_hash.modules.databases import Databases, TargetDatabase, choose_target_database
from lightning_hash.modules.encoder import database_codes, made_with
from lightning_hash.modules.learned import check_training_split, load_learned
from lightning_hash.modules.preparation import check_files, check_strategy
from lightning_hash.modules.score_module import ScoreModule
from lightning_hash.modules.surrogates import needs_codes, try_surrogates
from lightning_hash.modules.target_loader import check_targets
from lightning_hash.modules.trainer_check import check_attack_trainer
from lightning_hash.utils.distributed import gather_objects
from lightning_hash.utils.versions import version_of
from lightning_hash.victims.borrow import borrowed
from lightning_hash.victims.checkpoints import read_checkpoint
from lightning_hash.victims.victim import Victim


class Encoded(NamedTuple):
    """The codes that an attack needs.

    Attributes:
        databases: what the queries are ranked against, by the victim; ``None`` where nothing is.
        surrogate: the same by the surrogates, where they compare with any.
    """

    databases: Databases | None
    surrogate: Databases | None


def run_attack(
    trainer: pl.Trainer,
    module: AttackModule,
    datamodule: HashDataModule,
    ckpt_path: str | None = None,
    codes: str | None = None,
) -> ScoreModule:
    """Attack the queries of a data set: encode the database, optimise, score.

    Args:
        trainer: runs it; its ``max_epochs`` are the iterations.
        module: the attack; its victim is given back as it came.
        datamodule: the queries and the database.
        ckpt_path: checkpoint of this attack to go on from, made under any number of processes;
            ``last`` is the newest whole one of the runs of this name, if there is any. The victim
            is the module's own.
        codes: the database's codes: what ``encode`` wrote, or the codes of another system; by
            default the database is encoded here.

    Returns:
        What the attack has come to: rows and outcome. Rows of an attack that was stopped, such as
        by ``max_time``, say the iterations that were run.

    Raises:
        ValueError: if the victim's codes, the targets, the checkpoint or the code file do not
            fit, the strategy would average the gradients of different queries, or an option of the
            Trainer would change the attack.
        OSError: after the attack, if its last checkpoint could not be written.
    """
    if ckpt_path is not None and not module.recipe.objective.iterative:
        msg = (
            f"ckpt_path: objective {module.recipe.objective.name} is not iterated, there is "
            "nothing to go on from; leave it out"
        )
        raise ValueError(msg)
    if ckpt_path not in (None, "last"):
        maker = "python -m lightning_hash attack"
        read_checkpoint(Path(ckpt_path), "attack", maker, prefix="ckpt_path: ", needs=("epoch",))
    with borrowed_networks(module):
        data = _queries(trainer, module, datamodule)
        databases, surrogate = _encode(trainer, module, datamodule, data, codes)
        if ckpt_path == "last":
            ckpt_path = _newest_checkpoint(trainer.log_dir)
        scores = _attack(trainer, module, data, databases, ckpt_path, surrogate)
    for callback in trainer.checkpoint_callbacks:
        if isinstance(callback, AttackCheckpoint) and callback.failed is not None:
            msg = f"the results are written, but {callback.failed}"
            raise OSError(msg)
    return scores


def encode_databases(
    trainer: pl.Trainer,
    module: AttackModule,
    datamodule: HashDataModule,
    codes: str | None = None,
) -> Encoded:
    """Encode what an attack needs, once for many attacks that differ in epsilon or queries alone.

    Args:
        trainer: encodes.
        module: any of the attacks.
        datamodule: the queries and the database.
        codes: as in :func:`run_attack`.

    Returns:
        What :func:`attack_encoded` takes.

    Raises:
        ValueError: see :func:`run_attack`.
    """
    with borrowed_networks(module):
        data = _queries(trainer, module, datamodule)
        return _encode(trainer, module, datamodule, data, codes)


def attack_encoded(
    trainer: pl.Trainer,
    module: AttackModule,
    datamodule: HashDataModule,
    database: CodeSet | Databases | Encoded | None,
    ckpt_path: str | None = None,
) -> ScoreModule:
    """Attack queries with a database that is encoded already, or without one.

    Args:
        trainer: runs it.
        module: the attack; its victim is given back as it came.
        datamodule: the queries; its database is not encoded.
        database: the victim's codes of the database, or all that :func:`find_databases` or
            :func:`encode_databases` found; ``None`` measures no retrieval.
        ckpt_path: checkpoint of this attack to go on from.

    Returns:
        What the attack has come to: rows and outcome.

    Raises:
        ValueError: if the objective needs a database and there is none, or the checkpoint does not
            fit.
    """
    if module.side != "query":
        msg = "side: candidates are items of a data module's database; give them to run_attack"
        raise ValueError(msg)
    data = _queries(trainer, module, datamodule)
    if isinstance(database, Encoded):
        with borrowed_networks(module):
            return _attack(trainer, module, data, database.databases, ckpt_path, database.surrogate)
    databases = database if isinstance(database, Databases) else None
    if isinstance(database, CodeSet):
        target = choose_target_database(module.target_database, datamodule)
        databases = Databases(database, None, target)
    gradient = module.roles.gradient
    if gradient is not None and needs_codes(gradient):
        msg = (
            f"surrogates: objective {gradient.objective.name} compares with their own codes "
            "of the database, which is not there to be encoded: give a data module to run_attack, "
            "or an objective such as HAG"
        )
        raise ValueError(msg)
    with borrowed_networks(module):
        try_surrogates(module.roles.surrogate, data)
        return _attack(trainer, module, data, databases, ckpt_path)


def _encode(
    trainer: pl.Trainer,
    module: AttackModule,
    datamodule: HashDataModule,
    data: QueryData,
    codes: str | None,
) -> Encoded:
    """Check what the attack is on, and encode the database by victim and surrogates."""
    try_surrogates(module.roles.surrogate, data)
    target, candidates = module.target_database, module.side == "candidate"
    if candidates:
        check_candidates(data, module.recipe, module.evaluation.ranking, target)
    target = "database" if candidates else choose_target_database(target, datamodule)
    if module.recipe.reference.targeted and module.recipe.reference.has_label:
        check_targets(data, module.recipe.targets, target)
    needs_train = module.recipe.reference.needs_train and not module.roles.apart
    databases = find_databases(
        trainer, module.victim, datamodule, target, codes, train=needs_train, queries=candidates
    )
    return Encoded(databases, _surrogate_databases(trainer, module, datamodule, target))


@contextmanager
def borrowed_networks(module: AttackModule) -> Iterator[None]:
    """Freeze the networks of victim and surrogates, and give them back as they came.

    Args:
        module: the attack.
    """
    surrogate = module.roles.surrogate
    other = nullcontext() if surrogate is None else borrowed(surrogate.network)
    with borrowed(module.victim.network), other:
        yield


def _surrogate_databases(
    trainer: pl.Trainer,
    module: AttackModule,
    datamodule: HashDataModule,
    target: TargetDatabase,
) -> Databases | None:
    """Encode by the surrogates what an attack on them compares with; ``None`` if nothing."""
    surrogate, gradient = module.roles.surrogate, module.roles.gradient
    if gradient is None or surrogate is None or not needs_codes(gradient):
        return None
    return find_databases(
        trainer, surrogate, datamodule, target, train=gradient.reference.needs_train,
        queries=module.side == "candidate",
    )  # fmt: skip


def _attack(
    trainer: pl.Trainer,
    module: AttackModule,
    data: QueryData,
    databases: Databases | None,
    ckpt_path: str | None,
    surrogate: Databases | None = None,
) -> ScoreModule:
    data.trainer = trainer  # which batches are this process's
    module.attach(data, databases, trainer, surrogate)
    if module.recipe.objective.iterative:
        trainer.fit(module, datamodule=data, ckpt_path=ckpt_path, weights_only=True)
        module.check_untouched()
        stopped = stopped_early(trainer, module)
        if stopped is not None:
            rank_zero_warn(stopped)
    else:
        module.setup("test")
    made: Any = list(module.perturbations)
    learns = module.shared and module.recipe.objective.iterative and databases is not None
    scores = ScoreModule(
        module.victim, data, databases, module.roles.scored, made, module.evaluation,
        module.recipe.budget, module.settings(), iteration=module.done, seconds=module.seconds,
        counts=module.counts(),
        learned=load_learned(data, module.roles.scored_loader, trainer) if learns else None,
        made=module.roles.maker(), jpeg=module.jpeg,
    )  # fmt: skip
    trainer.test(scores, datamodule=data, verbose=False, weights_only=True)
    return scores


def _queries(trainer: pl.Trainer, module: AttackModule, datamodule: HashDataModule) -> QueryData:
    """Draw the queries; a Trainer that does not fit is refused before any process starts."""
    check_attack_trainer(trainer)
    datamodule.prepare_data()
    data = module.queries_of(datamodule)
    data.setup("predict")
    check_files(module.recipe, data, module.jpeg)
    check_training_split(module.recipe, data)
    check_strategy(trainer, module.recipe, data)
    return data


def find_databases(
    trainer: pl.Trainer,
    victim: Victim,
    datamodule: HashDataModule,
    target: TargetDatabase,
    codes: str | None = None,
    *,
    train: bool = False,
    queries: bool = False,
) -> Databases | None:
    """Encode or read what queries are ranked against.

    Args:
        trainer: encodes.
        victim: whose codes.
        datamodule: the database, set up.
        target: what t-MAP ranks, chosen by :func:`choose_target_database`.
        codes: as in :func:`run_attack`.
        train: encode the training split too.
        queries: encode the query set too.

    Returns:
        What the queries are ranked against; ``None`` where data without labels have no relevance.

    Raises:
        ValueError: if the codes do not fit.
    """
    if datamodule.num_classes == 0:
        if codes is not None:
            msg = f"codes {codes}: {datamodule.name} has no labels, so nothing is ranked with them"
            raise ValueError(msg)
        rank_zero_info(
            f"{datamodule.name} has no labels: no MAP is measured, but the distance between codes"
        )
        return None
    splits = [] if codes is not None else ["database"]
    if target != "database":
        splits.append(OPEN_SET)
    splits += ["train"] if train else []
    splits += ["query"] if queries else []
    found = encode_splits(trainer, victim, datamodule, splits) if splits else {}
    if codes is not None:
        made = made_with(victim, datamodule, "database", trainer)
        found["database"] = database_codes(Path(codes), datamodule, made)
        if found["database"].foreign is not None:
            rank_zero_warn(f"codes {codes} do not say which model they are of")
    return Databases(
        found["database"], found.get(OPEN_SET), target, found.get("train"), found.get("query")
    )


def _newest_checkpoint(folder: str | None) -> str | None:
    """Return the checkpoint of the newest version that has a whole one, beside a run's folder."""
    pattern = "version_*/checkpoints/last.ckpt"
    found = [] if folder is None else list(Path(folder).parent.glob(pattern))
    newest = None
    # Not by the time of writing, which a copy to another disk may change.
    for path in sorted(found, key=lambda path: version_of(path.parents[1]), reverse=True):
        try:
            maker = "python -m lightning_hash attack"
            read_checkpoint(path, "attack", maker, needs=("epoch",))
        except ValueError as error:
            rank_zero_warn(f"left out: {error}")
        else:
            newest = str(path)
            break
    if newest is None:
        rank_zero_warn("ckpt_path last: no run of this name has a checkpoint, this one is new")
    chosen: str | None = gather_objects(newest)[0]
    return chosen
