"""Losses over pairs."""

import math

import pytest
import torch

from lightning_hash.losses import (
    DCHLoss,
    DeepVideoLoss,
    DPSHLoss,
    DSDHLoss,
    DSHLoss,
    HashNetLoss,
    IDHNLoss,
    PairwiseLoss,
    balanced_mean,
)
from tests.helpers.logits import batch
from tests.reference import losses as oracle
from tests.reference import pair_losses

SOFT = {"beta": 3.0, "gamma": 0.4, "alpha": 0.3}
CASES = {
    "hashnet": (HashNetLoss(alpha=0.7), lambda *a: oracle.hashnet(*a, alpha=0.7)),
    "dpsh": (DPSHLoss(eta=3.0), lambda *a: oracle.dpsh(*a, eta=3.0)),
    "deep_video": (DeepVideoLoss(2.0, 0.3), lambda *a: oracle.deep_video(*a, rho=2.0, balance=0.3)),
    "dch": (DCHLoss(5.0, 0.4), lambda *a: oracle.dch(*a, gamma=5.0, weight=0.4)),
    "dsh": (DSHLoss(penalty_weight=0.3), lambda *a: pair_losses.dsh(*a, weight=0.3)),
    "dsh-margin": (DSHLoss(margin=1.5), lambda *a: pair_losses.dsh(*a, margin=1.5)),
    "idhn": (IDHNLoss(3.0, 0.4, 0.3), lambda *a: pair_losses.idhn(*a, **SOFT)),
    "dsdh": (DSDHLoss(2.0, 0.5, 1.5), lambda *a: pair_losses.dsdh(*a, mu=2, nu=0.5, eta=1.5)),
}
both = pytest.mark.parametrize("name", CASES)
CLOSE = {"abs": 1e-6, "rel": 1e-6}


@both
@pytest.mark.parametrize(("rows", "bits", "classes"), [(2, 3, 2), (7, 16, 5)])
def test_equals_the_oracle(name, rows, bits, classes):
    loss, reference = CASES[name]
    logits, labels = batch(rows, bits, classes)
    expected = reference(logits.numpy(), labels.numpy())
    assert loss(logits, labels).item() == pytest.approx(expected, abs=1e-9)


@both
def test_pairs_with_other_items_equal_the_oracle(name):
    loss, reference = CASES[name]
    (logits, labels), (others, other_labels) = batch(4, 8, 3), batch(9, 8, 3, seed=1)
    arrays = [tensor.numpy() for tensor in (logits, labels, others, other_labels)]
    found = loss(logits, labels, others, other_labels).item()
    assert found == pytest.approx(reference(*arrays), abs=1e-9)


@both
def test_single_labels_and_kinds_of_pairs_that_do_not_occur(name):
    loss, reference = CASES[name]
    logits, _ = batch(4, 6, 3)
    for labels in (torch.eye(4), torch.ones(4, 1)):  # alike only themselves; all alike
        expected = reference(logits.numpy(), labels.numpy())
        assert loss(logits, labels).item() == pytest.approx(expected, abs=1e-9)


@both
def test_gradient(name):
    loss, _ = CASES[name]
    logits, labels = batch(4, 3, 2)
    others, other_labels = batch(5, 3, 2, seed=1)
    assert torch.autograd.gradcheck(
        lambda h: loss(h, labels, others, other_labels), (logits.requires_grad_(),)
    )


@both
@pytest.mark.parametrize("size", [0.0, 1e-30, 1e4])
def test_no_overflow(name, size):
    """Equal codes of different labels, of no length or of a large one; an item without a label."""
    loss, _ = CASES[name]
    logits = torch.full((3, 16), size, requires_grad=True)
    value = loss(logits, torch.tensor([[1, 0], [0, 1], [0, 0]]))
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()


@both
@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.int64])
def test_labels_may_have_any_dtype(name, dtype):
    loss, _ = CASES[name]
    logits, labels = batch(5, 4, 3)
    assert loss(logits, labels.to(dtype)).item() == loss(logits, labels).item()


def test_hashnet_by_hand():
    # <g, g'> of (1, 1) and (1, -1) is 0, of each with itself 2 tanh(1)^2. The two similar pairs
    # have a mean of log(1 + exp(-2 t^2)), the two dissimilar ones of log 2.
    logits = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    own = math.log(1 + math.exp(-2 * math.tanh(1.0) ** 2))
    found = HashNetLoss(alpha=1.0)(logits, torch.eye(2))
    assert found.item() == pytest.approx(own + math.log(2), **CLOSE)


def test_hashnet_takes_alpha_from_the_bits():
    logits, labels = batch(4, 20, 3)
    assert HashNetLoss()(logits, labels) == HashNetLoss(alpha=0.5)(logits, labels)


def test_hashnet_beta_grows_with_the_training_alone():
    loss = HashNetLoss(stages=50)
    betas = []
    for fraction in (0.0, 0.019, 0.02, 0.5, 1.0):
        loss.on_progress(fraction)
        betas.append(loss.beta**2)
    assert betas == pytest.approx([1, 1, 2, 26, 51])
    logits, labels = batch(4, 8, 3)
    expected = oracle.hashnet(logits.numpy(), labels.numpy(), alpha=10 / 8, beta=math.sqrt(51))
    assert loss(logits, labels).item() == pytest.approx(expected, abs=1e-9)


