import pytest
import torch

from lightning_hash.attacks import (
    HAG,
    PTA,
    SAAT,
    SDHA,
    THA,
    AnchorCode,
    CgAT,
    FeatureShift,
    HAGCode,
    Hinge,
    Known,
    Noise,
    TargetFeatures,
)
from tests.reference import attacks as reference


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.0])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_hag_against_the_paper(alpha, threshold):
    generator = torch.Generator().manual_seed(1)
    logits, clean = (torch.randn(40, 12, generator=generator).double() * 4 for _ in range(2))
    losses = HAG(threshold)(logits, clean, alpha)
    expected = [
        reference.hag_loss(row, other, alpha, threshold)
        for row, other in zip(logits.tolist(), clean.tolist(), strict=True)
    ]
    torch.testing.assert_close(losses, torch.tensor(expected, dtype=torch.float64))


def test_hag_by_hand():
    # One bit kept, two flipped with a margin above t: only the first enters, and m = 1.
    clean, logits = torch.tensor([[1.0, 20.0, -20.0]]), torch.tensor([[1.0, -20.0, 20.0]])
    tanh1 = 0.7615941559557649
    assert HAG(0.5)(logits, clean, 1.0).item() == pytest.approx((tanh1 * tanh1 + 1) ** 2)


@pytest.mark.parametrize("objective", [HAG, HAGCode])
def test_a_bit_at_the_very_threshold_is_left_alone(objective):
    """Eq. 7 keeps what is below 1 + t: tanh(0) is 1 away, tanh(-90) in float32 2."""
    clean = torch.tensor([[90.0, 90.0]])
    extra = 0.25 if objective is HAGCode else 0.0  # (1 / 2)^2 of the other bit alone
    assert objective(0.0)(torch.tensor([[0.0, 90.0]]), clean, 1.0).item() == 4 + extra
    assert objective(1.0)(torch.tensor([[-90.0, 90.0]]), clean, 1.0).item() == 4 + extra


@pytest.mark.parametrize("objective", [HAG(), HAGCode()])
def test_hag_with_every_bit_flipped_is_zero_without_nan(objective):
    clean = torch.full((2, 4), 9.0)
    logits = torch.full((2, 4), -9.0, requires_grad=True)
    losses = objective(logits, clean, 1.0)
    losses.sum().backward()
    assert losses.tolist() == [0.0, 0.0]
    assert torch.equal(logits.grad, torch.zeros(2, 4))


def test_hag_takes_the_clean_code_at_the_alpha_of_the_iteration():
    clean = torch.tensor([[1.0, 1.0]])
    low, high = (HAG()(clean, clean, alpha).item() for alpha in (0.1, 1.0))
    assert low == pytest.approx((0.09966799462495582**2 + 1) ** 2, rel=1e-6)
    assert high == pytest.approx((0.7615941559557649**2 + 1) ** 2, rel=1e-6)


def test_hag_mask_carries_no_gradient_and_stops_the_flipped_bits():
    clean = torch.tensor([[5.0, 5.0]])
    logits = torch.tensor([[5.0, -5.0]], requires_grad=True)
    HAG()(logits, clean, 0.1).sum().backward()
    assert logits.grad[0, 0] > 0
    kept = torch.tanh(torch.tensor(0.5)).item()
    assert (logits.grad[0, 1] == 0) == (abs(-kept - 1) >= 1.5)


