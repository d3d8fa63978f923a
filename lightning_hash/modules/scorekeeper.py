"""Scores an attack and keeps a result row for every number."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from lightning_hash.attacks.batch import QueryBatch
from lightning_hash.metrics import AttackScore
from lightning_hash.modules.databases import Databases

CLEAN_METRICS = ("map", "precision_at_n")
PERTURBED_METRICS = (*CLEAN_METRICS, "hamming_to_clean", "perceptibility", "linf")
TARGET_METRICS = ("t_map", "hamming_to_anchor")
RETRIEVAL_METRICS = ("map", "precision_at_n", "t_map")


class Scorekeeper(nn.Module):
    """Takes codes batch by batch and turns them into result rows.

    Args:
        score: the metrics.

    Attributes:
        protocol: the constant part of every row.
        rows: the rows so far.
    """

    protocol: dict[str, Any]

    def __init__(self, score: AttackScore) -> None:
        super().__init__()
        self.score = score
        self.rows: list[dict[str, Any]] = []

    def add_databases(self, databases: Databases) -> None:
        """Add what the queries are ranked against."""
        database, ranked = databases.database, databases.ranked
        self.score.set_database(database.codes, database.labels, database.index)
        self.score.set_target_database(ranked.codes, ranked.labels, ranked.index)

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
        self.score.update(
            codes,
            batch.labels,
            batch.index,
            clean_codes=batch.clean_codes,
            target_labels=None if targets is None else targets.labels.to(device),
            anchor_codes=None if targets is None else targets.anchor_codes.to(device),
            clean=clean,
            adversarial=adversarial,
        )

    def take(self, names: Sequence[str], **fields: Any) -> dict[str, float]:
        """Compute metrics of the codes added since the last time, and keep them as rows.

        Args:
            names: attribute names of the metrics; every process must name the same.
            fields: what the rows say beside the protocol: attack, iteration, quantized, seconds.

        Returns:
            The values by name.
        """
        values = self.score.compute(names)
        averages = {"map": self.score.map, "t_map": self.score.t_map}
        for name, value in values.items():
            self.rows.append(
                {
                    **self.protocol,
                    "metric": name,
                    "value": value,
                    "n_empty": averages[name].n_empty if name in averages else None,
                    "n_at": self.score.precision_at_n.n if name == "precision_at_n" else None,
                    **fields,
                }
            )
        self.score.reset_queries()
        return values
