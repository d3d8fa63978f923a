"""APGD under the Trainer."""

import pytest
import torch

from lightning_hash.attacks import APGD, HAG, AnchorCode, Hinge, LInf
from lightning_hash.commands.attack import run_attack
from tests.helpers.attacks import attack, make, rows_of, trainer
from tests.helpers.one_for_all import OneForAll
from tests.helpers.own_parts import apgd, killed, run


def test_killed_between_two_batches_it_goes_on_to_the_same_bits(tmp_path, blobs):
    whole = run(tmp_path / "whole", apgd()).outcome().tensors
    path = killed(tmp_path / "killed", apgd(), (3, 1))
    found = run(tmp_path / "again", apgd(), ckpt_path=path).outcome().tensors
    assert all(torch.equal(found[name], value) for name, value in whole.items())
    assert whole["perturbation"].abs().max() == 0.1


def test_it_may_not_become_longer(tmp_path, blobs):
    path = killed(tmp_path / "killed", apgd(), (3, 1))
    with pytest.raises(ValueError, match=r"iterations.*is 6, this run's is 9, and step APGD depe"):
        run_attack(trainer(tmp_path, 9), apgd(), blobs, ckpt_path=path)


@pytest.mark.parametrize(
    ("objective", "metric", "sign"),
    [
        (HAG(), "hamming_to_clean", 1),
        (Hinge(), "hamming_to_clean", 1),
        (AnchorCode(), "hamming_to_anchor", -1),
        (Hinge(targeted=True), "hamming_to_anchor", -1),
    ],
)
def test_a_milestone_is_never_behind_the_one_before(tmp_path, blobs, objective, metric, sign):
    options = {"objective": objective, "step": APGD, "epsilon": 0.3, "evaluate_at": list(range(9))}
    scores = attack(tmp_path, blobs, 9, **options)
    name = objective.name
    rows = [row for row in rows_of(scores, metric=metric) if row["iteration"] is not None]
    values = [
        sign * row["value"] for row in rows if row["attack"] and row["attack"]["name"] == name
    ]
    assert values[0] < values[-1]
    assert values[:9] == sorted(values[:9])


def test_batches_change_nothing_but_rounding(tmp_path, blobs):
    found = [
        attack(tmp_path, blobs, 6, step=APGD, objective=Hinge(), epsilon=0.2, batch_size=size)
        for size in (1, 4, 13)
    ]
    first, *others = (scores.outcome().tensors["perturbation"] for scores in found)
    for other in others:
        torch.testing.assert_close(other, first, rtol=0, atol=1e-5)


def test_what_does_not_go_with_it(tmp_path, blobs):
    with pytest.raises(ValueError, match=r"the victim sees others with APGD; leave one of them"):
        attack(tmp_path, blobs, 3, step=APGD, stop_finished=True)
    with pytest.raises(ValueError, match=r"APGD keeps a best point for each query: OneForAll must"):
        attack(tmp_path, blobs, 3, step=APGD, perturbation=OneForAll)

    class Ball(LInf):
        steepest = LInf.__mro__[1].steepest

    with pytest.raises(ValueError, match="budget Ball has no steepest direction; give another st"):
        attack(tmp_path, blobs, 3, step=APGD, budget=Ball)
    assert make(step=APGD).recipe.budget.epsilon == pytest.approx(10 / 255)
