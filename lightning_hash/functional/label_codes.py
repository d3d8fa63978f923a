"""Codes that stand for a whole label, from the codes of a database."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lightning_hash.functional.checks import check_labelled_codes
from lightning_hash.functional.labels import CHUNK, shares_label

# Labels at a time: their similarity to all items is a matrix.
ROWS = 32  # pragma: no mutate


def center_code(labels: Tensor, codes: Tensor, database_labels: Tensor) -> Tensor:
    """Return the centre code of each label (CgAT, Wang et al., WWW 2023).

    b = sign(sum over the items that share a label c B - sum over the others (N - c) B), with c the
    number of the others (`hash_center_code` of xunguangwang/CgAT): the sign of the mean code of the
    one minus that of the others. Deliberate difference: a sum of 0 gives +1, theirs 0; so it is
    for every bit where all items share a label with it, or none.

    Args:
        labels: ``(Q, C)`` of 0/1.
        codes: ``(N, K)`` of -1/+1, B.
        database_labels: ``(N, C)`` of 0/1.

    Returns:
        int8 ``(Q, K)`` of -1/+1.

    Raises:
        ValueError: if the shapes do not fit.

    Example:
        >>> codes = torch.tensor([[1, 1], [1, -1], [-1, -1]])
        >>> center_code(torch.tensor([[1, 0]]), codes, torch.tensor([[1, 0], [0, 1], [0, 1]]))
        tensor([[1, 1]], dtype=torch.int8)
    """
    return _vote(labels, codes, database_labels, _center_weights)


def mainstay_code(labels: Tensor, codes: Tensor, database_labels: Tensor) -> Tensor:
    """Return the mainstay code of each label (SAAT, Yuan et al., TIFS 2023).

    b = sign(W+ B - W- B), where W+ is the cosine similarity of the labels and W- is 1 where they
    share none, each divided by its row's sum (`generate_mainstay_code` of xandery-geek/SAAT). A sum
    of 0 gives +1, theirs 0.

    Args:
        labels: ``(Q, C)`` of 0/1.
        codes: ``(N, K)`` of -1/+1, B.
        database_labels: ``(N, C)`` of 0/1.

    Returns:
        int8 ``(Q, K)`` of -1/+1.

    Raises:
        ValueError: if the shapes do not fit.

    Example:
        >>> codes = torch.tensor([[1, -1], [1, -1], [-1, -1]])
        >>> mainstay_code(torch.tensor([[1, 0]]), codes, torch.tensor([[1, 0], [1, 1], [0, 1]]))
        tensor([[1, 1]], dtype=torch.int8)
    """
    return _vote(labels, codes, database_labels, _mainstay_weights)


def majority_code(labels: Tensor, codes: Tensor, database_labels: Tensor) -> Tensor:
    """Return the bitwise majority of the codes of all items that share a label; a tie gives +1.

    Args:
        labels: ``(Q, C)`` of 0/1.
        codes: ``(N, K)`` of -1/+1.
        database_labels: ``(N, C)`` of 0/1.

    Returns:
        int8 ``(Q, K)`` of -1/+1.

    Raises:
        ValueError: if the shapes do not fit, or no item shares a label.

    Example:
        >>> codes = torch.tensor([[1, -1], [1, 1], [-1, -1]])
        >>> majority_code(torch.tensor([[1, 0]]), codes, torch.tensor([[1, 0], [1, 0], [0, 1]]))
        tensor([[1, 1]], dtype=torch.int8)
    """
    return _vote(labels, codes, database_labels, _sharing)


def _sharing(labels: Tensor, others: Tensor) -> Tensor:
    shared = shares_label(labels, others)
    if not shared.any(dim=1).all():
        row = labels[torch.nonzero(~shared.any(dim=1))[0, 0]]
        msg = f"none of {len(others)} items has the label {row.tolist()}, so that no code votes"
        raise ValueError(msg)
    return shared.double()


def _center_weights(labels: Tensor, others: Tensor) -> Tensor:
    shared = shares_label(labels, others).double()
    strangers = len(others) - shared.sum(dim=1, keepdim=True)
    return strangers * shared - (len(others) - strangers) * (1 - shared)


def _mainstay_weights(labels: Tensor, others: Tensor) -> Tensor:
    own = normalize(labels.double(), dim=1)
    size = max(1, CHUNK // max(1, others.shape[1]))  # pragma: no mutate
    parts = torch.split(others, size)
    near = torch.cat([own @ normalize(part.double(), dim=1).T for part in parts], dim=1)
    far = (~shares_label(labels, others)).double()
    return normalize(near, p=1, dim=1) - normalize(far, p=1, dim=1)


def _vote(
    labels: Tensor,
    codes: Tensor,
    database_labels: Tensor,
    weights: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    check_labelled_codes(codes, database_labels)
    voters = codes.double()
    parts = [weights(rows, database_labels) @ voters for rows in torch.split(labels, ROWS)]
    votes = torch.cat(parts)
    # Sums of fractions may miss 0 by rounding.
    return torch.where(votes > -1e-12, 1, -1).to(torch.int8)
