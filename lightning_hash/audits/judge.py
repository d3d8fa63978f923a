"""The checks of :mod:`lightning_hash.audits.believe`, on the runs of an audit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from lightning_hash.attacks import parse_epsilon
from lightning_hash.audits import believe
from lightning_hash.audits.copies import COPIES, drawn_anew, estimate_statistics
from lightning_hash.audits.member_run import MemberRun, Runner, order_of
from lightning_hash.audits.suite import Member
from lightning_hash.audits.threat_run import Scored
from lightning_hash.audits.threats import Threat
from lightning_hash.audits.worst import Worst, ap_per_query
from lightning_hash.data.queries import QueryData
from lightning_hash.functional import sign_code
from lightning_hash.results.card import Check
from lightning_hash.victims.victim import Victim

ITEMS = 1000  # of the database, by which copies with random weights are judged


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Looks for what keeps the numbers of an audit from being believed.

    All processes call its methods together; what each computes for itself is the same.

    Attributes:
        runner: runs attacks again.
        queries: the audited queries, by index.
        noise: noise in the first threat's budget, which every query has.
        labelled: whether relevance is by labels.
        device: where the victim is passed.
        longer: whether attacks are run again.
    """

    runner: Runner
    queries: Sequence[int]
    noise: MemberRun
    labelled: bool
    device: torch.device
    longer: bool

    def of_victim(self) -> list[Check]:
        """Look at the victim and at its clean codes."""
        run, items = self.noise, self.runner.databases.database
        inputs, *lengths = self._inputs()
        victim = self.runner.victim
        victim.network.to(self.device)

        @torch.no_grad()
        def passed(start: int, stop: int) -> Tensor:
            rows = (part[start:stop].to(self.device) for part in (inputs, *lengths))
            logits: Tensor = victim(*rows)
            return logits

        training = [name for name, each in victim.network.named_modules() if each.training]
        excuse = run.labels if self.labelled else None
        groups = {
            "queries": (run.clean_codes, excuse),
            "database": (items.codes, items.labels if self.labelled else None),
        }
        return [
            *believe.outputs(passed, min(len(inputs), self.runner.batch_size), training),
            self._random_weights(),
            believe.chance(
                run.clean_codes, items.codes, run.labels, items.labels, self.runner.ranking,
                labelled=self.labelled,
            ),
            believe.codes_collapsed(groups),
        ]  # fmt: skip

    def of_threat(self, threat: Threat, noise: MemberRun) -> list[Check]:
        """Look at a threat's budget.

        Args:
            threat: the threat.
            noise: uniform noise in it.
        """
        items, ranking = self.runner.databases.database, self.runner.ranking
        clean, noisy = (
            ap_per_query(codes, noise.labels, items, ranking)
            for codes in (noise.clean_codes, noise.codes)
        )
        flipped = float((noise.codes != noise.clean_codes).double().mean())
        inputs, *_ = self._inputs()
        labels = noise.labels if self.labelled else None
        epsilon = parse_epsilon(threat.epsilon, largest=torch.inf)
        return [
            believe.noise(threat.name, *_there(clean, noisy), flipped),
            believe.large_epsilon(threat.name, inputs, labels, threat.norm, epsilon),
        ]

    def of_attacks(self, threat: Threat, scored: Scored, runner: Runner) -> list[Check]:
        """Look at the attacks of one side of a threat with gradients.

        Args:
            threat: the threat.
            scored: its attacks, and what they have come to.
            runner: runs them again, on the same targets.
        """
        members, runs = scored.members, scored.runs
        gradients = [number for number, member in enumerate(members) if not member.searches]
        if not threat.white_box:
            return []
        if not gradients:
            if self.runner.victim.gives_codes:  # by its kind, which the card says
                return []
            none = [False] * len(self.queries)
            return [believe.zero_gradient(threat.name, {"any attack that takes one": none})]
        targeted = scored.targeted
        reached = {}
        for number in gradients:
            run = runs[number]
            # A loss that has no slope far away says nothing of the victim.
            if run is not None and not members[number].objective().clamps:
                flat = set(run.flat)
                reached[members[number].name] = [int(each) not in flat for each in run.index]
        found = [believe.zero_gradient(threat.name, reached)]
        worst = scored.worst
        by_gradients = Worst.over([scored.values[i] for i in gradients], targeted=targeted)
        without_search = Worst.over(
            [scored.clean, *(scored.values[i] for i in gradients)], targeted=targeted
        )
        if len(gradients) < len(members):
            pair = _there(without_search.values, worst.values)
            found.append(believe.black_box_beats_gradients(threat.name, *pair, targeted=targeted))
        if self.longer:
            member = members[most_won(by_gradients, gradients)]
            again = self._again(threat, member, worst, runner)
            found += [believe.more_iterations(threat.name, again)]
            found += [believe.restarts(threat.name, again)]
        return found

    def _again(self, threat: Threat, member: Member, worst: Worst, runner: Runner) -> believe.Again:
        known = torch.nonzero(~worst.values.isnan()).flatten().tolist()
        rows = [known[row] for row in believe.some_of(len(known), runner.seed)]
        databases = runner.databases
        items = databases.ranked if member.targeted else databases.database

        def rerun(name: str, numbers: Sequence[int], iterations: int, seed: int | None) -> Tensor:
            place = f"{name}-longer" if seed is None else f"{name}-start-{seed}"
            longer = replace(member, iterations=iterations)
            run = runner.run(threat, longer, numbers, name=place, start_seed=seed)
            labels = run.target_labels if member.targeted else run.labels
            assert labels is not None
            found = torch.empty(len(numbers), dtype=torch.float64)
            found[order_of(run, numbers)] = ap_per_query(run.codes, labels, items, runner.ranking)
            return found

        return believe.Again(
            member=member.name, iterations=member.iterations, worst=worst.values[rows],
            numbers=[self.queries[row] for row in rows], targeted=member.targeted, rerun=rerun,
        )  # fmt: skip

    @torch.no_grad()
    def _codes(self, victim: Victim, split: str, index: Sequence[int]) -> Tensor:
        """Return the codes ``(n, K)`` of items."""
        codes, size = [], self.runner.batch_size
        for start in range(0, len(index), size):
            parts = _loaded(self.runner, split, index[start : start + size])
            codes.append(sign_code(victim(*(part.to(self.device) for part in parts))).cpu())
        return torch.cat(codes)

    def _inputs(self) -> list[Tensor]:
        """Return the queries, and their lengths where they have several."""
        return _loaded(self.runner, "query", self.queries)

    def _random_weights(self) -> Check:
        """Compare the victim with copies of it, on some of the database."""
        items, run = self.runner.databases.database, self.noise
        if not self.labelled:
            return believe.random_weights(torch.zeros(0), [], labelled=False)
        order = torch.randperm(
            len(items.codes), generator=torch.Generator().manual_seed(self.runner.seed)
        )
        rows = order[:ITEMS].sort().values
        some = replace(
            items,
            codes=items.codes[rows],
            labels=items.labels[rows],
            index=items.index[rows],
            paths=(),
        )
        splits = {"query": self.queries, "database": some.index.tolist()}

        def ap(codes: Tensor, database: Tensor) -> Tensor:
            held = replace(some, codes=database)
            return ap_per_query(codes, run.labels, held, self.runner.ranking)

        clean, copies = ap(run.clean_codes, some.codes), []
        for seed in range(COPIES):
            network = drawn_anew(self.runner.victim.network, seed)
            if network is None:
                break
            victim = Victim(network.to(self.device))
            first = _loaded(self.runner, "database", splits["database"][: self.runner.batch_size])
            parts = [part.to(self.device) for part in first]
            estimate_statistics(network, partial(victim, *parts))
            codes = [self._codes(victim, split, index) for split, index in splits.items()]
            copies.append(ap(*codes))
        kept = ~clean.isnan()
        return believe.random_weights(clean[kept], [each[kept] for each in copies])


def most_won(worst: Worst, numbers: Sequence[int]) -> int:
    """Return which attack was the first to reach the worst case of most queries.

    Args:
        worst: over these attacks.
        numbers: of the attacks; the first of several equal ones is returned.
    """
    known = worst.by[~worst.values.isnan()]
    counts = torch.bincount(known, minlength=len(numbers))
    return numbers[int(counts.argmax())]


def _loaded(runner: Runner, split: str, index: Sequence[int]) -> list[Tensor]:
    """Load items: inputs ``(n, ...)``, and lengths ``(n,)`` where they have several."""
    data = QueryData(runner.data, None, len(index), runner.seed, list(index), split=split)
    data.setup("predict")
    inputs, _, _, *lengths = data.load_batch(0)
    return [inputs, *lengths]


def _there(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Return the queries that have both numbers."""
    kept = ~(one.isnan() | other.isnan())
    return one[kept], other[kept]
