"""A watch for gradients that never reach the queries."""

from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from lightning_hash.attacks import Queries, Search
from lightning_hash.modules.batch_attack import BatchAttack
from lightning_hash.modules.preparation import CleanPass
from lightning_hash.utils.distributed import gather_objects, sum_over_processes
from lightning_hash.victims.joint import member_bits, victim_names

# Iterations that are looked at: a gradient may vanish where the perturbations begin, and come back.
WATCHED = 2
# Queries by which each of several victims is looked at.
FEW = 4


class GradientWatch(Callback):
    """Look which queries no gradient reaches in the first iterations.

    Queries that have nothing left to flip are not counted, since their objective may be at its
    optimum. Of several victims, whose gradients are summed, each is looked at by itself.

    Args:
        take: takes the doubts.
    """

    def __init__(self, take: Callable[[list[str]], None]) -> None:
        self.take = take
        self._shared: list[Tensor] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at each of several victims, before the first iteration."""
        module: Any = pl_module
        searches = any(isinstance(rule.optimizer, Search) for rule in module.rules)
        if not module.roles.made_on.members or searches or trainer.current_epoch > 0:
            return
        names = victim_names(module.roles.made_on.members).split("+")
        cut = sum_over_processes(_cut(module.clean, module.batches, module.device)).tolist()
        *without, queries = cut
        self.take(
            [
                f"no gradient of victim {name} reaches {count} of {queries} queries: it rounds or "
                "cuts it, and the perturbations are made for the other victims alone"
                for name, count in zip(names, without, strict=True)
                if count
            ]
        )

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Note the queries that a gradient has reached."""
        if trainer.current_epoch >= WATCHED:
            return
        module: Any = pl_module
        gradients = [p.grad for p in module.perturbation(batch_idx).parameters()]
        known = [gradient for gradient in gradients if gradient is not None]
        if module.shared:
            self._shared += [gradient.any() for gradient in known]
        elif known and len(module.batches[batch_idx].index):
            reached = torch.stack([gradient.flatten(1).any(dim=1) for gradient in known]).any(dim=0)
            module.batches[batch_idx].sloped |= reached
        elif not known:  # a search
            module.batches[batch_idx].sloped[:] = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say it of all processes together."""
        iterations = min(WATCHED, trainer.max_epochs or WATCHED)
        if trainer.current_epoch + 1 != iterations:
            return
        module: Any = pl_module
        if module.shared:  # the same on every process
            none, count = int(bool(self._shared) and not torch.stack(self._shared).any()), 1
        else:
            counts = torch.zeros(2, dtype=torch.int64, device=module.device)
            for attack in module.attacks:
                counts += torch.stack([_flat(attack).sum(), counts.new_tensor(attack.size)])
            none, count = sum_over_processes(counts).tolist()
        first = "iteration" if iterations == 1 else f"{iterations} iterations"
        if none:
            self.take(
                [
                    f"the gradient of {none} of {count} perturbations is exactly zero in the first "
                    f"{first}: the victim rounds, its logits are saturated, or the objective has "
                    "no slope where they begin (start_seed begins elsewhere); a search as step "
                    "needs no gradient"
                ]
            )


def flat_queries(attacks: Sequence[BatchAttack]) -> list[int]:
    """Return the queries that no gradient has reached, by index, of all processes.

    All processes call it together, behind the iterations.

    Args:
        attacks: this process's batches.
    """
    local = [int(i) for each in attacks for i in each.queries.index[_flat(each)].tolist()]
    return sorted(index for part in gather_objects(local) for index in part)


def _flat(attack: BatchAttack) -> Tensor:
    """Return which queries no gradient has reached, but those that had nothing left to flip."""
    return ~attack.queries.sloped & ~attack.finished()


def _cut(clean: CleanPass, batches: Sequence[Queries], device: torch.device) -> Tensor:
    """Return how many of a few queries each victim's gradient does not reach, and how many."""
    parts = member_bits(clean.victim)
    found = torch.zeros(len(parts) + 1, dtype=torch.int64, device=device)
    queries = next((each for each in batches if len(each.index)), None)
    if queries is None:
        return found
    rows = slice(0, FEW)
    inputs = queries.inputs[rows].clone().requires_grad_()
    with torch.enable_grad(), clean.context():
        logits = clean.victim(inputs, *queries.lengths_of(rows))
        # Weights, so that the gradients of bits do not cancel each other.
        weights = torch.linspace(1, 2, logits.shape[1], device=device).to(logits)
        for number, part in enumerate(parts):
            gradient = None
            if logits.requires_grad:
                total = (logits[:, part] * weights[part]).sum()
                (gradient,) = torch.autograd.grad(
                    total, inputs, retain_graph=True, allow_unused=True
                )
            reached = 0 if gradient is None else gradient.flatten(1).any(dim=1).sum()
            found[number] = len(inputs) - reached
    found[-1] = len(inputs)
    return found
