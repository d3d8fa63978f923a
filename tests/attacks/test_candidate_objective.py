"""What moves candidates: robrank's objective, queries drawn, majorities, a class as the target."""

import pytest
import torch

from lightning_hash.attacks import (
    AskingQueries,
    CandidateAttack,
    Known,
    MajorityCodes,
    TargetChoice,
)
from lightning_hash.attacks.objectives import JointObjective
from lightning_hash.functional import sign_code
from tests.reference import attacks as reference


def draw(seed, items=30, queries=40, bits=6, candidates=5):
    generator = torch.Generator().manual_seed(seed)

    def codes(count):
        return (torch.randint(0, 2, (count, bits), generator=generator) * 2 - 1).to(torch.int8)

    labels = torch.eye(4, dtype=torch.uint8)[torch.arange(queries) % 4]
    logits = torch.randn(candidates, bits, generator=generator).double()
    own = sign_code(logits)
    database = torch.cat([own, codes(items - candidates)])
    return logits, database, codes(queries), labels


def known(logits, database, asking, labels, **more):
    items = database, torch.eye(4, dtype=torch.uint8)[torch.arange(len(database)) % 4]
    targets = torch.eye(4, dtype=torch.uint8)[[1, 0, 3, 2, 2]][: len(logits)]
    given = {
        "target_labels": targets, "database": items, "queries": (asking, labels),
        "index": torch.arange(len(logits)), **more,
    }  # fmt: skip
    return Known(logits, **given)


@pytest.mark.parametrize("targeted", [True, False])
@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_candidate_attack_against_its_oracle(alpha, targeted):
    logits, database, asking, labels = draw(1, queries=700)
    objective = CandidateAttack(targeted, queries=6)
    found = objective.reference(known(logits, database, asking, labels))
    losses = objective(logits, found, alpha)
    bits = logits.shape[1]
    for row, (loss, drawn) in enumerate(zip(losses, found, strict=True)):
        codes = drawn[:, :bits].to(torch.int8).tolist()
        others = [code for i, code in enumerate(database.tolist()) if i != row]
        expected = reference.candidate_loss(logits[row].tolist(), codes, others, alpha, targeted)
        assert loss.item() == pytest.approx(expected, rel=1e-9)
        if targeted:  # a query may share its code with one of another label
            label = known(logits, database, asking, labels).target_labels[row].tolist()
            allowed = [
                c for c, k in zip(asking.tolist(), labels.tolist(), strict=True) if k == label
            ]
            assert all(code in allowed for code in codes)
        else:
            nearest = sorted((c != sign_code(logits[row])).sum().item() for c in asking)[6]
            assert all((torch.tensor(c) != sign_code(logits[row])).sum() <= nearest for c in codes)


def test_candidate_attack_by_hand():
    """The query is (1, 1); others lie at 0 and 2 of it. F = (1, -1) is 1 away from it."""
    given = torch.tensor([[[1.0, 1.0, 0.5, 0.0, 0.5], [0.0] * 5]])
    logits = torch.tensor([[90.0, -90.0]])
    assert CandidateAttack()(logits, given, 1.0).tolist() == [0.5]  # behind that at 0 by 1
    assert CandidateAttack(False)(logits, given, 1.0).tolist() == [0.5]  # before that at 2 by 1


def test_fewer_queries_than_asked_for():
    logits, database, asking, labels = draw(2, queries=9)
    found = AskingQueries(queries=5)(known(logits, database, asking, labels))
    there = (found[..., :6] != 0).any(dim=2).sum(dim=1)
    assert there.tolist() == [2, 3, 2, 2, 2]  # of labels 1, 0, 3, 2, 2
    shares = found[..., 6:].sum(dim=2)
    assert (shares - (found[..., 0] != 0).double()).abs().max() < 1e-12
    state = known(logits, database, asking, labels)
    nearest = AskingQueries(targeted=False, queries=5)(state)
    assert (nearest[..., :6] != 0).any(dim=2).sum(dim=1).tolist() == [1] * 5  # 1 % of 9
    alone = known(logits[2:], database, asking, labels, index=torch.tensor([2, 3, 4]))
    alone = Known(**{**vars(alone), "target_labels": state.target_labels[2:]})
    assert torch.equal(AskingQueries(queries=5)(alone), found[2:])


