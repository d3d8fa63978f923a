"""An attack of the suite, run in a folder of its own, or read where it has ended before."""

import json
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from safetensors import SafetensorError, safe_open
from torch import Tensor

from lightning_hash.attacks import Noise, TargetChoice
from lightning_hash.audits.suite import Member
from lightning_hash.audits.threats import Threat
from lightning_hash.data.base import HashDataModule
from lightning_hash.engine.attack_run import Encoded, attack_encoded
from lightning_hash.engine.callbacks import AttackCheckpoint, RunFolder
from lightning_hash.engine.loggers import RunLogger
from lightning_hash.engine.stops import stopped_early
from lightning_hash.functional import RankingOptions
from lightning_hash.modules.attack_module import AttackModule
from lightning_hash.modules.databases import Databases
from lightning_hash.modules.gradient_watch import flat_queries
from lightning_hash.modules.tally import questions_of
from lightning_hash.results.rows import ResultRow, read_results
from lightning_hash.utils.distributed import gather_objects
from lightning_hash.utils.foreign_files import check_file
from lightning_hash.utils.json_text import read_json
from lightning_hash.utils.settings import settings_of
from lightning_hash.utils.text_files import utf8
from lightning_hash.utils.whole_file import write_whole
from lightning_hash.victims.victim import Victim

ENDED, CONFIG = "member.json", "config.yaml"
COLUMNS = "index", "codes_8bit", "clean_codes", "labels", "target_labels", "anchor_codes", "goal"
MakeTrainer = Callable[..., pl.Trainer]
NOISE = Member(name="noise", objective=Noise, iterations=0)


@dataclass(frozen=True)
class MemberRun:
    """What an attack of the suite has left in its folder.

    Attributes:
        rows: its result rows.
        index: int64 ``(n,)``, the queries that it attacked, in the order that was asked for.
        codes: int8 ``(n, K)`` of the 8-bit images.
        clean_codes: int8 ``(n, K)``.
        labels: ``(n, C)``.
        target_labels: ``(n, C')``, or ``None`` where there are no targets.
        anchor_codes: int8 ``(n, K)``, likewise.
        goal: ``(n, K)`` of -1/+1, what success is measured by: of an untargeted attack the clean
            codes; ``None`` where the attack had no iteration.
        flat: indices of the queries that no gradient reached.
        asked: questions about each query, by index; empty where none are counted.
    """

    rows: tuple[ResultRow, ...]
    index: Tensor
    codes: Tensor
    clean_codes: Tensor
    labels: Tensor
    target_labels: Tensor | None
    anchor_codes: Tensor | None
    goal: Tensor | None
    flat: tuple[int, ...]
    asked: Mapping[int, int]

    @property
    def last(self) -> ResultRow:
        """A row of the 8-bit images, which holds the whole protocol."""
        return next(row for row in self.rows if row.is_attack and row.quantized)


