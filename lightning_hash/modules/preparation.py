"""What an attack computes before its first iteration."""

from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import default_collate

from lightning_hash.attacks import Known, Queries, Reference, Targets
from lightning_hash.attacks.recipe import Recipe
from lightning_hash.codes.code_set import CodeSet
from lightning_hash.data.queries import QueryData
from lightning_hash.data.views import View
from lightning_hash.models.network import HashNetwork, as_taken
from lightning_hash.modules.databases import Databases
from lightning_hash.modules.victim_pass import Context
from lightning_hash.victims.kernel_choice import agree_on_kernels
from lightning_hash.victims.kernels import FASTEST, Kernels
from lightning_hash.victims.victim import Victim


class CleanPass:
    """Computes codes and references of clean inputs.

    Args:
        victim: the victim, on its device.
        databases: what the queries are ranked against, where anything is.
        context: the precision's forward context.
        view: what the victim sees of queries.
    """

    def __init__(
        self, victim: Victim, databases: Databases | None, context: Context, view: View
    ) -> None:
        self.victim, self.databases, self.context, self.view = victim, databases, context, view

    def logits(self, queries: Tensor, *lengths: Tensor) -> Tensor:
        """Return H(x) ``(B, K)`` of queries, clean or not, on the kernels that codes come of."""
        return self._of_inputs(self.view(queries), *lengths)

    def clean_logits(self, queries: Queries) -> Tensor:
        """Return H(x) ``(B, K)`` of a batch as the data set has it."""
        return self._of_inputs(self.view.of_clean(queries.inputs), *queries.lengths_of())

    def file_logits(self, levels: Tensor, queries: Queries) -> Tensor:
        """Return H(x) ``(B, K)`` of uint8 images ``(B, ...)`` that stand for a batch, as files."""
        inputs = self.view.of_files(levels, queries.inputs.dtype)
        return self._of_inputs(inputs, *queries.lengths_of())

    def _of_inputs(self, inputs: Tensor, *lengths: Tensor) -> Tensor:
        with torch.no_grad(), self.context():
            logits: Tensor = self.victim(inputs, *lengths)
        return logits

    def know_bits(self, data: QueryData, device: torch.device) -> None:
        """Pass one query, so that a process without queries knows the code length too."""
        if self.victim.bits is None:
            inputs, _, _, *lengths = (part[:1].to(device) for part in data.load_batch(0))
            self.logits(inputs, *lengths)

    def set_clean(self, queries: Queries, *, look: bool = True) -> None:
        """Compute logits and codes of a batch.

        Args:
            queries: the batch, on the device.
            look: whether to look at the logits, for which the host waits for the device.

        Raises:
            ValueError: if logits are not finite, or the database's codes have another length.
        """
        logits = self.clean_logits(queries)
        bad = queries.index[~torch.isfinite(logits).all(dim=1)] if look else queries.index[:0]
        if len(bad):
            msg = (
                f"victim: its logits are not finite for {len(bad)} clean queries, first index "
                f"{int(bad[0])}; look at the weights and at these inputs"
            )
            raise ValueError(msg)
        if self.databases is not None and self.databases.database.bits != logits.shape[1]:
            msg = (
                f"the database's codes have {self.databases.database.bits} bits, the victim "
                f"{self.victim.backbone} makes {logits.shape[1]}; they must be of one model"
            )
            raise ValueError(msg)
        queries.set_clean(logits)

    def know(
        self, queries: Queries, reference: Reference, data: QueryData, *, look: bool = True
    ) -> None:
        """Compute what a batch is compared with; see :meth:`set_clean`, :meth:`set_reference`.

        Args:
            queries: the batch, on the device.
            reference: what to compute.
            data: the queries, set up; its database holds the items of anchor sets.
            look: whether to look at the logits.
        """
        self.set_clean(queries, look=look)
        split = "database" if self.databases is None else self.databases.targets[0]
        self.set_reference(queries, reference, data.source.dataset(split))

    def set_reference(self, queries: Queries, reference: Reference, items: Any = None) -> None:
        """Compute what the objective compares with, and the goal.

        Args:
            queries: a batch whose clean codes are known.
            reference: what to compute.
            items: the data set that anchor sets are of, for a reference of features.

        Raises:
            ValueError: if the reference needs what is not there.
        """
        targets, databases = queries.targets, self.databases
        features = reference.sees == "features"
        anchors = features and reference.targeted and targets is not None
        train = None if databases is None else databases.train
        asking = None if databases is None else databases.queries
        queries.reference = reference(
            Known(
                queries.clean_logits,
                None if targets is None else targets.anchor_codes.to(queries.clean_logits),
                anchor_features=self._anchor_features(queries, items) if anchors else None,
                clean_features=(
                    self._clean_features(queries) if features and not reference.targeted else None
                ),
                labels=queries.labels,
                target_labels=None if targets is None else targets.labels,
                database=None if databases is None else _columns(databases.database),
                voters=None if databases is None else _columns(databases.voters),
                train=None if train is None else _columns(train),
                index=queries.index,
                queries=None if asking is None else _columns(asking),
            )
        )
        if queries.targeted:
            is_goal = reference.is_code or targets is None
            goal = queries.reference if is_goal else cast(Targets, targets).anchor_codes
            queries.goal = goal.to(queries.clean_logits)

    @torch.no_grad()
    def _clean_features(self, queries: Queries) -> Tensor:
        """Return the features ``(B, D)`` of clean queries, in parts where memory holds no more."""
        whole = (self.view.of_clean(queries.inputs), *queries.lengths_of())

        def work(size: int) -> Tensor:
            parts = zip(*(torch.split(each, size) for each in whole), strict=True)
            return torch.cat([self.victim.with_features(*part)[1] for part in parts])

        with self.context():
            if not len(queries.index):  # as wide as that of others
                return self.victim.with_features(*whole)[1]
            return self.victim.at_a_time.run(len(queries.index), work)

    def _anchor_features(self, queries: Queries, items: Any) -> Tensor:
        """Return the mean features ``(B, D)`` of each query's anchor set."""
        network, rows = cast(HashNetwork, self.victim.network), []
        for anchor in cast(Targets, queries.targets).anchor_index:
            batch = default_collate([items[int(item)] for item in anchor])
            inputs, _, _, *lengths = (part.to(queries.inputs.device) for part in batch)
            with torch.no_grad(), self.context():
                features = network.features(as_taken(network, inputs), *lengths)
                rows.append(features.float().mean(dim=0))
        return torch.stack(rows) if rows else self._clean_features(queries)


