"""Objectives that compare with many items at once: PTA and SDHA."""

import math

import pytest
import torch

from lightning_hash.attacks import (
    PTA,
    SDHA,
    AccumulatedSignStep,
    Known,
    LabelItems,
    RankedItems,
    TargetChoice,
)
from lightning_hash.attacks.objectives import JointObjective
from tests.helpers.attacks import attack, rows_of
from tests.reference import attacks as reference


def draw(seed, queries=5, items=40, bits=9, classes=4):
    """Return logits, and codes and labels of items, some of several labels."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(queries, bits, generator=generator).double()
    codes = (torch.randint(0, 2, (items, bits), generator=generator) * 2 - 1).to(torch.int8)
    labels = (torch.rand(items, classes, generator=generator) < 0.35).to(torch.uint8)
    return logits, codes, labels


def columns(reference):
    """Return the codes of one query without what stands behind them, as lists."""
    return [code for code in reference.T.tolist() if any(code)]


def one_hot(*classes):
    return torch.eye(4, dtype=torch.uint8)[list(classes)]


def known(logits, codes, labels, own, target, **more):
    items = codes, labels
    given = {"database": items, "voters": items, "index": torch.arange(len(logits)), **more}
    return Known(logits, labels=own, target_labels=target, **given)


@pytest.mark.parametrize("temperature", [0.1, 2.0])
@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_pta_against_its_oracle(alpha, temperature):
    logits, codes, labels = draw(1)
    own, target = labels[:5] | one_hot(0), one_hot(1, 1, 2, 3, 1)
    objective = PTA(positives=6, negatives=4, temperature=temperature)
    items = objective.reference(known(logits, codes, labels, own & ~target, target))
    losses = objective(logits, items, alpha)
    for loss, row, codes_of in zip(losses, logits.tolist(), items, strict=True):
        parts = columns(codes_of[:, :6]), columns(codes_of[:, 6:])
        expected = reference.pta_loss(row, *parts, alpha, temperature)
        assert loss.item() == pytest.approx(expected, abs=1e-9)
    assert len({len(columns(each)) for each in items}) > 1  # some have fewer: the rest is no item


def test_pta_by_hand():
    """One item of the target at distance 1, others at 0, 1 and 2: rank 1 + 1 + 1/2 + 0."""
    items = torch.tensor([[[-1, 1, -1, -1, 0], [1, 1, 1, -1, 0]]])
    loss = PTA(positives=1)(torch.tensor([[90.0, 90.0]]), items, 1.0)
    assert loss.item() == pytest.approx(1 - 1 / 2.5, abs=1e-6)


def test_pta_has_a_gradient_where_a_pair_is_nearly_settled():
    """At an exponent of 30 a float32 sigmoid is 1 and has none; beyond 50 nobody has one."""
    items = torch.tensor([[[-1, 1]] * 8], dtype=torch.int8)
    for far, there in ((3.0, True), (5.5, False)):
        logits = torch.full((1, 8), math.atanh(far / 8)).requires_grad_()
        PTA(positives=1, negatives=1)(logits, items, 1.0).sum().backward()
        assert bool((logits.grad > 0).all()) == there
        assert bool((logits.grad == 0).all()) != there


@pytest.mark.parametrize("voters", ["train", "database"])
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_sdha_against_its_oracle(alpha, targeted, voters):
    logits, codes, labels = draw(2)
    other, train = draw(3, items=23)[1:], draw(4, items=31)[1:]
    own, target = labels[:5], one_hot(1, 1, 2, 3, 0)
    objective = SDHA(targeted, voters)
    state = known(logits, codes, labels, own, target, train=train, voters=other)
    chosen, chosen_labels = train if voters == "train" else (codes, labels)
    if targeted and voters == "database":
        chosen, chosen_labels = other
    chosen[0] = torch.where(logits[0] > 0, 1, -1)  # at distance 0
    chosen_labels[0] = 1
    losses = objective(logits, objective.reference(state), alpha)
    rows = zip(losses, logits.tolist(), target if targeted else own, strict=True)
    for number, (loss, row, label) in enumerate(rows):
        shared = ((chosen_labels & label) > 0).any(dim=1)
        items = chosen[shared].tolist() or [torch.where(logits[number] > 0, 1, -1).tolist()]
        expected = reference.sdha_loss(row, items, alpha, targeted)
        assert loss.item() == pytest.approx(expected, rel=1e-9)


def test_sdha_by_hand():
    """Two bits, q = (1, 1): r = (1, -1) is 1 away, and its second bit adds s(-5) + 1 - s(-5)."""
    logits, items = torch.tensor([[90.0, 90.0]]), torch.tensor([[[1], [-1]]])
    same = 1 / (1 + math.exp(5))
    assert SDHA()(logits, items, 1.0).item() == pytest.approx(-25 / 2 * (same + 1), rel=1e-6)
    # The item at distance 0 weighs 1e4.
    both = torch.tensor([[[1, 1], [-1, 1]]])
    expected = -25 / 2 * (same + 1 + 1e4 * 2 * same) / 2
    assert SDHA()(logits, both, 1.0).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("targeted", [False, True])
def test_sdha_has_a_gradient_at_distance_zero(targeted):
    logits = torch.tensor([[0.5, -0.5]], requires_grad=True)
    SDHA(targeted)(logits, torch.tensor([[[1], [-1]]]), 1.0).sum().backward()
    assert logits.grad.isfinite().all()
    assert (logits.grad * torch.tensor([1.0, -1.0]) != 0).all()


def test_sdha_adds_the_mean_squared_change():
    clean = torch.zeros(2, 3, 2, 2)
    changed = clean.clone()
    changed[1, 0, 0, 0] = 0.6
    assert SDHA().penalty(changed, clean).tolist() == pytest.approx([0.0, 0.36 / 12])
    joint = JointObjective(SDHA(), [slice(0, 1), slice(1, 3)])
    assert joint.penalty(changed, clean).tolist() == pytest.approx([0.0, 2 * 0.36 / 12])
    assert PTA().penalty(changed, clean) is None


def test_a_query_whose_label_no_item_has_is_pushed_from_its_own_code():
    logits, codes, labels = draw(5)
    labels[:, 3] = 0
    found = LabelItems()(known(logits, codes, labels, one_hot(3, 0, 3, 1, 2), None))
    assert columns(found[0]) == [torch.where(logits[0] > 0, 1, -1).tolist()]
    assert columns(found[1]) == codes[labels[:, 0] > 0].tolist()
    with pytest.raises(ValueError, match="none of the 40 items of voters 'database' has the label"):
        LabelItems(targeted=True)(known(logits, codes, labels, labels[:5], one_hot(3, 0, 0, 0, 0)))


def test_what_is_drawn_for_a_query():
    """Items of the target first; others have a label of the query and none of the target."""
    logits, codes, labels = draw(6, items=200)
    codes[:, :8] = torch.tensor([[int(bit) * 2 - 1 for bit in f"{i:08b}"] for i in range(200)])
    own, target = one_hot(0, 1, 2, 3, 0) | one_hot(1, 2, 3, 3, 3), one_hot(2, 3, 0, 1, 3)
    state = known(logits, codes, labels, own, target)
    choice = RankedItems(positives=10, negatives=7)
    found = choice(state)
    assert found.shape == (5, 9, 10 + 14)
    place = {tuple(code): number for number, code in enumerate(codes.tolist())}
    for number, each in enumerate(found):
        first, behind = (
            [place[tuple(c)] for c in columns(p)] for p in (each[:, :10], each[:, 10:])
        )
        assert len(set(first)) == 10
        assert all((labels[i] & target[number]).any() for i in first)
        others = torch.nonzero(own[number] & ~target[number]).flatten().tolist()
        assert len(behind) == 7 * len(others)
        for turn, label in enumerate(others):
            drawn = behind[7 * turn : 7 * turn + 7]
            assert len(set(drawn)) == 7
            assert all(labels[i, label] for i in drawn)
        assert not any((labels[i] & target[number]).any() for i in behind)
    again = choice(
        known(logits[3:], codes, labels, own[3:], target[3:], index=torch.tensor([3, 4]))
    )
    assert [columns(a) for a in again] == [columns(a) for a in found[3:]]
    other = RankedItems(positives=10, negatives=7, seed=1)(state)
    assert columns(other[0]) != columns(found[0])


def test_targets_of_an_open_set_have_labels_of_their_own():
    """There a column of the same number is another label: nothing is kept from being drawn."""
    logits, codes, labels = draw(7)
    other = draw(8, items=30)[1:]
    own = target = one_hot(1, 1, 1, 1, 1)
    found = RankedItems(3, 100)(known(logits, codes, labels, own, target, voters=other))
    assert sorted(columns(found[0][:, 3:])) == sorted(codes[labels[:, 1] > 0].tolist())
    assert all(code in other[0][other[1][:, 1] > 0].tolist() for code in columns(found[0][:, :3]))


def test_a_query_without_others_is_named():
    logits, codes, labels = draw(9)
    state = known(logits, codes, labels, one_hot(1, 0, 0, 0, 0), one_hot(1, 1, 1, 1, 1))
    with pytest.raises(
        ValueError, match=r"query 0 has no database item of its own label .*disjoin"
    ):
        PTA().reference(state)
    labels[:, 2] = 0
    with pytest.raises(ValueError, match="query 0 has no database item of its target"):
        PTA().reference(known(logits, codes, labels, one_hot(1, 1, 1, 1, 1), one_hot(*[2] * 5)))
    with pytest.raises(ValueError, match="RankedItems needs a target, a label and an index"):
        PTA().reference(Known(logits))
    whole = vars(state)
    for name in ("labels", "target_labels", "index", "database", "voters"):  # each is needed
        with pytest.raises(ValueError, match="RankedItems needs a target, a label and an index"):
            PTA().reference(Known(**{**whole, name: None}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positives": 0}, "positives and negatives must be at least 1, got 0 and 300"),
        ({"negatives": 0}, "positives and negatives must be at least 1, got 75 and 0"),
        ({"temperature": 0.0}, "temperature must be positive, got 0.0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_pta_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        PTA(**options)


@pytest.mark.parametrize("objective", [PTA(5, 4), SDHA(), SDHA(targeted=True)])
def test_a_query_does_not_see_its_neighbours(objective):
    logits, codes, labels = draw(10)
    own, target = one_hot(0, 1, 2, 3, 0), one_hot(1, 2, 3, 0, 2)
    state = known(logits, codes, labels, own, target)

    def gradient(rows):
        x = logits[rows].clone().requires_grad_()
        objective(x, objective.reference(state)[rows], 0.3).sum().backward()
        return x.grad

    together = gradient(slice(None))
    alone = torch.cat([gradient(slice(i, i + 1)) for i in range(5)])
    torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("objective", [PTA(5, 4), SDHA(), SDHA(True, "train")])
def test_an_attack_of_several_victims_takes_each_ones_bits(objective):
    logits, codes, labels = draw(11)
    state = known(logits, codes, labels, one_hot(0, 1, 2, 3, 0), one_hot(1, 2, 3, 0, 2))
    state = Known(**{**vars(state), "train": state.database})
    parts = [slice(0, 4), slice(4, 9)]
    joint = JointObjective(objective, parts)
    losses = joint(logits, joint.reference(state), 0.5)
    expected = 0
    for part in parts:
        items = codes[:, part], labels
        own = Known(**{**vars(state), "clean_logits": logits[:, part]})
        own = Known(**{**vars(own), "database": items, "voters": items, "train": items})
        expected = expected + objective(logits[:, part], objective.reference(own), 0.5)
    torch.testing.assert_close(losses, expected)


@pytest.mark.parametrize(
    ("objective", "metric", "rises"),
    [(PTA(), "t_map", True), (SDHA(True), "t_map", True), (SDHA(voters="train"), "map", False)],
)
def test_they_attack_under_the_trainer(objective, metric, rises, tmp_path, blobs):
    def step(parameters):
        return AccumulatedSignStep(parameters, lr=0.01)

    targets = TargetChoice(n_t=5, rule="disjoint")
    options = {"objective": objective, "step": step, "epsilon": 0.2, "targets": targets}
    scores = attack(tmp_path, blobs, iterations=12, evaluate_at=[0], **options)
    before, after = (
        rows_of(scores, metric=metric, iteration=i, quantized=False, attack=objective.name)[0]
        for i in (0, 12)
    )
    assert (after["value"] > before["value"] + 0.1) == rises
    assert (after["value"] < before["value"] - 0.1) != rises
    for queries in scores.batches:
        goal = queries.targets.anchor_codes if objective.reference.targeted else queries.clean_codes
        assert torch.equal(queries.goal, goal.to(queries.goal))
