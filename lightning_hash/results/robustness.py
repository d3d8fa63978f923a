"""robustness.json: how far harmless transforms move codes."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_hash.utils.text_files import utf8
from lightning_hash.utils.whole_file import write_whole

FILE, SCHEMA = "robustness.json", 1


@dataclass(frozen=True)
class FalseMatches:
    """How many different images match.

    Attributes:
        among: of which pairs.
        rate: share of the pairs at d <= T.
        pairs: how many were looked at; ``None`` of the formula of random codes.
    """

    among: str
    rate: float
    pairs: int | None = None


@dataclass(frozen=True)
class TransformRow:
    """What a transform of one strength does to the codes of Q queries.

    Attributes:
        transform: its name; ``none`` of the queries as they are.
        strength: how strong; ``None`` of the queries as they are.
        unit: what the strength is.
        n: Q.
        distance: mean Hamming distance to the query's own clean code.
        distance_se: its standard error over the queries; ``None`` of one query.
        bit_flip_rate: that mean over K.
        detection_rate: share of the queries at d <= T of their own clean code.
        distances: queries at each distance that occurs, ``[d, count]``.
        map: MAP; ``None`` without labels.
        map_se: its standard error; ``None`` without labels, or of one query.
    """

    transform: str
    strength: float | str | None
    unit: str
    n: int
    distance: float
    distance_se: float | None
    bit_flip_rate: float
    detection_rate: float
    distances: Sequence[tuple[int, int]]
    map: float | None = None
    map_se: float | None = None


@dataclass(frozen=True)
class Robustness:
    """What ``robustness`` has measured.

    Attributes:
        transforms: version of the list of transforms.
        threshold: T.
        bits: K.
        seed: of the draws.
        victim: whose codes.
        data: of what: name, sizes, fingerprints.
        ranking: options of MAP; ``None`` without labels.
        run: versions of what took part.
        false_matches: of random codes, and of different images.
        rows: first the queries as they are, then each transform, the mildest strength first.
    """

    transforms: str
    threshold: int
    bits: int
    seed: int
    victim: Mapping[str, Any]
    data: Mapping[str, Any]
    ranking: Mapping[str, Any] | None
    run: Mapping[str, Any]
    false_matches: Sequence[FalseMatches]
    rows: Sequence[TransformRow]

    def write(self, folder: Path) -> Path:
        """Write robustness.json into a folder, whole or not at all; return the file."""
        path = folder / FILE
        content = {"schema": SCHEMA, **dataclasses.asdict(self)}
        write_whole(path, utf8(json.dumps(content, indent=1) + "\n"))
        return path