@dataclass(frozen=True, kw_only=True)
class Runner:
    """Runs attacks of the suite on one victim and the same queries.

    Attributes:
        victim: the victim.
        data: queries and database, set up.
        databases: the database's codes, encoded once.
        folder: of the audit; each attack has ``THREAT/NAME`` in it.
        make_trainer: makes a Trainer of keyword arguments, those of Lightning's.
        targets: how the first targeted attack chooses targets; the others read its file.
        ranking: options of MAP.
        batch_size: queries at a time.
        seed: of the audit.
        kernels: as in :class:`lightning_hash.AttackModule`.
        checkpoint_every: iterations between two checkpoints; once a minute where it is ``None``.
        images: how many adversarial images each attack writes.
        config: text of its config.yaml, in which ``transfer`` finds the data.
        before: seconds that each attack took which had ended before, by its folder; 0 of one that
            was run here.
    """

    victim: Victim
    data: HashDataModule
    databases: Databases
    folder: Path
    make_trainer: MakeTrainer
    targets: TargetChoice
    ranking: RankingOptions
    batch_size: int = 100
    seed: int = 0
    kernels: str = "auto"
    checkpoint_every: int | None = None
    images: int | None = None
    config: str | None = None
    before: dict[Path, float] = field(default_factory=dict)

    def run(
        self,
        threat: Threat,
        member: Member,
        queries: Sequence[int],
        *,
        name: str | None = None,
        start_seed: int | None = None,
        **options: Any,
    ) -> MemberRun:
        """Run an attack to its end, or go on where it was killed; all processes call it together.

        Args:
            threat: budget, and what the adversary sees.
            member: the attack.
            queries: indices of the queries to attack.
            name: of its folder; the member's by default.
            start_seed: of a random start.
            options: further arguments of the AttackModule.

        Returns:
            What it has left, which is read where it had ended before.

        Raises:
            ValueError: if the folder holds another attack, or what attacks refuse.
            OSError: if a file cannot be read or written.
        """
        place = self.folder / threat.name / (name or member.name)
        asked = {
            "queries": list(queries), "member": member.name, "iterations": member.iterations,
            "start_seed": start_seed, "more": settings_of(options),
        }  # fmt: skip
        here = not agree((place / ENDED).is_file())
        if here:
            self._attack(place, threat, member, queries, start_seed, asked, options)
        run = read_run(place, asked)
        self.before.setdefault(place, 0.0 if here else float(run.last.run["seconds"]))
        return run

    def _attack(
        self,
        place: Path,
        threat: Threat,
        member: Member,
        queries: Sequence[int],
        start_seed: int | None,
        asked: dict[str, Any],
        options: dict[str, Any],
    ) -> None:
        items = self.databases.ranked if member.targeted else self.databases.database
        own = member.arguments(threat, self.victim, start_seed, len(items))
        module = AttackModule(
            self.victim, **own, **options,
            targets=self.targets, n_queries=None, query_index=list(queries),
            batch_size=self.batch_size, ranking=self.ranking, seed=self.seed, kernels=self.kernels,
            evaluate_at=[], name=member.name,
        )  # fmt: skip
        logger = RunLogger(self.folder, name=f"{threat.name}/{place.name}", version="")
        attack_in(
            place, module, self.data, self.databases, self.make_trainer, logger, asked=asked,
            iterations=member.iterations, checkpoint_every=self.checkpoint_every,
            images=self.images, config=self.config, searches=member.searches,
        )  # fmt: skip


def with_targets(runner: Runner, place: Path) -> Runner:
    """Return a runner whose attacks have the targets of one that has ended.

    Args:
        runner: the runner.
        place: folder of that attack.
    """
    return replace(
        runner, targets=TargetChoice(runner.targets.n_t, file=str(place / "targets.json"))
    )


def attack_in(
    place: Path,
    module: AttackModule,
    data: HashDataModule,
    databases: Databases | Encoded | None,
    make_trainer: MakeTrainer,
    logger: RunLogger,
    *,
    asked: dict[str, Any],
    iterations: int,
    searches: bool,
    checkpoint_every: int | None = None,
    images: int | None = None,
    config: str | None = None,
) -> None:
    """Run an attack to its end in a folder, from its checkpoint where there is one.

    All processes call it together. ``member.json`` is the sign that it has ended.

    Args:
        place: the folder.
        module: the attack.
        data: its queries.
        databases: what they are ranked against, encoded already.
        make_trainer: makes a Trainer of keyword arguments.
        logger: writes to the folder.
        asked: what tells this attack from others, as JSON.
        iterations: of the attack; 0 where there are none.
        searches: whether it asks, and follows no gradient.
        checkpoint_every: iterations between two checkpoints; once a minute where it is ``None``.
        images: how many adversarial images to write.
        config: text of ``config.yaml``.

    Raises:
        ValueError: what attacks refuse, or if it was stopped before its end.
        OSError: if a file cannot be written.
    """
    callbacks: list[Callback] = [RunFolder(images=images, retrieved=None)]
    if iterations:
        callbacks.append(AttackCheckpoint(checkpoint_every, remedy="the same command goes on"))
    trainer = make_trainer(
        max_epochs=max(1, iterations), logger=logger, callbacks=callbacks,
        enable_checkpointing=bool(iterations),
    )  # fmt: skip
    last = place / "checkpoints" / "last.ckpt"
    path = str(last) if agree(last.is_file()) else None
    attack_encoded(trainer, module, data, databases, path)
    if stopped_early(trainer, module) is not None:
        msg = (
            f"{place}: stopped after iteration {module.done} of {iterations}; the same command "
            "goes on"
        )
        raise ValueError(msg)
    # Of a search and of noise nobody asks for a gradient.
    flat = flat_queries(module.attacks) if iterations and not searches else []
    counted = questions_of(module.rules[0].optimizer, module.batches) if iterations else {}
    if trainer.is_global_zero:
        if config is not None:
            write_whole(place / CONFIG, utf8(config))
        text = json.dumps({"asked": asked, "flat": flat, "questions": counted})
        write_whole(place / ENDED, text.encode())
        shutil.rmtree(place / "checkpoints", ignore_errors=True)
    trainer.strategy.barrier()


