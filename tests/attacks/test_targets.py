import json

import pytest
import torch

from lightning_hash.attacks import TargetChoice, write_targets
from lightning_hash.attacks.target_rows import read_target_json
from tests.reference.attacks import anchor


@pytest.fixture
def database():
    """Three label vectors: ten of (1,0,0), ten of (0,1,0), three of (0,1,1); shuffled indices."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([[1, 0, 0]] * 10 + [[0, 1, 0]] * 10 + [[0, 1, 1]] * 3)
    codes = torch.where(torch.randn(23, 8, generator=generator) > 0, 1, -1).to(torch.int8)
    index = torch.randperm(1000, generator=generator)[:23]
    return codes, labels, index


QUERIES = torch.tensor([[0, 1, 0], [0, 1, 0], [1, 0, 0]])
INDEX = torch.tensor([4, 5, 9])


def test_anchor_is_the_vote_over_items_with_exactly_the_target_label(database):
    codes, labels, index = database
    targets = TargetChoice(n_t=5)(QUERIES, INDEX, *database)
    for row in range(3):
        items = [index.tolist().index(i) for i in targets.anchor_index[row].tolist()]
        assert len(set(items)) == 5
        assert all(torch.equal(labels[i], targets.labels[row].long()) for i in items)
        assert targets.anchor_codes[row].tolist() == anchor(codes[items].tolist())


def test_target_differs_and_occurs_more_than_n_t_times(database):
    targets = TargetChoice(n_t=3)(QUERIES, INDEX, *database)
    assert targets.labels.tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("chunk", [1, 6, 2**27])
def test_rules_different_and_disjoint(database, chunk, monkeypatch):
    monkeypatch.setattr("lightning_hash.attacks.targets.CHUNK", chunk)  # of label vectors
    many = torch.arange(60)
    queries = torch.tensor([[0, 1, 0]] * 60)
    drawn = {
        rule: {
            tuple(row) for row in TargetChoice(2, rule)(queries, many, *database).labels.tolist()
        }
        for rule in ("different", "disjoint")
    }
    assert drawn == {"different": {(1, 0, 0), (0, 1, 1)}, "disjoint": {(1, 0, 0)}}


def test_a_query_draws_the_same_alone_and_with_a_shuffled_database(database):
    together = TargetChoice()(QUERIES, INDEX, *database)
    order = torch.randperm(23, generator=torch.Generator().manual_seed(1))
    alone = TargetChoice()(QUERIES[2:], INDEX[2:], *(part[order] for part in database))
    assert torch.equal(together.anchor_index[2:], alone.anchor_index)
    assert torch.equal(together.anchor_codes[2:], alone.anchor_codes)


def test_seeds_differ(database):
    many, queries = torch.arange(30), torch.tensor([[0, 1, 0]] * 30)
    first, again, other = (
        TargetChoice(2, seed=seed)(queries, many, *database).anchor_index for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_p2p_takes_the_first_item_of_the_anchor_set(database):
    """Where both draw the same target: always, with one label vector to choose from."""
    codes, labels, index = (part[:20] for part in database)
    many, queries = torch.arange(20), torch.tensor([[0, 1, 0]] * 20)
    nine = TargetChoice(n_t=9)(queries, many, codes, labels, index)
    one = TargetChoice(n_t=1)(queries, many, codes, labels, index)
    assert torch.equal(one.labels, nine.labels)
    assert torch.equal(one.anchor_index[:, 0], nine.anchor_index[:, 0])
    row = index.tolist().index(int(one.anchor_index[0, 0]))
    assert torch.equal(one.anchor_codes[0], codes[row])


def test_anchor_sets_are_drawn_and_not_the_first_items(database):
    """Every item with the target label is somebody's, about equally often, in any order."""
    many, queries = torch.arange(400), torch.tensor([[0, 1, 0]] * 400)
    codes, labels, index = (part[:20] for part in database)
    drawn = TargetChoice(n_t=3)(queries, many, codes, labels, index).anchor_index
    assert all(len(set(row)) == 3 for row in drawn.tolist())
    items, counts = drawn.unique(return_counts=True)
    assert sorted(items.tolist()) == sorted(index[:10].tolist())  # the ten of (1, 0, 0)
    assert counts.min() > 400 * 3 / 10 * 0.6
    first = drawn[:, 0].unique(return_counts=True)[1]
    assert (len(first), bool(first.min() > 400 / 10 * 0.4)) == (10, True)
    assert (drawn.diff(dim=1) < 0).any()  # not sorted


def test_every_candidate_is_somebodys_target(database):
    many, queries = torch.arange(200), torch.tensor([[1, 0, 0]] * 200)
    labels = TargetChoice(n_t=2)(queries, many, *database).labels
    vectors, counts = labels.unique(dim=0, return_counts=True)
    assert vectors.tolist() == [[0, 1, 0], [0, 1, 1]]
    assert counts.min() > 200 / 2 * 0.7  # label vectors alike, however many items they have