def _columns(codes: CodeSet) -> tuple[Tensor, Tensor]:
    return codes.codes, codes.labels


def check_databases(databases: Databases | None, recipe: Recipe) -> None:
    """Refuse an objective that needs codes which are not there.

    Args:
        databases: what the queries are ranked against, where anything is.
        recipe: the parts of the attack.

    Raises:
        ValueError: naming the objective and what it needs.
    """
    reference, name = recipe.reference, recipe.objective.name
    if databases is None and reference.needs_database:
        msg = (
            f"objective {name} needs a database, whose items vote for codes by their labels; give "
            "data with labels, or another objective"
        )
        raise ValueError(msg)
    if reference.needs_queries and (databases is None or databases.queries is None):
        msg = f"objective {name} attacks items of the database; give side: candidate"
        raise ValueError(msg)
    if databases is None or not reference.needs_train:
        return
    if databases.train is None:
        msg = (
            f"objective {name}: voters 'train' needs a training split, whose codes vote, and there "
            "is none; give voters 'database'"
        )
        raise ValueError(msg)
    if reference.targeted and databases.open_set is not None:
        msg = (
            f"objective {name}: voters 'train' have none of the labels of the open set, from which "
            "the targets come; give voters 'database', for which the open set votes"
        )
        raise ValueError(msg)


def check_precision(trainer: pl.Trainer) -> None:
    """Refuse a precision in which perturbations would be shorter than float32.

    Args:
        trainer: runs the attack.

    Raises:
        ValueError: naming the precision and one that keeps them.
    """
    precision = str(trainer.precision)
    if precision == "16-mixed":
        msg = (
            "precision 16-mixed: the gradients of single queries under- or overflow in float16; "
            "bf16-mixed has float32's range"
        )
        raise ValueError(msg)
    if precision in ("bf16-true", "16-true"):
        msg = (
            f"precision {precision}: the perturbations would lose most of their bits; "
            "bf16-mixed keeps them in float32"
        )
        raise ValueError(msg)


