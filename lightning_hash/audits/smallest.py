"""The smallest epsilon of each query at which an attack succeeds, by bisection."""

import copy
import datetime
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from lightning_hash._version import __version__
from lightning_hash.attacks import LInf
from lightning_hash.audits.curve import Bisection
from lightning_hash.audits.folder import take_folder
from lightning_hash.audits.member_run import (
    ENDED,
    MakeTrainer,
    agree,
    attack_in,
    quiet_members,
    read_run,
)
from lightning_hash.data.base import HashDataModule
from lightning_hash.engine.attack_run import Encoded, borrowed_networks, encode_databases
from lightning_hash.engine.loggers import RunLogger
from lightning_hash.modules.attack_module import AttackModule
from lightning_hash.modules.protocol import data_settings, victim_settings
from lightning_hash.modules.start_codes import Start, start_of
from lightning_hash.reports.smallest_picture import PICTURE, smallest_png
from lightning_hash.results.settings import as_json
from lightning_hash.results.smallest import FILE, LevelRun, QuerySmallest, Smallest
from lightning_hash.utils.distributed import gather_objects
from lightning_hash.utils.whole_file import write_whole

MOST = 255  # levels of 8 bits
ASKED = "asked.json"


def check_smallest(attack: AttackModule, levels: int) -> None:
    """Refuse an attack that no smallest epsilon can be looked for with.

    Args:
        attack: the attack.
        levels: the largest level.

    Raises:
        ValueError: naming the option, the rule and the remedy.
    """
    recipe = attack.recipe
    budget, objective = recipe.budget, recipe.objective
    msg = ""
    if not 1 <= levels <= MOST:
        msg = f"levels must be from 1 to {MOST}, got {levels}: epsilon is so many 255ths"
    elif recipe.stop_at is None:
        msg = (
            "stop_at must be a Hamming distance: from which on a query has left its code, of a "
            "targeted attack down to which it has reached its goal; got none"
        )
    elif not objective.iterative:
        msg = f"objective {objective.name} is not iterated, so that it cannot succeed; give HAG"
    elif attack.side != "query":
        msg = f"side must be query, got {attack.side}: the code of a candidate is not judged alone"
    elif attack.victim.members:
        count = len(attack.victim.members)
        msg = f"victim must be one, got {count}: stop_at is a distance between codes of one"
    elif attack.roles.apart:
        msg = (
            "surrogates: stop_at would look at their codes and not at the victim's; leave them "
            "out, or give a search with start: SurrogateStart"
        )
    elif attack.jpeg is not None:
        msg = (
            f"jpeg must be null, got {attack.jpeg}: success is that of 8-bit images; score the "
            "images of a level as JPEG with an attack of its epsilon"
        )
    elif budget.space != "pixel":
        msg = f"epsilon_space must be pixel, got {budget.space}: levels are those of 8-bit images"
    elif type(budget) is not LInf:
        msg = f"budget must be LInf, got {type(budget).__name__}: levels bound each value"
    if msg:
        raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class SmallestSearch:
    """Looks for the smallest epsilon of each query; what was run before in its folder is read.

    Epsilon is a level of 1/255. A query succeeds where the code of its image, rounded to 8 bits, is
    at least ``stop_at`` bits from the clean one, of a targeted attack at most ``stop_at`` from its
    goal. Every query is looked at unchanged first; then all are attacked at the middle level, and
    each goes on in its own half. The queries of one level are one ordinary attack, in a run folder
    of its own. So there are at most ceil(log2(levels + 1)) rounds, and each query is attacked as
    often.

    Attributes:
        attack: the attack, which is not run itself; its epsilon counts for nothing.
        data: queries and database.
        root: folder of all searches of this name.
        make_trainer: makes a Trainer of keyword arguments, those of Lightning's.
        iterations: of each attack.
        levels: the largest level.
        codes: the database's codes, as in :func:`lightning_hash.engine.attack_run.run_attack`.
        checkpoint_every: iterations between two checkpoints; once a minute where it is ``None``.
        images: how many adversarial images each attack writes; ``None`` is all.
        config: text of config.yaml, of the search and of each attack.
        tell: takes a line about each attack that has ended.

    Raises:
        ValueError: see :func:`check_smallest`.
    """

    attack: AttackModule
    data: HashDataModule
    root: Path
    make_trainer: MakeTrainer
    iterations: int
    levels: int = 32
    codes: str | None = None
    checkpoint_every: int | None = None
    images: int | None = None
    config: str | None = None
    tell: Callable[[str], None] = lambda line: None

    def __post_init__(self) -> None:
        check_smallest(self.attack, self.levels)
        if self.iterations < 1:
            msg = f"trainer.max_epochs (the iterations) must be at least 1, got {self.iterations}"
            raise ValueError(msg)

    def run(self) -> tuple[Smallest, Path]:
        """Run what is left; all processes call it together.

        Returns:
            What was found, and the folder that it is written in.

        Raises:
            ValueError: if victim, data and attack do not go together, or an attack was stopped.
            OSError: if a file cannot be read or written.
        """
        with borrowed_networks(self.attack), quiet_members():
            trainer = self.make_trainer(
                max_epochs=self.iterations, logger=False, enable_checkpointing=False
            )
            data = self.attack.queries_of(self.data)
            data.prepare_data()
            data.setup("predict")
            chosen = [int(index) for index in data.queries.indices]
            encoded = encode_databases(trainer, self.attack, self.data, self.codes)
            begun = self._at(self.levels, chosen)
            asked = begun.queries_of(self.data)
            asked.setup("predict")
            asked.trainer = trainer
            begun.attach(asked, encoded.databases, trainer, encoded.surrogate)
            start = start_of(trainer, begun, asked)
            self._check_bits(start.codes.shape[1])
            for doubt in start.doubts:
                self.tell(f"doubtful: {doubt}")
            said = {
                "attack": _without_epsilon(begun.settings()),
                "victim": victim_settings(self.attack.victim),
                "data": data_settings(asked, encoded.databases),
            }
            folder = self._folder(trainer, said, chosen)
            return self._search(trainer, folder, encoded, chosen, start, said), folder

    def _at(self, level: int, queries: Sequence[int]) -> AttackModule:
        """Return the attack on some queries at a level; victim and surrogates are shared."""
        shared = (self.attack.victim, self.attack.roles.surrogate)
        made = copy.deepcopy(self.attack, {id(each): each for each in shared if each is not None})
        made.recipe.budget.epsilon = level / MOST
        _, batch_size, seed, _ = self.attack.query_options
        made.query_options = (None, batch_size, seed, list(queries))
        made.evaluate_at = frozenset()
        return made

    def _check_bits(self, bits: int) -> None:
        """Refuse a distance to the goal that every code has."""
        recipe = self.attack.recipe
        assert recipe.stop_at is not None  # by check_smallest
        if recipe.reference.targeted and recipe.stop_at >= bits:
            msg = (
                f"stop_at must be at most {bits - 1} of a targeted attack on codes of {bits} bits, "
                f"got {recipe.stop_at}: every code is so near"
            )
            raise ValueError(msg)

    def _folder(self, trainer: pl.Trainer, said: dict[str, Any], chosen: list[int]) -> Path:
        """Return the folder of this search, the same in all processes."""
        asked = {
            **said, "levels": self.levels, "queries": chosen, "version": __version__,
            "batch_size": self.attack.query_options[1], "precision": str(trainer.precision),
            "kernels": str(self.attack.wanted_kernels),
        }  # fmt: skip
        found = None
        if trainer.is_global_zero:
            settings = json.loads(json.dumps(asked))
            found = take_folder(self.root, settings, self.config, asked=ASKED, end=FILE)
        chosen_folder: Path = gather_objects(found)[0]
        return chosen_folder

    def _search(
        self,
        trainer: pl.Trainer,
        folder: Path,
        encoded: Encoded,
        chosen: list[int],
        start: Start,
        said: dict[str, Any],
    ) -> Smallest:
        distances = start.distances
        left = [index for index in chosen if not self._succeeds(distances[index])]
        # By query: the level of each attack on it to the distance that it reached.
        reached: dict[int, dict[int, int]] = {index: {} for index in chosen}
        questions: dict[int, int] = {}
        runs: list[LevelRun] = []
        search = Bisection(len(left), self.levels, largest_first=False) if left else None
        number = 0
        while search is not None and (wanted := search.ask()):
            number += 1
            for level, rows in wanted.items():
                queries = [left[row] for row in rows]
                run, found, counted = self._attack(folder, encoded, number, level, queries)
                runs.append(run)
                for index, distance in zip(queries, found, strict=True):
                    reached[index][level] = distance
                for index, count in counted.items():
                    questions[index] = questions.get(index, 0) + count
                search.know(rows, level, [self._succeeds(distance) for distance in found])
        paths = self.data.paths_of("query")
        found_all = Smallest(
            stop_at=self.attack.recipe.stop_at or 0, targeted=self.attack.recipe.reference.targeted,
            levels=self.levels, bits=start.codes.shape[1], **said, runs=tuple(runs),
            run={
                "version": __version__, "precision": str(trainer.precision),
                "devices": f"{trainer.world_size} x {trainer.strategy.root_device.type}",
                "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "warnings": list(start.doubts),
            },
            queries=tuple(
                self._query(index, paths, {0: distances[index], **reached[index]}, questions)
                for index in chosen
            ),
        )  # fmt: skip
        if trainer.is_global_zero:
            write_whole(folder / PICTURE, smallest_png(found_all))
            found_all.write(folder)
        trainer.strategy.barrier()
        return found_all

    def _query(
        self, index: int, paths: Sequence[str], reached: dict[int, int], asked: dict[int, int]
    ) -> QuerySmallest:
        """Return what is known of a query, whose distances are by level, 0 among them."""
        hits = [level for level, distance in reached.items() if self._succeeds(distance)]
        level = min(hits, default=None)
        return QuerySmallest(
            index=index, path=paths[index] if paths else "", level=level,
            distance=reached[max(reached) if level is None else level],
            attacks=len(reached) - 1, questions=asked.get(index),
        )  # fmt: skip

    def _succeeds(self, distance: int) -> bool:
        recipe = self.attack.recipe
        assert recipe.stop_at is not None  # by check_smallest
        if recipe.reference.targeted:
            return distance <= recipe.stop_at
        return distance >= recipe.stop_at

    def _attack(
        self, folder: Path, encoded: Encoded, number: int, level: int, queries: list[int]
    ) -> tuple[LevelRun, list[int], dict[int, int]]:
        """Attack queries at a level, or read what came of it; return distances and questions."""
        place = folder / f"level-{level:03d}"
        asked = {"level": level, "queries": queries}
        if not agree((place / ENDED).is_file()):
            module = self._at(level, queries)
            logger = RunLogger(folder, name=place.name, version="")
            attack_in(
                place, module, self.data, encoded, self.make_trainer, logger, asked=asked,
                iterations=self.iterations, checkpoint_every=self.checkpoint_every,
                images=self.images, config=self.config, searches=module.recipe.searches,
            )  # fmt: skip
        found = read_run(place, asked)
        assert found.goal is not None  # an attack that iterates has one
        distances = _distances(found.codes, found.goal)
        run = LevelRun(
            level=level, round=number, n=len(queries),
            succeeded=sum(map(self._succeeds, distances)), folder=place.name,
            seconds=round(float(found.last.run["seconds"]), 1),
            warnings=tuple(found.last.warnings or ()),
        )  # fmt: skip
        self.tell(
            f"round {number}, {level}/255: {run.succeeded} of {run.n} queries succeed, "
            f"{run.seconds:.0f} s"
        )
        # Where all have succeeded they were stopped early, and a short way is no doubt.
        for warning in run.warnings if run.succeeded < run.n else ():
            self.tell(f"doubtful at {level}/255: {warning}")
        return run, distances, dict(found.asked)


def _distances(codes: Tensor, goal: Tensor) -> list[int]:
    """Return the Hamming distance of each row ``(Q, K)``."""
    found: list[int] = ((codes > 0) != (goal > 0)).sum(dim=1).tolist()
    return found


def _without_epsilon(settings: dict[str, Any]) -> dict[str, Any]:
    """Return an attack's settings without the epsilon, which each of its runs has its own of."""
    found: dict[str, Any] = as_json(settings, "attack")
    return {**found, "budget": {k: v for k, v in found["budget"].items() if k != "epsilon"}}
