"""What keeps an audit's numbers from being believed: each check holds a figure against a threshold.

The thresholds and their reasons are in docs/audit/believability.md. Numbers of an attack are given,
not made here; what has to be run for a check alone comes as a callable.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lightning_hash.functional import RankingOptions
from lightning_hash.modules.chance import gain_over_chance
from lightning_hash.modules.doubts import CLOSE, COLLAPSED, NEAR, largest_share, pass_again
from lightning_hash.results.card import Check

# What each figure is held against, by the check's name: a check fails above it, random-weights and
# chance at it and below.
THRESHOLDS = {
    "zero-gradient": 0.0, "black-box-beats-gradients": 0.002, "more-iterations": 0.02,
    "restarts": 0.02, "noise": 0.02, "random-outputs": CLOSE, "train-mode": NEAR,
    "random-weights": 0.0, "chance": 0.0, "large-epsilon": 0.02, "codes-collapsed": COLLAPSED,
}  # fmt: skip
QUERIES = 20  # of which an attack is run again
LONGER, STARTS = 5, 5  # times the iterations; random starts
ERRORS = 2.0  # standard errors


@dataclass(frozen=True, kw_only=True)
class Again:
    """An attack that can be run again on some of its queries.

    Attributes:
        member: the member of the suite that won most.
        iterations: that it has run.
        numbers: ``n`` indices of queries, see :func:`some_of`.
        worst: float ``(n,)``, their worst AP so far, or their best t-AP.
        targeted: whether higher is worse for the victim.
        rerun: ``(member, numbers, iterations, start_seed) -> (n,)``, AP or t-AP of the 8-bit images
            of another run; its own start where the seed is ``None``.
    """

    member: str
    iterations: int
    numbers: Sequence[int]
    worst: Tensor
    targeted: bool
    rerun: Callable[[str, Sequence[int], int, int | None], Tensor]

    def gain(self, runs: Sequence[tuple[int, int | None]]) -> Tensor:
        """Run it again, and return how much worse the worst case of each query becomes.

        Queries that are at the end already are not run.

        Args:
            runs: iterations and start of each run.

        Returns:
            float64 ``(n,)``, from 0 on.
        """
        sign = 1.0 if self.targeted else -1.0
        before = self.worst.double()
        left = [i for i, value in enumerate(before.tolist()) if value != float(self.targeted)]
        after = before.clone()
        for iterations, seed in runs if left else []:
            numbers = [self.numbers[i] for i in left]
            found = self.rerun(self.member, numbers, iterations, seed).to(after)
            after[left] = sign * torch.maximum(sign * after[left], sign * found)
        return sign * (after - before)


def some_of(count: int, seed: int = 0) -> list[int]:
    """Draw the rows of the queries that are attacked again, of ``count``, in rising order.

    Example:
        >>> len(some_of(100)), some_of(3)
        (20, [0, 1, 2])
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    found: list[int] = order[:QUERIES].sort().values.tolist()
    return found


def zero_gradient(threat: str, reached: Mapping[str, Sequence[bool]]) -> Check:
    """Check that a gradient reaches each query.

    Args:
        threat: whose numbers are looked at.
        reached: by member with a gradient, whether one that is not zero throughout has reached each
            query; true of a query that had nothing left to flip.
    """
    shares = {name: 1 - sum(rows) / len(rows) for name, rows in reached.items() if len(rows)}
    flat = [name for name, share in shares.items() if share > 0]
    if not shares:
        return _unknown("zero-gradient", threat, "no attack of this threat takes gradients")
    said = "a gradient reaches every query in every attack that takes one"
    if flat:
        counts = ", ".join(f"{name} {shares[name]:.0%}" for name in flat)
        said = f"the gradient of queries is exactly zero: {counts}"
    return _check(
        "zero-gradient", threat, max(shares.values()), said,
        "the victim rounds, cuts the gradient or its logits are saturated; attack the network "
        "without what cuts it (straight through, or logits in place of codes), and trust the "
        "search members alone until then",
    )  # fmt: skip


def black_box_beats_gradients(
    threat: str, gradients: Tensor, after: Tensor, *, targeted: bool = False
) -> Check:
    """Check that a search without gradients finds little that the gradients did not.

    Args:
        threat: whose numbers are looked at.
        gradients: float ``(Q,)``, worst AP per query over the members with gradients; targeted the
            best t-AP.
        after: the same over these and the search.
        targeted: whether higher is worse for the victim.
    """
    gain = (after - gradients) if targeted else (gradients - after)
    figure, error = _bound(gain)
    metric = "raises t-MAP" if targeted else "lowers MAP"
    return _check(
        "black-box-beats-gradients", threat, figure,
        f"Square {metric} by {float(gain.mean()):.4f}{error} beyond what the gradients reached",
        "gradients are masked: the worst case by gradients is no bound; look at zero-gradient, and "
        "attack the victim without what masks them",
    )  # fmt: skip


