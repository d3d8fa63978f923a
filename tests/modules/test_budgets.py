import torch
from torch.optim import SGD

from lightning_hash.attacks import HAG, CenterCodes
from lightning_hash.functional import center_code
from tests.helpers.attacks import attack, make, rows_of
from tests.helpers.ball import Ball


def test_a_budget_of_ones_own_holds_in_float_and_in_8_bits(tmp_path, blobs):
    """Promise 4, for a ball that the package does not know."""
    scores = attack(tmp_path, blobs, budget=Ball, epsilon=0.6, step=lambda p: SGD(p, lr=5.0))
    tensors = scores.outcome().tensors
    norms = tensors["perturbation"].flatten(1).norm(dim=1)
    assert norms.max() <= 0.6 + 1e-5
    assert norms.median() > 0.55  # the step is long: the ball's border is reached
    clean = blobs.query_set.images.float() / 255
    sent = tensors["adversarial_8bit"].float() / 255
    assert (sent - clean).flatten(1).norm(dim=1).max() <= 0.6 + 1e-5
    (row,) = rows_of(scores, attack="hag", metric="linf", iteration=6, quantized=False)
    assert row["attack"]["budget"] == {
        "class": "tests.helpers.ball.Ball", "epsilon": 0.6, "space": "pixel",
    }  # fmt: skip


def test_a_random_start_lies_in_the_budget(tmp_path, blobs):
    module = make(budget=Ball, epsilon=0.6, start_seed=3)
    drawn = module.recipe.budget.draw(torch.Size([3, 8, 8]), torch.tensor([0, 5]), 3)
    assert torch.allclose(drawn.flatten(1).norm(dim=1), torch.tensor(0.6))
    scores = attack(tmp_path, blobs, budget=Ball, epsilon=0.6, start_seed=3, evaluate_at=[0])
    (row,) = rows_of(scores, attack="hag", metric="perceptibility", iteration=0)
    # A radius of 0.6 over 192 values, a little less where inputs are cut at 0 and 1.
    assert 0.9 < row["value"] / (0.6 / 192**0.5) <= 1 + 1e-6


def test_any_objective_compares_with_any_reference(tmp_path, blobs):
    """HAG away from the own label's centre code in place of the clean code."""
    scores = attack(tmp_path, blobs, objective=HAG(), reference=CenterCodes())
    database = scores.databases.database
    for queries in scores.batches:
        own = center_code(queries.labels, database.codes, database.labels)
        assert torch.equal(queries.reference, -own.float())
    assert scores.attack["reference"] == {
        "class": "lightning_hash.attacks.CenterCodes", "targeted": False, "voters": "database",
    }  # fmt: skip
    assert scores.attack["objective"]["class"] == "lightning_hash.attacks.HAG"
