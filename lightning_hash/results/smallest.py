"""smallest.json and smallest.csv: the smallest epsilon of each query."""

import dataclasses
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_hash.utils.escapes import csv_text
from lightning_hash.utils.text_files import utf8
from lightning_hash.utils.whole_file import write_whole

FILE, TABLE, SCHEMA = "smallest.json", "smallest.csv", 1


@dataclass(frozen=True)
class QuerySmallest:
    """The smallest epsilon of a query.

    Attributes:
        index: the query's own index.
        path: its file, where there is one.
        level: the smallest epsilon that was seen to succeed, in levels of 1/255; 0 where no attack
            was needed; ``None`` where the attack at the largest level failed too.
        distance: Hamming distance between code and goal there; without a level that at the largest.
        attacks: how many attacks were run on it.
        questions: about it in all of these together; ``None`` where none are counted.
    """

    index: int
    path: str
    level: int | None
    distance: int
    attacks: int
    questions: int | None


@dataclass(frozen=True)
class LevelRun:
    """An attack on the queries of one level.

    Attributes:
        level: epsilon in levels of 1/255.
        round: of the bisection, from 1 on.
        n: queries attacked.
        succeeded: how many succeeded.
        seconds: how long it took.
        folder: its run folder, beside the file.
        warnings: what keeps it from being believed, one line each.
    """

    level: int
    round: int
    n: int
    succeeded: int
    seconds: float
    folder: str
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class Smallest:
    """What ``smallest`` has found.

    Attributes:
        stop_at: T: a query succeeds at d >= T to its clean code; of a targeted attack at d <= T to
            its goal.
        targeted: whether the attack has a goal to reach.
        levels: the largest level; the levels are 1 to this.
        bits: K.
        attack: its settings, without epsilon.
        victim: whose codes.
        data: of which queries.
        run: versions and devices, and what was doubtful before the attacks.
        runs: the attacks, in the order in which they were run.
        queries: in the order in which they were chosen.
    """

    stop_at: int
    targeted: bool
    levels: int
    bits: int
    attack: Mapping[str, Any]
    victim: Mapping[str, Any]
    data: Mapping[str, Any]
    run: Mapping[str, Any]
    runs: Sequence[LevelRun]
    queries: Sequence[QuerySmallest]

    @property
    def rounds(self) -> int:
        """Rounds of the bisection."""
        return max((each.round for each in self.runs), default=0)

    @property
    def without(self) -> int:
        """Queries without a smallest epsilon up to the largest level."""
        return sum(each.level is None for each in self.queries)

    @property
    def median(self) -> float | None:
        """The median level of all queries, of which those without count as more than all levels.

        ``None`` where it is such a one.
        """
        known = [math.inf if each.level is None else each.level for each in self.queries]
        median = float(statistics.median(known))
        return median if math.isfinite(median) else None

    @property
    def succeeded(self) -> list[int]:
        """How many queries have their smallest epsilon at e or below, for e = 0 to ``levels``."""
        known = [each.level for each in self.queries if each.level is not None]
        return [sum(level <= e for level in known) for e in range(self.levels + 1)]

    def write(self, folder: Path) -> Path:
        """Write smallest.csv and, last, smallest.json, each whole; return the JSON.

        Args:
            folder: that of the run.

        Raises:
            OSError: if a file cannot be written.
        """
        write_whole(folder / TABLE, self._table())
        path = folder / FILE
        said = {"median": self.median, "without": self.without, "rounds": self.rounds}
        content = {"schema": SCHEMA, **said, **dataclasses.asdict(self)}
        write_whole(path, utf8(json.dumps(content, indent=1) + "\n"))
        return path

    def _table(self) -> bytes:
        header = [field.name for field in dataclasses.fields(QuerySmallest)]
        text = csv_text([header, *(dataclasses.astuple(each) for each in self.queries)])
        return text.encode(errors="surrogateescape")
