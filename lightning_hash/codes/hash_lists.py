"""Lists of perceptual hashes as programs print them: hexadecimal or base64, one a line."""

import base64
import binascii
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lightning_hash.utils.json_text import brief

HASH_SUFFIXES = (".hex", ".b64")


def read_hashes(path: Path) -> Tensor:
    r"""Read a list of hashes.

    Args:
        path: a text in UTF-8 with a hash a line, ``.hex`` or ``.b64``; blank lines, and what stands
            behind a ``#``, are left out. All hashes have the same number of bits, a multiple of 8.

    Returns:
        int8 ``(N, K)`` of -1/+1. The first digit of a hash is its first bits, the highest first.

    Raises:
        ValueError: if a line is no such hash, or there is none; names file and line.

    Example:
        >>> file = getfixture("tmp_path") / "known.hex"
        >>> _ = file.write_text("f0\n0F  # of photo.png\n")
        >>> read_hashes(file).tolist()
        [[1, 1, 1, 1, -1, -1, -1, -1], [-1, -1, -1, -1, 1, 1, 1, 1]]
    """
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        msg = f"codes {path} is no UTF-8 text ({error.reason} at byte {error.start}); save it so"
        raise ValueError(msg) from error
    rows: list[bytes] = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if text:
            rows.append(_bytes(text, path, number))
            if len(rows[-1]) != len(rows[0]):
                msg = (
                    f"codes {path}:{number}: {8 * len(rows[-1])} bits, the first hash has "
                    f"{8 * len(rows[0])}; all must have as many"
                )
                raise ValueError(msg)
    if not rows:
        msg = f"codes {path} holds no hash; there must be one a line"
        raise ValueError(msg)
    packed = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), -1)
    return torch.from_numpy(np.unpackbits(packed, axis=1).astype(np.int8) * 2 - 1)


def written_hashes(codes: Tensor, path: Path) -> bytes:
    """Write codes as :func:`read_hashes` reads them.

    Args:
        codes: ``(N, K)`` of -1/+1.
        path: ``.hex`` or ``.b64``.

    Raises:
        ValueError: if K is no multiple of 8.
    """
    if codes.shape[1] % 8:
        msg = f"codes {path}: {codes.shape[1]} bits are no whole bytes; write .safetensors or .txt"
        raise ValueError(msg)
    rows = np.packbits(codes.cpu().numpy() > 0, axis=1)
    if path.suffix == ".hex":
        return b"".join(binascii.hexlify(row.tobytes()) + b"\n" for row in rows)
    return b"".join(base64.b64encode(row.tobytes()) + b"\n" for row in rows)


def _bytes(text: str, path: Path, number: int) -> bytes:
    kind = "hexadecimal" if path.suffix == ".hex" else "base64"
    try:
        found = (
            binascii.unhexlify(text)
            if path.suffix == ".hex"
            else base64.b64decode(text, validate=True)
        )
    except ValueError as error:  # binascii.Error, and digits that are not ASCII
        msg = f"codes {path}:{number}: {brief(text)} is no {kind} hash: {error}; give one a line"
        raise ValueError(msg) from error
    if not found:
        msg = f"codes {path}:{number}: {brief(text)} holds no bits; give a hash a line"
        raise ValueError(msg)
    return found
