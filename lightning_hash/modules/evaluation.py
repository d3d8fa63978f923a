"""Codes in, result rows out: one evaluation for attacks, their milestones and transfers."""

from collections.abc import Collection, Sequence
from typing import Any, cast

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn

from lightning_hash.attacks import Queries
from lightning_hash.data.queries import QueryData
from lightning_hash.functional import RankingOptions
from lightning_hash.functional.candidates import Retrieval
from lightning_hash.metrics import AttackMetrics, QueryMetric
from lightning_hash.modules.databases import Databases
from lightning_hash.modules.doubts import doubts_before, say
from lightning_hash.modules.preparation import CleanPass
from lightning_hash.modules.protocol import protocol_of, victim_settings
from lightning_hash.utils.distributed import gather_objects
from lightning_hash.victims.joint import member_bits, victim_names
from lightning_hash.victims.victim import Victim


def check_finite(bad: Sequence[Tensor], victim: Victim, when: str = "") -> None:
    """Refuse to score perturbed queries that have no codes; all processes call it together.

    Args:
        bad: indices ``(n,)`` of the queries whose logits are not finite, of this process.
        victim: made the logits.
        when: at which iteration, for the message.

    Raises:
        ValueError: on every process, naming the queries.
    """
    local = torch.cat([torch.zeros(0, dtype=torch.int64), *(index.cpu() for index in bad)])
    found = sorted(set(torch.cat(gather_objects(local)).tolist()))
    if found:
        msg = (
            f"victim {victim.backbone}: its logits are not finite for the perturbed queries "
            f"{found}{when}, which have no codes; leave these queries out or lower the step"
        )
        raise ValueError(msg)


