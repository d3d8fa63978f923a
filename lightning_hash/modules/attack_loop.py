"""An attack under way: iterations, scores and checkpoints."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lightning_hash.attacks import AlphaSchedule, DiverseInputs, Objective
from lightning_hash.attacks.batch import QueryBatch
from lightning_hash.attacks.space import PerturbationSpace
from lightning_hash.attacks.state import Outcome
from lightning_hash.data.queries import QueryData
from lightning_hash.functional import sign_code
from lightning_hash.modules.attack_state import load_attack, save_attack
from lightning_hash.modules.databases import Databases
from lightning_hash.modules.finite import check_finite
from lightning_hash.modules.live_frames import choose_frames, pass_live_frames
from lightning_hash.modules.partwise import PartwisePass
from lightning_hash.modules.references import compute_clean_codes, compute_references
from lightning_hash.modules.scorekeeper import (
    CLEAN_METRICS,
    PERTURBED_METRICS,
    RETRIEVAL_METRICS,
    TARGET_METRICS,
    Scorekeeper,
)
from lightning_hash.utils.distributed import sum_over_processes
from lightning_hash.victims.frozen import FrozenNetwork
from lightning_hash.victims.kernels import Kernels, agree_on_kernels
from lightning_hash.victims.victim import Victim


class AttackLoop(pl.LightningModule):
    """What the Trainer runs of an attack; :class:`AttackModule` fills the attributes.

    Attributes:
        victim: the victim.
        network: its network, on which codes are computed.
        passed: what an iteration passes the queries through; the victim, or one that returns its
            features too.
        runner: the network of ``passed`` on the kernels that were chosen.
        kernels: these kernels; ``None`` before they are chosen.
        objective: what is minimised.
        alpha: schedule of the hash activation's slope.
        space: budget and units of the perturbation.
        inputs: random change of the perturbed inputs.
        stop_finished: whether finished queries are stepped no more.
        frames: how many frames of each clip may change, ``None`` for all.
        evaluate_at: the milestones.
        attack_name: name in result rows.
        perturbations: a parameter ``(B, ...)`` per local batch.
        batches: the local batches.
        scorekeeper: the metrics and the result rows.
        queries: the queries.
        databases: what they are ranked against.
        protocol: the constant part of the result rows.
        run_folder: where the run writes, if anywhere.
        seconds: time that the iterations have taken.
    """

    victim: Victim
    network: FrozenNetwork
    passed: Victim
    runner: FrozenNetwork
    kernels: Kernels | None
    objective: Objective
    alpha: AlphaSchedule
    space: PerturbationSpace
    inputs: DiverseInputs | None
    stop_finished: bool
    frames: int | None
    evaluate_at: frozenset[int]
    attack_name: str
    perturbations: nn.ParameterList
    batches: list[QueryBatch]
    scorekeeper: Scorekeeper
    queries: QueryData
    databases: Databases | None
    protocol: dict[str, Any]
    run_folder: Path | None
    seconds: float
    _position: dict[int, int]
    _outcome: Outcome | None = None
    _has_targets: bool

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Result rows so far."""
        return self.scorekeeper.rows

    def clean(self, number: int) -> Tensor:
        """Return the clean inputs ``(B, ...)`` of a local batch."""
        clean: Tensor = self.get_buffer(f"clean_{number}")
        return clean

    def perturbed(self, number: int) -> Tensor:
        """Return the perturbed inputs ``(B, ...)`` of a local batch, without gradient."""
        perturbation = self.perturbations[number].detach()
        perturbed: Tensor = self.clean(number) + self.space.in_pixels(perturbation)
        return perturbed.clamp_(0, 1)

    def exact_logits(self, inputs: Tensor, *lengths: Tensor) -> Tensor:
        """Return H(x) ``(B, K)`` of inputs, without gradient, on the kernels that codes come of."""
        with torch.no_grad(), self.trainer.precision_plugin.forward_context():
            logits: Tensor = self.network(inputs, *lengths)
        return logits

    def on_fit_start(self) -> None:
        """Compute the references on the device, choose the kernels and start the clock."""
        self._outcome = None
        compute_clean_codes(self)
        compute_references(self)
        self._choose_kernels()
        self.passes = PartwisePass(self._losses, self.trainer.precision_plugin.forward_context)
        if self.frames is not None:
            choose_frames(self, self.frames)
        # Twice the size of the queries, which is nothing beside a pass unless they are clips.
        images = all(self.clean(number).dim() < 5 for number in range(len(self.batches)))
        self._bounds = [self._bounds_of(i) for i in range(len(self.batches))] if images else []
        self._started = time.monotonic() - self.seconds

    def training_step(self, batch: int, batch_idx: int) -> Tensor:
        """Return the summed loss of one batch of queries."""
        number = self._position[batch]
        return self.passes.forward(number, self.perturbations[number])

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Compute the gradient of the batch's perturbations."""
        self.passes.backward(loss)

    def _losses(self, number: int, rows: slice) -> Tensor:
        batch, alpha = self.batches[number], self.alpha(self.current_epoch, self._iterations)
        chosen = batch.unfinished(rows) if self.stop_finished else rows
        perturbation = batch.confine(self.perturbations[number][chosen], chosen)
        images = self.clean(number)[chosen] + self.space.in_pixels(perturbation)
        if self.inputs is not None:
            images = self.inputs(images, batch.index[chosen].tolist(), self.current_epoch)
        passed = pass_live_frames(self.runner.network, images, batch, chosen)
        logits, seen = self._split(self.runner(passed, *batch.lengths_of(chosen)))
        reference = batch.reference[chosen]
        losses: Tensor = self.objective(seen, reference, alpha)
        batch.watch(chosen, losses.detach(), logits.detach(), self.current_epoch)
        if self.stop_finished:
            batch.finished[chosen] = self.objective.finished(logits.detach(), reference)
        return losses

    def _choose_kernels(self) -> None:
        """Choose what the iterations run on; rank 0 decides for all."""
        if self.kernels is None:
            measured = self.trainer.is_global_zero and str(self.trainer.precision) == "32-true"
            first = self.clean(0) if measured else None
            self.kernels = agree_on_kernels(self.passed, first, self._first_loss)
        self.protocol["kernels"] = str(self.kernels)
        exact = self.kernels == Kernels(channels_last=self.network.channels_last)
        if exact and self.passed is self.victim:
            return
        self.runner = self.kernels.network(self.passed).to(self.device)
        with torch.no_grad():
            for number, perturbation in enumerate(self.perturbations):
                perturbation.data = self.runner.lay_out(perturbation.data)
                clean = self.runner.lay_out(self.clean(number))
                self.register_buffer(f"clean_{number}", clean, persistent=False)

    def _first_loss(self, network: FrozenNetwork, inputs: Tensor) -> Tensor:
        alpha = self.alpha(0, self._iterations)
        first = slice(0, len(inputs))
        reference, lengths = self.batches[0].reference[first], self.batches[0].lengths_of(first)
        _, seen = self._split(network(inputs, *lengths))
        losses: Tensor = self.objective(seen, reference, alpha)
        return losses.sum()

    def _bounds_of(self, number: int) -> tuple[Tensor, Tensor]:
        """Return the least and largest perturbation of each value of a local batch."""
        lowest, highest = self.space.bounds(self.clean(number))
        batch = self.batches[number]
        return batch.confine(lowest), batch.confine(highest)

    def clean_gradient(self, number: int, rows: slice) -> Tensor:
        """Return the gradient of the first iteration's loss in some clean queries of a batch."""
        batch, clean = self.batches[number], self.clean(number)[rows].clone().requires_grad_()
        alpha = self.alpha(0, self._iterations)
        with torch.enable_grad(), self.trainer.precision_plugin.forward_context():
            _, seen = self._split(self.runner(clean, *batch.lengths_of(rows)))
            loss = self.objective(seen, batch.reference[rows], alpha).sum()
        (gradient,) = torch.autograd.grad(loss, clean)
        return gradient

    def _split(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits among what a pass gave, and what the objective sees of it."""
        if self.passed is self.victim:
            return outputs, outputs
        bits = self.network.bits
        return outputs[:, :bits], outputs[:, bits:]

    @property
    def _iterations(self) -> int:
        return self.trainer.max_epochs or 1

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Score a milestone on the codes of this forward pass, step, then project."""
        batch, perturbation = self.batches[batch_idx], self.perturbations[batch_idx]
        milestone = epoch in self.evaluate_at
        # Whether the logits of the pass are those of the perturbed queries, in float32.
        exact = self.runner is self.network and self.inputs is None
        exact &= not getattr(optimizer, "looks_ahead", False)
        before = perturbation.detach().clone() if self.stop_finished else None
        if milestone and not exact:
            perturbed = self.perturbed(batch_idx)
            self._reach(batch_idx, self.exact_logits(perturbed, *batch.lengths_of()))

        def closure() -> Any:
            loss = None if optimizer_closure is None else optimizer_closure()
            if milestone and exact:  # before the step: these are the inputs of the logits
                self._reach(batch_idx, batch.logits)
            return loss

        super().optimizer_step(epoch, batch_idx, optimizer, closure)
        with torch.no_grad():
            bounds = self._bounds[batch_idx] if self._bounds else self._bounds_of(batch_idx)
            perturbation.clamp_(*bounds)
            if before is not None:
                finished = batch.finished.view(-1, *[1] * (before.dim() - 1))
                perturbation.copy_(torch.where(finished, before, perturbation))

    def _reach(self, number: int, logits: Tensor) -> None:
        """Score what a milestone has reached."""
        codes, perturbed = sign_code(logits), self.perturbed(number)
        self.scorekeeper.add(self.batches[number], codes, self.clean(number), perturbed)

    def on_train_epoch_end(self) -> None:
        """Log the iteration, and the whole score at milestones."""
        iteration = self.current_epoch
        milestone = iteration in self.evaluate_at
        every = getattr(self.trainer, "log_every_n_steps", 0)
        last = iteration + 1 == self.trainer.max_epochs
        if not (milestone or last or (every and iteration % every == 0)):
            return
        self.seconds = time.monotonic() - self._started
        self.check_finite()
        values = {f"attack/{key}": value for key, value in self._global_metrics().items()}
        values["attack/alpha"] = self.alpha(iteration, self.trainer.max_epochs or 1)
        if milestone:
            score = self._take(PERTURBED_METRICS, self.attack_name, iteration)
            values |= {f"attack/{key}": value for key, value in score.items()}
        self._log(values, iteration)

    def _log(self, values: dict[str, float], iteration: int) -> None:
        """Log values that are the same on every process: there is nothing to average."""
        self.log_dict({**values, "step": float(iteration)}, sync_dist=True, rank_zero_only=True)

    @property
    def last_iteration(self) -> int:
        """The number of iterations behind the finished perturbations."""
        return (self.trainer.max_epochs or 0) if self.objective.iterative else 0

    def live_metrics(self) -> dict[str, Tensor]:
        """Return mean loss and mean Hamming distance to the clean code of the last iteration.

        They are those of this process's queries.
        """
        loss, moved, count = self._sums()
        return {"loss": loss / count, "hamming": moved / count}

    def _global_metrics(self) -> dict[str, float]:
        loss, moved, count = sum_over_processes(self._sums()).tolist()
        return {"loss": loss / count, "hamming": moved / count}

    def _sums(self) -> Tensor:
        """Return summed loss, summed Hamming distance and number of this process's queries."""
        losses = torch.cat([batch.losses for batch in self.batches]).double()
        moved = torch.stack([(sign_code(b.logits) != b.clean_codes).sum() for b in self.batches])
        return torch.stack([losses.sum(), moved.sum(), losses.new_tensor(len(losses))])

    def check_finite(self) -> None:
        """Stop, and save, if the loss of a query was not finite.

        Raises:
            ValueError: naming the iteration and the queries.
        """
        check_finite(self.batches, self.perturbations, self.trainer, self.run_folder)

    def _take(
        self, names: tuple[str, ...], attack: str, iteration: int, *, quantized: bool = False
    ) -> dict[str, float]:
        if self._has_targets:
            names = (*names, *TARGET_METRICS)
        if self.databases is None:
            names = tuple(name for name in names if name not in RETRIEVAL_METRICS)
        finished = None
        if self.stop_finished and attack == self.attack_name:
            local = torch.stack([batch.finished.sum() for batch in self.batches]).sum()
            finished = int(sum_over_processes(local))
        return self.scorekeeper.take(
            names,
            attack=attack,
            iteration=iteration,
            quantized=quantized,
            n_finished=finished,
            seconds=round(self.seconds, 3),
        )

    def on_test_start(self) -> None:
        """Compute the clean codes on the device."""
        self._outcome = None
        compute_clean_codes(self)

    def test_step(self, batch: int, batch_idx: int) -> None:
        """Encode what is left after projection, in float and rounded to 8 bits."""
        number = self._position[batch]
        clean, adversarial, final = self.clean(number), self.perturbed(number), self.batches[number]
        lengths = final.lengths_of()
        eight_bit = self.space.round_to_8bit(adversarial, clean)
        final.adversarial_8bit = eight_bit
        final.codes = sign_code(self.network(adversarial, *lengths))
        final.codes_8bit = sign_code(self.network(eight_bit.to(clean.dtype) / 255, *lengths))

    def on_test_epoch_end(self) -> None:
        """Score the clean queries, the ceiling and the attack."""
        last = self.last_iteration
        keeper, batches = self.scorekeeper, self.batches
        keeper.rows = [row for row in keeper.rows if row["attack"] == self.attack_name]
        for batch in batches:
            keeper.add(batch, batch.clean_codes, None, None)
        self._take(CLEAN_METRICS, "none", 0)
        if self._has_targets:
            for batch in batches:
                if batch.targets is not None:
                    keeper.add(batch, batch.targets.anchor_codes.to(self.device), None, None)
            self._take((), "anchor", 0)
        for number, batch in enumerate(batches):
            keeper.add(batch, batch.codes, self.clean(number), self.perturbed(number))
        values = self._take(PERTURBED_METRICS, self.attack_name, last)
        self._log({f"final/{name}": value for name, value in values.items()}, last)
        for number, batch in enumerate(batches):
            eight_bit = batch.adversarial_8bit.float() / 255
            keeper.add(batch, batch.codes_8bit, self.clean(number), eight_bit)
        values = self._take(PERTURBED_METRICS, self.attack_name, last, quantized=True)
        self._log({f"final_8bit/{name}": value for name, value in values.items()}, last)

    def outcome(self) -> Outcome:
        """Return what the attack made of all queries, ordered by index, on every process.

        All processes call it together; they exchange the rows at the first call after a test.
        """
        if self._outcome is None:
            self._outcome = Outcome.gather(
                {**batch.columns(), "perturbation": perturbation.detach()}
                for batch, perturbation in zip(self.batches, self.perturbations, strict=True)
            )
        return self._outcome

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the state of the attack by query, without the victim."""
        save_attack(self, checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lay the state out for the batches of this run.

        Raises:
            ValueError: if the checkpoint belongs to another attack; names what differs.
        """
        load_attack(self, checkpoint)
