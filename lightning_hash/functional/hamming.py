"""Hamming distances between codes of -1/+1."""

import torch
from torch import Tensor

ROWS = 65_536  # rows that are checked at a time


def check_codes(name: str, codes: Tensor) -> None:
    """Check that codes are ``(n, K)`` of -1/+1.

    Args:
        name: the argument's name, for the message.
        codes: what was given.

    Raises:
        TypeError: if it is no tensor of a real dtype.
        ValueError: if the shape or a value is wrong.
    """
    if not isinstance(codes, Tensor) or codes.is_complex() or codes.dtype == torch.bool:
        kind = codes.dtype if isinstance(codes, Tensor) else type(codes).__name__
        msg = f"{name} must be a tensor of a real dtype, got {kind}"
        raise TypeError(msg)
    if not codes.is_floating_point() and not codes.is_signed():
        msg = f"{name} must be of a signed dtype, since codes hold -1, got {codes.dtype}"
        raise TypeError(msg)
    if codes.dim() != 2 or codes.shape[1] == 0:
        msg = f"{name} must have shape (n, K) with K at least 1, got {tuple(codes.shape)}"
        raise ValueError(msg)
    for start in range(0, len(codes), ROWS):  # a whole database would need as much again
        wrong = codes[start : start + ROWS].abs() != 1
        if wrong.any():
            row, bit = torch.nonzero(wrong)[0].tolist()
            row += start
            msg = (
                f"{name} must be -1 or +1, got {codes[row, bit].item()} in row {row}, bit {bit}; "
                "binarise logits with sign_code"
            )
            raise ValueError(msg)


def check_pair(query_codes: Tensor, database_codes: Tensor) -> None:
    """Check two sets of codes and that they have one length.

    Args:
        query_codes: ``(Q, K)`` of -1/+1.
        database_codes: ``(N, K)`` of -1/+1.

    Raises:
        TypeError: see :func:`check_codes`.
        ValueError: see :func:`check_codes`; or if the numbers of bits differ.
    """
    check_codes("query_codes", query_codes)
    check_codes("database_codes", database_codes)
    if query_codes.shape[1] != database_codes.shape[1]:
        msg = (
            f"query_codes have {query_codes.shape[1]} bits, database_codes "
            f"{database_codes.shape[1]}; both must come from one model"
        )
        raise ValueError(msg)


def hamming_distance(a: Tensor, b: Tensor) -> Tensor:
    """Count the bits in which codes differ, d = (K - a b^T) / 2.

    Args:
        a: ``(Q, K)`` of -1/+1, any real dtype.
        b: ``(N, K)`` of -1/+1.

    Returns:
        int32 ``(Q, N)`` in [0, K].

    Raises:
        TypeError: see :func:`check_codes`.
        ValueError: if a value is not -1 or +1, or the numbers of bits differ.

    Example:
        >>> hamming_distance(torch.tensor([[1, 1, -1]]), torch.tensor([[1, 1, -1], [-1, -1, -1]]))
        tensor([[0, 2]], dtype=torch.int32)
    """
    check_pair(a, b)
    return distances(a.float(), b.float())


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Return :func:`hamming_distance` of checked float32 codes; exact up to 2^24 bits."""
    return ((a.shape[1] - a @ b.T) / 2).to(torch.int32)