def test_dpsh_by_hand():
    # Theta = 0 for the pair, 1 (item 1 with itself: (1 + 1) / 2); codes cost (1 - 1)^2.
    logits = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    expected = (2 * math.log(1 + math.exp(-1.0)) + 2 * math.log(2)) / 4
    assert DPSHLoss()(logits, torch.eye(2)).item() == pytest.approx(expected, **CLOSE)
    # (2, 2): distance to the code 2, eta over one item.
    alone = math.log(1 + math.exp(-4.0)) + 10 * 2
    found = DPSHLoss()(torch.full((1, 2), 2.0), torch.ones(1, 1))
    assert found.item() == pytest.approx(alone, **CLOSE)


def test_dch_by_hand():
    # Opposite codes: d = K = 2; with gamma = 2 a similar pair costs log 2, a dissimilar one log 2.
    logits = torch.tensor([[9.0, 9.0], [-9.0, -9.0]])
    similar, dissimilar = torch.ones(2, 1), torch.eye(2)
    loss = DCHLoss(gamma=2.0, quantization_weight=1.0)
    assert loss(logits, similar).item() == pytest.approx(math.log(2) / 2, **CLOSE)
    assert loss(logits, dissimilar).item() == pytest.approx(math.log(2), **CLOSE)
    # One of two bits at 0: 45 degrees to the vertex, d = 1 - 1 / sqrt(2), Eq. 9.
    found = loss(torch.tensor([[9.0, 0.0]]), torch.ones(1, 1))
    assert found.item() == pytest.approx(math.log(1 + (1 - 0.5**0.5) / 2), abs=1e-5)


def test_dch_still_pulls_inside_a_small_ball_where_hashnet_is_content():
    """Two bits apart of 32, a similar pair costs a tenth of what opposite codes cost."""
    code, alike = torch.full((1, 32), 9.0), torch.ones(1, 1)
    near = code * torch.cat([-torch.ones(2), torch.ones(30)])
    shares = []
    for loss in (DCHLoss(), HashNetLoss()):
        apart, opposite = (loss(code, alike, others, alike).item() for others in (near, -code))
        shares.append(apart / opposite)
    assert shares[0] == pytest.approx(math.log(1.1) / math.log(2.6), abs=1e-4)
    assert shares[1] < 1e-4


def test_balanced_mean_counts_a_kind_as_one():
    similar = torch.eye(3, dtype=torch.bool)
    values = torch.where(similar, 3.0, 7.0)
    assert balanced_mean(values, similar).item() == pytest.approx(10.0)
    assert balanced_mean(values, torch.ones(3, 3, dtype=torch.bool)) == values.mean()


def test_other_items_get_no_gradient_and_half_of_the_pairs_pull():
    """With all items in the bank each item feels one side of Eq. 11's pairs: half its gradient."""
    logits, labels = batch(5, 4, 3)
    logits.requires_grad_()
    (whole,) = torch.autograd.grad(PairwiseLoss()(logits, labels), logits)
    bank = PairwiseLoss()(logits, labels, logits.detach(), labels)
    (half,) = torch.autograd.grad(bank, logits)
    torch.testing.assert_close(2 * half, whole)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HashNetLoss(alpha=0), "alpha must be positive, got 0"),
        (lambda: HashNetLoss(stages=0), "stages must be at least 1, got 0"),
        (lambda: DPSHLoss(eta=-1), "eta must not be negative, got -1"),
        (lambda: DCHLoss(gamma=0), "gamma must be positive, got 0"),
        (lambda: DCHLoss(quantization_weight=-1), "quantization_weight must not be negative"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_deep_video_by_hand():
    # K = 4: codes equal, d = 0: alike z = 1 - (1 - 0) = 0, otherwise z = 1 + 1 = 2.
    logits = torch.full((2, 4), 90.0)
    alike = DeepVideoLoss()(logits, torch.ones(2, 1)).item()
    assert alike == pytest.approx(math.log(2), **CLOSE)
    mixed = DeepVideoLoss()(logits, torch.eye(2)).item()
    assert mixed == pytest.approx((math.log(2) + math.log(1 + math.e**2)) / 2, **CLOSE)
    # All logits 0: h = 0, d = 2, z = 2 and 0; quantisation 4 + 4 for each pair.
    zero = DeepVideoLoss(balance=0.5)(torch.zeros(2, 4), torch.ones(2, 1)).item()
    assert zero == pytest.approx(math.log(1 + math.e**2) + 4, **CLOSE)


@pytest.mark.parametrize(("options", "name"), [({"rho": 0}, "rho"), ({"balance": -1}, "balance")])
def test_deep_video_options(options, name):
    with pytest.raises(ValueError, match=f"{name} must"):
        DeepVideoLoss(**options)


def test_the_smallest_options_are_allowed():
    assert HashNetLoss(stages=1).stages == 1
    assert DCHLoss(quantization_weight=0).quantization_weight == 0


def test_a_penalty_of_zero_is_one():
    assert DPSHLoss(eta=0).eta == 0
    with pytest.raises(ValueError, match="eta must not be negative"):
        DPSHLoss(eta=-0.1)