def more_iterations(threat: str, again: Again) -> Check:
    """Check that five times the iterations hardly change the worst case."""
    gain = again.gain([(LONGER * again.iterations, None)])
    return _of_gain(
        "more-iterations", threat, gain, again, f"{LONGER} times the iterations",
        "the attack had not converged: run the audit's members longer, or find what slows them "
        "(gradients that are masked or random)",
    )  # fmt: skip


def restarts(threat: str, again: Again) -> Check:
    """Check that random starts hardly change the worst case."""
    gain = again.gain([(again.iterations, seed) for seed in range(1, STARTS + 1)])
    return _of_gain(
        "restarts", threat, gain, again, f"{STARTS} random starts",
        "the start decides what the attack finds: the loss is flat or rugged around the clean "
        "query; give start_seed, and take the worst of several runs (transfer --combination best)",
    )  # fmt: skip


def noise(threat: str, clean: Tensor, noisy: Tensor, flipped: float) -> Check:
    """Check that the victim withstands uniform noise in the budget.

    Args:
        threat: whose budget.
        clean: float ``(Q,)``, AP of the clean queries.
        noisy: the same with noise.
        flipped: share of the bits that noise flips.
    """
    figure, error = _bound(clean - noisy)
    loss = float((clean - noisy).double().mean())
    return _check(
        "noise", threat, figure,
        f"uniform noise of this size takes {loss:.4f}{error} of MAP and flips {flipped:.1%} of the "
        "bits",
        "the victim is brittle: no adversary is needed, and a worst case says little of "
        "adversaries; train with noise or blur, or look at preprocess",
    )  # fmt: skip


def outputs(
    passed: Callable[[int, int], Tensor], count: int, training: Sequence[str] = ()
) -> tuple[Check, Check]:
    """Check that a query's output is one, whenever and with whatever others it is passed.

    Args:
        passed: ``(start, stop) -> (n, K)``, logits of some of the queries as one batch.
        count: queries there are.
        training: names of modules that are in train mode all the same.

    Returns:
        The checks ``random-outputs`` and ``train-mode``.
    """
    again, apart = pass_again(passed, count)
    random = _check(
        "random-outputs", None, again,
        f"two passes of the same queries differ by {again:.2g} of the largest logit",
        "dropout, noise or a random transform is active: one gradient is one draw; average over "
        "several (expectation over transformations), or switch it off and say so",
    )  # fmt: skip
    if random.failed:
        why = "the outputs are random, so that the batch's part in them cannot be told"
        return random, _unknown("train-mode", None, why)
    names = f"; in train mode are {', '.join(training[:3])}" if training else ""
    mode = _check(
        "train-mode", None, max(apart, 1.0 if training else 0.0),
        f"a batch and its two halves differ by {apart:.2g} of the largest logit{names}",
        "a batch norm takes the batch's own mean: a query's code depends on its neighbours; give "
        "the network in eval mode, with running statistics",
    )  # fmt: skip
    return random, mode


def random_weights(clean: Tensor, copies: Sequence[Tensor], *, labelled: bool = True) -> Check:
    """Check that the victim retrieves better than copies of it with random weights.

    Args:
        clean: float ``(Q,)``, AP of the clean queries.
        copies: the same of each copy that was drawn anew, on the same database.
        labelled: whether relevance is by labels; a ranking is right about its own results.
    """
    name = "random-weights"
    if not labelled:
        return _unknown(name, None, "without labels any network retrieves what it retrieves")
    if not copies:
        return _unknown(name, None, "no module of the victim can be drawn anew")
    best = max(copies, key=lambda values: float(values.double().mean()))
    figure, error = _bound(clean - best)
    values = [float(each.double().mean()) for each in (clean, best)]
    return _check(
        name, None, figure,
        f"clean MAP is {values[0]:.4f}, that of the best of {len(copies)} copies with random "
        f"weights {values[1]:.4f}; the difference is {values[0] - values[1]:.4f}{error}",
        "the weights were not loaded, or not trained: look at the checkpoint and at the names in "
        "its state dict", least=True,
    )  # fmt: skip


def chance(
    codes: Tensor,
    database_codes: Tensor,
    labels: Tensor,
    database_labels: Tensor,
    ranking: RankingOptions,
    *,
    labelled: bool = True,
) -> Check:
    """Check that clean MAP is above that of a ranking at random.

    Args:
        codes: ``(Q, K)`` of -1/+1 of the clean queries.
        database_codes: ``(N, K)``.
        labels: ``(Q, C)`` of 0/1.
        database_labels: ``(N, C)``.
        ranking: options of MAP.
        labelled: whether relevance is by labels.
    """
    if not labelled:
        return _unknown("chance", None, "without labels clean MAP is that of the victim's own")
    gain = gain_over_chance(codes, database_codes, labels, database_labels, ranking)
    if gain is None:
        return _check(
            "chance", None, 0.0, "no query has a relevant item in the database",
            "give a database with items of the queries' labels", least=True,
        )  # fmt: skip
    figure = gain.clean - gain.chance - gain.needed
    said = f"clean MAP is {gain.clean:.4f}, that of a ranking at random {gain.chance:.4f}"
    return _check(
        "chance", None, figure if gain.error is not None else gain.clean - gain.chance,
        said if gain.error is None else f"{said} (two standard errors: {gain.needed:.4f})",
        "there is no retrieval to attack: are these the victim's weights, database and preprocess?",
        least=True,
    )  # fmt: skip


