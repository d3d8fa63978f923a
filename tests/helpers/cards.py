"""A card made by hand."""

import dataclasses
from fractions import Fraction

from lightning_hash.results.card import (
    Card,
    Check,
    Estimate,
    MemberResult,
    Point,
    QueryResult,
    Side,
    ThreatResult,
)

N = 100
UNTARGETED = ("hag", "apgd-hag", "apgd-mainstay", "apgd-hinge", "apgd-feature", "square")
TARGETED = ("apgd-anchor", "apgd-mainstay-targeted", "apgd-ranking", "square-targeted")
CLASSES = ("airplane", "cat", "dog", "frog", "ship")
# Worst-case MAP that the members leave: the worst of all is lower, since each query counts alone.
LEFT = (0.012, 0.01, 0.02, 0.008, 0.03, 0.006)
REACHED = (0.7, 0.75, 0.72, 0.8)


def estimate(value, se=0.001, n=N):
    return Estimate(value=value, se=se, n=n)


def member(name, value, won, **changes):
    given = {
        "name": name, "result": estimate(value, 0.002), "won": won, "left_alone": 0,
        "iterations": 500 if name == "hag" else 100,
        "questions": 412.5 if name.startswith("square") else None,
        "budget_used": 0.97, "seconds": 12.5, "warnings": (),
        "attack": {"name": name, "budget": {"class": "LInf", "epsilon": 8 / 255}, "seed": 0},
    }  # fmt: skip
    return MemberResult(**given | changes)


def untargeted(**changes):
    won = (50, 20, 10, 10, 5, 5)
    given = {
        "worst": estimate(0.004), "clean": estimate(0.91, 0.015), "ceiling": None,
        "noise": estimate(0.909, 0.015), "broken": 97, "k": 10,
        "members": tuple(map(member, UNTARGETED, LEFT, won)),
    }  # fmt: skip
    return Side(**given | changes)


def targeted(**changes):
    won = (30, 10, 10, 50)
    given = {
        "worst": estimate(0.9, 0.01), "clean": estimate(0.1, 0.02), "ceiling": estimate(0.95, 0.01),
        "noise": estimate(0.1, 0.02), "broken": 80, "k": 10,
        "members": tuple(map(member, TARGETED, REACHED, won)),
    }  # fmt: skip
    return Side(**given | changes)


def threat(name="linf-8", **changes):
    values = (0.9, 0.6, 0.35, 0.004, 0.0)
    given = {
        "name": name, "norm": "linf", "epsilon": "8/255", "sees": "gradients", "questions": None,
        "untargeted": untargeted(), "targeted": targeted(),
        "curve": tuple(
            Point(epsilon=epsilon, worst=estimate(value, 0.01), broken=20 * place)
            for place, (epsilon, value) in enumerate(
                zip(("1/255", "2/255", "4/255", "8/255", "16/255"), values, strict=True)
            )
        ),
        "smallest": (*(float(Fraction(place % 7 + 1, 255)) for place in range(97)), *[None] * 3),
    }  # fmt: skip
    return ThreatResult(**given | changes)


def check(name="zero-gradient", failed=False, **changes):
    given = {
        "name": name, "threat": "linf-8", "figure": 0.12 if failed else 0.0, "threshold": 0.0,
        "failed": failed, "said": f"No gradient reaches {12 if failed else 0} % of the queries.",
        "remedy": "Look for a sign() or a saturated tanh in the network." if failed else "",
    }  # fmt: skip
    return Check(**given | changes)


def queries(threats=("linf-8",)):
    """Return N queries whose worst AP have a mean of .004 and whose best t-AP one of .9."""
    found = []
    for index in range(N):
        worst = 0.4 if index == 7 else 0.0
        best = 0.9 + (0.05 if index % 2 else -0.05)
        members = {f"{name}/hag": worst + 0.008 for name in threats}
        found.append(
            QueryResult(
                index=index, path=f"test/{index}.png", label=CLASSES[index % 5],
                target=CLASSES[(index + 1) % 5], clean=0.9 + index / 1000, members=members,
                worst=dict.fromkeys(threats, (worst, "hag" if index else "square")),
                best=dict.fromkeys(threats, (best, "apgd-anchor")),
            )
        )  # fmt: skip
    return tuple(found)


def card(**changes):
    given = {
        "suite": "v1",
        "victim": {
            "name": "best.ckpt", "sha256": "0123456789abcdef" * 4, "backbone": "resnet18",
            "bits": 32, "loss": "CSQLoss", "output": "logits", "selected_on": "val/map",
        },
        "data": {
            "dataset": "cifar10", "seed": 0, "inputs_sha256": "i" * 64, "input_shape": [3, 32, 32],
            "sha256": {"train": "t", "query": "q", "database": "d", "open_set": None},
            "n_query": N, "n_database": 5000, "database_codes": None,
        },
        "ranking": {
            "relevance": "labels", "top_k": 1000, "normalizer": "retrieved", "empty": "zero",
            "ties": "expected", "precision_n": 100,
        },
        "run": {
            "version": "0.4.0", "date": "2026-11-28T04:20:32+00:00", "seconds": 1234.5,
            "devices": "1 x cuda", "kernels": "float32",
        },
        "input_shape": (3, 32, 32), "chance": 0.1, "threats": (threat(),),
        "checks": (check(), check("codes-collapsed", threat=None, figure=0.5, threshold=0.1)),
        "queries": (), "about": {},
    }  # fmt: skip
    return Card(**given | changes)


def weaker(given, **changes):
    """Return a card with fields of its first threat's untargeted side changed."""
    first, *others = given.threats
    side = dataclasses.replace(first.untargeted, **changes)
    first = dataclasses.replace(first, untargeted=side)
    return dataclasses.replace(given, threats=(first, *others))
