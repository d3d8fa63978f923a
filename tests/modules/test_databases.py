import pytest
import torch

from lightning_hash.attacks import AnchorCode, SignStep, TargetChoice
from lightning_hash.commands.attack import run_attack
from lightning_hash.functional import mean_average_precision, sign_code
from lightning_hash.modules.databases import choose_target_database
from tests.conftest import Blobs, TinyNet
from tests.helpers.attacks import make, rows_of, trainer


@pytest.fixture
def opened(blobs):
    """Blobs beside 40 more of four classes that stand for unseen ones."""
    plain = blobs.setup

    def setup(stage):
        plain(stage)
        blobs.open_set = Blobs(40, 9)
        blobs.open_set.labels = torch.eye(4, dtype=torch.uint8)[torch.arange(40) % 4]
        blobs.open_class_names = ["w", "x", "y", "z"]

    blobs.setup = setup
    blobs.fingerprints = lambda: {"train": "0", "query": "1", "database": "2", "open_set": "3"}
    return blobs


def attacked(tmp_path, data, **options):
    """Return the scores of an attack on targets."""
    module = make(
        objective=AnchorCode(), step=lambda p: SignStep(p, 0.01), targets=TargetChoice(n_t=5),
        **options,
    )  # fmt: skip
    return run_attack(trainer(tmp_path), module, data)


def codes_of(items):
    images = torch.stack([items[i][0] for i in range(len(items))])
    return sign_code(TinyNet()(images))


@pytest.mark.parametrize(("target", "n"), [("auto", 40), ("open_set", 40), ("both", 130)])
def test_open_set_votes_and_is_ranked(tmp_path, opened, target, n):
    scores = attacked(tmp_path, opened, target_database=target)
    outcome = scores.outcome()
    targets = outcome.targets
    assert targets.labels.shape == (13, 4)
    assert targets.anchor_index.max() < 40
    voters = opened.open_set.labels[targets.anchor_index]
    assert torch.equal(voters, targets.labels[:, None].expand(-1, 5, -1))
    codes, labels = codes_of(opened.open_set), opened.open_set.labels
    if target == "both":
        codes = torch.cat([codes_of(opened.database_set), codes])
        labels = torch.cat([torch.zeros(90, 4, dtype=torch.uint8), labels])
    expected = mean_average_precision(
        outcome.tensors["codes"], codes, targets.labels, labels, top_k=20
    )
    row = rows_of(scores, metric="t_map", iteration=6, quantized=False)[0]
    assert row["value"] == float(expected)
    assert (row["data"]["n_target_database"], row["data"]["n_database"]) == (n, 90)
    assert row["data"]["target_database"] == ("both" if target == "both" else "open_set")
    assert row["data"]["sha256"]["open_set"] == "3"
    clean = mean_average_precision(
        outcome.tensors["clean_codes"], codes_of(opened.database_set), outcome.tensors["labels"],
        opened.database_set.labels, top_k=20,
    )  # fmt: skip
    assert rows_of(scores, attack="none", metric="map")[0]["value"] == float(clean)


def test_open_set_can_be_left_alone(tmp_path, opened, blobs):
    scores = attacked(tmp_path, opened, target_database="database")
    assert scores.outcome().targets.labels.shape == (13, 3)
    assert {row["data"]["n_target_database"] for row in scores.rows} == {90}


def test_items_of_both_are_those_of_the_index(tmp_path, opened):
    scores = attacked(tmp_path, opened, target_database="both")
    items, ranked = scores.databases.ranked_items(opened), scores.databases.ranked
    for row in (0, 89, 90, 129):
        image = items[int(ranked.index[row])][0]
        assert torch.equal(sign_code(TinyNet()(image[None]))[0].to(torch.int8), ranked.codes[row])


def test_an_open_set_that_is_not_there(blobs):
    blobs.setup("fit")
    with pytest.raises(ValueError, match="target_database is 'both', but blobs has no open set"):
        choose_target_database("both", blobs)
    assert choose_target_database("auto", blobs) == "database"