@contextmanager
def quiet_members() -> Iterator[None]:
    """Leave out what Lightning says of every fit, and doubts, which the attacks' rows hold.

    Of an attack that was stopped :func:`attack_in` says how it goes on.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning")
        warnings.filterwarnings("ignore", message="doubtful:|the attack was stopped|t-MAP is not")
        yield


def agree(here: bool) -> bool:
    """Return what the first process has found."""
    found: bool = gather_objects(here)[0]
    return found


def read_run(place: Path, asked: dict[str, Any]) -> MemberRun:
    """Read what an attack has left.

    Args:
        place: its folder.
        asked: what tells it from others.

    Raises:
        ValueError: if it is another attack, or a file is damaged; names it.
    """
    remedy = f"remove {place} and run it again"
    file = place / ENDED
    said = read_json(file, str(file), remedy)
    flat = said.get("flat") if isinstance(said, dict) else None
    counted = said.get("questions", {}) if isinstance(said, dict) else None
    if not isinstance(flat, list) or not all(type(each) is int for each in flat):
        msg = f"{file} does not say which queries no gradient reached; {remedy}"
        raise ValueError(msg)
    if not isinstance(counted, dict) or not all(type(each) is int for each in counted.values()):
        msg = f"{file} does not say how many questions were asked; {remedy}"
        raise ValueError(msg)
    if said.get("asked") != json.loads(json.dumps(asked)):
        msg = (
            f"{place} holds another attack than is run here; remove the folder, or give "
            "another --name"
        )
        raise ValueError(msg)
    tensors = _read_codes(place / "codes.safetensors", asked["queries"], remedy)
    return MemberRun(
        rows=tuple(read_results(place / "results.json")),
        index=tensors["index"], codes=tensors["codes_8bit"], clean_codes=tensors["clean_codes"],
        labels=tensors["labels"], target_labels=tensors.get("target_labels"),
        anchor_codes=tensors.get("anchor_codes"), goal=tensors.get("goal"), flat=tuple(flat),
        asked={index: counted[str(index)] for index in asked["queries"] if str(index) in counted},
    )  # fmt: skip


def _read_codes(path: Path, queries: Sequence[int], remedy: str) -> dict[str, Tensor]:
    """Read codes and labels of an attack's queries, in their order."""
    check_file(path)
    try:
        with safe_open(path, framework="pt") as file:
            known = {name: file.get_tensor(name) for name in COLUMNS if name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        msg = f"{path} cannot be read ({error}); {remedy}"
        raise ValueError(msg) from error
    whole = all(name in known for name in COLUMNS[:4]) and sorted(queries) == sorted(
        known["index"].flatten().tolist()
    )
    if not whole or {len(each) for each in known.values()} != {len(queries)}:
        msg = f"{path} does not hold codes and labels of the {len(queries)} queries; {remedy}"
        raise ValueError(msg)
    rows = {index: row for row, index in enumerate(known["index"].tolist())}
    order = torch.tensor([rows[index] for index in queries])
    return {name: tensor[order] for name, tensor in known.items()}


def order_of(run: MemberRun, queries: Sequence[int]) -> Tensor:
    """Return the row of each attacked query among ``queries``, int64 ``(n,)``."""
    places = {index: row for row, index in enumerate(queries)}
    return torch.tensor([places[index] for index in run.index.tolist()])
