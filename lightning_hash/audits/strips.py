"""Pictures of the queries that an audit has harmed most."""

import io
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torchvision.io import decode_image

from lightning_hash.audits.member_run import MemberRun
from lightning_hash.codes.code_set import CodeSet
from lightning_hash.data.base import HashDataModule
from lightning_hash.engine.callbacks.figures import retrieval_strip
from lightning_hash.engine.callbacks.retrieval_images import still_of, stills_of
from lightning_hash.functional import from_8bit, hamming_distance, shares_label
from lightning_hash.reports.page import Picture
from lightning_hash.results.card import CLEAN_QUERY, Card, QueryResult

SHOWN, TOP = 6, 8
DPI = 110


def strips(
    card: Card,
    source: HashDataModule,
    database: CodeSet,
    runs: Mapping[str, MemberRun],
    folder: Path,
) -> list[Picture]:
    """Draw the queries with the lowest worst AP: what was sent, and what came back.

    Args:
        card: of the audit.
        source: queries and database, set up.
        database: what MAP ranks.
        runs: the members of the first threat by name.
        folder: of that threat, with the images of each member.

    Returns:
        At most six strips, of queries that an attack has harmed; none of inputs that are no colour
        images.
    """
    if card.input_shape[-3:-2] != (3,) or card.threats[0].untargeted is None:
        return []
    name = card.threats[0].name
    harmed = [
        query
        for query in card.worst_queries(len(card.queries))
        if query.worst[name][1] != CLEAN_QUERY
    ]
    return [
        _strip(query, query.worst[name], source, database, runs, folder) for query in harmed[:SHOWN]
    ]


def _strip(
    query: QueryResult,
    worst: tuple[float, str],
    source: HashDataModule,
    database: CodeSet,
    runs: Mapping[str, MemberRun],
    folder: Path,
) -> Picture:
    value, member = worst
    run = runs[member]
    row = run.index.tolist().index(query.index)
    labels = run.labels[row : row + 1]
    before, after = (_first(codes[row], database) for codes in (run.clean_codes, run.codes))
    right = [shares_label(labels, database.labels[first])[0].tolist() for first in (before, after)]
    item = source.query_set[query.index]
    sent = _sent(folder / member / "images", query.index, item)
    items = source.database_set
    shown = [stills_of(items, database.index[first]) for first in (before, after)]
    label = query.label or "no label"
    figure = retrieval_strip(
        still_of(item), sent, shown[0], right[0], shown[1], right[1],
        before_caption=f"clean query: {label}", after_caption=f"after {member}: {label}",
    )  # fmt: skip
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI)
    clean = "" if query.clean is None else f"AP {query.clean:.3f} before, "
    count = f"{sum(right[0])} relevant results before, {sum(right[1])} after, of {len(right[0])}"
    return Picture(
        title=f"query {query.index}, {label}: {clean}{value:.3f} after {member}",
        alt=f"query {query.index} and its first results: {count}",
        caption=f"{count}; images are those that were sent, rounded to 8 bits",
        content=content.getvalue(),
    )


def _first(code: Tensor, database: CodeSet) -> Tensor:
    """Return the rows of the items that a code ``(K,)`` retrieves first."""
    return torch.argsort(hamming_distance(code[None], database.codes)[0], stable=True)[:TOP]


def _sent(folder: Path, index: int, item: object) -> Tensor:
    """Return the adversarial image ``(3, H, W)``; of a clip the frame that is shown of it."""
    place = folder / f"{index:06d}"
    if place.is_dir():
        frames = [decode_image(str(path)) for path in sorted(place.glob("*.png"))]
        whole = torch.stack(frames)
        return still_of((from_8bit(whole), *item[1:]))  # type: ignore[index]
    return from_8bit(decode_image(str(place.with_suffix(".png"))))
