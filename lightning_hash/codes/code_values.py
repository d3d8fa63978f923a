"""What values of others become as codes of -1/+1."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

HALF = 0.5  # between the bits of a sigmoid


@dataclass(frozen=True)
class ReadCodes:
    """Codes, and what was done to the values of a file for them.

    Attributes:
        codes: int8 ``(N, K)`` of -1/+1.
        read_as: what was done, where the values were not codes already.
        threshold: above which a real value is +1, where values are real.
    """

    codes: Tensor
    read_as: str | None = None
    threshold: float | None = None


def to_codes(
    values: NDArray[Any],
    source: str,
    *,
    bits: int | None = None,
    threshold: float | None = None,
    packed: bool = True,
) -> ReadCodes:
    """Turn the values of a file into codes.

    Bits of -1/+1, of 0/1 and booleans are codes. Among -1, 0 and 1 a 0 is -1, as sign(0) is (HAG
    Eq. 1). Real values of both signs, such as tanh outputs, give their signs, and those within
    [0, 1], such as sigmoid outputs, whether they are above 0.5. Bytes above 1 are packed bits.

    Args:
        values: ``(N, K)`` of any real dtype, or ``(N, K / 8)`` bytes.
        source: where they come from, for the messages.
        bits: K, where it is known.
        threshold: above which a value is +1, instead of the rules for real values.
        packed: whether whole numbers may be packed bits.

    Returns:
        The codes.

    Raises:
        ValueError: if the values are no matrix, not finite, or of no one meaning; says what would
            give them one.
    """
    if values.ndim != 2 or not values.size or values.dtype.kind not in "biuf":
        msg = f"{source} must hold a matrix of numbers, got {values.dtype} {values.shape}"
        raise ValueError(msg)
    if values.dtype.kind == "b":
        return ReadCodes(_signs(values))
    if threshold is not None:
        _check_finite(values, source)
        return ReadCodes(_signs(values > threshold), f"values above {threshold:g} are +1")
    if packed and _is_packed(values, bits):
        return _unpacked(values, source, bits)
    low, high = values.min(), values.max()
    if np.isin(values, (-1, 1)).all():
        return ReadCodes(torch.from_numpy(values.astype(np.int8)))
    if np.isin(values, (0, 1)).all():
        return ReadCodes(_signs(values > 0))
    zeros = int((values == 0).sum())
    if np.isin(values, (-1, 0, 1)).all():
        return ReadCodes(_signs(values > 0), f"{zeros} bits of 0 are -1, as sign(0) is")
    _check_finite(values, source)
    if not (values % 1).any():
        row, column = np.argwhere(~np.isin(values, (-1, 0, 1)))[0]
        msg = (
            f"{source}: bits must be -1 and 1, or 0 and 1, got {values[row, column]} in row "
            f"{row + 1}, bit {column + 1}; threshold says above which a value is +1, bits how many "
            "are packed into bytes"
        )
        raise ValueError(msg)
    said = f"real values from {low:.3g} to {high:.3g}"
    if low < 0 < high:
        more = f"; {zeros} of 0 are -1" if zeros else ""
        return ReadCodes(_signs(values > 0), f"{said}, of which the signs are taken{more}", 0.0)
    if low >= 0 and high <= 1:
        return ReadCodes(_signs(values > HALF), f"{said}, of which those above 0.5 are +1", HALF)
    msg = f"{source}: {said} are no codes: threshold says above which a value is +1"
    raise ValueError(msg)


def _signs(ones: NDArray[np.bool_]) -> Tensor:
    return torch.from_numpy(ones.astype(np.int8) * 2 - 1)


def _check_finite(values: NDArray[Any], source: str) -> None:
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        msg = (
            f"{source}: codes must be finite, got {values[row, column]} in row {row + 1}, bit "
            f"{column + 1}"
        )
        raise ValueError(msg)


def _is_packed(values: NDArray[Any], bits: int | None) -> bool:
    if values.dtype.kind == "f" or np.isin(values, (-1, 0, 1)).all():
        return False
    held = 8 * values.itemsize * values.shape[1]
    if bits is not None:
        return bool(held - 8 * values.itemsize < bits <= held)
    return bool(values.dtype == np.uint8)


def _unpacked(values: NDArray[Any], source: str, bits: int | None) -> ReadCodes:
    """Unpack bits; which is the first of a byte changes no distance, only where the filling is."""
    bytes_ = np.ascontiguousarray(values).view(np.uint8)
    wanted = 8 * bytes_.shape[1] if bits is None else bits
    orders: tuple[Literal["big"], Literal["little"]] = ("big", "little")
    for order in orders:
        ones = np.unpackbits(bytes_, axis=1, bitorder=order)
        if not ones[:, wanted:].any():
            said = f"{values.dtype} of packed bits, {wanted} a code"
            return ReadCodes(_signs(ones[:, :wanted] > 0), said)
    msg = f"{source}: {wanted} bits expected, but those behind them are not all 0; give bits"
    raise ValueError(msg)
