"""Shared perturbations, a search of one's own and APGD, by two processes in one call."""

import os
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from tests.helpers.own_parts import apgd, built_in, killed, patch, run, search, told, universal
from tests.helpers.processes import in_processes

pytestmark = [
    pytest.mark.ddp,
    pytest.mark.slow,
    pytest.mark.skipif(not dist.is_gloo_available(), reason="torch was built without gloo"),
]


SHARED = {"universal": universal, "built-in": built_in, "patch": patch}
MAKERS = {**SHARED, "search": search, "apgd": apgd}


def _attack(folder, rank):
    """Attack as one of two processes: by each part to the end, and killed and resumed."""
    os.environ |= {
        "LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": "2", "RANK": str(rank),
        "GROUP_RANK": "0", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "test",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1",
    }  # fmt: skip
    found = {}
    for name, make in MAKERS.items():
        strategy = "ddp" if name in SHARED else None
        module = make()
        scores = run(folder / "whole" / name, module, 2, strategy=strategy or "query_parallel")
        found[name] = result(module, scores)
        path = killed(folder / "killed" / name, make(), (3, 1), 2)
        module = make()
        found[f"{name}, resumed"] = result(module, run(folder / name, module, 2, ckpt_path=path))
    return found


def result(module, scores):
    """Return what was made, what is told of it, and the types of the state behind it."""
    state = [kept for rule in module.rules for kept in rule.optimizer.state.values()]
    types = {(k, v.dtype) for kept in state for k, v in kept.items() if torch.is_tensor(v)}
    parameters = [each.detach() for each in module.perturbations.parameters()]
    return parameters, scores.outcome().tensors, told(scores.rows), types


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("own_parts")


@pytest.fixture(scope="module")
def two(folder):
    """What both ranks returned."""
    return in_processes(partial(_attack, folder))


@pytest.fixture(scope="module")
def one(folder):
    """The same by one process."""
    modules = {name: make() for name, make in MAKERS.items()}
    return {n: result(m, run(folder / "one" / n, m)) for n, m in modules.items()}


@pytest.mark.parametrize("name", SHARED)
def test_a_universal_perturbation_of_two_processes_is_that_of_one(one, two, name):
    """At equal global batch: the mean over the two halves is that over the whole."""
    ((expected,), outcome, rows, _) = one[name]
    assert expected.abs().max() > 0.01
    for rank in two:
        ((delta,), found, told_by_two, _) = rank[name]
        torch.testing.assert_close(delta, expected, rtol=0, atol=1e-6)
        perturbation = outcome["perturbation"]
        torch.testing.assert_close(found["perturbation"], perturbation, rtol=0, atol=2e-6)
        assert [(r["metric"], r["attack"]) for r in told_by_two] == [
            (r["metric"], r["attack"]) for r in rows
        ]
        values = [r["value"] for r in told_by_two]
        assert values == pytest.approx([r["value"] for r in rows], abs=1e-5)
    assert torch.equal(two[0][name][0][0], two[1][name][0][0])
    learned_on = {"split": "train", "global_batch": 20}
    attacks = [row["attack"] for row in rows if row["metric"] == "linf"]
    assert [attack["learned_on"] for attack in attacks] == [learned_on] * 4


@pytest.mark.parametrize("name", MAKERS)
def test_two_processes_that_were_killed_go_on(two, name):
    """Between two batches of an iteration, on both; by query_parallel what DDP had begun alone."""
    for rank in two:
        parameters, outcome, rows, types = rank[name]
        again, found, told_again, types_again = rank[f"{name}, resumed"]
        assert all(torch.equal(a, b) for a, b in zip(parameters, again, strict=True))
        assert all(torch.equal(found[key], value) for key, value in outcome.items())
        assert told_again == rows
        assert types_again == types


def test_a_search_of_two_processes_is_that_of_one(one, two):
    """Bit for bit; the second process has a batch of no queries."""
    _, outcome, rows, types = one["search"]
    assert ("tries", torch.int64) in types
    asked = {row["queries"] for row in rows if row["attack"] and row["iteration"] == 6}
    (mean,) = asked
    assert 0 < mean < 3 * 6
    for number, rank in enumerate(two):
        parameters, found, told_by_two, _ = rank["search"]
        assert [len(delta) for delta in parameters] == [[5, 3], [5, 0]][number]
        assert all(torch.equal(found[key], value) for key, value in outcome.items())
        assert told_by_two == rows


def test_apgd_of_two_processes_is_that_of_one(one, two):
    _, outcome, rows, _ = one["apgd"]
    for rank in two:
        _, found, told_by_two, _ = rank["apgd"]
        assert all(torch.equal(found[key], value) for key, value in outcome.items())
        assert told_by_two == rows


@pytest.mark.parametrize("name", MAKERS)
def test_what_two_processes_began_one_ends(folder, one, two, name):
    path = Path(folder) / "killed" / name / "checkpoints" / "last.ckpt"
    module = MAKERS[name]()
    (*_, delta), found, rows, _ = result(
        module, run(folder / "ended" / name, module, ckpt_path=path)
    )
    (*_, expected), outcome, rows_of_one, _ = one[name]
    if name not in SHARED:
        assert all(torch.equal(found[key], value) for key, value in outcome.items())
        assert rows == rows_of_one
    torch.testing.assert_close(delta, expected, rtol=0, atol=1e-6)
