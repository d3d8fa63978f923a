"""Strips of single queries for the page: what was sent and what came back."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lightning_hash.reports.lines import close_to, setting_key, setting_of
from lightning_hash.reports.page import Picture
from lightning_hash.reports.papers import BITS, DHTA_SETTING, HAG_SETTING
from lightning_hash.reports.victims import checkpoint_of, victim_key
from lightning_hash.results.rows import ResultRow
from lightning_hash.results.runs import RunFiles
from lightning_hash.results.tables import bits_text
from lightning_hash.utils.foreign_files import check_pixels

STRIPS = 3  # pictures of single queries shown of each run, and before all others
QUALITY = 85  # of WebP; the run's folder holds the strip as it is


@dataclass(frozen=True)
class Example:
    """A strip of one query.

    Attributes:
        row: the last of its attack.
        picture: for the page.
    """

    row: ResultRow
    picture: Picture


def examples_of(runs: Sequence[RunFiles]) -> list[Example]:
    """Return strips of each attack on one data set and network.

    Args:
        runs: any runs.

    Returns:
        The first STRIPS of the run whose settings are nearest the paper's, attack by attack.
    """
    seen = set()
    examples = []
    for run in sorted(runs, key=_unlike_the_papers):
        row = run.last
        if row is None:
            continue
        dataset, backbone = row.get("data.dataset"), row.get("victim.backbone")
        kind = (row.name, dataset, backbone, row.get("data.target_database"))
        if kind in seen:
            continue
        loaded = ((path, run.read(path, _read_strip)) for path in run.strips)
        found = [(path, content) for path, content in loaded if content is not None]
        if found:  # of the runs of an attack on one kind of victim the first
            seen.add(kind)
        for path, content in found[:STRIPS]:
            query = path.stem.lstrip("0") or "0"
            picture = Picture(
                title=f"{row.name} on {dataset}, query {query}",
                alt=f"Query {query} of {dataset}, clean and after {row.name}, with the items that "
                "each of the two retrieves: above before the attack, below after it.",
                caption=f"{backbone}, {bits_text(row.get(BITS))}, {checkpoint_of(row)}; "
                f"{setting_of(row)}, seed {row.get('attack.seed')}; {run.folder}.",
                content=content,
                kind="webp",
            )
            examples.append(Example(row, picture))
    return examples


def divide(
    examples: Sequence[Example], wanted: Sequence[ResultRow]
) -> tuple[list[Picture], list[Picture]]:
    """Choose the strips that are shown first.

    Args:
        examples: all strips.
        wanted: rows of the attacks to be shown, in turns; of others where these have too few.

    Returns:
        STRIPS of them, and the others.
    """
    turns: list[tuple[int, int, int]] = []
    for place, each in enumerate(examples):
        asked = [n for n, row in enumerate(wanted) if _attack_of(row) == _attack_of(each.row)]
        earlier = sum(_attack_of(other.row) == _attack_of(each.row) for other in examples[:place])
        attack = asked[0] if asked else len(wanted)
        turns.append((earlier if asked else len(examples) + earlier, attack, place))
    first = [place for _, _, place in sorted(turns)[:STRIPS]]
    others = [each.picture for place, each in enumerate(examples) if place not in first]
    return [examples[place].picture for place in first], others


def _attack_of(row: ResultRow) -> object:
    return setting_key(row), victim_key(row)


def small_picture(content: bytes) -> bytes:
    """Return a PNG as WebP, a quarter of its size.

    Args:
        content: the PNG.

    Raises:
        ValueError: if it has too many pixels.
        OSError: if it is no PNG.
    """
    small = io.BytesIO()
    with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
        check_pixels(*picture.size)
        picture.convert("RGB").save(small, "WEBP", quality=QUALITY)
    return small.getvalue()


def _read_strip(path: Path) -> bytes:
    return small_picture(path.read_bytes())


def _unlike_the_papers(run: RunFiles) -> int:
    """Return in how many settings an attack was set otherwise than the papers'."""
    row = run.last
    setting = HAG_SETTING if row and row.name.startswith("hag") else DHTA_SETTING
    return sum(
        not close_to(row.get(path) if row else None, value) for path, value in setting.items()
    )
