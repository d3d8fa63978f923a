"""The attack as a LightningModule: its only optimised parameters are the perturbations."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_hash.attacks import (
    HAG,
    AlphaSchedule,
    Budget,
    DiverseInputs,
    EpsilonSpace,
    LInf,
    Objective,
    Oracle,
    PerQuery,
    Perturbation,
    Queries,
    RateDecay,
    Reference,
    Start,
    TargetChoice,
)
from lightning_hash.attacks.around import Parts
from lightning_hash.attacks.recipe import Recipe
from lightning_hash.attacks.rules import prepare_rule
from lightning_hash.data.base import HashDataModule
from lightning_hash.data.queries import QueryData, Resolution
from lightning_hash.functional import RankingOptions, sign_code
from lightning_hash.metrics import QueryMetric
from lightning_hash.modules.attack_callbacks import (
    FiniteWatch,
    IterationLog,
    Milestones,
    WholeIterations,
    is_due,
)
from lightning_hash.modules.attack_checkpoint import load_attack, save_attack
from lightning_hash.modules.batch_attack import BatchAttack
from lightning_hash.modules.candidates import Side, candidate_metrics
from lightning_hash.modules.databases import Databases, TargetDatabase
from lightning_hash.modules.doubts import share_used
from lightning_hash.modules.evaluation import Evaluation, check_finite
from lightning_hash.modules.gradient_watch import GradientWatch
from lightning_hash.modules.learned import doubt_targets, learned_on
from lightning_hash.modules.preparation import choose_kernels
from lightning_hash.modules.roles import Roles
from lightning_hash.modules.step_watch import StepWatch
from lightning_hash.modules.tally import Tally, counts_of
from lightning_hash.modules.trainer_check import check_attack_trainer
from lightning_hash.modules.victim_pass import VictimPass
from lightning_hash.utils.checkpoint_places import forget_strange_places
from lightning_hash.victims.kernels import Kernels, read_kernels
from lightning_hash.victims.resolve import DEFAULT_VICTIM, Given, as_victim


class AttackModule(pl.LightningModule):
    """Attack the queries of a retrieval system (HAG Alg. 1, DHTA Fig. 2).

    Each step runs :func:`lightning_hash.attacks.iterate` on one batch. One Trainer epoch is one
    iteration over all queries of the process, so ``max_epochs`` of the Trainer is the number of
    iterations; of a shared perturbation it is one pass over the training split. Run it with
    :func:`lightning_hash.commands.attack.run_attack`.

    Args:
        victim: checkpoint of ``fit``; or ``{source: ..., backbone: ..., bits: ..., preprocess: ...,
            output: ...}`` as in :func:`lightning_hash.victims.load_foreign`; from Python also a
            HashModule or any nn.Module that turns inputs in [0, 1] into ``(B, K)`` logits. A list
            of these is attacked by one perturbation: the objective is summed over them, and each
            has result rows of its own.
        objective: what is minimised; HAG by default.
        reference: what the objective compares with; its own by default.
        step: called with the parameters of a batch's perturbation ``(B, ...)``; a torch optimizer,
            a step rule or a search. By default HAG's, ``torch.optim.SGD`` with momentum 0.9 and a
            rate of 500 / 255^2 at 2000 iterations; at fewer it is as much higher.
        perturbation: called with inputs ``(B, ...)``, budget and lengths; one for each query by
            default.
        budget: called with epsilon and its space; the L-infinity ball by default.
        oracle: what a search sees of the victim: logits by default, codes, distances or ids.
        alpha: schedule of the hash activation's slope; that of both papers by default.
        rate: factor of the step's rate ``lr`` in each iteration, such as one that decays.
        epsilon: radius of the budget, a number or a fraction such as ``10/255``.
        epsilon_space: ``"pixel"`` ([0, 1]) or ``"normalized"`` (by mean and std of the model that
            the iterations pass); the perturbation, its gradient and the step live in this space.
        start_seed: begin at a random place in the budget, drawn by this seed, instead of at the
            clean query. Runs with several are restarts; ``transfer --combination best`` keeps the
            best of them for each query.
        inputs: changes the perturbed inputs at random before the victim sees them, for transfer.
        stop_finished: step a query no more, and pass it no more, once its code has nothing left to
            flip; how many there are is in the result rows as ``n_finished``.
        stop_at: step and ask about a query no more once its code is at least this Hamming distance
            from the clean one; of a targeted attack at most this from the target's.
        targets: how target labels and anchor sets are chosen; by default as DHTA does.
        target_database: what t-MAP ranks: the ``"database"``, the ``"open_set"`` or ``"both"``; the
            targets come from the open set where that is part of it. ``"auto"`` is the open set
            where the data have one (DHTA 4.5).
        side: what is attacked: a ``"query"``, or a ``"candidate"``: an item of the database, which
            queries of the target's label, or no longer those of its own, are to retrieve. It stands
            for the query in the options below, and ``rank_percentile`` and ``in_top_k`` (k is
            ``ranking.precision_n``) are measured in place of MAP.
        n_queries: queries drawn from the query set by ``seed``; ``None`` takes all.
        query_index: which queries, in this order, instead: indices in the query set, or their file.
        batch_size: queries per step.
        resolution: what is perturbed: the ``"input"`` of the network, or image files in their
            ``"original"`` size, through the data's resize and crop. The rows of 8 bits are then
            those of the saved file, read again by Pillow.
        jpeg: quality, from 1 to 100, of JPEG files that the result is also saved as and scored on.
        evaluate_at: iterations at which the whole score is taken, beside the last one; those beyond
            the last are left out.
        ranking: options of MAP, t-MAP and precision at N.
        metrics: metrics beside the usual ones.
        seed: seed of the choice of queries, and of the noise where that is the attack.
        kernels: what the iterations run on; codes are always scored in float32 as it comes.
            ``"auto"`` follows a rule: float32, folded and channels-last as device, network and
            image size call for it. ``"fastest"`` measures, bfloat16 and TF32 too, and keeps the
            choice on disk. Or names: ``float32``, ``bfloat16``, ``tf32``, ``channels_last``,
            ``folded``, ``compile``. The choice stands in the result rows and is kept on resuming.
        name: name of the attack in tables; the objective's by default, ``p2p`` with one item.
        surrogates: models, each given as a victim is, that make what the victim is scored on; it is
            passed for scores alone. A list is attacked as a list of victims, each by its own codes
            and database: at equal weights the ensembles of Liu et al. (ICLR 2017) and Dong et al.
            (CVPR 2018), which average losses or logits. A search asks the victim, and takes
            surrogates for its ``start``.
        start: begin where another attack ends: one on ``surrogates`` (``SurrogateStart``), or a
            finished run (``RunStart``).

    Attributes:
        recipe: the parts of the attack.
        roles: victim and surrogates, and what each knows of the queries.
        perturbations: that of each batch, or the shared one.
        tally: what the last iteration learnt.
        done: iterations that were really run.
        evaluation: the metrics and the result rows.

    Raises:
        FileNotFoundError: if the victim's checkpoint does not exist.
        ValueError: if an argument is out of its range.
    """

    def __init__(
        self,
        victim: Given = DEFAULT_VICTIM,
        objective: Objective | None = None,
        reference: Reference | None = None,
        step: Callable[[Iterable[Any]], Optimizer] | None = None,
        perturbation: Callable[[Any, Any, Any], Perturbation] | None = None,
        budget: Callable[[Any, Any], Budget] | None = None,
        oracle: Oracle | None = None,
        alpha: AlphaSchedule | None = None,
        rate: RateDecay | None = None,
        epsilon: float | str = "10/255",
        epsilon_space: EpsilonSpace = "pixel",
        start_seed: int | None = None,
        inputs: DiverseInputs | None = None,
        stop_finished: bool = False,
        stop_at: int | None = None,
        targets: TargetChoice | None = None,
        target_database: TargetDatabase = "auto",
        side: Side = "query",
        n_queries: int | None = 100,
        query_index: list[int] | str | None = None,
        batch_size: int = 100,
        evaluate_at: list[int] = [0, 10, 100, 500, 1000, 1500],  # noqa: B006 - read only
        ranking: RankingOptions = RankingOptions(),
        metrics: list[QueryMetric] | None = None,
        seed: int = 0,
        kernels: str | list[str] = "auto",
        name: str | None = None,
        surrogates: Given | None = None,
        start: Start | None = None,
        resolution: Resolution = "input",
        jpeg: int | None = None,
    ) -> None:
        super().__init__()
        if any(iteration < 0 for iteration in evaluate_at):
            msg = f"evaluate_at must hold iterations from 0 on, got {evaluate_at}"
            raise ValueError(msg)
        self.automatic_optimization = False
        self.strict_loading = False  # a checkpoint of an attack holds no weights of the victim
        self.victim, self.evaluate_at = as_victim(victim), frozenset(evaluate_at)
        minimised = HAG() if objective is None else objective
        self.recipe = Recipe(
            objective=minimised, reference=reference or minimised.reference, step=step,
            perturbation=perturbation or PerQuery, budget=(budget or LInf)(epsilon, epsilon_space),
            alpha=alpha or AlphaSchedule(), inputs=inputs, start_seed=start_seed,
            stop_finished=stop_finished, targets=targets or TargetChoice(), seed=seed, name=name,
            oracle=oracle, gives="codes" if self.victim.gives_codes else "logits", stop_at=stop_at,
            rate=rate, start_at=start,
        )  # fmt: skip
        self.roles = Roles(self.recipe, self.victim, surrogates)
        # Parts of this module: their buffers move along.
        self.objective, self.others = self.recipe.objective, nn.ModuleList(self.roles.parts)
        self.target_database: TargetDatabase = target_database
        self.query_options = (n_queries, batch_size, seed, query_index)
        self.side: Side = side
        self.resolution: Resolution = resolution
        if jpeg is not None and not 1 <= jpeg <= 100:
            msg = f"jpeg must be a quality from 1 to 100, or null, got {jpeg}"
            raise ValueError(msg)
        self.jpeg = jpeg
        own = candidate_metrics(side, ranking, targeted=self.recipe.reference.targeted)
        self.evaluation = Evaluation(self.victim, ranking, [*own, *(metrics or ())])
        self.wanted_kernels, self.kernels = read_kernels(kernels), cast(Kernels | None, None)
        self.attack_name, self.tally, self.seconds = str(self.recipe.name), Tally(), 0.0

    def attach(
        self,
        data: QueryData,
        databases: Databases | None,
        trainer: pl.Trainer,
        surrogate_databases: Databases | None = None,
    ) -> None:
        """Take the queries and what they are ranked against.

        Args:
            data: the queries under attack, set up.
            databases: the codes; ``None`` measures no retrieval.
            trainer: the trainer that is going to run the attack.
            surrogate_databases: the codes by the surrogates, where these compare with any.

        Raises:
            ValueError: if the objective needs codes that are not there, parts of the attack do
                not go together, or the Trainer would run another attack than its rows say.
        """
        check_attack_trainer(trainer)
        recipe = self.recipe
        self.roles.attach(data, databases, surrogate_databases)
        self.data, self.databases, self.trainer = data, databases, trainer
        self.evaluation.attach(data, databases, trainer, self.roles.made_on)
        recipe.iterations = (trainer.max_epochs or 0) if recipe.objective.iterative else 0
        recipe.check()
        self.done, self.within, self.watch = 0, False, StepWatch()

    def queries_of(self, source: HashDataModule) -> QueryData:
        """Return the queries of a data module that are attacked; they are still to be set up."""
        split = "database" if self.side == "candidate" else "query"
        return QueryData(source, *self.query_options, split, self.resolution)

    def settings(self) -> dict[str, Any]:
        """Return all that decides the perturbations, beside victim and data; after ``setup``."""
        more = self.roles.settings()
        if self.shared and self.recipe.objective.iterative:
            more["learned_on"] = learned_on(self.data, self.trainer)
        if self.side != "query":
            more["side"] = self.side
        if self.resolution != "input":
            more["resolution"] = self.resolution
        return self.recipe.settings(self.perturbation(0), **more)

    def setup(self, stage: str) -> None:
        """Load this process's batches of queries and make their perturbations.

        Raises:
            ValueError: if no database was attached, or there is no iteration to run.
        """
        if not hasattr(self, "data"):
            msg = "the attack has no data; run it with lightning_hash.commands.attack.run_attack"
            raise ValueError(msg)
        if stage == "fit" and self.recipe.iterations < 1:
            got = self.trainer.max_epochs
            msg = f"trainer.max_epochs (the iterations) must be at least 1, got {got}"
            raise ValueError(msg)
        folder = self.trainer.log_dir  # all processes ask for it together
        self.run_folder = None if folder is None else Path(folder)
        self.evaluation.has_targets = self.roles.load()
        self.evaluation.has_goal = self.recipe.reference.targeted and not self.roles.apart
        made = [self.recipe.start(queries) for queries in self.batches]
        self.shared = self.data.learns = made[0].shared
        self.perturbations = nn.ModuleList(made[:1] if self.shared else made)

    @property
    def batches(self) -> list[Queries]:
        """Return this process's batches as the model knows them that is passed."""
        return self.roles.batches

    def perturbation(self, number: int) -> Perturbation:
        """Return the perturbation of a local batch."""
        found: Any = self.perturbations[0 if self.shared else number]
        perturbation: Perturbation = found
        return perturbation

    @torch.no_grad()
    def perturbed(self, number: int) -> Tensor:
        """Return the perturbed inputs ``(B, ...)`` of a local batch, in [0, 1]."""
        made, queries = self.perturbation(number), self.batches[number]
        made.expect(queries.index, self.done)
        return torch.as_tensor(made(queries.inputs)).clamp(0, 1)

    def configure_optimizers(self) -> list[Optimizer]:
        """Make a rule over each perturbation."""
        return [self.recipe.rule(each.parameters()) for each in self.perturbations]

    def configure_callbacks(self) -> list[Callback]:
        """Return what stands around the iterations."""
        return [
            WholeIterations(),
            FiniteWatch(lambda n: self.tally.losses(n), self._repair, self.evaluate_at),
            Milestones(self.evaluate_at, self._score),
            IterationLog(lambda: {**self.tally.everywhere(), "alpha": self._alpha()}),
            GradientWatch(self.evaluation.doubt),
        ]

    def on_fit_start(self) -> None:
        """Compute the references on the device and choose the kernels."""
        context = self.trainer.precision_plugin.forward_context
        rules: Any = self.optimizers()
        self.rules = rules if isinstance(rules, list) else [rules]
        self.roles.know(self.device, context)
        self.clean = self.roles.clean
        self.evaluation.look(self.data, self.roles.scored, self.roles.scoring)
        self.evaluation.doubt(doubt_targets(self.recipe, self.perturbation(0)))
        alpha = self._alpha()
        made_on, wanted = self.roles.made_on, self.wanted_kernels
        self.kernels = self.kernels or choose_kernels(
            wanted, made_on, self.batches[0], self.recipe, alpha, self.trainer, self.data.view
        )
        self.evaluation.protocol["run"]["kernels"] = str(self.kernels)
        self.runner = self.kernels.of(made_on).to(self.device)
        if not (self.done or self.shared):
            self.roles.begin(self.perturbation)
        self.parts, self.tally = Parts(), Tally(codes_are_seen=self.recipe.codes_are_seen)
        self.attacks = [] if self.shared else [self._on(q, i) for i, q in enumerate(self.batches)]
        for attack in self.attacks:
            attack.prepare(alpha)

    def _on(self, queries: Queries, number: int) -> BatchAttack:
        """Return the attack on a batch whose references are known."""
        made, context = self.perturbation(number), self.clean.context
        victim = VictimPass(self.runner, queries, self.recipe, context, self.data.view, made)
        return BatchAttack(queries, made, victim, self.recipe, self.parts)

    def on_train_start(self) -> None:
        """Tell the rules what they step, once their state is loaded, and start the clock."""
        for number, rule in enumerate(self.rules):
            made, queries = self.perturbation(number), self.batches[number]
            prepare_rule(rule.optimizer, made, queries, self.recipe.iterations)
        self._started = time.monotonic() - self.seconds

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Run an iteration on a batch of queries, or of training items."""
        alpha, backward = self._alpha(), None
        if self.shared:
            loader = self.roles.loader
            queries = loader.queries(*batch, with_targets=loader.targeted)
            self.roles.know_batch(queries, self.device, look=not self.current_epoch)
            attack, rule, backward = self._on(queries, 0), self.rules[0], self.manual_backward
            attack.prepare(alpha)
        else:
            attack, rule = self.attacks[batch_idx], self.rules[batch_idx]
        watched = 0 if self.shared else batch_idx, attack.perturbation, rule.optimizer
        self.watch.begin(*watched)
        rule._on_before_step()  # Lightning's own step() would hide a closure's rows from the rule
        assert self.kernels is not None  # chosen by on_fit_start
        # The pass has its own context.
        with torch.autocast(self.device.type, enabled=False), self.kernels.arithmetic():
            answer = attack.iterate(rule.optimizer, self.current_epoch, alpha, backward)
        rule._on_after_step()
        self.watch.end(*watched)
        self.tally.add(batch_idx, attack.queries.index, answer)
        self.within = batch_idx + 1 < self.trainer.num_training_batches
        self.done = self.current_epoch + (not self.within)

    def _alpha(self) -> float:
        return self.recipe.alpha(self.current_epoch, self.recipe.iterations)

    def on_train_epoch_end(self) -> None:
        """Read the clock, note how batches were cut, look whether others changed anything."""
        self.seconds = time.monotonic() - self._started
        self.evaluation.protocol["run"]["queries_at_a_time"] = self.parts.at_a_time.size
        if is_due(self.trainer):
            self.check_untouched()

    def check_untouched(self) -> None:
        """Refuse what the Trainer's callbacks have made of perturbations and rules.

        Raises:
            ValueError: if they are not as the last step left them.
        """
        for number, rule in enumerate(self.rules):
            self.watch.begin(number, self.perturbation(number), rule.optimizer)
        callbacks: Any = self.trainer.callbacks  # type: ignore[attr-defined]
        self.watch.check([type(callback).__name__ for callback in callbacks])

    def _score(self, iteration: int) -> dict[str, float]:
        """Take the whole score of what is reached."""
        bad = []
        for number, queries in enumerate(self.roles.scored):
            perturbed = self.perturbed(number)
            logits = self.roles.scoring.logits(perturbed, *queries.lengths_of())
            bad.append(queries.index[~torch.isfinite(logits).all(dim=1)])
            self.evaluation.add(queries, sign_code(logits), queries.inputs, perturbed)
        check_finite(bad, self.victim, f" at iteration {iteration}")
        seconds = time.monotonic() - self._started
        made = ((self.perturbation(number), each) for number, each in enumerate(self.batches))
        used = share_used(self.recipe.budget, made, self.device, iteration)
        return self.evaluation.take(
            self.settings(), seconds, iteration=iteration, budget_used=used, **self.counts()
        )

    def counts(self) -> dict[str, Any]:
        """Return the queries finished, and the mean number of questions where these are counted."""
        if self.shared or not self.recipe.iterations:
            return {}
        return counts_of(self.rules[0].optimizer, self.batches, stops=self.recipe.stops)

    @torch.no_grad()
    def _repair(self) -> None:
        for parameter in self.perturbations.parameters():
            finite = torch.isfinite(parameter).flatten(1).all(dim=1)
            parameter[~finite] = 0

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the state of the attack by query, or the shared perturbation; never the victim."""
        made: Any = list(self.perturbations)
        local = self.batches, made, [rule.optimizer for rule in self.rules]
        save_attack(
            checkpoint, self._identity(), None if self.shared else local,
            rows=self.evaluation.rows, seconds=self.seconds, kernels=self.kernels,
            done=self.done, within=self.within, doubts=self.evaluation.doubts,
        )  # fmt: skip

    def _identity(self) -> dict[str, Any]:
        attack = {**self.settings(), **self.roles.identity()}
        return {**self.evaluation.identity(attack), "kernels": str(self.wanted_kernels)}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lay the state out for the batches of this run.

        Raises:
            ValueError: if the checkpoint belongs to another attack; names what differs.
        """
        forget_strange_places(checkpoint, self.trainer.checkpoint_callbacks)
        made: Any = list(self.perturbations)
        local = None if self.shared else (self.batches, made)
        entry = load_attack(checkpoint, self._identity(), local, self.recipe, self.perturbations)
        self.evaluation.rows, self.seconds = entry["rows"], entry["seconds"]
        self.done, self.evaluation.doubts = entry["done"], entry.get("doubts", [])
        self.kernels = Kernels(**entry["kernels"])
