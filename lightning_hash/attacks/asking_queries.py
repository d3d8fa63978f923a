"""The queries that a candidate, an item of the database, is moved to or from (robrank's CA)."""

import torch
from torch import Tensor

from lightning_hash.attacks.draws import query_generator
from lightning_hash.attacks.references import Known, Reference
from lightning_hash.functional import hamming_distance, sign_code
from lightning_hash.functional.candidates import distance_counts
from lightning_hash.functional.labels import shares_label
from lightning_hash.utils.numbers import check_seed

NEAREST = 0.01  # share of the queries that a candidate is hidden from


class AskingQueries(Reference):
    """Codes of queries drawn for each candidate, and how far all other items are from them.

    Drawn without replacement, as a function of seed and index, all where there are fewer: of those
    that share a label with the target, or else of the nearest 1 % of all queries, at least one.

    Args:
        targeted: take queries of the target's label.
        queries: how many for each candidate.
        seed: seed of the draws.

    Raises:
        ValueError: if ``queries`` is below 1.
    """

    needs_database = True
    needs_queries = True
    is_code = False
    by_bit = False

    def __init__(self, targeted: bool = True, queries: int = 10, seed: int = 0) -> None:
        if queries < 1:
            msg = f"queries must be at least 1, got {queries}"
            raise ValueError(msg)
        check_seed("seed", seed)
        self.targeted, self.queries, self.seed = targeted, queries, seed

    def __call__(self, known: Known) -> Tensor:
        """Return ``(B, W, K + K + 1)`` as the clean logits are.

        Of each query its code and the share of the other items at each distance 0, ..., K; rows of
        0 stand behind where there are fewer than W.

        Raises:
            ValueError: if queries, database, index or, where they are needed, targets are missing,
                or no query has the label of a target.
        """
        if known.queries is None or known.database is None or known.index is None:
            msg = "AskingQueries needs queries, a database and an index per candidate"
            raise ValueError(msg)
        codes, database = known.queries[0].cpu(), known.database[0].cpu()
        own, bits = sign_code(known.clean_logits.cpu()), codes.shape[1]
        rows = []
        for allowed, index in zip(self._allowed(known, codes, own), known.index, strict=True):
            generator = query_generator(f"{self.seed}/{int(index)}")
            order = torch.randperm(len(allowed), generator=generator)
            rows.append(allowed[order[: self.queries]])
        asked = torch.unique(torch.cat([torch.zeros(0, dtype=torch.int64), *rows]))
        counts = torch.zeros(len(codes), bits + 1, dtype=torch.float64)
        if len(asked):
            counts[asked] = distance_counts(codes[asked], database)
        found = torch.zeros(len(rows), self.queries, 2 * bits + 1, dtype=torch.float64)
        for place, code, chosen in zip(found, own, rows, strict=True):
            others = counts[chosen]
            itself = hamming_distance(codes[chosen], code[None]).long()
            others.scatter_add_(1, itself, -torch.ones_like(itself, dtype=torch.float64))
            shares = others / (len(database) - 1)
            place[: len(chosen)] = torch.cat([codes[chosen].double(), shares], dim=1)
        return found.to(known.clean_logits)

    def _allowed(self, known: Known, codes: Tensor, own: Tensor) -> list[Tensor]:
        """Return the rows of the queries that may be drawn for each candidate."""
        assert known.queries is not None
        if not self.targeted:
            count = max(1, int(NEAREST * len(codes)))
            distance = hamming_distance(own, codes).long()
            keys = distance * len(codes) + torch.arange(len(codes))  # no two are equal
            return list(keys.topk(count, dim=1, largest=False).indices)
        if known.target_labels is None:
            msg = "AskingQueries needs a target per candidate"
            raise ValueError(msg)
        shared = shares_label(known.target_labels.cpu(), known.queries[1].cpu())
        if not shared.any(dim=1).all():
            msg = "AskingQueries: no query has the label of a target; give another target"
            raise ValueError(msg)
        return [torch.nonzero(row).flatten() for row in shared]
