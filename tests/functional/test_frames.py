"""Frames of clips, and the size of a change where clips are padded."""

import pytest
import torch

from lightning_hash.functional import frame_mask, largest_frames, perceptibility


def test_mask_ends_with_each_clip():
    assert frame_mask(torch.tensor([3, 1, 2]), 3).int().tolist() == [
        [1, 1, 1],
        [1, 0, 0],
        [1, 1, 0],
    ]


def test_largest_frames_by_their_norm():
    gradients = torch.zeros(2, 4, 3, 2, 2)
    gradients[0, 0, 0] = 1.0  # norm 2
    gradients[0, 1] = 0.5  # norm sqrt(12 / 4) = 1.73, though its sum is larger
    gradients[0, 3, 0, 0, 0] = -5.0  # norm 5
    gradients[1] = 1.0  # all equal: the earlier
    live = torch.tensor([[True, True, True, True], [False, True, True, True]])
    found = largest_frames(gradients, 2, live)
    assert found.int().tolist() == [[1, 0, 0, 1], [0, 1, 1, 0]]


def test_fewer_live_frames_than_asked_for():
    live = torch.tensor([[True, False, False]])
    assert torch.equal(largest_frames(torch.rand(1, 3, 1), 2, live), live)


def test_perceptibility_leaves_padding_out():
    clean, sent = torch.zeros(2, 4, 3, 2, 2), torch.zeros(2, 4, 3, 2, 2)
    sent[0] += 0.5
    sent[1, :2] += 0.1
    sent[1, 2:] += 9.0  # behind the end
    found = perceptibility(clean, sent, torch.tensor([4, 2]))
    assert found.tolist() == pytest.approx([0.5, 0.1])
    assert perceptibility(clean, sent).tolist()[1] > 1
    none = perceptibility(clean[:0], sent[:0], torch.tensor([4, 2])[:0])
    assert none.shape == (0,)  # a process without queries
