import math

import pytest
import torch

from lightning_hash.losses import PairwiseLoss
from tests.helpers.logits import batch
from tests.reference.pairwise import pairwise_loss


def test_two_items_by_hand():
    # (t, t) and (t, -t) with t = tanh(1): the products over K are t^2 (with itself) and 0.
    logits = torch.tensor([[1.0, 1.0], [1.0, -1.0]])
    own = (math.tanh(1.0) ** 2 - 1) ** 2
    apart = PairwiseLoss()(logits, torch.tensor([[1, 0], [0, 1]]))
    assert apart.item() == pytest.approx((2 * own + 2 * 1.0) / 4, abs=1e-6)
    # Equal codes of two labels: the two mixed pairs cost (t^2 + 1)^2 each.
    equal = PairwiseLoss()(torch.ones(2, 2), torch.tensor([[1, 0], [0, 1]]))
    mixed = (math.tanh(1.0) ** 2 + 1) ** 2
    assert equal.item() == pytest.approx((2 * own + 2 * mixed) / 4, abs=1e-6)


@pytest.mark.parametrize(("rows", "bits", "classes"), [(1, 1, 1), (2, 3, 2), (7, 16, 5)])
def test_equals_the_oracle(rows, bits, classes):
    logits, labels = batch(rows, bits, classes)
    expected = pairwise_loss(logits.numpy(), labels.numpy())
    assert PairwiseLoss()(logits, labels).item() == pytest.approx(expected, abs=1e-12)


def test_one_shared_label_of_several_makes_a_pair_similar():
    logits = torch.full((2, 4), 50.0)
    one_shared = torch.tensor([[1, 1, 0], [0, 1, 1]])
    assert PairwiseLoss()(logits, one_shared).item() == 0.0
    none_shared = torch.tensor([[1, 1, 0], [0, 0, 1]])
    assert PairwiseLoss()(logits, none_shared).item() == pytest.approx(2.0)  # 2 of 4 pairs cost 4


def test_pairs_with_another_batch_equal_the_oracle():
    logits, labels = batch(4, 8, 3)
    others, other_labels = batch(9, 8, 3, seed=1)
    expected = pairwise_loss(logits.numpy(), labels.numpy(), others.numpy(), other_labels.numpy())
    loss = PairwiseLoss()(logits, labels, others, other_labels)
    assert loss.item() == pytest.approx(expected, abs=1e-12)


def test_rows_against_the_whole_batch_average_to_the_loss_of_the_batch():
    logits, labels = batch(6, 8, 3)
    parts = [
        PairwiseLoss()(logits[rows], labels[rows], logits, labels)
        for rows in (slice(0, 3), slice(3, 6))
    ]
    torch.testing.assert_close(sum(parts) / 2, PairwiseLoss()(logits, labels))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.int64, torch.float32])
def test_labels_may_have_any_dtype(dtype):
    logits, labels = batch(5, 4, 3)
    loss = PairwiseLoss()
    assert loss(logits, labels.to(dtype)).item() == loss(logits, labels).item()


def test_gradient():
    logits, labels = batch(4, 3, 2)
    assert torch.autograd.gradcheck(lambda h: PairwiseLoss()(h, labels), (logits.requires_grad_(),))
    others, other_labels = batch(3, 3, 2, seed=1)
    assert torch.autograd.gradcheck(
        lambda h, g: PairwiseLoss()(h, labels, g, other_labels),
        (logits, others.requires_grad_()),
    )


@pytest.mark.parametrize(
    ("logits", "labels"),
    [((4, 8), (3, 2)), ((8,), (8, 2)), ((4, 8), (4,)), ((2, 4, 8), (2, 2))],
)
def test_shapes_that_do_not_fit(logits, labels):
    with pytest.raises(ValueError, match="labels"):
        PairwiseLoss()(torch.zeros(logits), torch.zeros(labels))


def test_other_side_must_be_complete_and_of_equal_bits():
    logits, labels = batch(4, 8, 2)
    with pytest.raises(ValueError, match="given together"):
        PairwiseLoss()(logits, labels, logits)
    with pytest.raises(ValueError, match="one K"):
        PairwiseLoss()(logits, labels, logits[:, :4], labels)
