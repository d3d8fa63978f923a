"""What a search may see of the victim's answers."""

from typing import Literal, get_args

import torch
from torch import Tensor

from lightning_hash.attacks.queries import Queries, Rows
from lightning_hash.utils.settings import Part

Shows = Literal["logits", "codes", "distances", "ids"]
# Ranks beyond which QAIR's weights of powers of two would be 0 in float32.
POWERS = 16


class Oracle(Part):
    """The attacker's only way to the victim: one question, one answer, each counted.

    ``logits`` are given to the objective. Of the others a loss is made here, which says how far the
    attack has come, and nothing else is used to accept a proposal:

    - ``codes``: minus the Hamming distance to the clean query's code; of a targeted attack the
      distance to the target's.
    - ``distances``: the ids and distances of the ``top`` items that are retrieved. The mean
      distance of the items that the clean query (the target's code) retrieves, of those that are
      not shown one more than the largest that is; minus it where the attack is untargeted.
    - ``ids``: ids alone, in their order. QAIR's relevance (Li et al., CVPR 2021): sum over items of
      p(rank then) p(rank now), p of rank r from 0 proportional to 2^(top - r) - 1, from 17 items on
      to top - r, 0 beyond; minus it where the attack is targeted.

    Items of one distance come in the order of the database.

    Args:
        shows: what is seen.
        top: how many items are retrieved.

    Raises:
        ValueError: if ``shows`` is unknown or ``top`` below 1.
    """

    def __init__(self, shows: Shows = "logits", top: int = 100) -> None:
        if shows not in get_args(Shows):
            msg = f"shows must be one of {', '.join(get_args(Shows))}, got {shows!r}"
            raise ValueError(msg)
        if top < 1:
            msg = f"top must be at least 1, got {top}"
            raise ValueError(msg)
        self.shows, self.top = shows, top
        self._database: Tensor | None = None

    @property
    def retrieves(self) -> bool:
        """Whether it answers with what is retrieved."""
        return self.shows in ("distances", "ids")

    def open(self, codes: Tensor | None, device: torch.device) -> None:
        """Take what is retrieved from.

        Args:
            codes: ``(N, K)`` of -1/+1, or ``None`` where there is no database.
            device: where questions are answered.

        Raises:
            ValueError: if it retrieves and there are fewer than ``top`` items.
        """
        if not self.retrieves:
            return
        if codes is None or len(codes) < self.top:
            msg = (
                f"oracle: {self.shows} of the first {self.top} items need a database of as many, "
                f"it has {0 if codes is None else len(codes)}; lower top"
            )
            raise ValueError(msg)
        self._database = codes.to(device, torch.float32)

    def goal_list(self, goal: Tensor) -> Tensor | None:
        """Return the items, int64 ``(B, top)``, that goal codes ``(B, K)`` retrieve."""
        return self._retrieve(goal)[0] if self.retrieves else None

    def judge(self, logits: Tensor, queries: Queries, rows: Rows) -> Tensor:
        """Return the loss ``(n,)`` of what is seen; not of logits.

        Args:
            logits: ``(n, K)``, H(x') of the rows.
            queries: the batch.
            rows: which of it.
        """
        if self.shows == "codes":
            return -queries.success(logits, rows)
        assert queries.goal_list is not None
        ids, distances = self._retrieve(logits)
        same = queries.goal_list[rows][:, :, None] == ids[:, None, :]
        if self.shows == "distances":
            unseen = distances[:, -1:] + 1
            seen = torch.where(same, distances[:, None, :], 0).sum(dim=2)
            now = torch.where(same.any(dim=2), seen, unseen).mean(dim=1)
            return now if queries.targeted else -now
        weights = relevance_weights(self.top).to(logits.device)
        kept = (weights[:, None] * weights * same).sum(dim=(1, 2))
        return -kept if queries.targeted else kept

    def _retrieve(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return ids and distances ``(n, top)`` of the codes of ``outputs`` ``(n, K)``."""
        assert self._database is not None
        codes = torch.where(outputs > 0, 1.0, -1.0)
        count, bits = self._database.shape
        distances = ((bits - codes @ self._database.T) / 2).round().long()
        keys = distances * count + torch.arange(count, device=distances.device)
        first = keys.topk(self.top, dim=1, largest=False, sorted=True).values
        return first % count, (first // count).float()


def relevance_weights(top: int) -> Tensor:
    """Return QAIR's weight of each rank, ``(top,)`` with the sum 1.

    Example:
        >>> relevance_weights(2)
        tensor([0.7500, 0.2500])
    """
    left = torch.arange(top, 0, -1, dtype=torch.float32)
    weights = 2**left - 1 if top <= POWERS else left
    return weights / weights.sum()
