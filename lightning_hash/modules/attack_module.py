"""The attack as a LightningModule: its only optimised parameters are the perturbations."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_hash.attacks import (
    HAG,
    AlphaSchedule,
    DiverseInputs,
    EpsilonSpace,
    JointObjective,
    Objective,
    TargetChoice,
    Targets,
    uniform_noise,
)
from lightning_hash.attacks.batch import QueryBatch
from lightning_hash.attacks.space import PerturbationSpace
from lightning_hash.attacks.steps import step_of_the_papers_way
from lightning_hash.data.queries import QueryData
from lightning_hash.functional import frame_mask
from lightning_hash.functional.average_precision import Empty, Normalizer, Ties
from lightning_hash.metrics import AttackScore
from lightning_hash.modules.attack_loop import AttackLoop
from lightning_hash.modules.databases import Databases, TargetDatabase
from lightning_hash.modules.protocol import attack_protocol
from lightning_hash.modules.references import pass_victim
from lightning_hash.modules.scorekeeper import Scorekeeper
from lightning_hash.utils.distributed import any_process
from lightning_hash.victims.frozen import FrozenNetwork
from lightning_hash.victims.joint import member_bits
from lightning_hash.victims.kernels import Kernels
from lightning_hash.victims.resolve import DEFAULT_VICTIM, as_victim


class AttackModule(AttackLoop):
    """Attack the queries of a retrieval system (HAG Alg. 1, DHTA Fig. 2).

    One Trainer epoch is one iteration over all queries of the process, one step is one batch, so
    ``max_epochs`` of the Trainer is the number of iterations. Losses are summed over the batch:
    no query's gradient depends on its neighbours. After every step the perturbation is projected
    onto the epsilon ball and the image onto [0, 1]. Run it with
    :meth:`lightning_hash.engine.trainer.HashTrainer.attack`.

    Args:
        victim: checkpoint of ``fit``; or ``{source: ..., backbone: ..., bits: ..., preprocess: ...,
            output: ...}`` as in :func:`lightning_hash.victims.load_foreign`; from Python also a
            HashModule or any nn.Module that turns inputs in [0, 1] into ``(B, K)`` logits. It is
            frozen. A list of these is attacked by one perturbation: the objective is summed over
            them, and each has result rows of its own.
        objective: what is minimised; HAG by default.
        step: called with the perturbations; an optimizer over parameters of shape ``(B, ...)``. By
            default HAG's, ``torch.optim.SGD`` with momentum 0.9 and a rate of 500 / 255^2 at 2000
            iterations; at fewer it is as much higher, so that the way stays as long.
        alpha: schedule of the hash activation's slope; that of both papers by default.
        epsilon: largest change of a value, a number or a fraction such as ``10/255``.
        epsilon_space: ``"pixel"`` ([0, 1]) or ``"normalized"`` (by the victim's own mean and std);
            the perturbation, its gradient and the step live in this space.
        start_seed: begin at uniform noise in the ball, drawn by this seed, instead of at the clean
            query. Runs with several are restarts; ``transfer --combination best`` keeps the best
            of them for each query.
        inputs: changes the perturbed inputs at random before the victim sees them, for transfer.
        stop_finished: step a query no more, and pass it no more, once its code has nothing left to
            flip; how many there are is in the result rows as ``n_finished``.
        frames: of clips, perturb so many frames alone: those in which the loss of the clean query
            has the largest gradient; ``None`` perturbs all.
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
        seed: seed of the choice of queries, and of the noise where that is the attack.
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
        start_seed: int | None = None,
        inputs: DiverseInputs | None = None,
        stop_finished: bool = False,
        frames: int | None = None,
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
        if frames is not None and frames < 1:
            msg = f"frames must be at least 1 or null, got {frames}"
            raise ValueError(msg)
        self.frames = frames
        self.strict_loading = False  # a checkpoint of an attack holds no weights of the victim
        self.victim = as_victim(victim)
        self.network = FrozenNetwork(self.victim, compile=compile, channels_last=channels_last)
        self.runner = self.network  # what the iterations run on
        fixed = compile or channels_last or not tune
        self.kernels = Kernels(channels_last=channels_last) if fixed else None
        self.objective = HAG() if objective is None else objective
        if self.victim.members:
            self.objective = JointObjective(self.objective, member_bits(self.victim))
        self.given_step = step
        self.alpha = AlphaSchedule() if alpha is None else alpha
        self.targets = TargetChoice() if targets is None else targets
        self.target_database: TargetDatabase = target_database
        self.space = PerturbationSpace(epsilon, epsilon_space, self.victim.network)
        self.start_seed, self.inputs, self.stop_finished = start_seed, inputs, stop_finished
        self.passed = pass_victim(self.victim, self.objective)
        self.n_queries, self.batch_size, self.seed = n_queries, batch_size, seed
        self.evaluate_at = frozenset(evaluate_at)
        self.metric_options: dict[str, Any] = {
            "top_k": top_k, "normalizer": normalizer, "empty": empty, "ties": ties,
        }  # fmt: skip
        self.scorekeeper = Scorekeeper(
            partial(AttackScore, **self.metric_options, precision_n=precision_n), self.victim
        )
        point_to_point = self.objective.name == "dhta" and self.targets.n_t == 1
        self.attack_name = name or ("p2p" if point_to_point else self.objective.name)
        self.seconds = 0.0

    def attach(self, queries: QueryData, databases: Databases | None, trainer: pl.Trainer) -> None:
        """Take the queries and what they are ranked against.

        Args:
            queries: the queries under attack, set up.
            databases: the codes; ``None`` measures no retrieval.
            trainer: the trainer that is going to run the attack.

        Raises:
            ValueError: if the objective needs a database and there is none.
        """
        if databases is None and (self.objective.targeted or self.objective.needs_database):
            msg = f"objective {self.objective.name} needs a database, whose items vote for codes"
            raise ValueError(msg)
        self.queries, self.databases = queries, databases
        self.step = self.given_step or step_of_the_papers_way(trainer.max_epochs or 1)
        if str(trainer.precision) in ("bf16-true", "16-true"):
            msg = (
                f"precision {trainer.precision}: the perturbations would lose most of their bits; "
                f"{str(trainer.precision).replace('true', 'mixed')} keeps them in float32"
            )
            raise ValueError(msg)
        rule = self.step([nn.Parameter(torch.zeros(1, 1))])
        if self.stop_finished and (self.inputs is not None or hasattr(rule, "looks_ahead")):
            msg = (
                "stop_finished looks at the codes of the perturbed queries, which inputs and "
                "NesterovSignStep change before the victim sees them; leave one of them out"
            )
            raise ValueError(msg)
        shape = tuple(queries.queries[0][0].shape)
        clips = len(shape) == 4 and (self.frames or 0) <= shape[0]
        if self.frames is not None and not (clips and self.objective.iterative):
            msg = (
                f"frames = {self.frames} chooses frames of clips (T, 3, H, W) by their gradient; "
                f"got inputs {shape} and objective {self.objective.name}"
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
            QueryBatch(
                index,
                labels,
                self._choose(labels, index),
                lengths=lengths[0] if lengths else None,
                live=frame_mask(lengths[0], inputs.shape[1]) if lengths else None,
            )
            for inputs, labels, index, *lengths in loaded
        ]
        missing = any(batch.targets is None for batch in self.batches)
        self._has_targets = not any_process(missing)
        self.perturbations = nn.ParameterList(
            nn.Parameter(self.network.lay_out(batch.confine(self._start(inputs, batch.index))))
            for batch, (inputs, *_) in zip(self.batches, loaded, strict=True)
        )
        for number, (inputs, *_) in enumerate(loaded):
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
        seed = self.start_seed if self.objective.iterative else self.seed  # the Noise baseline
        if seed is None:
            return torch.zeros_like(inputs)
        start = uniform_noise(inputs.shape[1:], index, self.space.epsilon, seed)
        return start.clamp_(*self.space.to("cpu").bounds(inputs))

    def configure_optimizers(self) -> Optimizer:
        """Make the optimizer over the perturbations of this process."""
        return self.step(self.perturbations)
