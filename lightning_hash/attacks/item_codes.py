"""References of many codes for each query: those of items that labels choose."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_hash.attacks.draws import query_generator
from lightning_hash.attacks.references import Known, OfLabel, Reference
from lightning_hash.functional.codes import sign_code
from lightning_hash.functional.labels import shares_label
from lightning_hash.utils.numbers import check_seed


class LabelItems(OfLabel):
    """The codes of all items that share a label with the query, or with its target (SDHA).

    A query whose own label no item has gets its clean code, as in SAAT's re-implementation.
    """

    is_code = False

    def __call__(self, known: Known) -> Tensor:
        """Return int8 ``(Q, K, M)``: a code a column; 0 throughout where there are fewer than M.

        Raises:
            ValueError: if no item has the label of a target.
        """
        labels, (codes, item_labels) = self.labels_and_items(known)
        rows, place = torch.unique(labels, dim=0, return_inverse=True)
        shared = [codes[mask] for mask in shares_label(rows, item_labels)]
        if self.targeted and not all(len(each) for each in shared):
            msg = (
                f"LabelItems: none of the {len(codes)} items of voters {self.voters!r} has the "
                "label of a target; give the other voters"
            )
            raise ValueError(msg)
        own = sign_code(known.clean_logits.cpu())
        chosen = [shared[i] if len(shared[i]) else own[q : q + 1] for q, i in enumerate(place)]
        return _columns(chosen, codes).to(known.clean_logits.device)


class RankedItems(Reference):
    """The codes of items with the target's label, and of items that have another of the query's.

    Both are drawn without replacement, all where there are fewer, as functions of seed and query
    index; an item of two of the query's labels may be drawn for each. What shares a label with the
    target is never drawn for the query's. (PTA's public code: 75, and 4 times as many a label.)

    Args:
        positives: items with the target's label.
        negatives: items for each label of the query that the target has not.
        seed: seed of the draws.

    Raises:
        ValueError: if a number is below 1.
    """

    targeted = True
    needs_database = True
    is_code = False

    def __init__(self, positives: int = 75, negatives: int = 300, seed: int = 0) -> None:
        if min(positives, negatives) < 1:
            msg = f"positives and negatives must be at least 1, got {positives} and {negatives}"
            raise ValueError(msg)
        check_seed("seed", seed)
        self.positives, self.negatives, self.seed = positives, negatives, seed

    def __call__(self, known: Known) -> Tensor:
        """Return int8 ``(Q, K, positives + M)``: a code a column, those of the target first.

        Columns of 0 stand behind either where there are fewer.

        Raises:
            ValueError: if there is no target, database or label of the query, or nothing that may
                be drawn for a query.
        """
        labels, targets, index = known.labels, known.target_labels, known.index
        database, voters = known.database, known.voters
        if labels is None or targets is None or index is None or database is None or voters is None:
            msg = "RankedItems needs a target, a label and an index per query, and a database"
            raise ValueError(msg)
        (codes, item_labels), (voter_codes, voter_labels) = (
            (part.cpu() for part in items) for items in (database, voters)
        )
        item_labels, kept = item_labels.bool(), not known.opened
        positive, negative = [], []
        for label, target, query in zip(labels.cpu(), targets.cpu(), index.tolist(), strict=True):
            generator = query_generator(f"{self.seed}/{query}")
            of_target = shares_label(target[None], voter_labels)[0]
            positive.append(_drawn(voter_codes, of_target, self.positives, generator))
            others, free = label.bool(), torch.ones(len(codes), dtype=torch.bool)
            if kept:
                others, free = others & ~target.bool(), ~of_target
            drawn = [
                _drawn(codes, item_labels[:, column] & free, self.negatives, generator)
                for column in torch.nonzero(others).flatten().tolist()
            ]
            negative.append(torch.cat([codes[:0], *drawn]))
            if not (len(positive[-1]) and len(negative[-1])):
                msg = (
                    f"RankedItems: query {query} has no database item of "
                    f"{'its own label alone' if len(positive[-1]) else 'its target'}; give targets "
                    "that share no label with it (model.targets.rule: disjoint)"
                )
                raise ValueError(msg)
        first = _columns(positive, codes, self.positives)
        return torch.cat([first, _columns(negative, codes)], dim=2).to(known.clean_logits.device)


def _drawn(codes: Tensor, allowed: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return up to ``count`` of the codes ``(N, K)`` that are allowed, bool ``(N,)``."""
    places = torch.nonzero(allowed).flatten()
    order = torch.randperm(len(places), generator=generator)
    return codes[places[order[:count]]]


def _columns(rows: Sequence[Tensor], codes: Tensor, width: int | None = None) -> Tensor:
    """Lay out the codes ``(m, K)`` of each query in columns, int8 ``(Q, K, M)``, 0 behind them."""
    width = max((len(each) for each in rows), default=0) if width is None else width
    laid = torch.zeros(len(rows), codes.shape[1], width, dtype=torch.int8)
    for place, each in zip(laid, rows, strict=True):
        place[:, : len(each)] = each.T
    return laid
