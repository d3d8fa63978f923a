"""Losses that keep something per class."""

import math

import pytest
import torch

from lightning_hash.losses import (
    BiHalfLoss,
    CSQLoss,
    DPNLoss,
    GreedyHashLoss,
    HyP2Loss,
    OrthoHashLoss,
    hash_centers,
)
from tests.helpers.logits import batch
from tests.reference import class_losses
from tests.reference import losses as oracle


def built(loss, bits, classes):
    loss.build(bits, classes)
    return loss.double()


def csq(logits, labels, loss):
    return oracle.csq(
        logits.detach().numpy(), labels.numpy(), loss.centers.numpy(), loss.tie.numpy(), 0.3
    )


def greedy(logits, labels, loss):
    weight = loss.classifier.weight.detach().numpy()
    return oracle.greedyhash(logits.detach().numpy(), labels.numpy(), weight, 0.3)


def orthohash(**options):
    def reference(logits, labels, loss):
        centers = loss.centers.numpy()
        return class_losses.orthohash(logits.detach().numpy(), labels.numpy(), centers, **options)

    return reference


def dpn(logits, labels, loss):
    centers = loss.centers.numpy()
    return class_losses.dpn(logits.detach().numpy(), labels.numpy(), centers, m=0.7)


def hyp2(logits, labels, loss):
    proxies = loss.proxies.detach().numpy()
    return class_losses.hyp2(logits.detach().numpy(), labels.numpy(), proxies, -0.2, beta=0.3)


def bihalf(logits, labels, loss):
    weight, bias = (p.detach().numpy() for p in loss.classifier.parameters())
    return class_losses.bihalf(logits.detach().numpy(), labels.numpy(), weight, bias)


CASES = {
    "csq": (lambda: CSQLoss(quantization_weight=0.3), csq),
    "greedyhash": (lambda: GreedyHashLoss(penalty_weight=0.3), greedy),
    "orthohash": (lambda: OrthoHashLoss(scale=5.0, margin=0.4), orthohash(s=5.0, m=0.4)),
    "orthohash-arc": (lambda: OrthoHashLoss(margin_type="arc"), orthohash(arc=True)),
    "dpn": (lambda: DPNLoss(margin=0.7), dpn),
    "hyp2": (lambda: HyP2Loss(beta=0.3, threshold=-0.2), hyp2),
    "bihalf": (BiHalfLoss, bihalf),
}
both = pytest.mark.parametrize("name", CASES)


@both
@pytest.mark.parametrize(("rows", "bits", "classes"), [(1, 4, 2), (9, 8, 5), (9, 12, 5)])
def test_equals_the_oracle(name, rows, bits, classes):
    """Items of several labels, of one and of none."""
    make, reference = CASES[name]
    loss = built(make(), bits, classes)
    logits, labels = batch(rows, bits, classes, seed=3)
    assert loss(logits, labels).item() == pytest.approx(reference(logits, labels, loss), abs=1e-9)
    labels = torch.eye(classes, dtype=torch.uint8)
    logits = logits[:1].expand(classes, bits)
    assert loss(logits, labels).item() == pytest.approx(reference(logits, labels, loss), abs=1e-9)


@both
@pytest.mark.parametrize("size", [0.0, 1e3])
def test_no_overflow_and_items_without_a_label(name, size):
    loss = built(CASES[name][0](), 16, 2)
    logits = torch.full((3, 16), size, dtype=torch.float64, requires_grad=True)
    for labels in (torch.tensor([[1, 0], [0, 1], [0, 0]]), torch.zeros(3, 2)):
        value = loss(logits, labels)
        value.backward()
        assert value.isfinite()
        assert logits.grad.isfinite().all()


@pytest.mark.parametrize("name", ["csq", "orthohash", "orthohash-arc", "dpn", "hyp2"])
def test_gradients(name):
    loss = built(CASES[name][0](), 4, 3)
    logits, labels = batch(6, 4, 3)
    assert torch.autograd.gradcheck(lambda h: loss(h, labels), (logits.requires_grad_(),))


def test_csq_gradient_and_that_unlabelled_items_have_none():
    loss = built(CSQLoss(), 3, 2)
    logits, _ = batch(4, 3, 2)
    labels = torch.tensor([[1, 0], [1, 1], [0, 1], [0, 0]])
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda h: loss(h, labels), (logits,))
    (gradient,) = torch.autograd.grad(loss(logits, labels), logits)
    assert torch.equal(gradient[3], torch.zeros(3, dtype=torch.float64))
    assert (gradient[:3] != 0).all()


