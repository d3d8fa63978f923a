"""Our own code files: packed bits, and all that the codes were made with."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lightning_hash.codes.code_set import CodeSet
from lightning_hash.utils.json_text import brief, parse_json

FORMAT, VERSION = "lightning_hash codes", "1"
ANEW = "make it anew with: python -m lightning_hash encode"
_TYPES = {"codes": torch.uint8, "labels": None, "index": torch.int64, "paths": None}


def packed(codes: CodeSet) -> bytes:
    """Return a code set as the bytes of a file."""
    # A path may hold a line break, and bytes that are no UTF-8, but no NUL.
    text = "".join(f"{path}\0" for path in codes.paths).encode(errors="surrogateescape")
    tensors = {
        "codes": torch.from_numpy(np.packbits(codes.codes.numpy() > 0, axis=1)),
        "labels": codes.labels.contiguous(),
        "index": codes.index.contiguous(),
        "paths": torch.frombuffer(bytearray(text), dtype=torch.uint8) if text else torch.empty(0),
    }
    metadata = {
        "format": FORMAT,
        "version": VERSION,
        "bits": str(codes.bits),
        "made_with": json.dumps(codes.made_with),
    }
    return save(tensors, metadata)


def read_packed(path: Path) -> CodeSet:
    """Read a code file of our own.

    Args:
        path: the file.

    Returns:
        The code set.

    Raises:
        ValueError: if it is damaged, of another version, or its header and its tensors contradict
            each other.
    """
    content = path.read_bytes()  # in one piece: safe_open opens twice, and the file may be replaced
    try:
        tensors = load(content)
    except SafetensorError as error:
        msg = f"codes {path} is truncated or no safetensors file ({error}); {ANEW}"
        raise ValueError(msg) from error
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    metadata = json.loads(header).get("__metadata__", {})
    if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
        named = metadata.get("format"), metadata.get("version")
        msg = f"codes {path}: {FORMAT} version {VERSION} is needed, this is {named}; {ANEW}"
        raise ValueError(msg)
    try:
        bits = _bits(metadata.get("bits"))
        _check_tensors(tensors, bits)
        made_with = _made_with(metadata.get("made_with"))
        ones = np.unpackbits(tensors["codes"].numpy(), axis=1)
        if ones[:, bits:].any():
            msg = f"its header says {bits} bits, and some behind them are set"
            raise ValueError(msg)
        text = bytes(tensors["paths"].to(torch.uint8).numpy()).decode(errors="surrogateescape")
        paths = text[:-1].split("\0") if text.endswith("\0") else text.split("\n")
        return CodeSet(
            codes=torch.from_numpy(ones[:, :bits].astype(np.int8) * 2 - 1),
            labels=tensors["labels"],
            index=tensors["index"],
            paths=tuple(paths) if text else (),
            made_with=made_with,
        )
    except ValueError as error:
        msg = f"codes {path}: it is no whole file of {FORMAT}: {error}; {ANEW}"
        raise ValueError(msg) from error


def _bits(text: str | None) -> int:
    if text is None or not (text.isascii() and text.isdigit() and int(text) > 0):
        msg = f"'bits' in its header must be a positive whole number, got {brief(text)}"
        raise ValueError(msg)
    return int(text)


def _made_with(text: str | None) -> dict[str, str]:
    if text is None:
        msg = "'made_with' is not in its header"
        raise ValueError(msg)
    found = parse_json(text, "made_with in its header", "it says what the codes depend on")
    if not isinstance(found, Mapping) or not all(isinstance(v, str) for v in found.values()):
        msg = f"made_with in its header must be a mapping of texts, got {brief(found)}"
        raise ValueError(msg)
    return dict(found)


def _check_tensors(tensors: Mapping[str, Tensor], bits: int) -> None:
    for name, kind in _TYPES.items():
        if name not in tensors:
            msg = f"it has no tensor {name!r}"
            raise ValueError(msg)
        if kind is not None and tensors[name].dtype != kind:
            msg = f"{name} must be {kind}, got {tensors[name].dtype}"
            raise ValueError(msg)
    codes, index = tensors["codes"], tensors["index"]
    if codes.dim() != 2 or codes.shape[1] != -(-bits // 8) or not len(codes):
        msg = (
            f"its header says {bits} bits, which are {-(-bits // 8)} bytes of each of at least one "
            f"code, its codes are of shape {tuple(codes.shape)}"
        )
        raise ValueError(msg)
    different = index.dim() == 1 and len(torch.unique(index)) == len(index)
    if not different or (len(index) and index.min() < 0):
        msg = f"index must hold different numbers from 0 on, got {index.flatten()[:10].tolist()}"
        raise ValueError(msg)
    if tensors["paths"].numel() and tensors["paths"].dtype != torch.uint8:
        msg = f"paths must be {torch.uint8}, got {tensors['paths'].dtype}"
        raise ValueError(msg)
