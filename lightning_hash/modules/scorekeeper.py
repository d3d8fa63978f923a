"""Scores an attack and keeps a result row for every number."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from torch import Tensor, nn

from lightning_hash.attacks.batch import QueryBatch
from lightning_hash.metrics import AttackMetrics
from lightning_hash.modules.databases import Databases
from lightning_hash.victims.joint import member_bits
from lightning_hash.victims.victim import Victim

CLEAN_METRICS = ("map", "precision_at_n")
PERTURBED_METRICS = (*CLEAN_METRICS, "hamming_to_clean", "perceptibility", "linf")
TARGET_METRICS = ("t_map", "hamming_to_anchor")
RETRIEVAL_METRICS = ("map", "precision_at_n", "t_map")


class Scorekeeper(nn.Module):
    """Takes codes batch by batch and turns them into result rows.

    Of a joint victim each member is scored by itself, on its own bits and database.

    Args:
        make_metrics: makes the metrics of one victim.
        victim: the victim.

    Attributes:
        protocol: the constant part of every row.
        rows: the rows so far.
    """

    protocol: dict[str, Any]

    def __init__(self, make_metrics: Callable[[], AttackMetrics], victim: Victim) -> None:
        super().__init__()
        self.members, self.parts = victim.members, member_bits(victim)
        self.scores = nn.ModuleList(make_metrics() for _ in self.parts)
        self.rows: list[dict[str, Any]] = []

    @property
    def _scored(self) -> list[tuple[AttackMetrics, slice]]:
        return list(zip(cast(list[AttackMetrics], list(self.scores)), self.parts, strict=True))

    def add_databases(self, databases: Databases) -> None:
        """Add what the queries are ranked against."""
        database, ranked = databases.database, databases.ranked
        for score, part in self._scored:
            score.set_database(database.codes[:, part], database.labels, database.index)
            score.set_target_database(ranked.codes[:, part], ranked.labels, ranked.index)

    def add(
        self, batch: QueryBatch, codes: Tensor, clean: Tensor | None, adversarial: Tensor | None
    ) -> None:
        """Add the codes of a batch.

        Args:
            batch: the queries.
            codes: ``(B, K)`` of -1/+1, the codes to score.
            clean: ``(B, ...)`` their clean inputs in [0, 1]; ``None`` measures no change.
            adversarial: ``(B, ...)`` the inputs that the codes belong to.
        """
        targets, device = batch.targets, codes.device
        for score, part in self._scored:
            score.update(
                codes[:, part],
                batch.labels,
                batch.index,
                clean_codes=batch.clean_codes[:, part],
                target_labels=None if targets is None else targets.labels.to(device),
                anchor_codes=None if targets is None else targets.anchor_codes[:, part].to(device),
                clean=clean,
                adversarial=adversarial,
                lengths=batch.lengths,
            )

    def take(self, names: Sequence[str], **fields: Any) -> dict[str, float]:
        """Compute metrics of the codes added since the last time, and keep them as rows.

        Args:
            names: names of the metrics; every process must name the same.
            fields: what the rows say beside the protocol: attack, iteration, quantized, seconds.

        Returns:
            The values by name; of a joint victim by ``name/backbone-bits``.
        """
        taken = {}
        for number, (score, _) in enumerate(self._scored):
            member, suffix = {}, ""
            if self.members:
                victim = self.members[number]
                member = {
                    "victim_sha256": victim.sha256, "backbone": victim.backbone,
                    "bits": victim.bits, "loss": victim.loss,
                }  # fmt: skip
                suffix = f"/{self.protocol['sources'].split('+')[number]}"
            for name, found in score.compute(names).items():
                taken[f"{name}{suffix}"] = found.value
                self.rows.append(
                    {
                        **self.protocol,
                        **member,
                        "metric": name,
                        "value": found.value,
                        "n_empty": found.n_empty,
                        "n_at": score.ranking.precision_n if name == "precision_at_n" else None,
                        **fields,
                    }
                )
            score.reset_queries()
        return taken
