"""What a validation or a test retrieves: codes of queries and database in, metrics out."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_hash.functional import bit_correlation, code_balance, sign_code
from lightning_hash.functional.options import RankingOptions
from lightning_hash.metrics import AttackMetrics, QueryMetric
from lightning_hash.metrics.rows import by_index
from lightning_hash.utils.distributed import gather_rows

KNOWN = ("database",)  # to metrics, beside codes and labels


class RetrievalPass(nn.Module):
    """Collects logits batch by batch and ranks once all are there.

    Args:
        ranking: how MAP, precision at N and every other ranked metric are computed.
        metrics: metrics beside the usual ones.

    Raises:
        ValueError: if a metric needs what only an attack has.
    """

    def __init__(self, ranking: RankingOptions, metrics: Sequence[QueryMetric]) -> None:
        super().__init__()
        self.metrics = AttackMetrics(ranking, metrics)
        for metric in metrics:
            if metric.name not in self.metrics.names(KNOWN):
                msg = (
                    f"metrics: {metric.name} is of attacks; that of a training may look at codes, "
                    "labels and the database"
                )
                raise ValueError(msg)
        self._database: list[tuple[Tensor, Tensor, Tensor]] = []
        self._queries: list[tuple[Tensor, Tensor]] = []

    def add(self, logits: Tensor, labels: Tensor, index: Tensor, *, to_database: bool) -> None:
        """Add a batch.

        Args:
            logits: ``(B, K)``.
            labels: ``(B, C)`` of 0/1.
            index: ``(B,)`` int64.
            to_database: whether its items are retrieved, or retrieve.
        """
        # A loader's worker shares a batch as open files, which live as long as its tensors.
        labels, index = labels.clone(), index.clone()
        codes = sign_code(logits)
        if to_database:
            self._database.append((codes.to(torch.int8), labels, index))
            return
        self._queries.append((index, logits.float()))
        self.metrics.update(codes, labels, index)

    def take(self) -> tuple[dict[str, float], Tensor]:
        """Rank what was added, and forget it; all processes call it together.

        Returns:
            The metrics by name, with ``code_imbalance`` and ``bit_correlation`` of the queries'
            codes, and the queries' logits ``(Q, K)`` in their order, the same on every process.
        """
        if self._database:
            columns = zip(*self._database, strict=True)
            self.metrics.set_database(*(gather_rows(torch.cat(column)) for column in columns))
        scores = self.metrics.compute(self.metrics.names(KNOWN))
        values = {name: float(each.value) for name, each in scores.items()}
        index, logits = (gather_rows(torch.cat(c)) for c in zip(*self._queries, strict=True))
        _, logits = by_index("query", index, logits)
        codes = sign_code(logits)
        values["code_imbalance"] = float(code_balance(codes).abs().mean())
        values["bit_correlation"] = float(bit_correlation(codes))
        self.metrics.reset_queries()
        self._queries.clear()
        self._database.clear()
        return values, logits
