import itertools

import pytest
import torch

from lightning_hash.functional import (
    anchor_code,
    bit_correlation,
    code_balance,
    hamming_distance,
    linf,
    pairwise_similarity,
    perceptibility,
    shares_label,
    sign_code,
)
from lightning_hash.functional.checks import check_codes, check_labels
from tests.reference import attacks, ranking


def random_codes(seed, count, bits):
    generator = torch.Generator().manual_seed(seed)
    return torch.where(torch.rand(count, bits, generator=generator) < 0.5, -1, 1)


@pytest.mark.parametrize(
    "dtype", [torch.int8, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float64]
)
@pytest.mark.parametrize("bits", [1, 7, 64, 129])
def test_hamming_distance(dtype, bits):
    if dtype == torch.uint8:
        with pytest.raises(TypeError, match=r"must be of a signed dtype, .* got torch\.uint8"):
            hamming_distance(torch.full((1, bits), 255, dtype=dtype), torch.ones(1, bits))
        return
    a, b = random_codes(0, 4, bits), random_codes(1, 5, bits)
    expected = [[ranking.distance(x, y) for y in b.tolist()] for x in a.tolist()]
    got = hamming_distance(a.to(dtype), b.to(dtype))
    assert got.tolist() == expected
    assert not got.is_floating_point()


def test_sign_of_zero_is_minus_one():
    codes = sign_code(torch.tensor([[0.0, -0.0, 1e-30, -3.0]]))
    assert codes.tolist() == [[-1, -1, 1, -1]]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_anchor_code_is_the_vote(count):
    codes = random_codes(count, count, 16)
    assert anchor_code(codes).tolist() == attacks.anchor(codes.tolist())
    assert anchor_code(codes.float()).dtype == torch.float32


def test_anchor_code_minimises_the_sum_of_distances():
    """DHTA Theorem 1, over all 64 codes of 6 bits."""
    codes = random_codes(4, 5, 6)
    every = torch.tensor(list(itertools.product([-1, 1], repeat=6)))
    sums = hamming_distance(every, codes).sum(dim=1)
    assert hamming_distance(anchor_code(codes)[None], codes).sum() == sums.min()


def test_anchor_code_of_nothing():
    with pytest.raises(ValueError, match="n at least 1"):
        anchor_code(torch.ones(0, 4))


def test_labels():
    labels = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]])
    assert shares_label(labels, labels).int().tolist() == [
        [1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0],
    ]  # fmt: skip
    assert pairwise_similarity(labels)[0].tolist() == [1, 1, -1, -1]
    with pytest.raises(ValueError, match="of one width C"):
        shares_label(labels, labels[:, :2])


def test_balance_and_correlation():
    codes = torch.tensor([[1, 1, 1], [1, 1, -1], [-1, -1, 1], [-1, -1, -1]])
    assert code_balance(codes).tolist() == [0, 0, 0]
    assert bit_correlation(codes).item() == pytest.approx(1 / 3)  # one equal pair out of three
    assert bit_correlation(torch.tensor([[1, 1], [1, -1]])).item() == 0  # a constant bit
    assert code_balance(torch.tensor([[1, -1], [1, 1]])).tolist() == [1, 0]
    assert bit_correlation(codes[:, :1]).item() == 0
    assert bit_correlation(codes[:, [0, 0]]).item() == pytest.approx(1)  # one pair, of equal bits


def test_perceptibility_by_hand():
    clean = torch.zeros(2, 3, 2, 2)
    adversarial = clean.clone()
    adversarial[0, 0, 0, 0] = 0.3
    adversarial[1] = -0.1
    assert perceptibility(clean, adversarial).tolist() == pytest.approx([0.3 / 12**0.5, 0.1])
    assert linf(clean, adversarial).tolist() == pytest.approx([0.3, 0.1])
    with pytest.raises(ValueError, match="one shape"):
        perceptibility(clean, adversarial[:1])


def test_correlation_of_unbalanced_bits_is_pearsons():
    """Bits that are +1 nine times in ten; their means are no part of how they vary together."""
    generator = torch.Generator().manual_seed(1)
    codes = torch.where(torch.rand(200, 5, generator=generator) < 0.9, 1, -1)
    codes[:, 4] = -codes[:, 3]
    expected = torch.corrcoef(codes.double().T).abs()
    off = (expected.sum() - expected.diagonal().sum()) / 20
    assert bit_correlation(codes).item() == pytest.approx(off.item())
    assert bit_correlation(codes[:, 3:]).item() == pytest.approx(1)
    assert code_balance(codes).tolist() == pytest.approx(codes.double().mean(dim=0).tolist())


@pytest.mark.parametrize("chunk", [1, 7, 12, 1000])
def test_labels_are_compared_in_parts(chunk, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    one, other = ((torch.rand(n, 3, generator=generator) < 0.4).int() for n in (6, 11))
    monkeypatch.setattr("lightning_hash.functional.labels.CHUNK", chunk)
    assert torch.equal(shares_label(one, other), (one[:, None] & other).any(dim=2))
    assert shares_label(one, other[:0]).shape == (6, 0)


@pytest.mark.parametrize("part", [1, 9, 100])
def test_a_wrong_code_is_found_in_any_part(part, monkeypatch):
    monkeypatch.setattr("lightning_hash.functional.checks.ROWS", part)
    codes = torch.ones(10, 3)
    codes[7, 1] = 0
    with pytest.raises(ValueError, match=r"must be -1 or \+1, got 0.0 in row 7, bit 1"):
        check_codes("codes", codes)


@pytest.mark.parametrize("part", [1, 9, 100])
def test_a_wrong_label_is_found_in_any_part(part, monkeypatch):
    monkeypatch.setattr("lightning_hash.functional.checks.LABELS", part)
    labels = torch.zeros(10, 3)
    check_labels("labels", labels)
    labels[7, 1] = 2
    with pytest.raises(ValueError, match=r"labels must be 0 or 1, got 2.0 in row 7, column 1"):
        check_labels("labels", labels)