def test_what_is_refused():
    logits, database, asking, labels = draw(3)
    with pytest.raises(ValueError, match="AskingQueries needs queries, a database and an index"):
        AskingQueries()(Known(logits))
    with pytest.raises(ValueError, match="AskingQueries needs a target per candidate"):
        AskingQueries()(known(logits, database, asking, labels, target_labels=None))
    labels[labels[:, 2] > 0] = torch.eye(4, dtype=torch.uint8)[0]
    with pytest.raises(ValueError, match="no query has the label of a target"):
        AskingQueries()(known(logits, database, asking, labels))
    with pytest.raises(ValueError, match="queries must be at least 1, got 0"):
        CandidateAttack(queries=0)
    with pytest.raises(ValueError, match=r"AskingQueries consists of distances: .* one victim"):
        JointObjective(CandidateAttack(), [slice(0, 3), slice(3, 6)])


def test_the_majority_of_all_codes_of_a_label():
    logits, database, asking, labels = draw(4)
    state = known(logits, database, asking, labels)
    items = database, state.database[1]
    other = (asking, labels)
    for voters, (codes, own) in (("database", items), ("train", other)):
        found = MajorityCodes(True, voters)(
            Known(**{**vars(state), "voters": items, "train": other})
        )
        for code, label in zip(found, state.target_labels, strict=True):
            expected = reference.anchor(codes[(own & label).bool().any(dim=1)].tolist())
            assert code.tolist() == expected
    items[1][:, 2] = 0
    with pytest.raises(ValueError, match=r"none of 30 items has the label \[0, 0, 1, 0\]"):
        MajorityCodes(targeted=True)(Known(**{**vars(state), "voters": items}))


def test_one_class_is_the_target_of_all():
    _, database, _, _ = draw(5)
    labels = torch.eye(4, dtype=torch.uint8)[torch.arange(30) % 4]
    labels[:, 0] |= labels[:, 1]  # of several labels
    index = torch.randperm(500, generator=torch.Generator().manual_seed(1))[:30]
    queries, numbers = labels[:5], torch.tensor([8, 9, 3, 4, 5])
    found = TargetChoice(6, label=0, own_anchors=True)(queries, numbers, database, labels, index)
    assert found.labels.tolist() == [[1, 0, 0, 0]] * 5
    place = {int(number): row for row, number in enumerate(index)}
    for items, code in zip(found.anchor_index.tolist(), found.anchor_codes.tolist(), strict=True):
        rows = [place[item] for item in items]
        assert len(set(rows)) == 6
        assert all(labels[row, 0] for row in rows)
        assert code == reference.anchor(database[rows].tolist())
    assert len({tuple(items) for items in found.anchor_index.tolist()}) > 1
    order = torch.randperm(30, generator=torch.Generator().manual_seed(2))
    alone = TargetChoice(6, label=0, own_anchors=True)(
        queries[3:], numbers[3:], *(part[order] for part in (database, labels, index))
    )
    assert torch.equal(alone.anchor_index, found.anchor_index[3:])
    none = TargetChoice(6, label=0, own_anchors=True)(
        queries[:0], numbers[:0], database, labels, index
    )
    assert none.labels.shape == (0, 4)
    with pytest.raises(
        ValueError, match=r"label 3: 7 items of the queries have it, n_t is 8; .*\(0, 1\)"
    ):
        TargetChoice(8, label=3, own_anchors=True)(
            queries, numbers, database, labels, index, "queries"
        )