def test_csq_by_hand():
    # Centre (1, 1) for class 0: logits (0, 0) are at probability 1/2, |2 h - 1| - 1 = -1.
    loss = built(CSQLoss(quantization_weight=2.0), 2, 2)
    found = loss(torch.zeros(1, 2, dtype=torch.float64), torch.tensor([[1, 0]]))
    assert found.item() == pytest.approx(math.log(2) + 2 * math.log(math.cosh(1)))


def test_csq_centre_of_several_labels_is_their_majority():
    loss = built(CSQLoss(), 4, 5)
    one, two, three = (loss.center_of(torch.tensor([row]))[0] for row in (
        [1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]
    ))  # fmt: skip
    assert one.tolist() == [1, 1, 1, 1]
    assert two.tolist() == [1, loss.tie[1], 1, loss.tie[3]]
    assert three.tolist() == [1, 1, 1, -1]  # rows ++++, +-+-, ++--
    assert loss.center_of(torch.tensor([[1, 0, 0, 0, 1]]))[0].tolist() == loss.tie.tolist()


@pytest.mark.parametrize(("classes", "bits"), [(4, 4), (16, 16), (64, 32), (128, 64)])
def test_hadamard_centres(classes, bits):
    centers = hash_centers(classes, bits)
    products = centers @ centers.T
    assert torch.equal(products.diagonal(), torch.full((classes,), float(bits)))
    off = products[~torch.eye(classes, dtype=torch.bool)]
    assert off.unique().tolist() == ([0] if classes <= bits else [-bits, 0])


@pytest.mark.parametrize(("classes", "bits"), [(1, 5), (10, 48), (100, 48), (9, 4), (33, 16)])
def test_bernoulli_centres(classes, bits):
    centers = hash_centers(classes, bits, seed=1)
    assert centers.shape == (classes, bits)
    assert centers.abs().eq(1).all()
    assert len(centers.unique(dim=0)) == classes
    if classes > 1:
        distances = torch.pdist(centers, p=1) / 2
        assert distances.mean() >= bits / 2
    assert torch.equal(centers, hash_centers(classes, bits, seed=1))
    assert classes == 1 or not torch.equal(centers, hash_centers(classes, bits, seed=2))


def test_too_few_bits_for_the_classes():
    with pytest.raises(ValueError, match=r"bits = 3: no 9 hash centres .*; take more bits"):
        hash_centers(9, 3)


def test_greedyhash_gradient_passes_the_sign_unchanged():
    """dL/dH is what dL/dB is, plus the penalty's: 3 |H - B|^2 sign(H - B) / (B K) times alpha."""
    loss = built(GreedyHashLoss(penalty_weight=0.5), 3, 4)
    logits, labels = batch(5, 3, 4)
    logits.requires_grad_()
    (found,) = torch.autograd.grad(loss(logits, labels), logits)
    codes = torch.where(logits > 0, 1.0, -1.0).double().requires_grad_()
    scores = torch.log_softmax(codes @ loss.classifier.weight.T, 1)
    each = [-scores[i][labels[i] > 0].mean() for i in range(5) if labels[i].any()]
    (through,) = torch.autograd.grad(sum(each) / len(each), codes)
    away = (logits - codes).detach()
    penalty = 0.5 * 3 * away.square() * away.sign() / logits.numel()
    torch.testing.assert_close(found, through + penalty)
    assert (through != 0).any()


def test_greedyhash_by_hand():
    loss = built(GreedyHashLoss(penalty_weight=1.0), 2, 2)
    loss.classifier.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    logits = torch.tensor([[3.0, -1.0]], dtype=torch.float64)  # code (1, -1); |2|^3, 0
    entropy = math.log(1 + math.exp(-2))
    assert loss(logits, torch.tensor([[1, 0]])).item() == pytest.approx(entropy + 4)
    # Both labels: half of the target each, so the mean of the two costs.
    assert loss(logits, torch.tensor([[1, 1]])).item() == pytest.approx(entropy + 1 + 4)


