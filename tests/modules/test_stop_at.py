"""Queries that have come far enough are stepped and asked no more."""

from functools import partial

import pytest
import torch
from pytorch_lightning.callbacks import Callback
from torch import nn

from lightning_hash.attacks import (
    APGD,
    NES,
    AnchorCode,
    DiverseInputs,
    Hinge,
    NesterovSignStep,
    Oracle,
    SignHunter,
    SignStep,
    Square,
)
from lightning_hash.commands.attack import run_attack
from tests.conftest import TinyNet
from tests.helpers.attacks import attack, make, rows_of, trainer
from tests.helpers.one_for_all import OneForAll
from tests.helpers.own_parts import killed, run, told

ITERATIONS = 30
HINGE = {"objective": Hinge(), "epsilon": 0.4}
ANCHOR = {"objective": Hinge(targeted=True), "epsilon": 0.5}
nes, signs = partial(NES, lr=0.05, pairs=2), partial(SignStep, lr=0.05)


class Look(Callback):
    """Where each query was when its distance to the goal was first far enough."""

    def __init__(self, far_enough, at_start):
        self.far_enough, self.at_start, self.places, self.when = far_enough, at_start, {}, {}

    def on_train_start(self, trainer, module):
        if self.at_start:
            self.look(module, -1)

    def on_train_epoch_end(self, trainer, module):
        self.look(module, trainer.current_epoch)

    def look(self, module, when):
        for number, queries in enumerate(module.batches):
            perturbed = module.perturbed(number)
            codes = module.clean.logits(perturbed) > 0
            distances = (codes != (queries.goal > 0)).sum(dim=1).tolist()
            for query, place, distance in zip(
                queries.index.tolist(), perturbed, distances, strict=True
            ):
                if query not in self.places and self.far_enough(distance):
                    self.places[query], self.when[query] = place.clone(), when


@pytest.mark.parametrize("step", [Square, SignHunter, nes, signs, APGD])
@pytest.mark.parametrize(
    ("options", "stop_at", "far_enough"),
    [(HINGE, 3, lambda distance: distance >= 3), (ANCHOR, 2, lambda distance: distance <= 2)],
    ids=["leave", "reach"],
)
def test_it_ends_where_it_first_was_far_enough(step, options, stop_at, far_enough, tmp_path, blobs):
    asks_before = step is signs  # about the place before a step, the others about where they are
    look = Look(far_enough, asks_before)
    attack(tmp_path / "free", blobs, ITERATIONS, callbacks=[look], step=step, **options)
    stopped = make(step=step, stop_at=stop_at, **options)
    scores = run_attack(trainer(tmp_path / "stop", ITERATIONS), stopped, blobs)
    ended = {query for query, when in look.when.items() if when < ITERATIONS - asks_before}
    assert 3 <= len(ended) <= 13
    for number, queries in enumerate(stopped.batches):
        for row, query in enumerate(queries.index.tolist()):
            assert bool(queries.done[row]) == (query in ended), query
            if query in ended:
                found = stopped.perturbed(number)[row]
                torch.testing.assert_close(found, look.places[query], rtol=0, atol=1e-6)
    last = rows_of(scores, attack=options["objective"].name, metric="map", quantized=True)[-1]
    assert last["n_finished"] == len(ended)


@pytest.mark.parametrize("batch_size", [4, 13])
def test_questions_until_success(batch_size, tmp_path, blobs):
    victim = Counting()
    module = make(victim, step=Square, stop_at=3, batch_size=batch_size, **HINGE)
    scores = run_attack(trainer(tmp_path, ITERATIONS), module, blobs)
    asked = torch.cat([queries.asked for queries in module.batches]).double()
    done = torch.cat([queries.done for queries in module.batches])
    assert 3 <= done.sum() < 13
    assert set(asked[~done].tolist()) == {ITERATIONS}
    last = rows_of(scores, attack="hinge", metric="map", quantized=False)[-1]
    assert last["queries"] == pytest.approx(asked.mean())
    assert last["queries_finished"] == pytest.approx(asked[done].mean())
    assert last["queries_finished"] < last["queries"] < ITERATIONS
    first = rows_of(scores, attack="hinge", metric="map", quantized=False)[0]
    assert (first["queries"], first["n_finished"], first["queries_finished"]) == (0, 0, None)
    free = make(Counting(), step=Square, batch_size=batch_size, **HINGE)
    run_attack(trainer(tmp_path / "free", ITERATIONS), free, blobs)
    spared = free.victim.network.asked - victim.asked
    assert spared == 13 * ITERATIONS - asked.sum()
    assert free.counts()["queries"] == ITERATIONS


class Counting(nn.Module):
    """A small hash that says how many rows it was asked about."""

    def __init__(self):
        super().__init__()
        self.network, self.asked = TinyNet().eval(), 0

    def forward(self, inputs):
        self.asked += len(inputs)
        return self.network(inputs)


@pytest.mark.parametrize(
    ("step", "epsilon", "stop_at"), [(Square, 0.4, 3), (nes, 0.4, 1), (APGD, 0.4, 6)]
)
def test_killed_it_goes_on_to_the_same_rows(step, epsilon, stop_at, tmp_path):
    def module():
        return make(step=step, stop_at=stop_at, objective=Hinge(), epsilon=epsilon)

    whole = run(tmp_path / "whole", module())
    path = killed(tmp_path / "killed", module(), (5, 1))
    found = run(tmp_path / "again", module(), ckpt_path=path)
    assert told(found.rows) == told(whole.rows)
    before = torch.load(path, weights_only=True)["lightning_hash"]["queries"]["rows"]["done"]
    assert 0 < before.sum() < len(before)
    for name, value in whole.outcome().tensors.items():
        assert torch.equal(found.outcome().tensors[name], value), name


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": NesterovSignStep}, "stop_at looks at the codes.*others with NesterovSignStep"),
        ({"inputs": DiverseInputs()}, "stop_at looks at the codes.*others with inputs"),
        ({"perturbation": OneForAll}, "stop_at: OneForAll is shared by all queries; leave it out"),
        ({"step": Square, "oracle": Oracle("ids", 5)}, "which an oracle of ids hides; leave it"),
        ({"stop_at": 0}, "stop_at must be a Hamming distance from 1 on, got 0"),
        ({"stop_at": 2.5}, "stop_at must be a whole number, got 2.5"),
        ({"stop_at": -1, "objective": AnchorCode()}, "stop_at must be.* from 0 on, got -1"),
        ({"stop_at": 17}, "stop_at must be a Hamming distance of codes of 8 bits, got 17"),
    ],
)
def test_what_does_not_go_with_it(options, message, tmp_path, blobs):
    with pytest.raises(ValueError, match=message):
        attack(tmp_path, blobs, 3, **{"stop_at": 3, **options})


def test_it_stands_in_the_rows_where_it_was_asked_for(tmp_path, blobs):
    found = attack(tmp_path, blobs, 3, stop_at=3), attack(tmp_path, blobs, 3)
    said = [rows_of(scores, attack="hag")[0]["attack"].get("stop_at") for scores in found]
    assert said == [3, None]
