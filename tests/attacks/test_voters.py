"""Whose codes vote: the database's, the training split's, the open set's, each victim's own."""

import pytest
import torch

import lightning_hash
from lightning_hash.attacks import (
    HAG,
    SAAT,
    THA,
    AnchorCode,
    CenterCodes,
    CgAT,
    JointObjective,
    Known,
    MainstayCodes,
    TargetChoice,
)
from lightning_hash.functional import sign_code
from tests.conftest import Blobs, TinyNet
from tests.helpers.attacks import attack, rows_of
from tests.reference import attacks as reference

CODES = {"cgat": (CgAT, reference.center_code), "saat": (SAAT, reference.mainstay_code)}


def codes_of(items):
    return sign_code(TinyNet()(torch.stack([items[i][0] for i in range(len(items))])))


@pytest.fixture
def split(blobs):
    """Blobs whose training labels are shifted by one class: both splits vote differently."""
    plain = blobs.setup

    def setup(stage):
        plain(stage)
        blobs.train_set.labels = blobs.train_set.labels.roll(1, dims=1)

    blobs.setup = setup
    return blobs


@pytest.mark.parametrize("voters", ["train", "database"])
@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("targeted", [False, True])
def test_the_split_that_was_asked_for_votes(name, voters, targeted, tmp_path, split):
    objective, code = CODES[name]
    scores = attack(
        tmp_path, split, iterations=1, objective=objective(targeted=targeted, voters=voters)
    )
    items = split.train_set if voters == "train" else split.database_set
    votes = codes_of(items).tolist()
    for queries in scores.batches:
        labels = queries.targets.labels if targeted else queries.labels
        expected = [code(label, votes, items.labels.tolist()) for label in labels.tolist()]
        assert (queries.reference * (1 if targeted else -1)).tolist() == expected
        goal = queries.reference if targeted else queries.clean_codes
        assert torch.equal(queries.goal, goal)
    (row, *_) = rows_of(scores, metric="map", iteration=1)
    assert row["attack"]["objective"]["voters"] == voters
    assert row["attack"]["reference"]["voters"] == voters
    assert (scores.databases.train is None) == (voters == "database")


def test_nothing_is_encoded_that_nobody_needs(tmp_path, blobs):
    assert attack(tmp_path, blobs, iterations=1, objective=HAG()).databases.train is None


@pytest.fixture
def opened(split):
    plain = split.setup

    def setup(stage):
        plain(stage)
        split.open_set = Blobs(40, 9)
        split.open_set.labels = torch.eye(4, dtype=torch.uint8)[torch.arange(40) % 4]
        split.open_class_names = ["w", "x", "y", "z"]

    split.setup = setup
    split.fingerprints = lambda: {"train": "0", "query": "1", "database": "2", "open_set": "3"}
    return split


def test_the_open_set_votes_for_targets_that_come_from_it(tmp_path, opened):
    scores = attack(tmp_path, opened, iterations=1, objective=CgAT(targeted=True))
    votes, labels = codes_of(opened.open_set).tolist(), opened.open_set.labels.tolist()
    found = torch.cat([queries.reference for queries in scores.batches]).tolist()
    targets = torch.cat([queries.targets.labels for queries in scores.batches]).tolist()
    assert found == [reference.center_code(target, votes, labels) for target in targets]


def test_training_codes_cannot_vote_for_labels_of_an_open_set(tmp_path, opened):
    with pytest.raises(ValueError, match="voters 'train' have none of the labels of the open set"):
        attack(tmp_path, opened, objective=CgAT(targeted=True, voters="train"))
    scores = attack(tmp_path, opened, iterations=1, objective=CgAT(voters="train"))
    assert len(scores.databases.train) == 60


def test_without_a_training_split_the_remedy_is_named():
    images, labels = torch.rand(2, 3, 8, 8), torch.eye(2, dtype=torch.uint8)
    given = {
        "labels": labels, "database_codes": torch.ones(4, 8),
        "database_labels": labels.repeat(2, 1), "iterations": 1, "accelerator": "cpu",
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"objective saat: voters 'train' needs .*'database'"):
        lightning_hash.attack(TinyNet(), images, objective=SAAT(voters="train"), **given)
    found = lightning_hash.attack(
        TinyNet(), images, objective=SAAT(), targets=TargetChoice(n_t=1), **given
    )
    assert found.rows


@pytest.mark.parametrize(
    "objective",
    [
        HAG(), AnchorCode(), CgAT(), CgAT(targeted=True), CgAT(voters="train"),
        SAAT(targeted=True, voters="train"), THA("train", steps=2),
    ],
)  # fmt: skip
def test_of_a_joint_victim_each_member_has_its_own_voters(objective):
    generator = torch.Generator().manual_seed(0)

    def items(count):
        labels = torch.eye(3, dtype=torch.uint8)[torch.randint(3, (count,), generator=generator)]
        return torch.where(torch.randn(count, 12, generator=generator) > 0, 1, -1), labels

    clean = torch.randn(5, 12, generator=generator)
    anchors = items(5)[0]
    database, voters, train = items(20), items(19), items(18)
    own, target = items(5)[1], items(5)[1]

    def state(part):
        cut = [(codes[:, part], labels) for codes, labels in (database, voters, train)]
        return Known(
            clean[:, part], anchors[:, part].float(), labels=own, target_labels=target,
            database=cut[0], voters=cut[1], train=cut[2],
        )  # fmt: skip

    parts = [slice(0, 8), slice(8, 12)]
    joint = JointObjective(objective, parts)
    assert joint.reference.needs_train == objective.reference.needs_train
    assert joint.reference.needs_database == objective.reference.needs_database
    expected = torch.cat([objective.reference(state(part)) for part in parts], dim=1)
    assert torch.equal(joint.reference(state(slice(None))), expected)


def test_a_joint_victim_needs_no_more_than_its_members():
    """Without targets, database and training split: HAG compares with the clean logits alone."""
    clean = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    joint = JointObjective(HAG(), [slice(0, 4), slice(4, 6)])
    assert torch.equal(joint.reference(Known(clean)), clean)


@pytest.mark.parametrize("kind", [CenterCodes, MainstayCodes])
def test_label_codes_are_of_the_own_label_and_the_database_by_default(kind):
    assert not kind().targeted
    assert kind().settings() == {
        "class": f"lightning_hash.attacks.{kind.__name__}", "targeted": False, "voters": "database",
    }  # fmt: skip
