"""Numbers of losses that a person can compute, and what their gradients pass on."""

import math

import pytest
import torch
import torch.nn.functional as F

from lightning_hash.losses import (
    BiHalfLoss,
    DPNLoss,
    DSDHLoss,
    DSHLoss,
    DTSHLoss,
    HyP2Loss,
    IDHNLoss,
    OrthoHashLoss,
    bi_half_code,
)
from lightning_hash.losses.dsdh import discrete_codes, ridge_regression
from tests.helpers.logits import batch
from tests.reference import class_losses, pair_losses

CLOSE = {"abs": 1e-6, "rel": 1e-6}
ONE, OTHER, BOTH, NONE = [1, 0], [0, 1], [1, 1], [0, 0]


def built(loss, bits=2, classes=2):
    loss.build(bits, classes)
    return loss


def value(loss, logits, labels, *others):
    return loss(torch.tensor(logits), torch.tensor(labels), *map(torch.tensor, others)).item()


def test_orthohash():
    # Centres ++ and +-; (3, 3) has cosines 1 and 0, the margin takes 0.2 from its own label's.
    loss = built(OrthoHashLoss(scale=8.0, margin=0.2, center_rule="csq"))
    one = math.log(1 + math.exp(8 * (0 - 0.8)))
    assert value(loss, [[3.0, 3.0]], [ONE]) == pytest.approx(one, **CLOSE)
    other = math.log(1 + math.exp(8 * (1 + 0.2)))
    assert value(loss, [[3.0, 3.0]], [OTHER]) == pytest.approx(other, **CLOSE)
    both = (math.log(1 + math.exp(-8)) + math.log(1 + math.exp(8))) / 2  # 0.8 and -0.2
    assert value(loss, [[3.0, 3.0]], [BOTH]) == pytest.approx(both, **CLOSE)
    assert value(loss, [[3.0, 3.0], [1.0, 0.0]], [ONE, NONE]) == pytest.approx(one, **CLOSE)
    arc = built(OrthoHashLoss(scale=8.0, margin=0.2, margin_type="arc", center_rule="csq"))
    # Cosine 0 is an angle of 90 degrees: cos(pi / 2 + 0.2) = -sin 0.2 against 0.99999.
    found = value(arc, [[3.0, 3.0]], [OTHER])
    assert found == pytest.approx(math.log(1 + math.exp(8 * (0.99999 + math.sin(0.2)))), abs=1e-5)


def test_dpn():
    loss = built(DPNLoss(center_rule="csq"))  # centres ++ and +-
    assert value(loss, [[0.5, -2.0]], [ONE]) == pytest.approx(0.5 + 3)
    assert value(loss, [[0.5, -2.0]], [OTHER]) == pytest.approx(0.5)
    assert value(loss, [[0.5, -2.0]], [BOTH]) == pytest.approx(4.0)
    assert value(loss, [[0.5, -2.0], [9.0, 0.0]], [OTHER, NONE]) == pytest.approx(0.5)
    assert value(loss, [[1.0, 1.0]], [ONE]) == 0  # at the margin, whichever above


def test_hyp2():
    loss = built(HyP2Loss(beta=0.5, threshold=0.25), 2, 2)
    loss.proxies.data = torch.tensor([[2.0, 0.0], [0.0, 5.0]])
    c = math.sqrt(0.5)
    # (1, 1): cosine c with both proxies.
    assert value(loss, [[1.0, 1.0]], [ONE]) == pytest.approx((1 - c) + (c - 0.25), **CLOSE)
    assert value(loss, [[1.0, 1.0]], [BOTH]) == pytest.approx(1 - c, **CLOSE)
    assert value(loss, [[1.0, 1.0]], [NONE]) == pytest.approx(c - 0.25, **CLOSE)
    # Two items of one label each are no pair, whatever they share.
    apart = value(loss, [[1.0, 0.0], [1.0, 0.0]], [ONE, OTHER])
    assert apart == pytest.approx((0 + 1) / 2 + (0 + 0.75) / 2, **CLOSE)
    four = built(HyP2Loss(beta=0.5, threshold=0.25), 2, 4)
    four.proxies.data = torch.tensor([[1.0, 0.0]] * 4)
    labels = [[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0], [1, 0, 0, 0]]
    codes = [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]
    # The first two alone share nothing and have two labels each: both orders cost 0.75.
    assert value(four, codes, labels) == pytest.approx(0 + 0.75 + 0.5 * 0.75, **CLOSE)


