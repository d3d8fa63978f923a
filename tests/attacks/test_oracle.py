import pytest
import torch
from torch import nn

from lightning_hash.attacks import (
    HAG,
    SAAT,
    AnchorCode,
    Hinge,
    LInf,
    Oracle,
    PerQuery,
    Queries,
    SignStep,
    Square,
    TargetFeatures,
)
from lightning_hash.attacks.attack import attack
from lightning_hash.commands.attack import run_attack
from lightning_hash.engine.callbacks import IterationProgress
from lightning_hash.modules import HashModule
from tests.helpers.attacks import attack as run
from tests.helpers.attacks import make, rows_of, trainer
from tests.reference import oracles


def codes(count, bits=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.where(torch.rand(count, bits, generator=generator) > 0.5, 1.0, -1.0)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("top", [1, 5, 20])
@pytest.mark.parametrize("shows", ["distances", "ids"])
def test_equals_the_loop_over_lists(shows, top, targeted):
    """Of 8 bits and 30 items, so that most distances are shared by several."""
    database, goals, now = codes(30), codes(6, seed=1), codes(6, seed=2)
    inputs = torch.rand(6, 1, 2, 2)
    queries = Queries.towards(inputs, goals) if targeted else Queries.untargeted(inputs, goals)
    oracle = Oracle(shows, top)
    oracle.open(database, torch.device("cpu"))
    queries.goal_list = oracle.goal_list(queries.goal)
    found = oracle.judge(now * 0.3, queries, slice(None))
    loss = oracles.distance_loss if shows == "distances" else oracles.relevance_loss
    for row in range(6):
        expected = loss(now[row].tolist(), goals[row].tolist(), database.tolist(), top, targeted)
        assert found[row].item() == pytest.approx(expected, abs=1e-6)
    rows = torch.tensor([4, 1])
    assert torch.equal(oracle.judge(now[rows], queries, rows), found[rows])
    if shows == "ids":  # nothing is as relevant as the list itself
        same = oracle.judge(goals, queries, slice(None))
        assert (same <= found).all() if targeted else (same >= found).all()


@pytest.mark.parametrize("targeted", [False, True])
def test_codes_alone_are_a_hamming_distance(targeted):
    goals, now = codes(6, seed=1), codes(6, seed=2)
    inputs = torch.rand(6, 1, 2, 2)
    queries = Queries.towards(inputs, goals) if targeted else Queries.untargeted(inputs, goals)
    distance = (goals != now).sum(dim=1).float()
    found = Oracle("codes").judge(now * 1e-3, queries, slice(None))
    assert torch.equal(found, distance if targeted else -distance)


class Curious(nn.Module):
    """A linear hash that says how many rows it was asked about."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.rows = nn.Linear(48, 8), 0

    def forward(self, inputs):
        self.rows += len(inputs)
        return self.layer(inputs.flatten(1))


@pytest.mark.parametrize("shows", ["logits", "codes", "distances", "ids"])
def test_a_search_gets_on_by_what_it_sees(shows):
    clean, model = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(1)), Curious()
    queries = Queries.untargeted(clean, model(clean).detach())
    oracle = Oracle(shows, top=10)
    oracle.open(codes(40), torch.device("cpu"))
    queries.goal_list = oracle.goal_list(queries.goal)
    model.rows = 0
    perturbation = PerQuery(clean, LInf(0.3))
    rule = Square(perturbation.parameters())
    found = attack(model, Hinge(), perturbation, rule, queries, 150, oracle=oracle)
    assert model.rows == 150 * 5 == int(queries.asked.sum())
    moved = ((model(found) > 0) != (queries.goal > 0)).sum(dim=1)
    assert (moved > 0).all()


@pytest.mark.parametrize("shows", ["logits", "codes", "distances", "ids"])
def test_under_the_trainer_it_stands_in_the_rows(tmp_path, blobs, shows):
    oracle = None if shows == "logits" else Oracle(shows, top=7)
    scores = run(tmp_path, blobs, 40, step=Square, oracle=oracle, objective=Hinge(), epsilon=0.4)
    (row,) = [row for row in rows_of(scores, metric="map", attack="hinge") if row["iteration"] == 3]
    top = 100 if oracle is None else 7
    assert row["attack"]["oracle"]["shows"] == shows
    assert row["attack"]["oracle"]["top"] == top
    assert row["queries"] == 3
    first, *_, last = rows_of(scores, metric="hamming_to_clean", attack="hinge")
    assert first["value"] < last["value"]


def test_an_attack_with_the_gradient_says_nothing_of_an_oracle(tmp_path, blobs):
    (row, *_) = rows_of(run(tmp_path, blobs, 3), metric="map", attack="hag")
    assert "oracle" not in row["attack"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": SignStep}, "oracle: step SignStep takes the gradient, which no oracle shows"),
        ({"objective": SAAT()}, "objective saat needs logits, which codes hide"),
        (
            {"oracle": Oracle("ids", top=10_000)},
            r"ids of the first 10000 items need a database of as many, it has \d+; lower top",
        ),
    ],
)
def test_what_does_not_go_together(tmp_path, blobs, options, message):
    given = {"step": Square, "oracle": Oracle("codes"), "objective": AnchorCode(), **options}
    with pytest.raises(ValueError, match=message):
        run(tmp_path, blobs, 3, **given)


def test_features_are_seen_by_no_oracle():
    module = make(HashModule("convnet", 8), step=Square, objective=TargetFeatures())
    with pytest.raises(ValueError, match="objective feature needs features, which no oracle"):
        module.recipe.check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shows": "gradient"}, "shows must be one of logits, codes, distances, ids, got 'gradien"),
        ({"top": 0}, "top must be at least 1, got 0"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        Oracle(**options)


def test_without_a_database_nothing_is_retrieved(tmp_path, blobs):
    oracle = Oracle("distances", 5)
    module = make(step=Square, objective=HAG(), oracle=oracle)
    with pytest.raises(ValueError, match="need a database of as many, it has 0"):
        oracle.open(None, torch.device("cpu"))
    run_attack(trainer(tmp_path, 2), module, blobs)


@pytest.mark.parametrize(
    ("shows", "told"),
    [("codes", {"loss", "hamming"}), ("distances", {"loss"}), ("ids", {"loss"})],
)
def test_no_hamming_distance_is_told_that_it_hides(shows, told, tmp_path, blobs, capsys):
    module = make(step=Square, oracle=Oracle(shows, top=5), objective=Hinge())
    shown = [IterationProgress()]
    run_attack(trainer(tmp_path, 3, callbacks=shown, enable_progress_bar=True), module, blobs)
    assert set(module.tally.here()) == told
    assert ("Hamming" in capsys.readouterr().err) == ("hamming" in told)
