"""Result rows: every number with its whole protocol."""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_hash.utils.whole_file import write_whole

METRICS = (
    "map", "t_map", "precision_at_n", "hamming_to_clean", "hamming_to_anchor", "perceptibility",
    "linf",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """One number and all that it depends on. What is unknown or has no meaning is ``None``.

    Attributes:
        metric: one of METRICS.
        value: the number.
        n_at: N of precision_at_n.
        iteration: iteration at which it was taken.
        quantized: whether the images had been rounded to 8 bits.
        attack: ``none`` is the clean query, ``anchor`` the anchor code itself, the ceiling.
        objective: class of the objective.
        step_rule: class of the step rule.
        lr: its learning rate.
        momentum: its momentum.
        iterations: length of the attack.
        alpha_schedule: values and where each starts.
        threshold: t of HAG Eq. 7.
        inputs: the random change of the inputs before the victim sees them.
        start_seed: seed of the random start; ``None`` is the clean query.
        frames: how many frames of each clip were perturbed; ``None`` is all.
        epsilon: budget in ``epsilon_space``.
        epsilon_space: ``pixel`` or ``normalized``.
        n_t: items in an anchor set.
        anchor_tie: what a tie in the vote gives.
        anchor_set: how the items were chosen.
        target_rule: how the target differs from the query's label.
        seed: seed of queries and targets.
        sources: the victims that the perturbations were made on, where those are not the victim
            alone: ``backbone-bits``, joined by +.
        combination: how they were put together: single, sum, clipped (the sum, clipped to epsilon),
            average, best (for each query the one that got furthest), or joint (one attack on all of
            them).
        restarts: perturbations that the best was taken of.
        victim_sha256: fingerprint of the victim's weights.
        backbone: the victim's network.
        bits: code length.
        loss: the victim's training loss.
        dataset: name of the data.
        data_seed: seed of its splits.
        inputs_sha256: fingerprint of how queries become inputs: transform, frames, sizes of files.
        input_shape: of one query, such as 3x224x224 or, of clips, 40x3x224x224.
        list_sha256_train: fingerprint of the training split.
        list_sha256_query: fingerprint of the query split.
        list_sha256_database: fingerprint of the database.
        list_sha256_open_set: fingerprint of the open set.
        n_query: queries attacked.
        n_database: items in the database.
        n_empty: queries without a relevant item in the top_k.
        n_finished: queries that were stepped no more when the number was taken, since their codes
            had nothing left to flip; ``None`` where all are stepped to the end.
        n_leaked: queries of the query split that are in the database.
        n_skipped: items of all splits that could not be read and were left out.
        database_codes: the file, where the database's codes are another program's.
        target_database: what t-MAP ranks: the database, the open set or both.
        n_target_database: items that t-MAP ranks.
        relevance: what relevant means.
        top_k: ranks looked at; ``None`` is the whole database.
        normalizer: what AP divides by.
        empty: how empty queries count.
        ties: how ties are treated.
        seconds: time that the attack had taken.
        devices: number and kind.
        precision: the trainer's precision.
        kernels: what the iterations ran on; codes are scored in ``precision``.
        version: of this program.
        commit: of this program, where it ran from a checkout.
    """

    metric: str
    value: float
    n_at: int | None = None
    iteration: int
    quantized: bool
    attack: str
    objective: str | None = None
    step_rule: str | None = None
    lr: float | None = None
    momentum: float | None = None
    iterations: int | None = None
    alpha_schedule: str | None = None
    threshold: float | None = None
    inputs: str | None = None
    start_seed: int | None = None
    frames: int | None = None
    epsilon: float | None = None
    epsilon_space: str | None = None
    n_t: int | None = None
    anchor_tie: str | None = None
    anchor_set: str | None = None
    target_rule: str | None = None
    seed: int | None = None
    sources: str | None = None
    combination: str | None = None
    restarts: int | None = None
    victim_sha256: str | None = None
    backbone: str | None = None
    bits: int | None = None
    loss: str | None = None
    dataset: str | None = None
    data_seed: int | None = None
    inputs_sha256: str | None = None
    input_shape: str | None = None
    list_sha256_train: str | None = None
    list_sha256_query: str | None = None
    list_sha256_database: str | None = None
    list_sha256_open_set: str | None = None
    n_query: int | None = None
    n_database: int | None = None
    n_empty: int | None = None
    n_finished: int | None = None
    n_leaked: int | None = None
    n_skipped: int | None = None
    database_codes: str | None = None
    target_database: str | None = None
    n_target_database: int | None = None
    relevance: str | None = None
    top_k: int | None = None
    normalizer: str | None = None
    empty: str | None = None
    ties: str | None = None
    seconds: float | None = None
    devices: str | None = None
    precision: str | None = None
    kernels: str | None = None
    version: str | None = None
    commit: str | None = None

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            msg = f"metric must be one of {', '.join(METRICS)}, got {self.metric!r}"
            raise ValueError(msg)
        for field, kinds in _FIELD_KINDS.items():
            value = getattr(self, field)
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                names = " or ".join(kind.__name__ for kind in kinds)
                msg = f"{field} must be {names}, got {value!r}"
                raise ValueError(msg)
            if isinstance(value, float) and not math.isfinite(value):
                msg = f"{field} of {self.metric} must be finite, got {value}"
                raise ValueError(msg)


def _kinds(annotation: Any) -> tuple[type, ...]:
    """Return the types that a field accepts; a whole number also passes for a float."""
    members = (
        typing.get_args(annotation) if isinstance(annotation, types.UnionType) else [annotation]
    )
    kinds = tuple(members)
    return (*kinds, int) if float in kinds else kinds


_FIELD_KINDS = {
    name: _kinds(annotation) for name, annotation in typing.get_type_hints(ResultRow).items()
}


def write_results(path: Path, rows: Sequence[ResultRow]) -> None:
    """Write rows as a JSON list, atomically: whoever reads meanwhile sees the old file or the new.

    Args:
        path: the file; what was there before stays if anything fails.
        rows: the rows.

    Raises:
        OSError: if the file cannot be written.
    """
    text = json.dumps([dataclasses.asdict(row) for row in rows], indent=1, allow_nan=False)
    write_whole(path, f"{text}\n".encode())


def read_results(path: Path) -> list[ResultRow]:
    """Read what :func:`write_results` wrote.

    Args:
        path: the file.

    Returns:
        The rows.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no JSON list of result rows; names the row and the field.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError as error:
        msg = f"{path} does not exist; python -m lightning_hash attack writes one at its end"
        raise FileNotFoundError(msg) from error
    except ValueError as error:
        msg = f"{path} is no JSON ({error})"
        raise ValueError(msg) from error
    if not isinstance(content, list):
        msg = f"{path} must hold a list of result rows, got {type(content).__name__}"
        raise ValueError(msg)
    rows = []
    for number, entry in enumerate(content):
        try:
            rows.append(ResultRow(**entry))
        except (TypeError, ValueError) as error:
            msg = f"{path}, row {number}: {error}"
            raise ValueError(msg) from error
    return rows
