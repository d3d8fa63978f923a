"""Perturbed queries, scored: what an attack or a transfer has come to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lightning_hash.attacks import Budget, Perturbation, Queries
from lightning_hash.attacks.state import Outcome
from lightning_hash.attacks.steps import step_of_the_papers_way
from lightning_hash.data.queries import QueryData
from lightning_hash.data.views import after_jpeg
from lightning_hash.functional import from_8bit, sign_code
from lightning_hash.modules.attack_callbacks import log_equal
from lightning_hash.modules.databases import Databases
from lightning_hash.modules.doubts import differ, doubts_after, say, share_of_way, share_used
from lightning_hash.modules.evaluation import Evaluation, check_finite
from lightning_hash.modules.learned import LearnedScore
from lightning_hash.modules.preparation import CleanPass
from lightning_hash.modules.protocol import victim_settings
from lightning_hash.utils.distributed import any_process
from lightning_hash.utils.settings import settings_of
from lightning_hash.victims.victim import Victim


class ScoreModule(pl.LightningModule):
    """Score the clean queries, the ceiling and the perturbed queries, in float and in 8 bits.

    It runs in the Trainer's test loop, on the batches dealt to this process.

    Args:
        victim: encodes the queries.
        data: the queries, set up.
        databases: what they are ranked against, where anything is.
        batches: this process's batches of queries.
        perturbations: that of each batch, or the shared one.
        evaluation: the metrics, and the rows that there are already.
        budget: what 8-bit rounding stays in.
        attack: settings of what made the perturbations.
        iteration: iterations that were run; those that the attack has by default.
        seconds: time that it took.
        counts: what rows say of queries finished and questions asked.
        scored_only: the perturbations are of an attack that ended elsewhere.
        learned: this process's batches of the items that a shared perturbation learnt on, for
            scores beside those of the queries.
        made: what the perturbations were made on and the batches as it knows them, where that is
            not the victim: how far they got there is told beside what the victim makes of them.
        jpeg: quality of JPEG files, which are scored too where it is given.
    """

    def __init__(
        self,
        victim: Victim,
        data: QueryData,
        databases: Databases | None,
        batches: Sequence[Queries],
        perturbations: Sequence[Perturbation],
        evaluation: Evaluation,
        budget: Budget,
        attack: dict[str, Any],
        *,
        iteration: int | None = None,
        seconds: float = 0.0,
        counts: dict[str, Any] | None = None,
        scored_only: bool = False,
        learned: Sequence[Queries] | None = None,
        made: tuple[Victim, Sequence[Queries]] | None = None,
        jpeg: int | None = None,
    ) -> None:
        super().__init__()
        self.victim, self.data, self.databases = victim, data, databases
        self.batches, self.perturbations = batches, nn.ModuleList(perturbations)
        self.evaluation, self.budget, self.attack = evaluation, budget, attack
        self.iteration = int(attack["iterations"]) if iteration is None else iteration
        self.seconds, self.counts, self.scored_only = seconds, counts or {}, scored_only
        self.learned, self.jpeg = learned, jpeg
        self.made_on = None if made is None else made[0]
        self.made: Sequence[Queries] = () if made is None else made[1]
        self.columns: list[dict[str, Tensor]] = []
        self._bad: list[Tensor] = []
        self._outcome: Outcome | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Result rows."""
        return self.evaluation.rows

    @property
    def retrieves(self) -> bool:
        """Whether what is attacked retrieves: it is no candidate, and there is a database."""
        return self.databases is not None and self.databases.queries is None

    @property
    def attack_name(self) -> str:
        """Name of the attack in tables."""
        return str(self.attack["name"])

    @property
    def targeted(self) -> bool:
        """Whether the attack had a goal to reach."""
        return bool(self.attack["targeted"])

    def protocol(self) -> dict[str, Any]:
        """Return the mappings that a number of this attack depends on."""
        return {
            "attack": self.attack,
            "iteration": self.iteration,
            "victims": [victim_settings(victim) for victim in self.evaluation.makers],
            **self.evaluation.protocol,
        }

    def setup(self, stage: str) -> None:
        """Find the run folder."""
        folder = self.trainer.log_dir  # all processes ask for it together
        self.run_folder = None if folder is None else Path(folder)

    def on_test_start(self) -> None:
        """Compute the clean codes on the device, anew.

        Raises:
            ValueError: if they are not those that the attack began with.
        """
        context = self.trainer.precision_plugin.forward_context
        view = self.data.view
        self.clean = clean = CleanPass(self.victim, self.databases, context, view)
        clean.know_bits(self.data, self.device)
        changed = False
        for queries in self.batches:
            queries.to(self.device)
            before = getattr(queries, "clean_logits", None)
            clean.set_clean(queries)
            if before is not None and differ(before, queries.clean_logits):
                again = clean.clean_logits(queries)
                changed |= not differ(again, queries.clean_logits)  # else it is noise
        if any_process(changed):
            msg = (
                f"victim {self.victim.backbone}: its outputs of the clean queries are not those "
                "that the attack began with, and no row would say so; leave the callback out that "
                "changes the victim or the queries"
            )
            raise ValueError(msg)
        self.evaluation.look(self.data, self.batches, clean)
        self.columns, self._bad, self._outcome = [], [], None

    def test_step(self, batch: int, batch_idx: int) -> None:
        """Encode what is left after projection, in float, rounded to 8 bits and saved as JPEG."""
        queries, perturbation = self.batches[batch_idx], self._perturbations()[batch_idx]
        inputs, lengths = queries.inputs, queries.lengths_of()
        perturbation.expect(queries.index, self.iteration)
        adversarial = perturbation(inputs).clamp(0, 1)
        eight_bit, view = self.budget.round_to_8bit(adversarial, inputs), self.data.view
        logits = {
            "codes": self.victim(view(adversarial), *lengths),
            "codes_8bit": self.victim(view.of_files(eight_bit, inputs.dtype), *lengths),
        }
        if self.jpeg is not None:
            saved = view.of_files(after_jpeg(eight_bit, self.jpeg), inputs.dtype)
            logits["codes_jpeg"] = self.victim(saved, *lengths)
        finite = [torch.isfinite(each).all(dim=1) for each in logits.values()]
        self._bad.append(queries.index[~torch.stack(finite).all(dim=0)])
        columns = {
            "index": queries.index,
            "labels": queries.labels,
            "clean_logits": queries.clean_logits,
            "clean_codes": queries.clean_codes,
            **{name: sign_code(each) for name, each in logits.items()},
            "adversarial_8bit": eight_bit,
            "perturbation": perturbation.values(inputs),
        }
        if hasattr(queries, "goal"):
            columns["goal"] = queries.goal
        if self.made_on is not None:
            known = self.made[batch_idx]
            columns["made_codes"] = sign_code(self.made_on(view(adversarial), *lengths))
            columns["made_clean_codes"], columns["made_goal"] = known.clean_codes, known.goal
        if queries.lengths is not None:
            columns["length"] = queries.lengths
        if self.data.resolution == "original":
            size = torch.tensor(inputs.shape[-2:], device=inputs.device)
            columns["size"] = size.expand(len(inputs), -1)
        if queries.targets is not None:
            columns["target_labels"] = queries.targets.labels
            columns["anchor_codes"] = queries.targets.anchor_codes
            columns["anchor_index"] = queries.targets.anchor_index
        self.columns.append(columns)
        self.evaluation.add(queries, columns["codes"], inputs, adversarial)

    def on_test_epoch_end(self) -> None:
        """Score the attack, the clean queries and the ceiling.

        Raises:
            ValueError: on every process, if logits of a perturbed query are not finite.
        """
        check_finite(self._bad, self.victim)
        last = self.iteration
        made = zip(self._perturbations(), self.batches, strict=True)
        used = share_used(self.budget, made, self.device, last)
        said = {"budget_used": used, **self.counts}
        said["warnings"] = [*self.evaluation.doubts, *self._doubts(used)] or None
        values = self._take(self.attack, last, **said)
        log_equal(self, {f"final/{name}": value for name, value in values.items()}, last)
        for jpeg in [None] if self.jpeg is None else [None, self.jpeg]:
            name, place = ("8bit", "final_8bit") if jpeg is None else ("jpeg", f"final_jpeg_{jpeg}")
            for queries, columns in zip(self.batches, self.columns, strict=True):
                levels = columns["adversarial_8bit"]
                sent = from_8bit(levels if jpeg is None else after_jpeg(levels, jpeg))
                self.evaluation.add(queries, columns[f"codes_{name}"], queries.inputs, sent)
            values = self._take(self.attack, last, quantized=True, jpeg=jpeg, **said)
            log_equal(self, {f"{place}/{metric}": each for metric, each in values.items()}, last)
        for queries in self.batches:
            self.evaluation.add(queries, queries.clean_codes, None, None)
        self.evaluation.protocol["run"]["draw"] = self.draw
        self._take(None, 0)
        if self.evaluation.has_targets:
            for queries in self.batches:
                if queries.targets is not None:
                    anchors = queries.targets.anchor_codes.to(self.device)
                    self.evaluation.add(queries, anchors, None, None)
            targets = {"name": "anchor", "targets": self.attack["targets"]}
            self._take(targets, 0)
        if self.learned is not None:
            for queries in self.learned:
                queries.to(self.device)
            score = LearnedScore(
                self.learned, self._perturbations()[0], self.evaluation, self.clean, self.budget,
                targeted=self.targeted,
            )  # fmt: skip
            log_equal(self, score.take(self.attack, last, self.seconds, **said), last)

    def _take(
        self, attack: dict[str, Any] | None, iteration: int, **fields: Any
    ) -> dict[str, float]:
        return self.evaluation.take(attack, self.seconds, iteration=iteration, **fields)

    def _perturbations(self) -> list[Perturbation]:
        """Return the perturbation of each batch; a shared one as often as there are batches."""
        made = cast(list[Perturbation], list(self.perturbations))
        return made * len(self.batches) if len(made) == 1 else made

    def _doubts(self, used: float | None) -> list[str]:
        """Say what is to be doubted of an attack that was run, and not only scored, here."""
        if self.scored_only or not self.attack["iterations"]:
            return []
        outcome = self.outcome()
        tensors = outcome.tensors
        moved = share_of_way(*outcome.way(), targeted=self.targeted)
        largest = float(tensors["perturbation"].abs().max())
        default = self.attack["step"] == _default_step(self.attack["iterations"])
        found = doubts_after(used, moved, largest, default_step=default)
        say(found)
        return found

    @property
    def draw(self) -> dict[str, Any]:
        """What decides which queries and targets there are, for rows that say no attack."""
        return {"seed": self.attack["seed"], "targets": self.attack["targets"]}

    def outcome(self) -> Outcome:
        """Return what the attack made of all queries, in their order, on every process.

        All processes call it together; they exchange the rows at the first call after a test.
        """
        if self._outcome is None:
            self._outcome = Outcome.gather(self.columns, self.data.chosen)
        return self._outcome


def _default_step(iterations: int) -> Any:
    """Return the settings of the step that an attack of this length has by default."""
    return settings_of(step_of_the_papers_way(iterations)([nn.Parameter(torch.zeros(1))]))
