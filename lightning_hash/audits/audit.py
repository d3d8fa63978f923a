"""The audit: all members of the suite on one victim, and the card."""

import datetime
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from lightning_hash._version import __version__
from lightning_hash.attacks import TargetChoice
from lightning_hash.audits.beyond import Beyond, points, strongest_by_apgd
from lightning_hash.audits.curve import Reached, check_epsilons, epsilons_of
from lightning_hash.audits.folder import take_folder
from lightning_hash.audits.judge import Judge
from lightning_hash.audits.member_run import MakeTrainer, Runner, quiet_members
from lightning_hash.audits.own_results import OwnResults, labels_by_results
from lightning_hash.audits.strips import strips
from lightning_hash.audits.threat_run import Scored, ThreatRun
from lightning_hash.audits.threats import Threat
from lightning_hash.audits.wanted import Wanted
from lightning_hash.codes.code_set import CodeSet
from lightning_hash.data.base import HashDataModule
from lightning_hash.data.group_labels import SAME_GROUP
from lightning_hash.data.queries import QueryData
from lightning_hash.engine.attack_run import find_databases
from lightning_hash.engine.callbacks.retrieved import label_names
from lightning_hash.engine.encode_splits import encode_splits
from lightning_hash.modules.chance import chance_of
from lightning_hash.modules.databases import Databases, choose_target_database
from lightning_hash.modules.protocol import data_settings, victim_settings
from lightning_hash.modules.target_loader import check_targets
from lightning_hash.reports.audit_card import AuditCard
from lightning_hash.results.card import (
    Card,
    Check,
    QueryResult,
    Side,
    ThreatResult,
)
from lightning_hash.utils.distributed import gather_objects
from lightning_hash.victims.borrow import borrowed
from lightning_hash.victims.victim import Victim

ANCHORS = 9  # items of an anchor set (DHTA), where there are as many