def large_epsilon(
    threat: str,
    inputs: Tensor,
    labels: Tensor | None,
    norm: Literal["linf", "l2"],
    epsilon: float,
) -> Check:
    """Check that the budget holds no image for which no victim could be right.

    Args:
        threat: whose budget.
        inputs: ``(Q, ..., H, W)`` in [0, 1], clean queries.
        labels: ``(Q, C)`` of 0/1; ``None`` looks for plain images alone.
        norm: of the budget.
        epsilon: its radius, in [0, 1] units.
    """
    lost = to_plain(inputs, norm) <= epsilon
    if labels is not None and len(inputs) > 1:
        lost |= to_stranger(inputs, labels, norm) <= 2 * epsilon
    figure = float(lost.double().mean())
    return _check(
        "large-epsilon", threat, figure,
        f"the budget turns {int(lost.sum())} of {len(lost)} queries into a plain colour, or into "
        "what a query without a common label can be turned into too",
        "no victim can withstand this epsilon on these images; take a smaller one",
    )  # fmt: skip


def to_plain(inputs: Tensor, norm: Literal["linf", "l2"]) -> Tensor:
    """Return how far each input ``(Q, ..., H, W)`` is from one of a single value per channel.

    Returns:
        float ``(Q,)``, in the norm's units.
    """
    planes = inputs.flatten(-2)
    if norm == "linf":
        return ((planes.amax(dim=-1) - planes.amin(dim=-1)) / 2).flatten(1).amax(dim=1)
    apart = planes - planes.mean(dim=-1, keepdim=True)
    return apart.flatten(1).square().sum(dim=1).sqrt()


def to_stranger(inputs: Tensor, labels: Tensor, norm: Literal["linf", "l2"]) -> Tensor:
    """Return how far each input is from the nearest other one that shares no label with it.

    Args:
        inputs: ``(Q, ...)``.
        labels: ``(Q, C)`` of 0/1.
        norm: in which distances are measured.

    Returns:
        float ``(Q,)``; infinite where all others share a label.
    """
    rows, kinds = inputs.flatten(1).float(), labels.float()
    apart = torch.cdist(rows, rows, p=torch.inf if norm == "linf" else 2.0)
    return apart.masked_fill(kinds @ kinds.T > 0, torch.inf).amin(dim=1)


def codes_collapsed(groups: Mapping[str, tuple[Tensor, Tensor | None]]) -> Check:
    """Check that no code stands for nearly all items.

    Args:
        groups: codes ``(N, K)`` and labels ``(N, C)`` of queries and database, by what they are;
            one label for as many items excuses one code.
    """
    shares = {}
    for what, (codes, labels) in groups.items():
        share = largest_share(codes)
        excused = labels is not None and largest_share(labels) >= share
        shares[what] = 0.0 if excused and share > COLLAPSED else share
    what = max(shares, key=lambda name: shares[name])
    return _check(
        "codes-collapsed", None, shares[what],
        f"the most frequent code is that of {shares[what]:.1%} of the {what}",
        "the victim has collapsed, so that a ranking says nothing: train it anew, or look at its "
        "inputs (preprocess)",
    )  # fmt: skip


def _of_gain(name: str, threat: str, gain: Tensor, again: Again, what: str, remedy: str) -> Check:
    figure, error = _bound(gain)
    metric = "raise the best t-MAP" if again.targeted else "lower the worst MAP"
    said = (
        f"{what} of {again.member} {metric} of {len(gain)} queries by "
        f"{float(gain.mean()):.4f}{error}"
    )
    return _check(name, threat, figure, said, remedy)


def _check(
    name: str, threat: str | None, figure: float, said: str, remedy: str, *, least: bool = False
) -> Check:
    """Hold a figure against its threshold, which it must exceed where ``least``."""
    threshold = THRESHOLDS[name]
    failed = not figure > threshold if least else not figure <= threshold
    return Check(
        name=name, threat=threat, figure=figure, threshold=threshold, failed=failed, said=said,
        remedy=remedy if failed else "",
    )  # fmt: skip


def _unknown(name: str, threat: str | None, why: str) -> Check:
    return Check(
        name=name, threat=threat, figure=None, threshold=THRESHOLDS[name], failed=False,
        said=f"not looked at: {why}",
    )  # fmt: skip


def _bound(values: Tensor) -> tuple[float, str]:
    """Return two standard errors below the mean over the queries, and the error as text."""
    mean, error = float(values.double().mean()), _error(values)
    if error is None:
        return mean, ""
    return mean - ERRORS * error, f" (standard error {error:.4f})"


def _error(values: Tensor) -> float | None:
    if len(values) < 2:
        return None
    return float(values.double().std()) / math.sqrt(len(values))