@pytest.mark.parametrize("alpha", [0.1, 1.0])
def test_dhta_against_the_paper(alpha):
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(20, 8, generator=generator).double() * 3
    anchors = torch.where(torch.randn(20, 8, generator=generator) > 0, 1.0, -1.0).double()
    expected = [
        reference.dhta_loss(row, code, alpha)
        for row, code in zip(logits.tolist(), anchors.tolist(), strict=True)
    ]
    losses = AnchorCode()(logits, anchors, alpha)
    torch.testing.assert_close(losses, torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("objective", [HAG(), AnchorCode()])
def test_a_query_does_not_see_its_neighbours(objective):
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(6, 8, generator=generator, dtype=torch.float64)
    other = torch.where(torch.randn(6, 8, generator=generator) > 0, 1.0, -1.0).double()

    def gradient(rows):
        x = logits[rows].clone().requires_grad_()
        objective(x, other[rows], 0.3).sum().backward()
        return x.grad

    together = gradient(slice(None))
    alone = torch.cat([gradient(slice(i, i + 1)) for i in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-12, atol=0)


def test_anchor_code_without_targets_says_what_is_missing():
    with pytest.raises(ValueError, match="AnchorCodes needs a target per query"):
        AnchorCode().reference(Known(torch.zeros(1, 2), None))


@pytest.mark.parametrize("threshold", [-0.1, 1.5, float("nan")])
def test_hag_threshold_out_of_range(threshold):
    with pytest.raises(ValueError, match=r"threshold must be in \[0, 1\]"):
        HAG(threshold)


def test_noise_has_nothing_to_optimise():
    assert not Noise().iterative
    assert Noise()(torch.ones(3, 2), torch.ones(3, 2), 0.1).tolist() == [0, 0, 0]


def test_nan_logits_do_not_pass_for_flipped_bits():
    clean = torch.full((2, 4), 9.0)
    logits = torch.tensor([[torch.nan] * 4, [-9.0, -9.0, -9.0, torch.nan]])
    assert HAG()(logits, clean, 1.0).isnan().all()


@pytest.mark.parametrize("alpha", [0.1, 1.0])
def test_hag_code_against_its_oracle(alpha):
    generator = torch.Generator().manual_seed(1)
    logits, clean = (torch.randn(60, 4, generator=generator).double() * 4 for _ in range(2))
    losses = HAGCode(0.3, beta=0.7)(logits, clean, alpha)
    expected = [
        reference.hag_code_loss(row, other, alpha, 0.3, 0.7)
        for row, other in zip(logits.tolist(), clean.tolist(), strict=True)
    ]
    assert 0.0 in expected  # some query has nothing left
    torch.testing.assert_close(losses, torch.tensor(expected, dtype=torch.float64))


def test_hag_code_by_hand():
    # tanh(2) of the bit that is left alone in the mean over both: the authors' 3.9547.
    losses = HAGCode()(torch.tensor([[-3.0, 2.0]]), torch.tensor([[2.0, 2.0]]), 1.0)
    tanh2 = 0.9640275800758169
    assert losses.item() == pytest.approx((tanh2**2 + 1) ** 2 + (tanh2 / 2) ** 2, rel=1e-6)
    assert losses.item() == pytest.approx(3.9547, abs=5e-5)


def test_a_finished_query_of_hag_code_has_no_gradient():
    logits = torch.tensor([[-0.1, -0.2]], requires_grad=True)
    HAGCode()(logits, torch.tensor([[3.0, 3.0]]), 0.1).sum().backward()
    assert logits.grad.tolist() == [[0.0, 0.0]]


LABEL_CODES = {
    "cgat": (CgAT, reference.center_code, lambda *a, targeted: reference.cgat_loss(*a)),
    "saat": (SAAT, reference.mainstay_code, reference.saat_loss),
}


@pytest.mark.parametrize("voters", ["train", "database"])
@pytest.mark.parametrize("name", LABEL_CODES)
def test_label_codes_push_away_from_the_own_and_towards_the_target(name, voters):
    objective, code, loss_of = LABEL_CODES[name]
    generator = torch.Generator().manual_seed(5)

    def items(count):
        labels = (torch.rand(count, 4, generator=generator) < 0.4).to(torch.uint8)
        return (torch.randint(0, 2, (count, 9), generator=generator) * 2 - 1).to(torch.int8), labels

    database, train = items(30), items(21)
    own, target = database[1][:6], database[1][10:16]
    logits = torch.randn(6, 9, generator=generator).double()
    state = Known(
        logits, labels=own, target_labels=target, database=database, voters=database, train=train
    )
    votes, labels = [part.tolist() for part in (train if voters == "train" else database)]
    for targeted, rows in ((False, own), (True, target)):
        attack = objective(targeted=targeted, voters=voters)
        assert (attack.reference.targeted, attack.name.endswith("-targeted")) == (
            targeted,
            targeted,
        )
        assert attack.reference.needs_train == (voters == "train")
        assert attack.settings()["voters"] == attack.reference.settings()["voters"] == voters
        losses = attack(logits, attack.reference(state), 0.5)
        for loss, row, label in zip(losses, logits, rows, strict=True):
            b = code(label.tolist(), votes, labels)
            expected = loss_of(row.tolist(), b, 0.5, targeted=targeted)
            if name == "cgat" and targeted:
                expected = -expected
            assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("targeted", [False, True])
def test_saat_leaves_bits_alone_that_are_past_its_margin(targeted):
    """A bit counts no more once it agrees by 0.5; with none left the loss is 0."""
    goal = torch.tensor([[1.0, 1.0, -1.0]])  # what each bit is to become
    logits = torch.tensor([[0.6, 0.5, 0.3]], requires_grad=True)  # tanh: 0.537, 0.462, 0.291
    loss = SAAT(targeted)(logits, goal, 1.0)
    loss.sum().backward()
    assert logits.grad[0, 0] == 0
    assert (logits.grad[0, 1:] != 0).all()
    assert (torch.sign(-logits.grad[0, 1:]) == goal[0, 1:]).all()  # downhill leads there
    past = torch.tensor([[9.0, 9.0, -9.0]], requires_grad=True)
    nothing = SAAT(targeted)(past, goal, 1.0)
    nothing.sum().backward()
    assert nothing.tolist() == [0.0]
    assert past.grad.tolist() == [[0.0, 0.0, 0.0]]
    assert SAAT(targeted)(torch.full((1, 3), torch.nan), goal, 1.0).isnan().all()


@pytest.mark.parametrize("targeted", [False, True])
def test_a_bit_at_saats_very_margin_is_left_alone(targeted):
    """w = sim > -0.5, targeted sim < 0.5: not at 0.5 of agreement itself."""
    goal = torch.tensor([[0.5, 1.0]])  # times tanh(90) = 1
    assert SAAT(targeted)(torch.tensor([[90.0, 0.0]]), goal, 1.0).tolist() == [0.0]


def test_objectives_say_what_they_need():
    logits, features = ("logits", "features")
    for objective, *expected in (
        (HAG(), False, False, False, logits), (HAGCode(), False, False, False, logits),
        (Noise(), False, False, False, logits), (AnchorCode(), True, True, False, logits),
        (FeatureShift(), False, False, False, features),
        (TargetFeatures(), True, True, False, features), (CgAT(), False, True, False, logits),
        (CgAT(targeted=True), True, True, False, logits), (SAAT(), False, True, False, logits),
        (SAAT(voters="train"), False, True, True, logits), (PTA(), True, True, False, logits),
        (THA("train"), True, True, True, logits),
        (SDHA(voters="train"), False, True, True, logits), (SDHA(True), True, True, False, logits),
    ):  # fmt: skip
        needs = objective.reference
        found = [needs.targeted, needs.needs_database, needs.needs_train, needs.sees]
        assert found == expected, objective.name
        assert objective.iterative == (objective.name != "noise")
        no_code = ("pta", "sdha", "sdha-targeted", "feature", "feature-shift")
        assert needs.is_code == (objective.name not in no_code)
        assert objective.flat_at_clean == (objective.name == "feature-shift")
        assert objective.clamps == (objective.name == "pta")


def test_voters_are_known():
    with pytest.raises(ValueError, match="voters must be 'train' or 'database', got 'query'"):
        CgAT(voters="query")


def test_label_codes_need_a_database_and_a_target():
    logits = torch.zeros(1, 4)
    with pytest.raises(ValueError, match="CenterCodes needs a database of codes and labels"):
        CgAT().reference(Known(logits, labels=torch.ones(1, 2)))
    items = (torch.ones(2, 4), torch.eye(2))
    state = Known(logits, labels=torch.ones(1, 2), database=items, voters=items)
    with pytest.raises(ValueError, match="MainstayCodes needs a target per query"):
        SAAT(targeted=True).reference(state)
    with pytest.raises(ValueError, match="MainstayCodes needs a training split of codes"):
        SAAT(voters="train").reference(state)


def test_target_features_is_the_mean_squared_distance():
    losses = TargetFeatures()(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0, 0.0, 4.0]]), 0.1)
    assert losses.tolist() == pytest.approx([(4 + 1) / 3])
    with pytest.raises(ValueError, match="AnchorFeatures needs a target per query"):
        TargetFeatures().reference(Known(torch.zeros(1, 2)))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_feature_shift_against_its_oracle_at_any_scale(scale):
    features, clean = torch.randn(2, 5, 7).unbind()
    losses = FeatureShift()(features * scale, clean * scale, 0.3)
    rows = zip(features.tolist(), clean.tolist(), strict=True)
    expected = [reference.feature_shift_loss(*row) for row in rows]
    assert losses.tolist() == pytest.approx(expected, rel=1e-5)
    assert all(loss < 0 for loss in expected)


