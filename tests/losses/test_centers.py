"""Hash centres of every rule."""

import math

import pytest
import torch

from lightning_hash.losses import (
    CSQLoss,
    DPNLoss,
    OrthoHashLoss,
    gilbert_varshamov_distance,
    hash_centers,
    separated_centers,
)
from lightning_hash.losses.code_distances import DISTANCES, code_threshold
from tests.reference.class_losses import mdshc_distance


def smallest(centers):
    return int(torch.pdist(centers, p=1).min() / 2)


def test_distance_of_mdshc_is_that_of_the_authors_code():
    for bits in (1, 2, 3, 8, 16, 33, 48, 64, 128):
        for classes in (2, 3, 5, 20, 100, 196, 555, 1000):
            if classes <= 2**bits:
                found = gilbert_varshamov_distance(classes, bits)
                assert found == mdshc_distance(bits, classes), (bits, classes)
    assert gilbert_varshamov_distance(128, 7) == 1  # every code is a centre
    assert gilbert_varshamov_distance(16, 7) == 2  # V(1) = 8 = 2^7 / 16, where both are equal
    assert gilbert_varshamov_distance(17, 7) == 2
    assert gilbert_varshamov_distance(15, 7) == 3  # V(1) 15 = 120 < 128


@pytest.mark.parametrize(
    ("classes", "bits", "expected"),
    [
        (196, 32, 10),
        (200, 64, 23),
        (100, 48, 17),
        (40, 16, 5),
        (20, 6, 2),
        (16, 4, 1),
        (1, 5, None),
    ],
)
def test_separated_centres_keep_their_distance(classes, bits, expected):
    centers = separated_centers(classes, bits, seed=1)
    assert centers.shape == (classes, bits)
    assert centers.abs().eq(1).all()
    assert expected is None or smallest(centers) >= expected
    assert torch.equal(centers, separated_centers(classes, bits, seed=1))
    assert classes in (1, 16) or not torch.equal(centers, separated_centers(classes, bits, seed=2))


def test_where_no_such_centres_are_found_they_are_a_bit_nearer():
    """20 codes of 8 bits that are 3 apart are the most that there are: a draw does not hit them."""
    assert gilbert_varshamov_distance(20, 8) == 3
    assert smallest(separated_centers(20, 8)) == 2  # which the bound promises


def test_more_classes_than_codes():
    with pytest.raises(ValueError, match="bits = 3: no 9 hash centres, there are 8; take more"):
        separated_centers(9, 3)
    with pytest.raises(ValueError, match="no 9 hash centres, no two of them equal, in 10000 draws"):
        hash_centers(9, 3, center_rule="random")
    with pytest.raises(ValueError, match="take more bits, or center_rule: mdshc"):
        hash_centers(80, 8, center_rule="random")
    assert len(hash_centers(80, 8, center_rule="mdshc").unique(dim=0)) == 80


def test_rules():
    hadamard = hash_centers(20, 16)
    assert torch.equal(hash_centers(20, 16, center_rule="mdshc"), hadamard)
    more = hash_centers(40, 16, seed=3, center_rule="mdshc")  # more than 2 K
    assert torch.equal(more, separated_centers(40, 16, seed=3))
    assert smallest(more) > smallest(hash_centers(40, 16, seed=3))
    coins = hash_centers(20, 16, seed=3, center_rule="random")
    generator = torch.Generator().manual_seed(3)
    draw = torch.randint(0, 2, (20, 16), generator=generator) * 2.0 - 1
    assert torch.equal(coins, draw)
    assert len(hash_centers(4, 2, center_rule="random").unique(dim=0)) == 4  # drawn again


@pytest.mark.parametrize("make", [CSQLoss, DPNLoss, OrthoHashLoss])
def test_losses_take_a_rule(make):
    with pytest.raises(ValueError, match="center_rule must be one of csq, random, mdshc, got 'x'"):
        make(center_rule="x")
    with pytest.raises(ValueError, match="seed must be at least 0, got -1"):
        make(seed=-1)
    loss = make(center_rule="mdshc", seed=5)
    loss.build(16, 40)
    assert torch.equal(loss.centers, separated_centers(40, 16, seed=5))
    assert "centers" in loss.state_dict()


@pytest.mark.parametrize("make", [DPNLoss, OrthoHashLoss])
def test_centres_of_dpn_and_orthohash_are_coins(make):
    loss = make(seed=2)
    loss.build(32, 10)
    assert torch.equal(loss.centers, hash_centers(10, 32, 2, "random"))


def test_thresholds_of_hyp2():
    """Distances that everybody can check: simplex, Hadamard, Golay and parity codes."""
    assert code_threshold(64, 2) == -1  # two opposite codes
    assert code_threshold(12, 4) == pytest.approx(1 - 2 * 8 / 12)
    assert code_threshold(64, 64) == 0  # dimension 6: rows of Hadamard's matrix
    assert code_threshold(64, 65) == 0  # dimension 7, with the negatives: [64, 7, 32]
    assert code_threshold(24, 4096) == pytest.approx(1 - 2 * 8 / 24)  # Golay's [24, 12, 8]
    assert code_threshold(16, 32) == 0  # Reed-Muller's [16, 5, 8]
    assert code_threshold(16, 33) == pytest.approx(1 - 2 * 6 / 16)
    assert code_threshold(48, 20) == 0  # VOC of the paper
    assert code_threshold(8, 1) == code_threshold(8, 2)
    for bits, row in DISTANCES.items():
        assert list(row) == sorted(row, reverse=True)
        assert row[0] == bits
        for k, d in enumerate(row, start=1):  # Griesmer's bound
            assert sum(math.ceil(d / 2**i) for i in range(k)) <= bits


@pytest.mark.parametrize(("bits", "classes"), [(10, 4), (64, 4097), (8, 257)])
def test_thresholds_that_nobody_has(bits, classes):
    with pytest.raises(ValueError, match=rf"bits = {bits}: HyP2Loss has no .* {classes} classes"):
        code_threshold(bits, classes)
