import pytest
import torch

from lightning_hash.functional import center_code, mainstay_code
from lightning_hash.functional import label_codes as module
from tests.reference import attacks as reference


@pytest.mark.parametrize("rows", [1, 7, 100])
@pytest.mark.parametrize(
    ("code", "oracle"),
    [(center_code, reference.center_code), (mainstay_code, reference.mainstay_code)],
)
def test_against_the_formula(code, oracle, rows, monkeypatch):
    monkeypatch.setattr(module, "ROWS", rows)
    monkeypatch.setattr(module, "CHUNK", 5 * rows)  # items at a time
    generator = torch.Generator().manual_seed(rows)
    labels = (torch.rand(40, 5, generator=generator) < 0.3).to(torch.uint8)
    codes = torch.randint(0, 2, (40, 6), generator=generator) * 2 - 1
    wanted = torch.cat([labels[:8], torch.zeros(1, 5, dtype=torch.uint8)])
    found = code(wanted, codes, labels)
    assert found.dtype == torch.int8
    expected = [oracle(row, codes.tolist(), labels.tolist()) for row in wanted.tolist()]
    assert found.tolist() == expected


def test_center_code_weighs_a_minority_as_much_as_the_rest():
    """One item against three: it has weight 3, each of the others 1."""
    codes = torch.tensor([[1, -1], [1, -1], [1, -1], [-1, -1]])
    labels = torch.tensor([[1, 0], [0, 1], [0, 1], [0, 1]])
    # Bit 0: 3 - (1 + 1 - 1) = 2. Bit 1: -3 + 3 = 0, a tie.
    assert center_code(torch.tensor([[1, 0]]), codes, labels).tolist() == [[1, 1]]


def test_mainstay_code_weighs_partly_shared_labels_by_their_cosine():
    codes = torch.tensor([[1, -1], [-1, -1], [-1, 1]])
    labels = torch.tensor([[1, 0, 0], [1, 1, 1], [0, 0, 1]])
    # W+ = (1, 1 / sqrt 3) over 1.577: bit 0 is +0.268, bit 1 is -1; W- takes away (-1, 1).
    assert mainstay_code(torch.tensor([[1, 0, 0]]), codes, labels).tolist() == [[1, -1]]


def test_codes_and_labels_are_of_the_same_items():
    with pytest.raises(ValueError, match="of one number of items, got 2 and 3"):
        center_code(torch.ones(1, 2), torch.ones(2, 4), torch.ones(3, 2))


@pytest.mark.parametrize("code", [center_code, mainstay_code])
def test_no_labels_have_no_codes(code):
    codes, labels = torch.ones(4, 3), torch.ones(4, 2)
    assert code(torch.zeros(0, 2), codes, labels).shape == (0, 3)


@pytest.mark.parametrize("code", [center_code, mainstay_code])
def test_voters_are_codes(code):
    with pytest.raises(ValueError, match=r"codes must be -1 or \+1, got 0"):
        code(torch.tensor([[1, 0]]), torch.tensor([[1, 0]]), torch.tensor([[1, 0]]))