class Audit:
    """Runs the suite on a victim; what has been run before in its folder is read.

    Args:
        victim: what is audited.
        data: queries and database.
        wanted: what is asked.
        root: folder of all audits of this name.
        make_trainer: makes a Trainer of keyword arguments, those of Lightning's.
        tell: takes a line about each attack that has ended.
        config: text of config.yaml, of the audit and of each attack.

    Raises:
        ValueError: if several victims are given as one, or the curve has no such epsilons.
    """

    def __init__(
        self,
        victim: Victim,
        data: HashDataModule,
        wanted: Wanted,
        root: Path,
        make_trainer: MakeTrainer,
        tell: Callable[[str], None] = lambda line: None,
        config: str | None = None,
    ) -> None:
        if victim.members:
            msg = f"victim: an audit is of one, got {len(victim.members)}; audit each by itself"
            raise ValueError(msg)
        for threat in wanted.threats:
            check_epsilons(wanted.curve or (), threat.norm)
        self.victim, self.data, self.wanted, self.root = victim, data, wanted, root
        self.make_trainer, self.tell, self.config = make_trainer, tell, config
        self.labelled = True

    def run(self, only: Sequence[str] = ()) -> AuditCard | None:
        """Run what is left of the audit and return its card; all processes call it together.

        Args:
            only: names of threats, whose attacks alone are run; there is no card then, until a run
                without finds all attacks finished. So tasks of an array share an audit.

        Raises:
            ValueError: if victim, data or options do not go together.
            OSError: if a file cannot be read or written.
        """
        started = time.monotonic()
        with borrowed(self.victim.network), quiet_members():
            self._prepare()
            threats = []
            self.queries: list[dict[str, Any]] = [
                {"members": {}, "worst": {}, "best": {}} for _ in self.chosen
            ]
            self.attacked: dict[str, ThreatRun] = {}
            self.checks: list[Check] = []
            for threat in self.wanted.threats:
                if not only or threat.name in only:
                    threats.append(self._threat(threat))
            if only:
                return None
            before = sum(self.runner.before.values())
            return self._card(threats, before + time.monotonic() - started)

    def _prepare(self) -> None:
        """Encode the database, draw the queries, find the folder, choose the targets."""
        wanted, data = self.wanted, self.data
        data.prepare_data()
        data.setup("predict")
        n_queries = wanted.suite.n_queries if wanted.n_queries is None else wanted.n_queries
        drawn = QueryData(data, n_queries, wanted.batch_size, wanted.seed)
        drawn.setup("predict")
        self.chosen: list[int] = [int(index) for index in drawn.queries.indices]
        trainer = self.make_trainer(max_epochs=1, logger=False, enable_checkpointing=False)
        target = choose_target_database("auto", data)
        databases = find_databases(trainer, self.victim, data, target)
        if databases is None:
            data, databases = self._by_own_results(trainer)
        self.source = data
        self.databases = replace(databases, database=_ordered(databases.database))
        self.trainer = trainer
        asked = QueryData(data, None, wanted.batch_size, wanted.seed, self.chosen)
        asked.setup("predict")
        self.protocol = {
            "victim": victim_settings(self.victim),
            "data": data_settings(asked, self.databases),
        }
        self.folder = self._find_folder()
        self.choice = self._choose_targets(asked)
        self.runner = Runner(
            victim=self.victim, data=data, databases=self.databases, folder=self.folder,
            make_trainer=self.make_trainer, targets=self.choice or TargetChoice(1),
            ranking=wanted.ranking, batch_size=wanted.batch_size, seed=wanted.seed,
            kernels=wanted.kernels, checkpoint_every=wanted.checkpoint_every, config=self.config,
        )  # fmt: skip

    def _by_own_results(self, trainer: Any) -> tuple[HashDataModule, Databases]:
        """Let the clean results of each query stand for labels."""
        self.labelled = False
        found = encode_splits(trainer, self.victim, self.data, ["database", "query"])
        database, queries = _ordered(found["database"]), _ordered(found["query"])
        labels = labels_by_results(queries.codes[self.chosen], database)
        labelled = replace(database, labels=labels)
        return OwnResults(self.data, self.chosen, labels), Databases(labelled, None, "database")

    def _find_folder(self) -> Path:
        """Return the folder of this audit, the same in all processes."""
        found = None
        if self.trainer.is_global_zero:
            found = take_folder(self.root, json.loads(json.dumps(self.settings())), self.config)
        chosen: Path = gather_objects(found)[0]
        return chosen

    def settings(self) -> dict[str, Any]:
        """Return all that the numbers of every threat depend on, as JSON."""
        wanted = self.wanted
        return {
            "suite": wanted.suite.name, "queries": self.chosen, "seed": wanted.seed,
            "batch_size": wanted.batch_size, "ranking": asdict(wanted.ranking),
            "kernels": wanted.kernels, "version": __version__, **self.protocol,
        }  # fmt: skip

    def _choose_targets(self, asked: QueryData) -> TargetChoice | None:
        """Return how targets are chosen: without a common label, and by nine items, if it can be.

        ``None`` where there is no target for some query.
        """
        for rule, n_t in (
            ("disjoint", ANCHORS),
            ("disjoint", 1),
            ("different", ANCHORS),
            ("different", 1),
        ):
            choice = TargetChoice(n_t, rule=rule, seed=self.wanted.seed)  # type: ignore[arg-type]
            try:
                check_targets(asked, choice, self.databases.target)
            except ValueError:
                continue
            return choice
        return None

    def _threat(self, threat: Threat) -> ThreatResult:
        """Run a threat model's attacks, untargeted and targeted."""
        members = self.wanted.suite.of(threat, self.victim, self._has_gradient)
        attacked = ThreatRun(
            threat=threat, runner=self.runner, chosen=self.chosen, databases=self.databases,
            has_targets=self.choice is not None, tell=self.tell,
        )  # fmt: skip
        self.attacked[threat.name] = attacked
        self._judge(attacked)
        sides: list[Side | None] = []
        beyond: dict[str, Any] = {}
        for targeted in (False, True):
            scored = attacked.run([each for each in members if each.targeted is targeted])
            sides.append(None if scored is None else scored.side())
            if scored is None:
                continue
            self._note(threat, scored)
            # One side is run again, so that a check costs as much as it says.
            judge = replace(self.judge, longer=self.judge.longer and not targeted)
            self.checks += judge.of_attacks(threat, scored, attacked.runner)
            if not targeted:
                beyond = self._beyond(threat, scored)
        asked = [member.iterations for member in members if member.searches]
        sees = threat.sees
        if threat.white_box and not self._has_gradient:
            sees = "codes" if self.victim.gives_codes else "logits"
        return ThreatResult(
            name=threat.name, norm=threat.norm, epsilon=threat.epsilon, sees=sees,
            questions=None if sees == "gradients" else max(asked, default=None),
            untargeted=sides[0], targeted=sides[1], **beyond,
        )  # fmt: skip

    def _judge(self, attacked: ThreatRun) -> None:
        """Look at the victim, once, and at a threat's budget."""
        if not self.checks:
            self.judge = Judge(
                runner=self.runner, queries=self.chosen, noise=attacked.noise,
                labelled=self.labelled, device=self.trainer.strategy.root_device,
                longer=self.wanted.suite.checks_longer,
            )  # fmt: skip
            self.checks += self.judge.of_victim()
        self.checks += self.judge.of_threat(attacked.threat, attacked.noise)

    def _beyond(self, threat: Threat, scored: Scored) -> dict[str, Any]:
        """Measure what the card says beyond the threat's epsilon, of a threat with gradients."""
        wanted = self.wanted
        member = strongest_by_apgd(scored.members, scored.values)
        epsilons = wanted.curve
        if epsilons is None:
            epsilons = epsilons_of(threat.norm, threat.epsilon)
        if member is None or not (epsilons or wanted.smallest):
            return {}
        beyond = Beyond(runner=self.runner, threat=threat, member=member, queries=self.chosen)
        own = Reached(scored.worst.values, scored.broken)
        reached = beyond.curve(epsilons, own)
        found: dict[str, Any] = {"curve": points(reached)}
        if wanted.smallest:
            found["smallest"] = beyond.smallest({threat.epsilon: own, **reached})
        return found

    @property
    def _relevance(self) -> str:
        if not self.labelled:
            return "clean"
        return "groups" if self.data.relevance == SAME_GROUP else "labels"

    @cached_property
    def _has_gradient(self) -> bool:
        """Whether the victim's outputs depend on its inputs in a way that autograd knows."""
        if self.victim.gives_codes:
            return False
        item = self.source.query_set[self.chosen[0]]
        inputs = item[0][None].to(self.trainer.strategy.root_device).requires_grad_()
        lengths = [torch.as_tensor(each)[None].to(inputs.device) for each in item[3:]]
        with torch.enable_grad():
            self.victim.network.to(inputs.device)
            return bool(self.victim(inputs, *lengths).requires_grad)

    def _note(self, threat: Threat, scored: Scored) -> None:
        """Keep what is to be said of every query."""
        source, targeted = self.source, scored.targeted
        names: Sequence[str] = source.class_names
        if targeted and self.databases.open_set is not None:
            names = source.open_class_names
        labels = label_names(scored.labels, names)
        for row, query in enumerate(self.queries):
            for member, values in zip(scored.members, scored.values, strict=True):
                if not values[row].isnan():
                    query["members"][f"{threat.name}/{member.name}"] = float(values[row])
            value = float(scored.worst.values[row])
            if not math.isnan(value):
                extreme = "best" if targeted else "worst"
                query[extreme][threat.name] = value, scored.won_by(row)
            query["target" if targeted else "label"] = labels[row]
            if not targeted:
                clean = float(scored.clean[row])
                query["clean"] = None if math.isnan(clean) else clean

    def _card(self, threats: Sequence[ThreatResult], seconds: float) -> AuditCard:
        """Put the card together, and write it."""
        wanted, attacked = self.wanted, self.attacked[threats[0].name]
        row = attacked.noise.last
        paths = self.source.paths_of("query")
        queries = tuple(
            QueryResult(
                index=index, path=paths[index] if paths else "", label=query.get("label", ""),
                target=query.get("target", ""), clean=query.get("clean"), members=query["members"],
                worst=query["worst"], best=query["best"],
            )
            for index, query in zip(self.chosen, self.queries, strict=True)
        )  # fmt: skip
        chance = chance_of(attacked.noise.labels, self.databases.database.labels, wanted.ranking)
        card = Card(
            suite=wanted.suite.name, victim=row.victim, data=row.data,
            ranking={**row.ranking, "relevance": self._relevance},
            run={
                "version": __version__, "seconds": round(seconds, 1), "devices": row.run["devices"],
                "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
                "kernels": row.run["kernels"],
            },
            input_shape=tuple(self.source.input_shape), chance=float(chance.nan_to_num(0).mean()),
            threats=tuple(threats), checks=tuple(self.checks), queries=queries,
        )  # fmt: skip
        pictures = []
        if self.trainer.is_global_zero:
            place = self.folder / threats[0].name
            items = self.databases.database
            pictures = strips(card, self.source, items, attacked.runs, place)
        found = AuditCard.of(card, pictures)
        if self.trainer.is_global_zero:
            found.save(self.folder)
        self.trainer.strategy.barrier()
        return found


def _ordered(items: CodeSet) -> CodeSet:
    """Return items in the order of the database, by which ties may be broken."""
    order = torch.argsort(items.index)
    paths = tuple(items.paths[row] for row in order.tolist()) if items.paths else ()
    return replace(
        items, codes=items.codes[order], labels=items.labels[order], index=items.index[order],
        paths=paths,
    )  # fmt: skip