def choose_kernels(
    wanted: Kernels | str,
    victim: Victim,
    queries: Queries,
    recipe: Recipe,
    alpha: float,
    trainer: pl.Trainer,
    view: View,
) -> Kernels:
    """Choose what the iterations run on; rank 0 decides for all processes.

    Args:
        wanted: kernels, ``"auto"`` or ``"fastest"``.
        victim: the victim, on its device.
        queries: the first batch of this process, whose references are known.
        recipe: the parts of the attack.
        alpha: slope of the hash activation in the first iteration.
        trainer: runs the attack. In another precision than float32 ``"auto"`` changes nothing.
        view: what the victim sees of queries.

    Returns:
        The choice.

    Raises:
        ValueError: if kernels in a number type of their own, or ``"fastest"``, are asked for in
            another precision; or kernels that change the layers an objective compares.
    """
    if recipe.objective.compares_layers:
        if isinstance(wanted, Kernels) and (wanted.folded or wanted.compiled):
            msg = (
                f"kernels {wanted}: objective {recipe.objective.name} compares the network's own "
                "layers, which folding and compiling change; give float32"
            )
            raise ValueError(msg)
        wanted = wanted if isinstance(wanted, Kernels) else Kernels()
    whole = str(trainer.precision) == "32-true"
    if not whole and (wanted == FASTEST or (isinstance(wanted, Kernels) and not wanted.exact)):
        msg = (
            f"kernels {wanted} have a number type of their own, and trainer.precision is "
            f"{trainer.precision}; give 32-true, or kernels float32"
        )
        raise ValueError(msg)
    if isinstance(wanted, Kernels):
        return wanted

    def loss(candidate: Victim, inputs: Tensor) -> Tensor:
        first = slice(0, len(inputs))
        lengths = queries.lengths_of(first)
        if recipe.sees_features:
            _, seen = candidate.with_features(inputs, *lengths)
        else:
            seen = candidate(inputs, *lengths)
        losses: Tensor = recipe.objective(seen, queries.reference[first], alpha)
        return losses.sum()

    decides = trainer.is_global_zero and whole
    inputs = view(queries.inputs) if decides else None
    return agree_on_kernels(wanted, victim, inputs, loss, queries.lengths_of())


def check_strategy(trainer: pl.Trainer, recipe: Recipe, data: QueryData) -> None:
    """Refuse a strategy that would average the gradients of different queries.

    Args:
        trainer: runs the attack.
        recipe: the parts of the attack.
        data: the queries, set up.

    Raises:
        ValueError: naming the strategy.
    """
    if trainer.world_size == 1 or hasattr(trainer.strategy, "query_parallel"):
        return
    if not is_shared(recipe, data):
        msg = (
            f"strategy {type(trainer.strategy).__name__} averages the gradients of different "
            "queries; attacks by several processes need strategy='query_parallel'"
        )
        raise ValueError(msg)


def check_files(recipe: Recipe, data: QueryData, jpeg: int | None) -> None:
    """Refuse what does not go with images in their own size, or with JPEG files.

    Args:
        recipe: the parts of the attack.
        data: the queries, set up.
        jpeg: quality of the JPEG files that are scored, where any are.

    Raises:
        ValueError: naming it.
    """
    if data.resolution == "original" and is_shared(recipe, data):
        msg = (
            "resolution: original is for perturbations of single images, whose sizes differ, and "
            "this one is shared by all; leave resolution out, or perturbation"
        )
        raise ValueError(msg)
    shape = tuple(data.queries[0][0].shape)
    if jpeg is not None and (len(shape) != 3 or shape[0] != 3):
        msg = f"jpeg: {jpeg} saves colour images (3, H, W), the queries are {shape}; leave it out"
        raise ValueError(msg)


def is_shared(recipe: Recipe, data: QueryData) -> bool:
    """Return whether an attack has one perturbation for all queries.

    Args:
        recipe: the parts of the attack.
        data: the queries, set up.
    """
    inputs, _, _, *lengths = default_collate([data.queries[0]])
    return recipe.perturbation(inputs, recipe.budget, lengths[0] if lengths else None).shared