def test_proxies_learn():
    loss = built(HyP2Loss(), 12, 4)
    assert loss._zeta == pytest.approx(1 - 2 * 8 / 12)
    before = loss.proxies.detach().clone()
    logits, labels = batch(6, 12, 4)
    loss.double()(logits, labels).backward()
    assert (loss.proxies.grad.abs().sum(dim=1) > 0).all()
    assert before.std() == pytest.approx(math.sqrt(2 / 4), rel=0.3)  # He's, fan_out = C
    assert loss.threshold is None  # what the settings of a checkpoint say


def test_dtsh():
    loss = DTSHLoss(margin=1.0, quantization_weight=0.5)
    codes = [[1.0, 1.0], [1.0, 1.0], [1.0, -1.0]]
    # Item 0 with 1 and 2: Theta 1 and 0, and margin 1: log 2; 1 likewise; 2 has no relative.
    found = value(loss, codes, [ONE, ONE, OTHER])
    assert found == pytest.approx(math.log(2), **CLOSE)
    # Half a margin more by default: K / 2 = 1.
    default = DTSHLoss()
    assert value(default, codes, [ONE, ONE, OTHER]) == pytest.approx(math.log(2), **CLOSE)
    # No triplet: the penalty alone, (2 - 1)^2 + (0 + 1)^2 of item 0.
    penalty = value(loss, [[2.0, 0.0], [1.0, 1.0]], [ONE, OTHER])
    assert penalty == pytest.approx(0.5 * (1 + 1) / 2)
    weight = value(default, [[2.0, 0.0], [1.0, 1.0]], [ONE, OTHER])
    assert weight == pytest.approx(100 / 22_500)


@pytest.mark.parametrize(("rows", "bits", "classes"), [(1, 3, 2), (7, 6, 3), (9, 12, 5)])
def test_dtsh_equals_the_oracle(rows, bits, classes):
    """Items of no label, which are nobody's relative, among them."""
    logits, labels = batch(rows, bits, classes, seed=3)
    for loss, margin, weight in (
        (DTSHLoss(), bits / 2, 1 / 225), (DTSHLoss(0.3, 2.0), 0.3, 2.0)
    ):  # fmt: skip
        expected = pair_losses.dtsh(logits.numpy(), labels.numpy(), margin, weight)
        assert loss(logits, labels).item() == pytest.approx(expected, abs=1e-9)
    assert torch.autograd.gradcheck(lambda h: loss(h, labels), (logits.requires_grad_(),))


def test_dsh():
    # K = 2, margin 4: (0, 0) and (1, 1) are 2 apart. Own pairs cost nothing.
    loss = DSHLoss(penalty_weight=0.5)
    rows = [[0.0, 0.0], [1.0, 1.0]]
    penalty = 0.5 * (2 + 0) / 2
    assert value(loss, rows, [ONE, OTHER]) == pytest.approx((1 + 1) / 4 + penalty)
    assert value(loss, rows, [ONE, BOTH]) == pytest.approx((1 + 1) / 4 + penalty)
    far = [[1.0, 1.0], [-1.0, 1.0]]  # 4 apart: at the margin
    assert value(loss, far, [ONE, OTHER]) == 0
    assert value(loss, far, [ONE, ONE]) == pytest.approx((2 + 2) / 4)