@both
def test_built_once_and_for_one_shape(name):
    loss = CASES[name][0]()
    with pytest.raises(ValueError, match=r"knows no classes yet; call build"):
        loss(torch.zeros(2, 4), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="needs num_classes, which these data do not tell"):
        loss.build(4)
    loss.build(4, 3)
    before = {key: value.clone() for key, value in loss.state_dict().items()}
    loss.build(4, 3)
    assert all(torch.equal(value, before[key]) for key, value in loss.state_dict().items())
    with pytest.raises(ValueError, match="is for num_classes = 3, the model and the data have 4"):
        loss.build(4, 4)
    with pytest.raises(ValueError, match="is for bits = 4, the model and the data have 8"):
        loss.build(8, 3)
    for logits, labels in (((2, 5), (2, 3)), ((2, 4), (2, 2)), ((3, 4), (2, 3)), ((4,), (4, 3))):
        with pytest.raises(ValueError, match="must have one number of rows"):
            loss(torch.zeros(logits), torch.zeros(labels))


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: CSQLoss(quantization_weight=-1), "quantization_weight must not be negative"),
        (lambda: GreedyHashLoss(penalty_weight=-1), "penalty_weight must not be negative"),
        (lambda: OrthoHashLoss(scale=0), "scale must be positive, got 0"),
        (lambda: OrthoHashLoss(margin=-0.1), "margin must not be negative"),
        (lambda: OrthoHashLoss(margin_type="x"), "margin_type must be cosine or arc, got 'x'"),
        (lambda: DPNLoss(margin=0), "margin must be positive, got 0"),
        (lambda: HyP2Loss(beta=-1), "beta must not be negative"),
        (lambda: HyP2Loss(threshold=1.1), r"threshold must be a cosine in \[-1, 1\], got 1.1"),
        (lambda: HyP2Loss(threshold=-1.1), "threshold must be a cosine"),
        (lambda: HyP2Loss().build(10, 3), "table of codes of 10 bits has bits"),
        (lambda: BiHalfLoss(gamma=-1), "gamma must not be negative"),
        (lambda: CSQLoss(num_classes=0).build(4), "num_classes must be at least 1, got 0"),
        (lambda: CSQLoss().build(0, 3), "bits must be at least 1, got 0"),
    ],
)
def test_wrong_arguments(act, message):
    with pytest.raises(ValueError, match=message):
        act()


@pytest.mark.parametrize(
    "loss",
    [CSQLoss, GreedyHashLoss, OrthoHashLoss, DPNLoss, BiHalfLoss, lambda: HyP2Loss(threshold=0.1)],
)
def test_one_bit_and_one_class_are_enough(loss):
    made = built(loss(), 1, 1)
    assert made(torch.zeros(1, 1).double(), torch.ones(1, 1)).isfinite()
    with pytest.raises(ValueError, match="bits must be at least 1, got 0"):
        loss().build(0, 1)


def test_ties_of_csq_are_drawn_bits():
    loss = built(CSQLoss(), 64, 2)
    assert loss.tie.unique().tolist() == [-1, 1]
    assert 16 < (loss.tie > 0).sum() < 48


def test_a_penalty_of_zero_is_one():
    assert GreedyHashLoss(penalty_weight=0).penalty_weight == 0


def test_hadamard_centres_are_rows_of_sylvesters_matrix():
    matrix = torch.ones(1, 1)
    for bits in (1, 2, 4, 8, 16):
        rows = torch.cat([matrix, -matrix])
        for classes in {1, bits, 2 * bits - 1, 2 * bits}:
            assert torch.equal(hash_centers(classes, bits), rows[:classes])
        matrix = torch.kron(torch.tensor([[1.0, 1.0], [1.0, -1.0]]), matrix)


def test_centres_of_many_classes_need_no_matrix_of_pairs():
    """Of all pairs the distances alone would be 15 GB."""
    classes, bits = 43_828, 48
    centers = hash_centers(classes, bits, seed=1)
    assert centers.shape == (classes, bits)
    assert len(torch.unique(centers, dim=0)) == classes
    sums = centers.double().sum(dim=0)
    products = (sums.square().sum() - classes * bits) / (classes * (classes - 1))
    assert (bits - products) / 2 >= bits / 2  # the mean distance of two centres
    with pytest.raises(ValueError, match=r"no 43828 hash centres .*; take more bits"):
        hash_centers(classes, 16)
    loss = CSQLoss(seed=1)
    loss.build(bits, classes)
    labels = torch.zeros(2, classes, dtype=torch.uint8)
    labels[[0, 1], [7, 43_827]] = 1
    assert torch.equal(loss.center_of(labels), centers[[7, 43_827]])


def test_centres_are_the_first_draw_that_is_good():
    """The bounds, by all pairs of a small number of classes."""
    for classes, bits, seed in ((5, 3, 0), (7, 3, 2), (9, 12, 1), (20, 6, 3)):
        generator = torch.Generator().manual_seed(seed)
        while True:
            draw = torch.randint(0, 2, (classes, bits), generator=generator) * 2.0 - 1
            apart = torch.cdist(draw, draw, p=1)[*torch.triu_indices(classes, classes, 1)] / 2
            if apart.mean() >= bits / 2 and apart.min() >= 1:
                break
        assert torch.equal(hash_centers(classes, bits, seed), draw)
