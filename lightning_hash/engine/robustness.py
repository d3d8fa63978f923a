"""How far harmless transforms move the codes of queries, by any number of processes."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import PIL
import pytorch_lightning as pl
import torch
import torchvision
from torch import Tensor

from lightning_hash._version import __version__
from lightning_hash.codes.code_set import CodeSet
from lightning_hash.data.base import HashDataModule
from lightning_hash.data.group_labels import SAME_GROUP
from lightning_hash.data.harmless import TRANSFORMS, VERSION
from lightning_hash.data.queries import QueryData, Resolution
from lightning_hash.data.transformed import TransformedData, Variant, labels_of_rows, variants_of
from lightning_hash.engine.encode_splits import encode_splits
from lightning_hash.functional import (
    RankingOptions,
    average_precision,
    hamming_distance,
    shares_label,
)
from lightning_hash.functional.options import counted
from lightning_hash.functional.thresholds import default_threshold, random_match_rate
from lightning_hash.modules.protocol import victim_settings
from lightning_hash.results.robustness import FalseMatches, Robustness, TransformRow
from lightning_hash.victims.victim import Victim

AT_A_TIME = 64  # queries that are compared with the database


def measure_robustness(
    trainer: pl.Trainer,
    victim: Victim,
    source: HashDataModule,
    *,
    transforms: Sequence[str] = tuple(TRANSFORMS),
    threshold: int | None = None,
    n_queries: int | None = None,
    seed: int = 0,
    ranking: RankingOptions = RankingOptions(),
    resolution: Resolution = "input",
) -> Robustness:
    """Transform queries, encode them, and compare with the codes of the queries as they are.

    Args:
        trainer: runs the passes.
        victim: makes the codes; it needs no gradient.
        source: queries and database, of colour images.
        transforms: names in :data:`lightning_hash.data.harmless.TRANSFORMS`.
        threshold: T in [0, K]; PDQ's share of K by default.
        n_queries: at most so many queries, drawn by ``seed``; all by default.
        seed: of the draws.
        ranking: options of MAP.
        resolution: what is transformed: the network's ``"input"``, or the image file in its
            ``"original"`` size, which is then resized and cropped as the data are.

    Returns:
        The numbers, the same on every process.

    Raises:
        ValueError: if a name, the threshold or another option is wrong, or the inputs are no colour
            images.
    """
    variants = variants_of(transforms)
    _check_threshold(threshold, victim.bits)
    queries = QueryData(source, n_queries, seed=seed, resolution=resolution)
    queries.prepare_data()
    queries.setup("predict")
    rows: list[int] = list(queries.queries.indices)
    data = TransformedData(queries, variants, seed)
    found = encode_splits(trainer, victim, data, ("query", "database"))
    codes = found["query"].codes.view(len(rows), len(variants), -1)
    bits = codes.shape[2]
    limit = default_threshold(bits) if threshold is None else threshold
    _check_threshold(limit, bits)
    labels, database = labels_of_rows(source, rows), found["database"]
    ranked = (labels, database, ranking) if labels.shape[1] else None
    prints = source.fingerprints()
    return Robustness(
        transforms=VERSION, threshold=limit, bits=bits, seed=seed,
        victim={**victim_settings(victim), "bits": bits},
        data={
            "dataset": source.name, "n_query": len(rows), "n_database": len(database),
            "sha256": {split: prints.get(split) for split in ("query", "database")},
            "input_shape": list(data.input_shape), "resolution": resolution,
        },
        ranking=None if ranked is None else dataclasses.asdict(ranking),
        run={
            "version": __version__, "torch": torch.__version__,
            "torchvision": torchvision.__version__, "pillow": PIL.__version__,
            "precision": str(trainer.precision),
        },
        false_matches=_false_matches(source, rows, codes[:, 0], database, labels, limit),
        rows=[
            _row(variant, codes[:, number], codes[:, 0], limit, ranked)
            for number, variant in enumerate(variants)
        ],
    )  # fmt: skip


def _check_threshold(threshold: int | None, bits: int | None) -> None:
    """Refuse a distance that no two codes have; before the first pass K may be unknown."""
    if threshold is not None and not 0 <= threshold <= (threshold if bits is None else bits):
        most = "the bits of the victim" if bits is None else f"{bits}, the bits of the victim"
        msg = f"threshold must be from 0 to {most}, got {threshold}"
        raise ValueError(msg)


def _row(
    variant: Variant,
    codes: Tensor,
    clean: Tensor,
    threshold: int,
    ranked: tuple[Tensor, CodeSet, RankingOptions] | None,
) -> TransformRow:
    distance = (codes != clean).sum(dim=1)
    mean, error = _mean(distance.double())
    value: tuple[float | None, float | None] = None, None
    if ranked is not None:
        labels, database, ranking = ranked
        options = ranking.top_k, ranking.normalizer, ranking.ties
        names = ("top_k", "normalizer", "ties")
        chosen: dict[str, Any] = dict(zip(names, options, strict=True))
        each = average_precision(codes, database.codes, labels, database.labels, **chosen)
        value = _mean(counted(each, ranking.empty))
    occurring, counts = torch.unique(distance, return_counts=True)
    known = variant.strength is not None
    return TransformRow(
        transform=variant.transform, strength=variant.strength,
        unit=TRANSFORMS[variant.transform].unit if known else "", n=len(codes),
        distance=mean or 0.0, distance_se=error, bit_flip_rate=(mean or 0.0) / codes.shape[1],
        detection_rate=float((distance <= threshold).double().mean()),
        distances=list(zip(occurring.tolist(), counts.tolist(), strict=True)),
        map=value[0], map_se=value[1],
    )  # fmt: skip


def _mean(values: Tensor) -> tuple[float | None, float | None]:
    """Return the mean and its standard error; ``None`` where there are too few values."""
    mean = float(values.mean()) if len(values) else None
    error = float(values.std() / len(values) ** 0.5) if len(values) > 1 else None
    return mean, error


def _false_matches(
    source: HashDataModule,
    rows: Sequence[int],
    clean: Tensor,
    database: CodeSet,
    labels: Tensor,
    threshold: int,
) -> list[FalseMatches]:
    """Return the rates of random codes and of the pairs of a query and another item."""
    own, theirs = source.names_of("query"), source.names_of("database")
    places: dict[Any, list[int]] = {}
    if own and theirs:
        for place, index in enumerate(database.index.tolist()):
            places.setdefault(theirs[index], []).append(place)
    grouped = source.relevance == SAME_GROUP
    apart = "items of other groups" if grouped else "items that share no label"
    counts = {"other items": [0, 0], apart: [0, 0]}
    for start in range(0, len(rows), AT_A_TIME):
        part = slice(start, start + AT_A_TIME)
        near = hamming_distance(clean[part], database.codes) <= threshold
        other = torch.ones_like(near)
        for number, row in enumerate(rows[part]):
            other[number, places.get(own[row], []) if places else []] = False
        unlike = other & ~shares_label(labels[part], database.labels)
        for count, pairs in zip(counts.values(), (other, unlike), strict=True):
            count[0] += int((near & pairs).sum())
            count[1] += int(pairs.sum())
    if grouped:  # copies of a query are no false matches of it
        del counts["other items"]
    elif not labels.shape[1]:
        del counts[apart]
    random = random_match_rate(threshold, clean.shape[1])
    measured = [
        FalseMatches(among, matching / pairs, pairs)
        for among, (matching, pairs) in counts.items()
        if pairs
    ]
    return [FalseMatches("random codes", random), *measured]
