"""What a perturbation that images share has learnt on, and what it comes to there."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import default_collate

from lightning_hash.attacks import Budget, Perturbation, Queries
from lightning_hash.attacks.recipe import Recipe
from lightning_hash.data.queries import QueryData
from lightning_hash.functional import from_8bit, sign_code
from lightning_hash.modules.evaluation import Evaluation, check_finite
from lightning_hash.modules.preparation import CleanPass
from lightning_hash.modules.target_loader import TargetLoader

LEAST = 2  # training items
PREFIX = "train_"  # of metrics on training items


def learned_on(data: QueryData, trainer: pl.Trainer) -> dict[str, Any]:
    """Return what rows say of the items that a shared perturbation learnt on."""
    return {"split": "train", "global_batch": data.source.batch_size * trainer.world_size}


def check_training_split(recipe: Recipe, data: QueryData) -> None:
    """Refuse a perturbation that learns on training items where there are none.

    Args:
        recipe: the parts of the attack.
        data: the queries, set up.

    Raises:
        ValueError: naming the perturbation and the data.
    """
    if not recipe.objective.iterative:
        return
    inputs, _, _, *lengths = default_collate([data.queries[0]])
    made = recipe.perturbation(inputs, recipe.budget, lengths[0] if lengths else None)
    items: Any = getattr(data.source, "train_set", None)
    count = 0 if items is None else len(items)
    if made.shared and count < LEAST:
        msg = (
            f"perturbation: {type(made).__name__} is one for all images and learns on a training "
            f"split, of which {data.source.name} has {count} items; give data with at least {LEAST}"
        )
        raise ValueError(msg)


def doubt_targets(recipe: Recipe, perturbation: Perturbation) -> list[str]:
    """Doubt one perturbation that is to reach as many targets as there are images.

    Args:
        recipe: the parts of the attack.
        perturbation: what is optimised.
    """
    choice, targeted = recipe.targets, recipe.reference.targeted
    if not (perturbation.shared and targeted) or choice.label is not None or choice.file:
        return []
    return [
        f"each image has a target of its own, and {type(perturbation).__name__} is one for all: it "
        "cannot reach them; give targets.label"
    ]


def load_learned(data: QueryData, loader: TargetLoader, trainer: pl.Trainer) -> list[Queries]:
    """Load this process's batches of training items, as many as there are queries.

    Args:
        data: the queries, set up; their seed draws the items.
        loader: makes batches; each item has a target where the attack is targeted.
        trainer: runs the attack.

    Returns:
        The batches; all training items where these are fewer than the queries.
    """
    items = QueryData(data.source, len(data.queries), data.batch_size, data.seed, split="train")
    items.trainer = trainer
    items.setup("predict")
    return [
        loader.queries(*items.load_batch(number), with_targets=loader.targeted)
        for number in items.local_batches
    ]


class LearnedScore:
    """Scores training items as the queries are: MAP, and t-MAP of a targeted attack.

    Args:
        batches: this process's batches of training items.
        perturbation: the shared one.
        evaluation: takes the codes; what it has of queries was taken before.
        clean: computes codes.
        budget: what 8-bit rounding stays in.
        targeted: whether the attack has targets.
    """

    def __init__(
        self,
        batches: Sequence[Queries],
        perturbation: Perturbation,
        evaluation: Evaluation,
        clean: CleanPass,
        budget: Budget,
        *,
        targeted: bool,
    ) -> None:
        self.batches, self.perturbation, self.evaluation = batches, perturbation, evaluation
        self.clean, self.budget = clean, budget
        self.names = ("map", "t_map") if targeted else ("map",)

    def take(
        self, attack: dict[str, Any], iteration: int, seconds: float, **fields: Any
    ) -> dict[str, float]:
        """Add the rows ``train_map`` and ``train_t_map``; all processes call it together.

        Args:
            attack: settings of the attack.
            iteration: iterations that were run.
            seconds: time that it took.
            fields: of the rows, as in :meth:`Evaluation.take`.

        Returns:
            The values after the attack, by the names that they are logged under.

        Raises:
            ValueError: if logits of a perturbed item are not finite.
        """
        bad, found = [], []
        for queries in self.batches:
            self.clean.set_clean(queries)
            self.perturbation.expect(queries.index, iteration)
            adversarial = self.perturbation(queries.inputs).clamp(0, 1)
            eight_bit = self.budget.round_to_8bit(adversarial, queries.inputs)
            logits = [
                self.clean.logits(inputs, *queries.lengths_of())
                for inputs in (adversarial, from_8bit(eight_bit, adversarial.dtype))
            ]
            finite = torch.stack([torch.isfinite(each).all(dim=1) for each in logits]).all(dim=0)
            bad.append(queries.index[~finite])
            found.append([sign_code(each) for each in logits])
        check_finite(bad, self.clean.victim, " of the training split")
        logged: dict[str, float] = {}
        for number, place in enumerate(("final", "final_8bit")):
            codes = [each[number] for each in found]
            quantized = {**fields, "quantized": place == "final_8bit"}
            values = self._take(codes, attack, iteration, seconds, **quantized)
            logged |= {f"{place}/{name}": value for name, value in values.items()}
        self._take([queries.clean_codes for queries in self.batches], None, 0, seconds)
        return logged

    def _take(
        self,
        codes: Sequence[Tensor],
        attack: dict[str, Any] | None,
        iteration: int,
        seconds: float,
        **fields: Any,
    ) -> dict[str, float]:
        for queries, own in zip(self.batches, codes, strict=True):
            self.evaluation.add(queries, own, None, None)
        return self.evaluation.take(
            attack, seconds, iteration=iteration, only=self.names, prefix=PREFIX, **fields
        )
