import dataclasses

import pytest
import torch

from lightning_hash.functional import RankingOptions
from lightning_hash.functional.options import counted


def test_defaults_are_those_of_the_papers_codes():
    assert dataclasses.asdict(RankingOptions()) == {
        "top_k": 1000, "normalizer": "retrieved", "empty": "zero", "ties": "expected",
        "precision_n": 100,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_k": 0}, "top_k must be a positive whole number or None .*, got 0"),
        ({"top_k": True}, "top_k must be a positive whole number or None .*, got True"),
        ({"normalizer": "both"}, "normalizer must be one of 'retrieved', 'relevant', got 'both'"),
        ({"empty": "one"}, "empty must be one of 'zero', 'skip', got 'one'"),
        ({"ties": "random"}, "ties must be one of 'expected', 'stable', got 'random'"),
        ({"precision_n": 0}, "precision_n must be a positive whole number, got 0"),
        ({"precision_n": None}, "precision_n must be a positive whole number, got None"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        RankingOptions(**options)


def test_options_cannot_change_behind_a_row():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RankingOptions().top_k = 5


def test_counted():
    values = torch.tensor([1.0, torch.nan, 0.5])
    assert counted(values, "zero").tolist() == [1.0, 0.0, 0.5]
    assert counted(values, "skip").tolist() == [1.0, 0.5]
