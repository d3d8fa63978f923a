"""All numbers of an attack at one iteration."""

from collections.abc import Collection, Iterable, Sequence
from copy import deepcopy
from typing import Any, cast

from torch import Tensor
from torchmetrics import MetricCollection

from lightning_hash.functional.candidates import Retrieval
from lightning_hash.functional.checks import check_choice
from lightning_hash.functional.options import RankingOptions
from lightning_hash.metrics.candidates import CandidateMetric
from lightning_hash.metrics.hamming import (
    HammingMAP,
    HammingMetric,
    HammingPrecision,
    TargetedHammingMAP,
)
from lightning_hash.metrics.per_query import (
    HammingToAnchor,
    HammingToClean,
    Linf,
    Perceptibility,
    PerQueryMetric,
)
from lightning_hash.metrics.query_metric import QueryMetric, Score


class AttackMetrics(MetricCollection):
    """MAP, t-MAP, precision at N, Hamming distances, the size of the perturbation, and any more.

    Metrics of one ranking share it: ``map`` holds the queries and the database for all that are
    judged by the query's own label, ``t_map`` for all that are judged by the target's. These rows
    are gathered once and ranked once, whatever is computed from them.

    Args:
        ranking: options of all ranked metrics, those in ``extra`` too.
        extra: further metrics, copied: subclasses of :class:`HammingMetric` and
            :class:`PerQueryMetric`.

    Raises:
        ValueError: if a metric of ``extra`` has no name, or one that is taken.
        TypeError: if it is of another class.

    Example:
        >>> import torch
        >>> metrics = AttackMetrics(RankingOptions(top_k=2))
        >>> codes, labels = torch.tensor([[1, 1], [1, -1]]), torch.tensor([[1, 0], [1, 0]])
        >>> metrics.set_database(codes, labels, torch.arange(2))
        >>> metrics.update(codes, labels, torch.arange(2))
        >>> metrics.compute(["map"])
        {'map': Score(value=1.0, se=0.0, n=2, n_empty=0)}
    """

    def __init__(
        self, ranking: RankingOptions = RankingOptions(), extra: Sequence[QueryMetric] = ()
    ) -> None:
        # Compute groups would gather and rank for each metric of a group.
        super().__init__({}, compute_groups=False)
        self.ranking = ranking
        average = (ranking.top_k, ranking.normalizer)
        own: list[QueryMetric] = [
            HammingMAP(*average),
            HammingPrecision(ranking.precision_n),
            TargetedHammingMAP(*average),
            HammingToClean(),
            HammingToAnchor(),
            Perceptibility(),
            Linf(),
        ]
        copies = [deepcopy(metric) for metric in extra]
        for metric in copies:
            metric.reset()
        for metric in own + copies:
            self._add(metric)

    def _add(self, metric: QueryMetric) -> None:
        if not isinstance(metric, (HammingMetric, PerQueryMetric)):
            msg = f"extra must hold HammingMetrics and PerQueryMetrics, got {type(metric).__name__}"
            raise TypeError(msg)
        name = getattr(metric, "name", None)
        if not isinstance(name, str) or not name.isidentifier() or hasattr(self, name):
            msg = (
                f"extra: {type(metric).__name__} must have a name of letters, digits and _ that no "
                f"other metric has, got {name!r}"
            )
            raise ValueError(msg)
        if isinstance(metric, HammingMetric):
            metric.empty, metric.ties = self.ranking.empty, self.ranking.ties
        self[name] = metric

    def names(self, known: Collection[str]) -> list[str]:
        """Return the metrics that can be measured.

        Args:
            known: what is known beside codes, labels and index: arguments of :meth:`update`, and
                ``database`` and ``target_database``. In a run of several processes it must be the
                same on each.

        Returns:
            Their names.
        """
        known = {"codes", "labels", "index", *known}
        needs = {"own": {"database"}, "target": {"target_database", "target_labels"}}
        return [
            name
            for name, metric in self._metrics().items()
            if (needs[metric.judged_by] if isinstance(metric, HammingMetric) else metric.needs)
            <= known
        ]

    def set_database(self, codes: Tensor, labels: Tensor, index: Tensor) -> None:
        """Take the items that MAP and precision rank; see :meth:`HammingMetric.set_database`."""
        self._holder("own").set_database(codes, labels, index)

    def set_target_database(self, codes: Tensor, labels: Tensor, index: Tensor) -> None:
        """Take the items that t-MAP ranks; see :meth:`HammingMetric.set_database`."""
        self._holder("target").set_database(codes, labels, index)

    def set_retrieval(self, retrieval: Retrieval) -> None:
        """Take the queries and the database in which :class:`CandidateMetric` looks."""
        for metric in self._metrics().values():
            if isinstance(metric, CandidateMetric):
                metric.retrieval = retrieval

    def update(  # type: ignore[override]  # ModuleDict.update is of its modules
        self,
        codes: Tensor,
        labels: Tensor,
        index: Tensor,
        *,
        clean_codes: Tensor | None = None,
        target_labels: Tensor | None = None,
        anchor_codes: Tensor | None = None,
        clean: Tensor | None = None,
        adversarial: Tensor | None = None,
        lengths: Tensor | None = None,
        goal: Tensor | None = None,
    ) -> None:
        """Add queries. What is left out is not measured.

        Args:
            codes: ``(B, K)`` of -1/+1, the codes to score.
            labels: ``(B, C)`` of 0/1.
            index: ``(B,)`` int.
            clean_codes: ``(B, K)``, codes of the clean queries.
            target_labels: ``(B, C)`` of 0/1.
            anchor_codes: ``(B, K)`` of -1/+1.
            clean: ``(B, ...)`` clean inputs in [0, 1].
            adversarial: ``(B, ...)`` what was sent instead, in [0, 1].
            lengths: ``(B,)`` int, the frames of clips.
            goal: ``(B, K)`` of -1/+1, the code that a targeted attack is to reach.

        Raises:
            ValueError: if a value or a shape is wrong.
        """
        columns = {
            "codes": codes, "labels": labels, "clean_codes": clean_codes,
            "target_labels": target_labels, "anchor_codes": anchor_codes, "clean": clean,
            "adversarial": adversarial, "lengths": lengths, "goal": goal,
        }  # fmt: skip
        known = {name: column for name, column in columns.items() if column is not None}
        self._holder("own").update(codes, labels, index)
        if target_labels is not None:
            self._holder("target").update(codes, target_labels, index)
        for metric in self._metrics().values():
            if isinstance(metric, PerQueryMetric) and metric.needs <= {"index", *known}:
                metric.update(index, **known)

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Refuse: one call would give each metric queries that the two rankings hold for all.

        Raises:
            TypeError: always.
        """
        msg = "AttackMetrics cannot be called; use update, then compute with the metrics' names"
        raise TypeError(msg)

    # Every process must compute the same metrics, so that the caller says which.
    def compute(self, names: Iterable[str]) -> dict[str, Score]:  # type: ignore[override]
        """Compute some of the metrics; every process must name the same.

        Args:
            names: names of the metrics.

        Returns:
            Their scores by name; with the prefix and postfix of a clone that has them.

        Raises:
            ValueError: if a name is unknown, or what a metric needs was not given.
        """
        metrics, names = self._metrics(), list(names)
        for name in names:
            check_choice("name", name, tuple(metrics))
        scores: dict[str, Score] = {}
        for judge in ("own", "target"):
            asked = [
                metric
                for name, metric in metrics.items()
                if name in names and isinstance(metric, HammingMetric) and metric.judged_by == judge
            ]
            if asked:
                found = self._holder(judge).scores(asked)
                scores |= {metric.name: score for metric, score in zip(asked, found, strict=True)}
        scores |= {name: metrics[name].score() for name in names if name not in scores}
        return {self._set_name(name): scores[name] for name in names}

    def reset_queries(self) -> None:
        """Forget the queries, keep the database."""
        for metric in self._metrics().values():
            metric.reset_queries()

    def _metrics(self) -> dict[str, HammingMetric | PerQueryMetric]:
        items = self.items(keep_base=True)  # a clone's prefix is of what it returns alone
        return cast("dict[str, HammingMetric | PerQueryMetric]", dict(items))

    def _holder(self, judge: str) -> HammingMetric:
        """Return the metric that holds the queries and the database for all of its kind."""
        return cast(HammingMetric, self["map" if judge == "own" else "t_map"])
