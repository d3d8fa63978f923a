"""The attack as a LightningModule: its only optimised parameters are the perturbations."""

import dataclasses
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_hash.attacks import (
    HAG,
    AlphaSchedule,
    EpsilonSpace,
    Objective,
    ReferenceState,
    TargetChoice,
    Targets,
    uniform_noise,
)
from lightning_hash.attacks.batch import QueryBatch
from lightning_hash.attacks.space import PerturbationSpace
from lightning_hash.attacks.state import Outcome, pack, unpack
from lightning_hash.attacks.steps import step_of_the_papers_way
from lightning_hash.data.queries import QueryData
from lightning_hash.distributed import any_process, gather_objects, sum_over_processes
from lightning_hash.functional import sign_code
from lightning_hash.functional.average_precision import Empty, Normalizer, Ties
from lightning_hash.metrics import AttackScore
from lightning_hash.models.any_victim import DEFAULT_VICTIM, as_victim
from lightning_hash.models.frozen import FrozenNetwork
from lightning_hash.models.victim import (
    CHECKPOINT_KEY,
    CHECKPOINT_VERSION,
)
from lightning_hash.modules.databases import Databases, TargetDatabase
from lightning_hash.modules.kernels import Kernels, choose_kernels
from lightning_hash.modules.partwise import PartwisePass
from lightning_hash.modules.protocol import attack_protocol
from lightning_hash.modules.scorekeeper import (
    CLEAN_METRICS,
    PERTURBED_METRICS,
    RETRIEVAL_METRICS,
    TARGET_METRICS,
    Scorekeeper,
)