def test_idhn():
    loss = IDHNLoss(beta=5.0, gamma=0.1, quantization_weight=0.0)
    big = 1e6  # softsign 1
    # (1, 1) and (1, -1): product 0, each with itself 2. Cosines 1, 0.
    own, apart = math.log(1 + math.exp(-5)), math.log(2)
    found = value(loss, [[big, big], [big, -big]], [ONE, OTHER])
    assert found == pytest.approx((own + apart) / 2, abs=1e-5)
    # One of two labels shared with (1, 1): cosine 1 / sqrt 2, squared error 0.1 K (1/2 - c)^2.
    soft = 0.1 * 2 * (0.5 - math.sqrt(0.5)) ** 2
    found = value(loss, [[big, big], [big, -big]], [ONE, BOTH])
    assert found == pytest.approx((own + soft) / 2, abs=1e-5)
    # softsign(1) = 1/2: the penalty is |1/2 - 1|, of 0 it is 1.
    penalty = IDHNLoss(gamma=0.0, quantization_weight=0.3)
    alone = math.log(1 + math.exp(5 * 0.25 / 2)) - 5 * 0.25 / 2
    assert value(penalty, [[1.0, 0.0]], [ONE]) == pytest.approx(alone + 0.3 * 0.75, **CLOSE)