class Evaluation(nn.Module):
    """Takes codes batch by batch and turns them into result rows.

    Of a joint victim each member is scored by itself, on its own bits and database.

    Args:
        victim: the victim.
        ranking: options of the ranked metrics.
        metrics: metrics beside the usual ones.

    Attributes:
        protocol: mappings that stand in every row: data, ranking, run, transfer.
        rows: the rows so far.
        doubts: what keeps these numbers from being believed, one line each; it stands in the rows.
        has_targets: whether every query has a target.
        has_goal: whether every query has a code of this victim that the attack is to reach.
        makers: the victims that the perturbations are made on.
        elsewhere: whether these are other ones than are scored: the clean queries and the ceiling
            then have rows without ``transfer``.
        has_database: whether there is anything to rank; candidates are ranked themselves.
    """

    def __init__(
        self,
        victim: Victim,
        ranking: RankingOptions | None = None,
        metrics: Sequence[QueryMetric] = (),
    ) -> None:
        super().__init__()
        self.ranking = RankingOptions() if ranking is None else ranking
        self.victims = self.makers = victim.members or (victim,)
        self.parts = member_bits(victim)
        self.names = victim_names(self.victims).split("+") if victim.members else [""]
        self.scores = nn.ModuleList(AttackMetrics(self.ranking, metrics) for _ in self.parts)
        self.protocol: dict[str, Any] = {}
        self.rows: list[dict[str, Any]] = []
        self.doubts: list[str] = []
        self.has_targets = self.has_goal = self.has_database = self.elsewhere = self._looked = False

    def attach(
        self,
        data: QueryData,
        databases: Databases | None,
        trainer: pl.Trainer,
        made_on: Victim | None = None,
    ) -> None:
        """Take what the queries are ranked against; nothing is ranked without databases.

        Args:
            data: the queries, set up.
            databases: the codes, or ``None``.
            trainer: the trainer that runs it.
            made_on: what the perturbations are made on; the victim by default.
        """
        self.has_database = databases is not None and databases.queries is None
        self.rows, self.doubts = [], []
        self._looked = False
        self.protocol = protocol_of(data, databases, self.ranking, trainer)
        self.makers = self.victims
        if made_on is not None:
            self.makers = made_on.members or (made_on,)
        self.elsewhere = self.makers != self.victims
        if self.elsewhere or self.names[0]:
            self.protocol["transfer"] = {
                "sources": victim_names(self.makers),
                "combination": "joint" if self.makers[1:] else "single", "restarts": None,
                "sha256": [victim.sha256 for victim in self.makers],
            }  # fmt: skip
        if databases is None:
            return
        database, ranked, asking = databases.database, databases.ranked, databases.queries
        for score, part in self._scored:
            if asking is not None:
                items = database.codes[:, part], database.index
                score.set_retrieval(Retrieval.of(asking.codes[:, part], asking.labels, *items))
                continue
            score.set_database(database.codes[:, part], database.labels, database.index)
            score.set_target_database(ranked.codes[:, part], ranked.labels, ranked.index)

    def look(self, data: QueryData, batches: Sequence[Queries], clean: CleanPass) -> None:
        """Look once, before the attack, for what would make a ranking or an attack meaningless.

        Args:
            data: the queries, set up.
            batches: this process's batches, whose clean codes are known.
            clean: the pass that they came of.
        """
        if self._looked:
            return
        self._looked = True
        victims = list(zip(self.victims, self.parts, strict=True))
        self.doubt(
            doubts_before(
                victims, batches, clean.databases, self.ranking, clean.logits, data.source.n_leaked
            )
        )

    def doubt(self, found: Sequence[str]) -> None:
        """Say doubts that are new, and put them into the rows to come."""
        new = [doubt for doubt in found if doubt not in self.doubts]
        say(new)
        self.doubts += new

    def identity(self, attack: dict[str, Any]) -> dict[str, Any]:
        """Return what a checkpoint and the run that goes on from it must agree in.

        Args:
            attack: settings of the attack.
        """
        victims = [victim_settings(victim) for victim in self.victims]
        return {
            "attack": attack,
            # Bits may be known after a pass; a file may be moved.
            "victim": [{**each, "bits": None, "name": None} for each in victims],
            "data": self.protocol["data"],
            "ranking": self.protocol["ranking"],
            "precision": self.protocol["run"]["precision"],
        }

    def add(
        self, queries: Queries, codes: Tensor, clean: Tensor | None, adversarial: Tensor | None
    ) -> None:
        """Add the codes of a batch.

        Args:
            queries: the batch, whose clean codes are known.
            codes: ``(B, K)`` of -1/+1, the codes to score.
            clean: ``(B, ...)`` their clean inputs in [0, 1]; ``None`` measures no change.
            adversarial: ``(B, ...)`` the inputs that the codes belong to.
        """
        targets, device = queries.targets, codes.device
        # Training items, on which a shared perturbation learns, have none.
        goal = getattr(queries, "goal", None) if self.has_goal else None
        for score, part in self._scored:
            score.update(
                codes[:, part],
                queries.labels,
                queries.index,
                clean_codes=queries.clean_codes[:, part],
                target_labels=None if targets is None else targets.labels.to(device),
                anchor_codes=None if targets is None else targets.anchor_codes[:, part].to(device),
                clean=clean,
                adversarial=adversarial,
                lengths=queries.lengths,
                goal=None if goal is None else goal[:, part].to(device),
            )

    def take(
        self,
        attack: dict[str, Any] | None,
        seconds: float,
        *,
        only: Collection[str] | None = None,
        prefix: str = "",
        **fields: Any,
    ) -> dict[str, float]:
        """Compute what can be measured of the codes added since the last time, and keep it as rows.

        Args:
            attack: settings of what was done to the queries; ``None`` is nothing, and ``name``
                ``anchor`` stands for the targets' anchor codes in their place.
            seconds: time that it had taken.
            only: names of the metrics; all that can be measured by default.
            prefix: put before their names, where the codes are not those of queries.
            fields: iteration, quantized, jpeg, queries, queries_finished, n_finished, budget_used,
                warnings.

        Returns:
            The values by name; of a joint victim by ``name/backbone-bits``. Where every query is
            empty and left out, there is none.
        """
        protocol = dict(self.protocol)
        if self.elsewhere and (attack is None or attack["name"] == "anchor"):
            protocol["transfer"] = None
        known = {"database"} if self.has_database else set()
        known |= {"goal"} if self.has_goal and not prefix else set()
        if self.has_targets:
            known |= {"target_labels", "anchor_codes"}
            known |= {"target_database"} if self.has_database else set()
        if attack is not None:
            if attack["name"] == "anchor":  # the ceiling: no query of one's own
                known -= {"database"}
            else:
                known |= {"clean_codes", "clean", "adversarial"}
        taken = {}
        for number, (score, _) in enumerate(self._scored):
            suffix = f"/{self.names[number]}" if self.names[number] else ""
            wanted = [n for n in score.names(known) if only is None or n in only]
            for plain, found in score.compute(wanted).items():
                name = f"{prefix}{plain}"
                if not found.n:
                    rank_zero_warn(
                        f"{name}{suffix} is not measured at iteration {fields.get('iteration')}: "
                        f"all {found.n_empty} queries are empty, which it leaves out"
                    )
                    continue
                taken[f"{name}{suffix}"] = found.value
                self.rows.append(
                    {
                        "schema": 2,
                        "metric": name,
                        "value": found.value,
                        "se": found.se,
                        "n": found.n,
                        "n_empty": found.n_empty,
                        **{"queries": None, "queries_finished": None, "quantized": False},
                        **{"n_finished": None, "jpeg": None},
                        **{"budget_used": None, "warnings": self.doubts[:] or None, **fields},
                        **protocol,
                        "attack": attack,
                        "victim": victim_settings(self.victims[number]),
                        "run": {**self.protocol["run"], "seconds": round(seconds, 3)},
                    }
                )
            score.reset_queries()
        return taken

    @property
    def _scored(self) -> list[tuple[AttackMetrics, slice]]:
        return list(zip(cast(list[AttackMetrics], list(self.scores)), self.parts, strict=True))