class AttackModule(pl.LightningModule):
    """Attack the queries of a retrieval system (HAG Alg. 1, DHTA Fig. 2).

    One Trainer epoch is one iteration over all queries of the process, one step is one batch, so
    ``max_epochs`` of the Trainer is the number of iterations. Losses are summed over the batch:
    no query's gradient depends on its neighbours. After every step the perturbation is projected
    onto the epsilon ball and the image onto [0, 1]. Run it with
    :meth:`lightning_hash.trainer.HashTrainer.attack`.

    Args:
        victim: checkpoint of ``fit``; or ``{source: ..., backbone: ..., bits: ..., preprocess: ...,
            output: ...}`` as in :func:`lightning_hash.models.load_foreign`; from Python also a
            HashModule or any nn.Module that turns inputs in [0, 1] into ``(B, K)`` logits. It is
            frozen.
        objective: what is minimised; HAG by default.
        step: called with the perturbations; an optimizer over parameters of shape ``(B, ...)``. By
            default HAG's, ``torch.optim.SGD`` with momentum 0.9 and a rate of 500 / 255^2 at 2000
            iterations; at fewer it is as much higher, so that the way stays as long.
        alpha: schedule of the hash activation's slope; that of both papers by default.
        epsilon: largest change of a value, a number or a fraction such as ``10/255``.
        epsilon_space: ``"pixel"`` ([0, 1]) or ``"normalized"`` (by the victim's own mean and std);
            the perturbation, its gradient and the step live in this space.
        random_start: begin at uniform noise in the ball instead of at zero.
        targets: how target labels and anchor sets are chosen; by default as DHTA does.
        target_database: what t-MAP ranks: the ``"database"``, the ``"open_set"`` or ``"both"``; the
            targets come from the open set where that is part of it. ``"auto"`` is the open set
            where the data have one (DHTA 4.5).
        n_queries: queries drawn from the query set by ``seed``; ``None`` takes all.
        batch_size: queries per step.
        evaluate_at: iterations at which the whole score is taken, beside the last one; those beyond
            the last are left out.
        top_k: ranks that MAP and t-MAP look at; ``None`` is the whole database.
        normalizer: what AP divides by, ``"retrieved"`` or ``"relevant"``.
        empty: a query without a relevant item in the top_k counts ``"zero"`` or is ``"skip"``ped.
        ties: ``"expected"`` or ``"stable"``.
        precision_n: N of precision at N.
        seed: seed of the choice of queries and of random starts.
        compile: run the victim through ``torch.compile``.
        channels_last: keep images and the victim's weights in the channels-last layout, which many
            convolutions are faster in.
        tune: time a few passes at the start and run the iterations on the fastest kernels: float32,
            channels-last, folded batch norms, or bfloat16 convolutions; codes are scored in float32
            whatever is chosen. Only in float32 without ``compile`` and ``channels_last``. The
            choice is printed, stands in the result rows as ``kernels``, and is kept on resuming.
        name: name of the attack in tables; the objective's by default, ``p2p`` with one item.

    Raises:
        FileNotFoundError: if the victim's checkpoint does not exist.
        ValueError: if an argument is out of its range.
    """

    perturbations: nn.ParameterList
    run_folder: Path | None

    def __init__(
        self,
        victim: Any = DEFAULT_VICTIM,  # a union with nn.Module makes the parser open the file
        objective: Objective | None = None,
        step: Callable[[Iterable[Any]], Optimizer] | None = None,
        alpha: AlphaSchedule | None = None,
        epsilon: float | str = "10/255",
        epsilon_space: EpsilonSpace = "pixel",
        random_start: bool = False,
        targets: TargetChoice | None = None,
        target_database: TargetDatabase = "auto",
        n_queries: int | None = 100,
        batch_size: int = 100,
        evaluate_at: list[int] = [0, 10, 100, 500, 1000, 1500],  # noqa: B006 - read only
        top_k: int | None = 1000,
        normalizer: Normalizer = "retrieved",
        empty: Empty = "zero",
        ties: Ties = "expected",
        precision_n: int = 100,
        seed: int = 0,
        compile: bool = False,
        channels_last: bool = False,
        tune: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__()
        if any(iteration < 0 for iteration in evaluate_at):
            msg = f"evaluate_at must hold iterations from 0 on, got {evaluate_at}"
            raise ValueError(msg)
        self.strict_loading = False  # a checkpoint of an attack holds no weights of the victim
        self.victim = as_victim(victim)
        self.network = FrozenNetwork(self.victim, compile=compile, channels_last=channels_last)
        self.runner = self.network  # what the iterations run on
        self.kernels: Kernels | None = (
            None
            if tune and not compile and not channels_last
            else (Kernels(channels_last=channels_last))
        )
        self.objective = HAG() if objective is None else objective
        self.given_step = step
        self.alpha = AlphaSchedule() if alpha is None else alpha
        self.targets = TargetChoice() if targets is None else targets
        self.target_database: TargetDatabase = target_database
        self.space = PerturbationSpace(epsilon, epsilon_space, self.victim.network)
        self.random_start = random_start
        self.n_queries, self.batch_size, self.seed = n_queries, batch_size, seed
        self.evaluate_at = frozenset(evaluate_at)
        self.metric_options = {
            "top_k": top_k, "normalizer": normalizer, "empty": empty, "ties": ties,
        }  # fmt: skip
        self.scorekeeper = Scorekeeper(
            AttackScore(
                top_k=top_k, normalizer=normalizer, empty=empty, ties=ties, precision_n=precision_n
            )
        )
        point_to_point = self.objective.name == "dhta" and self.targets.n_t == 1
        self.attack_name = name or ("p2p" if point_to_point else self.objective.name)
        self.seconds = 0.0

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Result rows so far."""
        return self.scorekeeper.rows

    # ------------------------------------------------------------------ set-up

    def attach(self, queries: QueryData, databases: Databases | None, trainer: pl.Trainer) -> None:
        """Take the queries and what they are ranked against.

        Args:
            queries: the queries under attack, set up.
            databases: the codes; ``None`` measures no retrieval.
            trainer: the trainer that is going to run the attack.

        Raises:
            ValueError: if the objective needs a database and there is none.
        """
        if databases is None and self.objective.targeted:
            msg = f"objective {self.objective.name} needs a database, whose items vote for targets"
            raise ValueError(msg)
        self.queries, self.databases = queries, databases
        self.step = self.given_step or step_of_the_papers_way(trainer.max_epochs or 1)
        if str(trainer.precision) in ("bf16-true", "16-true"):
            msg = (
                f"precision {trainer.precision}: the perturbations would lose most of their bits; "
                f"{str(trainer.precision).replace('true', 'mixed')} keeps them in float32"
            )
            raise ValueError(msg)
        self.protocol = attack_protocol(self, queries, databases, trainer)
        self.scorekeeper.protocol = self.protocol

    def setup(self, stage: str) -> None:
        """Load this process's batches of queries and make their perturbations.

        Raises:
            ValueError: if no database was attached, or there is no iteration to run.
        """
        if not hasattr(self, "queries"):
            msg = "the attack has no data; run it with HashTrainer.attack(module, datamodule)"
            raise ValueError(msg)
        iterations = self.trainer.max_epochs
        if stage == "fit" and (iterations is None or iterations < 1):
            msg = f"trainer.max_epochs (the iterations) must be at least 1, got {iterations}"
            raise ValueError(msg)
        folder = self.trainer.log_dir  # all processes ask for it together
        self.run_folder = None if folder is None else Path(folder)
        if hasattr(self, "perturbations"):
            return
        loaded = [self.queries.load_batch(number) for number in self.queries.local_batches]
        self._position = {number: i for i, number in enumerate(self.queries.local_batches)}
        if self.databases is not None:
            self.scorekeeper.add_databases(self.databases)
        self.batches = [
            QueryBatch(index, labels, self._choose(labels, index)) for _, labels, index in loaded
        ]
        missing = any(batch.targets is None for batch in self.batches)
        self._has_targets = not any_process(missing)
        self.perturbations = nn.ParameterList(
            nn.Parameter(self.network.lay_out(self._start(inputs, index)))
            for inputs, _, index in loaded
        )
        for number, (inputs, _, _) in enumerate(loaded):
            inputs = self.network.lay_out(inputs)
            self.register_buffer(f"clean_{number}", inputs, persistent=False)

    def _choose(self, labels: Tensor, index: Tensor) -> Targets | None:
        if self.databases is None:
            return None
        own, voters = self.databases.query_labels(labels), self.databases.voters
        try:
            return self.targets(own, index, voters.codes, voters.labels, voters.index)
        except ValueError as error:
            if self.objective.targeted or self.targets.file is not None:
                raise
            rank_zero_warn(f"t-MAP is not measured: {error}")
            return None

    def _start(self, inputs: Tensor, index: Tensor) -> Tensor:
        if not (self.random_start or not self.objective.iterative):
            return torch.zeros_like(inputs)
        start = uniform_noise(inputs.shape[1:], index, self.space.epsilon, self.seed)
        return start.clamp_(*self.space.to("cpu").bounds(inputs))

    def configure_optimizers(self) -> Optimizer:
        """Make the optimizer over the perturbations of this process."""
        return self.step(self.perturbations)

    def _references(self) -> None:
        """Compute what the objectives compare with, in the attack's own batches."""
        if self.network.bits is None:  # a process without queries must know it too
            self._exact_logits(self.queries.load_batch(0)[0][:1].to(self.device))
        for number, batch in enumerate(self.batches):
            logits = self._exact_logits(self.clean(number))
            self._check(logits, batch)
            anchors = None if batch.targets is None else batch.targets.anchor_codes.to(logits)
            batch.to(self.device)
            batch.clean_codes = sign_code(logits)
            batch.reference = self.objective.reference(ReferenceState(logits, anchors))

    def _exact_logits(self, inputs: Tensor) -> Tensor:
        with torch.no_grad(), self.trainer.precision_plugin.forward_context():
            logits: Tensor = self.network(inputs)
        return logits

    def _check(self, logits: Tensor, batch: QueryBatch) -> None:
        bad = batch.index[~torch.isfinite(logits).all(dim=1).cpu()]
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

    # --------------------------------------------------------------- iterations

    def clean(self, number: int) -> Tensor:
        """Return the clean inputs ``(B, ...)`` of a local batch."""
        clean: Tensor = self.get_buffer(f"clean_{number}")
        return clean

    def perturbed(self, number: int) -> Tensor:
        """Return the perturbed inputs ``(B, ...)`` of a local batch, without gradient."""
        perturbation = self.perturbations[number].detach()
        perturbed: Tensor = self.clean(number) + self.space.in_pixels(perturbation)
        return perturbed.clamp_(0, 1)

    def on_fit_start(self) -> None:
        """Compute the references on the device, choose the kernels and start the clock."""
        self._references()
        self._choose_kernels()
        self._bounds = [self.space.bounds(self.clean(i)) for i in range(len(self.batches))]
        self.passes = PartwisePass(self._losses, self.trainer.precision_plugin.forward_context)
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
        perturbation = self.perturbations[number][rows]
        logits = self.runner(self.clean(number)[rows] + self.space.in_pixels(perturbation))
        losses: Tensor = self.objective(logits, batch.reference[rows], alpha)
        batch.watch(rows, losses.detach(), logits.detach(), self.current_epoch)
        return losses

    def _choose_kernels(self) -> None:
        """Choose what the iterations run on; rank 0 decides for all."""
        if self.kernels is None:
            self.kernels, gain = Kernels(), 1.0
            if self.trainer.is_global_zero and str(self.trainer.precision) == "32-true":
                self.kernels, gain = choose_kernels(self.victim, self.clean(0), self._first_loss)
            self.kernels, gain = gather_objects((self.kernels, gain))[0]
            if gain > 1:
                rank_zero_info(
                    f"kernels: {self.kernels}, {gain:.1f} times as fast as float32 here; "
                    "--model.tune false keeps float32"
                )
        self.protocol["kernels"] = str(self.kernels)
        if self.kernels != Kernels(channels_last=self.network.channels_last):
            self.runner = self.kernels.network(self.victim).to(self.device)
            with torch.no_grad():
                for number, perturbation in enumerate(self.perturbations):
                    perturbation.data = self.runner.lay_out(perturbation.data)
                    clean = self.runner.lay_out(self.clean(number))
                    self.register_buffer(f"clean_{number}", clean, persistent=False)

    def _first_loss(self, network: FrozenNetwork, inputs: Tensor) -> Tensor:
        alpha = self.alpha(0, self._iterations)
        reference = self.batches[0].reference[: len(inputs)]
        losses: Tensor = self.objective(network(inputs), reference, alpha)
        return losses.sum()

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
        milestone = epoch in self.evaluate_at

        def closure() -> Any:
            loss = None if optimizer_closure is None else optimizer_closure()
            if milestone:  # before the step: these are the inputs that the logits belong to
                reached = self.batches[batch_idx]
                perturbed = self.perturbed(batch_idx)
                exact = self.runner is self.network
                logits = reached.logits if exact else self._exact_logits(perturbed)
                self.scorekeeper.add(reached, sign_code(logits), self.clean(batch_idx), perturbed)
            return loss

        super().optimizer_step(epoch, batch_idx, optimizer, closure)
        with torch.no_grad():
            self.perturbations[batch_idx].clamp_(*self._bounds[batch_idx])

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
        local = [torch.stack([b.index, b.bad_since]) for b in self.batches]
        index, bad_since = torch.cat(gather_objects(torch.cat(local, dim=1).cpu()), dim=1)
        bad = bad_since >= 0
        if not bad.any():
            return
        for perturbation in self.perturbations:
            with torch.no_grad():
                finite = torch.isfinite(perturbation).flatten(1).all(dim=1)
                perturbation[~finite] = 0
        saved = ""
        if self.run_folder is not None:
            path = self.run_folder / "checkpoints" / "not_finite.ckpt"
            self.trainer.save_checkpoint(path)
            saved = f"; the perturbations of the others are saved in {path}"
        msg = (
            f"the loss is not finite since iteration {int(bad_since[bad].min())} for queries "
            f"{index[bad].tolist()}{saved}; leave these queries out or lower the step"
        )
        raise ValueError(msg)

    # -------------------------------------------------------------------- score

    def _take(
        self, names: tuple[str, ...], attack: str, iteration: int, *, quantized: bool = False
    ) -> dict[str, float]:
        if self._has_targets:
            names = (*names, *TARGET_METRICS)
        if self.databases is None:
            names = tuple(name for name in names if name not in RETRIEVAL_METRICS)
        return self.scorekeeper.take(
            names,
            attack=attack,
            iteration=iteration,
            quantized=quantized,
            seconds=round(self.seconds, 3),
        )

    def on_test_start(self) -> None:
        """Compute the references on the device."""
        self._references()

    def test_step(self, batch: int, batch_idx: int) -> None:
        """Encode what is left after projection, in float and rounded to 8 bits."""
        number = self._position[batch]
        clean, adversarial, final = self.clean(number), self.perturbed(number), self.batches[number]
        eight_bit = self.space.round_to_8bit(adversarial, clean)
        final.adversarial, final.adversarial_8bit = adversarial, eight_bit
        final.codes = sign_code(self.network(adversarial))
        final.codes_8bit = sign_code(self.network(eight_bit.to(clean.dtype) / 255))

    def on_test_epoch_end(self) -> None:
        """Score the clean queries, the ceiling and the attack."""
        last = (self.trainer.max_epochs or 0) if self.objective.iterative else 0
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
            keeper.add(batch, batch.codes, self.clean(number), batch.adversarial)
        values = self._take(PERTURBED_METRICS, self.attack_name, last)
        self._log({f"final/{name}": value for name, value in values.items()}, last)
        for number, batch in enumerate(batches):
            eight_bit = batch.adversarial_8bit.float() / 255
            keeper.add(batch, batch.codes_8bit, self.clean(number), eight_bit)
        values = self._take(PERTURBED_METRICS, self.attack_name, last, quantized=True)
        self._log({f"final_8bit/{name}": value for name, value in values.items()}, last)

    def outcome(self) -> Outcome:
        """Return what the attack made of all queries, ordered by index, on every process."""
        return Outcome.gather(
            {**batch.columns(), "perturbation": perturbation.detach()}
            for batch, perturbation in zip(self.batches, self.perturbations, strict=True)
        )

    # -------------------------------------------------------------- checkpoints

    @property
    def _indices(self) -> list[Tensor]:
        return [batch.index for batch in self.batches]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the state of the attack by query, without the victim."""
        optimizer = self.trainer.optimizers[0]
        checkpoint["state_dict"] = {}
        checkpoint["optimizer_states"] = []
        checkpoint[CHECKPOINT_KEY] = {
            "kind": "attack",
            "version": CHECKPOINT_VERSION,
            "protocol": self.protocol,
            "queries": pack(self._indices, list(self.perturbations), optimizer),
            "rows": self.rows,
            "seconds": self.seconds,
            "kernels": None if self.kernels is None else dataclasses.asdict(self.kernels),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lay the state out for the batches of this run.

        Raises:
            ValueError: if the checkpoint belongs to another attack; names what differs.
        """
        entry = checkpoint[CHECKPOINT_KEY]
        before: dict[str, Any] = entry["protocol"]
        run_only = {"devices", "precision", "version", "commit", "kernels"}
        for key, value in self.protocol.items():
            if key not in run_only and before.get(key) != value:
                msg = (
                    f"ckpt_path: the checkpoint belongs to another attack: its {key} is "
                    f"{before.get(key)!r}, this run's is {value!r}; start anew without ckpt_path"
                )
                raise ValueError(msg)
        perturbations, optimizer = unpack(entry["queries"], self._indices)
        checkpoint["state_dict"] = {f"perturbations.{i}": p for i, p in enumerate(perturbations)}
        checkpoint["optimizer_states"] = [optimizer]
        self.scorekeeper.rows, self.seconds = entry["rows"], entry["seconds"]
        self.kernels = Kernels(**entry["kernels"])