def test_feature_shift_of_features_that_are_all_zero():
    """As a ReLU that is dead for a query leaves them."""
    losses = FeatureShift()(torch.tensor([[3.0, 1.0]]), torch.zeros(1, 2), 1.0)
    assert losses.tolist() == [reference.feature_shift_loss([3.0, 1.0], [0.0, 0.0])] == [-5.0]


def test_feature_shift_leads_away_and_is_flat_where_it_begins():
    clean = torch.tensor([[1.0, -2.0]])
    at_clean, beside = (clean + change for change in (0.0, torch.tensor([[0.1, -0.1]])))
    for place, slope in ((at_clean, [0.0, 0.0]), (beside, [-0.04, 0.04])):
        place.requires_grad_()
        FeatureShift()(place, clean, 1.0).sum().backward()
        assert place.grad[0].tolist() == pytest.approx(slope, abs=1e-6)  # 2 / 2 * 0.1 / 2.5
    with pytest.raises(ValueError, match="CleanFeatures needs the features of the clean queries"):
        FeatureShift().reference(Known(torch.zeros(1, 2)))


def test_finished_queries():
    logits = torch.tensor([[0.1, -0.1], [0.1, 0.1], [-0.1, 0.1]])
    clean = torch.tensor([[-3.0, 3.0], [-3.0, 3.0], [-3.0, 3.0]])
    assert HAG().finished(logits, clean).tolist() == [True, False, False]
    assert AnchorCode().finished(logits, clean.sign()).tolist() == [False, False, True]
    assert Hinge().finished(logits, clean).tolist() == [True, False, False]
    assert Hinge(targeted=True).finished(logits, clean.sign()).tolist() == [False, False, True]
    assert TargetFeatures().finished(logits, clean).tolist() == [False, False, False]
    # A logit of 0 is a bit of -1 (HAG Eq. 1), whichever side it is on.
    zero, plus, minus = (torch.tensor([[v]]) for v in (0.0, 1.0, -1.0))
    for objective, differs in ((HAG(), True), (HAGCode(), True), (AnchorCode(), False)):
        assert objective.finished(zero, plus).item() == differs
        assert objective.finished(zero, minus).item() != differs
        assert objective.finished(plus, zero).item() == differs
        assert objective.finished(minus, zero).item() != differs


def test_a_clean_logit_of_zero_is_a_bit_of_minus_one():
    """As the code that is ranked has it."""
    adversarial, reference = torch.tensor([[0.9, -0.9]]), torch.zeros(1, 2)
    assert HAG(threshold=0.5).mask(adversarial, reference).tolist() == [[False, True]]


def test_a_query_of_hag_code_whose_bits_are_all_masked_out_is_done():
    """At t = 0 an output of 0 is masked and yet the bit of a clean -1: nothing is left to push."""
    assert HAGCode(threshold=0.0)(torch.zeros(1, 2), -torch.ones(1, 2), 1.0).tolist() == [0.0]
