"""Candidates: items of the database that are attacked, so that queries retrieve them or do not."""

from typing import Any, Literal, get_args

import torch

from lightning_hash.attacks.recipe import Recipe
from lightning_hash.data.queries import QueryData
from lightning_hash.functional import RankingOptions, shares_label
from lightning_hash.functional.checks import check_choice
from lightning_hash.metrics import CandidateMetric, InTopK, RankPercentile
from lightning_hash.modules.preparation import is_shared

Side = Literal["query", "candidate"]


def candidate_metrics(
    side: Side, ranking: RankingOptions, *, targeted: bool
) -> list[CandidateMetric]:
    """Return what is measured of candidates: nothing where queries are attacked.

    Args:
        side: what is attacked.
        ranking: ``precision_n`` is the k of "among the first k".
        targeted: whether queries of a target's label are to retrieve them.

    Raises:
        ValueError: if ``side`` is unknown, or ties are to be broken.
    """
    check_choice("side", side, get_args(Side))
    if side == "query":
        return []
    if ranking.ties != "expected":
        msg = f"ranking.ties: ranks of candidates are averaged over ties, got {ranking.ties!r}"
        raise ValueError(msg)
    judged_by: Any = "target" if targeted else "own"
    return [RankPercentile(judged_by=judged_by), InTopK(ranking.precision_n, judged_by=judged_by)]


def check_candidates(
    data: QueryData, recipe: Recipe, ranking: RankingOptions, target_database: str
) -> None:
    """Refuse what does not go with candidates, before anything is encoded.

    Args:
        data: the candidates, set up.
        recipe: the parts of the attack.
        ranking: how ranks are measured.
        target_database: what t-MAP was to rank.

    Raises:
        ValueError: naming it.
    """
    source = data.source
    if source.num_classes == 0:
        msg = f"side candidate: {source.name} has no labels, so that no query has a class"
        raise ValueError(msg)
    items: Any = source.database_set
    if len(items) < max(2, ranking.precision_n):
        msg = (
            f"side candidate: the database has {len(items)} items, too few for the first "
            f"{ranking.precision_n} of them; lower ranking.precision_n"
        )
        raise ValueError(msg)
    if target_database not in ("auto", "database"):
        msg = (
            f"side candidate: candidates are items of the database, got target_database "
            f"{target_database!r}; leave it out"
        )
        raise ValueError(msg)
    if recipe.oracle is not None and recipe.oracle.retrieves:
        msg = (
            f"side candidate: the oracle shows {recipe.oracle.shows}, which queries are answered "
            "and no candidate is; give logits or codes"
        )
        raise ValueError(msg)
    if is_shared(recipe, data):
        msg = "side candidate: each has a perturbation of its own; leave perturbation out"
        raise ValueError(msg)
    if recipe.reference.targeted:
        return  # the targets are chosen among the labels of queries
    rows = torch.tensor(data.queries.indices)
    asked = shares_label(source.labels_of("database")[rows], source.labels_of("query")).any(dim=1)
    if not asked.all():
        msg = (
            f"side candidate: no query has a label of candidate {int(rows[~asked][0])}, so that "
            "none is to miss it; name others in query_index"
        )
        raise ValueError(msg)