@pytest.mark.parametrize("rule", ["different", "disjoint"])
def test_a_vector_without_any_label_is_no_target(database, rule):
    """However often it occurs: nothing is relevant to it."""
    codes, labels, index = database
    bare = torch.cat([labels, torch.zeros(23, 3, dtype=labels.dtype)])
    indices = torch.cat([index, 1000 + torch.arange(23)])
    many, queries = torch.arange(60), torch.tensor([[0, 1, 0]] * 60)
    drawn = TargetChoice(2, rule)(queries, many, codes.repeat(2, 1), bare, indices).labels
    assert (drawn.sum(dim=1) > 0).all()
    with pytest.raises(ValueError, match="occurs 0 times; lower n_t"):
        TargetChoice(1, rule)(queries[:1], many[:1], codes, torch.zeros_like(labels), index)


def test_a_label_must_occur_more_than_n_t_times(database):
    """Three items have (0, 1, 1): a target at n_t = 2, none at 3 (DHTA's code: count > n_an)."""
    many, queries = torch.arange(60), torch.tensor([[1, 0, 0]] * 60)
    for n_t, found in ((2, True), (3, False)):
        labels = TargetChoice(n_t)(queries, many, *database).labels
        assert (labels == torch.tensor([0, 1, 1])).all(dim=1).any() == found


def test_a_target_file_may_name_a_label_that_occurs_n_t_times(database, tmp_path):
    path = tmp_path / "targets.json"
    path.write_text(json.dumps({"4": {"target": [0, 1, 1]}}))
    targets = TargetChoice(3, file=str(path))(QUERIES[:1], INDEX[:1], *database)
    assert sorted(targets.anchor_index[0].tolist()) == sorted(database[2][20:].tolist())


def test_no_queries_have_no_targets(database):
    none = TargetChoice(n_t=3)(QUERIES[:0], INDEX[:0], *database)
    assert (none.labels.shape, none.anchor_index.shape) == ((0, 3), (0, 3))
    assert none.anchor_codes.shape == (0, 8)


def test_n_t_too_large_says_how_many_there_are(database):
    with pytest.raises(ValueError, match=r"n_t = 10: .* occurs 10 times; lower n_t"):
        TargetChoice(n_t=10)(QUERIES, INDEX, *database)


def test_file_round_trip(database, tmp_path):
    drawn = TargetChoice(n_t=3, seed=5)(QUERIES, INDEX, *database)
    write_targets(tmp_path / "targets.json", INDEX, drawn)
    read = TargetChoice(n_t=3, file=str(tmp_path / "targets.json"))(QUERIES, INDEX, *database)
    assert torch.equal(read.labels, drawn.labels)
    assert torch.equal(read.anchor_index, drawn.anchor_index)
    assert torch.equal(read.anchor_codes, drawn.anchor_codes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is no JSON: line 1, "),
        ("[]", "must be an object"),
        (json.dumps({"4": {"target": [1, 0]}}), "has 2 columns, the labels of the database 3"),
        (json.dumps({"4": {"target": [1, 1, 1]}}), "no database item has the target label"),
        (json.dumps({"7": {"target": [1, 0, 0]}}), "no target for query 4"),
        (json.dumps({"4": {"target": [1, 0, 0], "anchor": [1]}}), "has 1 items, n_t is 9"),
        (
            json.dumps({"4": {"target": [1, 0, 0], "anchor": [-1] * 9}}),
            "names items not in the database",
        ),
        (
            json.dumps({"4": {"target": [1, 0, 0], "anchor": [10**6] * 9}}),
            "names items not in the database",
        ),
        (json.dumps({"4": {"target": [0, 1, 1]}}), "larger than the 3 database items"),
        (json.dumps({"4": {"anchor": [1]}}), "must be an object"),
        (json.dumps({"4": ["target"]}), "must be an object"),
    ],
)
def test_wrong_files(database, tmp_path, content, message):
    path = tmp_path / "targets.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        TargetChoice(file=str(path))(QUERIES[:1], INDEX[:1], *database)


def test_missing_file_is_named(database, tmp_path):
    with pytest.raises(ValueError, match=r"absent\.json"):
        TargetChoice(file=str(tmp_path / "absent.json"))(QUERIES, INDEX, *database)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="n_t must be at least 1, got 0"):
        TargetChoice(n_t=0)
    with pytest.raises(ValueError, match="rule must be 'different' or 'disjoint', got 'same'"):
        TargetChoice(rule="same")


@pytest.mark.parametrize("entry", [{"anchor": [1]}, [0, 1]])
def test_every_entry_of_a_file_has_a_target(tmp_path, entry):
    path = tmp_path / "targets.json"
    path.write_text(json.dumps({"0": {"target": [0, 1]}, "1": entry}))
    with pytest.raises(ValueError, match=r'must be an object \{"query index"'):
        read_target_json(path)


def test_a_label_of_all_must_have_n_t_items(database):
    """Class 1 has as many items as the largest n_t that it is drawn with."""
    codes, labels, index = database
    count = int(labels[:, 1].sum())
    drawn = TargetChoice(count, label=1)(QUERIES, INDEX, codes, labels, index)
    assert sorted(drawn.anchor_index[0].tolist()) == index[labels[:, 1] > 0].sort().values.tolist()
    with pytest.raises(ValueError, match=f"label 1: {count} items of the database have it, n_t is"):
        TargetChoice(count + 1, label=1)(QUERIES, INDEX, codes, labels, index)


def test_queries_with_anchor_sets_of_their_own_have_not_one_for_all():
    assert not TargetChoice().one_for_all
    assert TargetChoice(label=1).one_for_all
    assert not TargetChoice(label=1, own_anchors=True).one_for_all