def test_bi_half_codes_equal_the_oracle():
    for rows in (1, 2, 5, 8):
        logits, _ = batch(rows, 6, 2, seed=rows)
        found = bi_half_code(logits)
        assert torch.equal(found, torch.from_numpy(class_losses.bi_half(logits.numpy())))
        assert (found > 0).sum(dim=0).eq(rows // 2).all()
    tied = bi_half_code(torch.zeros(4, 2))
    assert tied[:, 0].tolist() == [1, 1, -1, -1]  # of equal ones the first


@pytest.mark.parametrize("scale", [1.0, 0.25, 2.0**16])
@pytest.mark.parametrize("gamma", [6.0, 0.0, 1.5])
def test_bi_half_gradient(gamma, scale):
    """The pull is scaled with the loss: by accumulated batches, or a scaler of float16."""
    logits, labels = batch(5, 4, 2)
    labels[:] = torch.tensor(ONE)
    loss = built(BiHalfLoss(gamma=gamma), 4, 2).double()
    codes = torch.from_numpy(class_losses.bi_half(logits.numpy())).requires_grad_()
    entropy = F.cross_entropy(loss.classifier(codes), torch.zeros(5, dtype=torch.long))
    (upstream,) = torch.autograd.grad(entropy, codes)
    logits.requires_grad_()
    found = loss(logits, labels)
    assert found.item() == pytest.approx(entropy.item(), **CLOSE)
    (scale * found).backward()
    expected = class_losses.bi_half_gradient(logits.detach().numpy(), upstream.numpy(), gamma)
    torch.testing.assert_close(logits.grad / scale, torch.from_numpy(expected))


def test_bihalf():
    loss = built(BiHalfLoss(), 1, 2)
    loss.classifier.weight.data = torch.tensor([[1.0], [-1.0]])
    loss.classifier.bias.data = torch.tensor([0.5, 0.0])
    # Codes 1 and -1, whatever the signs are: scores (1.5, -1) and (-0.5, 1).
    wrong, right = math.log(1 + math.exp(1.5)), math.log(1 + math.exp(-2.5))
    assert value(loss, [[-3.0], [-9.0]], [ONE, ONE]) == pytest.approx((right + wrong) / 2, **CLOSE)
    assert value(loss, [[-3.0], [-9.0]], [ONE, NONE]) == pytest.approx(right, **CLOSE)


def test_bihalf_pulls_to_its_code_with_its_own_gamma():
    logits = torch.tensor([[3.0], [-0.5]], requires_grad=True)
    grads = []
    for gamma in (0.0, 6.0):
        loss = built(BiHalfLoss(gamma=gamma), 1, 2)
        loss.classifier.weight.data = torch.tensor([[1.0], [-1.0]])
        loss.classifier.bias.data.zero_()
        grads.append(torch.autograd.grad(loss(logits, torch.tensor([ONE, OTHER])), logits)[0])
    torch.testing.assert_close(grads[1] - grads[0], 6 / 2 * torch.tensor([[2.0], [0.5]]))
    assert (grads[0] != 0).all()


def test_dsdh_codes():
    """Among all codes of one item, those that coordinate descent ends at are no worse by a bit."""
    logits, labels = batch(8, 5, 3, seed=2)
    classifier = ridge_regression(torch.where(logits > 0, 1, -1), labels, 0.3)
    expected = pair_losses.ridge(torch.where(logits > 0, 1, -1).numpy(), labels.numpy(), 0.3)
    torch.testing.assert_close(classifier, torch.from_numpy(expected))
    wide = classifier * 4  # so that the classifier has a say
    for weight in (0.0, 0.05, 3.0):
        codes = discrete_codes(logits, labels, wide, weight)
        found = pair_losses.dcc(logits.numpy(), labels.numpy(), wide.numpy(), weight)
        assert torch.equal(codes, torch.from_numpy(found))

        def cost(b, weight=weight):
            errors = (labels - b @ wide).square().sum(dim=1)
            return errors + weight * (b - logits).square().sum(dim=1)

        for bit in range(5):
            flipped = codes.clone()
            flipped[:, bit] *= -1
            assert (cost(codes) <= cost(flipped) + 1e-9).all()
    assert torch.equal(
        discrete_codes(logits, labels, wide, 1e6), torch.where(logits > 0, 1.0, -1.0)
    )
    assert not torch.equal(discrete_codes(logits, labels, wide, 0.0), codes)


def test_dsdh():
    # One item of one bit, logit 0.1: W = 1 / (1 + 1) for its label, 0 else. Both terms say b = 1.
    loss = DSDHLoss(mu=1.0, nu=1.0, eta=2.0)
    theta = 0.1 * 0.1 / 2
    alone = math.log(1 + math.exp(theta)) - theta + 2 * 0.9**2
    assert value(loss, [[0.1]], [ONE]) == pytest.approx(alone, **CLOSE)
    # Paired with (-5), of the same label: W = -1 / 2, so that b = -1 where mu outweighs eta.
    loss = DSDHLoss(mu=1.0, nu=1.0, eta=0.5)
    theta = -0.5 / 2
    paired = math.log(1 + math.exp(theta)) - theta + 0.5 * 1.1**2
    assert value(loss, [[0.1]], [ONE], [[-5.0]], [ONE]) == pytest.approx(paired, **CLOSE)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: DTSHLoss(margin=-1), "margin must not be negative, got -1"),
        (lambda: DTSHLoss(quantization_weight=-1), "quantization_weight must not be negative"),
        (lambda: DSHLoss(margin=0), "margin must be positive, got 0"),
        (lambda: DSHLoss(penalty_weight=-1), "penalty_weight must not be negative"),
        (lambda: IDHNLoss(beta=0), "beta must be positive"),
        (lambda: IDHNLoss(gamma=-1), "gamma must not be negative"),
        (lambda: IDHNLoss(quantization_weight=-1), "quantization_weight must not be negative"),
        (lambda: DSDHLoss(mu=0), "mu must be positive"),
        (lambda: DSDHLoss(nu=0), "nu must be positive"),
        (lambda: DSDHLoss(eta=-1), "eta must not be negative"),
        (lambda: DTSHLoss()(torch.zeros(3, 2), torch.zeros(2, 2)), "one number of rows"),
        (lambda: DTSHLoss()(torch.zeros(2), torch.zeros(2, 2)), "logits .B, K. and labels"),
    ],
)
def test_wrong_arguments(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_zero_is_a_weight():
    assert DTSHLoss(margin=0, quantization_weight=0).margin == 0
    assert DSHLoss(penalty_weight=0).penalty_weight == 0
    assert IDHNLoss(gamma=0, quantization_weight=0).gamma == 0
    assert DSDHLoss(eta=0).eta == 0
    assert BiHalfLoss(gamma=0).gamma == OrthoHashLoss(margin=0).margin == HyP2Loss(beta=0).beta == 0
