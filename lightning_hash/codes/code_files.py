"""Code databases as files: our own, and those of the hashing repositories."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lightning_hash.codes.code_set import CodeSet
from lightning_hash.utils.whole_file import write_whole

CodeForm = Literal["auto", "labelled", "signs"]
FORMAT, VERSION = "lightning_hash codes", "1"
SUFFIXES = (".safetensors", ".txt", ".npy")
# How the repositories call codes, and what stands in its place in the name of the label file.
CODE_WORDS, LABEL_WORDS = ("hashcode", "binary", "codes", "code", "hash"), ("label", "labels")


def write_codes(path: Path, codes: CodeSet, form: CodeForm = "auto") -> None:
    """Write a code set, whole or not at all.

    Args:
        path: by its suffix: ``.safetensors``, our own, with packed bits and all that the codes were
            made with; ``.npy``, codes of -1/1 beside a ``..._label.npy``; ``.txt``.
        codes: what to write.
        form: of a ``.txt``: ``"labelled"``, rows of ``label... code...`` as DHTA has them, or
            ``"signs"``, rows of -1/1 alone as ProS-GAN has them; ``"auto"`` is the first.

    Raises:
        ValueError: if the suffix is none of these.
        OSError: if the file cannot be written.
    """
    check_suffix(path)
    if path.suffix == ".safetensors":
        write_whole(path, _packed(codes))
    elif path.suffix == ".npy":
        write_whole(label_path(path), _npy(codes.labels.numpy()))
        write_whole(path, _npy(codes.codes.numpy()))
    else:
        parts = [codes.codes] if form == "signs" else [codes.labels.to(torch.int8), codes.codes]
        rows = torch.cat(parts, dim=1).tolist()
        write_whole(path, "".join(" ".join(map(str, row)) + "\n" for row in rows).encode())


def check_suffix(path: Path) -> None:
    """Check that a path says which kind of code file is meant.

    Raises:
        ValueError: if it does not.
    """
    if path.suffix not in SUFFIXES:
        msg = f"codes {path}: a code file ends in {', '.join(SUFFIXES)}, got {path.suffix!r}"
        raise ValueError(msg)


def read_codes(path: Path, labels: Tensor | Path | None = None, bits: int | None = None) -> CodeSet:
    """Read a code set.

    Args:
        path: our own ``.safetensors``; a ``.npy`` of -1/1 or of 0/1 bits (SAAT, DeepHash-pytorch);
            a ``.txt`` with rows of ``label... code...`` (DHTA) or of -1/1 alone (ProS-GAN).
        labels: ``(N, C)`` of 0/1, or the file of them (``.txt`` or ``.npy``), for codes that stand
            alone; by default the file beside it whose name has ``label`` for ``code``.
        bits: K, where a row of labels and code could be cut at several places.

    Returns:
        The set; ``made_with`` is empty for files of others.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, a value is wrong, or labels are missing or do not fit;
            names file and row.
    """
    check_suffix(path)
    if not path.is_file():
        msg = f"codes {path} does not exist; make it with: python -m lightning_hash encode"
        raise FileNotFoundError(msg)
    if path.suffix == ".safetensors":
        return _unpacked(path)
    values = _matrix(path)
    inside = None
    if path.suffix == ".txt" and (values == 0).any():
        width = values.shape[1] - bits if bits else _label_width(values, path)
        inside, values = values[:, :width], values[:, width:]
    codes = _signs(values, path)
    if bits and codes.shape[1] != bits:
        msg = f"codes {path}: {codes.shape[1]} bits, {bits} expected"
        raise ValueError(msg)
    if inside is not None:
        known: Tensor = _zero_one(inside, path)
    elif isinstance(labels, Tensor):
        known = labels
    else:
        known = read_labels(label_path(path) if labels is None else labels, path)
    if len(known) != len(codes):
        msg = f"codes {path}: {len(codes)} rows, but {len(known)} rows of labels"
        raise ValueError(msg)
    return CodeSet(codes, known.to(torch.uint8), torch.arange(len(codes)), foreign=path.name)


def read_labels(path: Path, codes: Path) -> Tensor:
    """Read label rows.

    Args:
        path: ``.npy``, or ``.txt`` with a row of 0/1 a line.
        codes: the code file they belong to, for the message.

    Returns:
        uint8 ``(N, C)``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a value is not 0 or 1.
    """
    if not path.is_file():
        msg = f"codes {codes} hold no labels, and {path} does not exist; name the file of labels"
        raise FileNotFoundError(msg)
    return _zero_one(_matrix(path), path)


def label_path(path: Path) -> Path:
    """Return where the labels of a file of codes alone are looked for.

    Args:
        path: the code file, such as ``database_hashcode.npy`` or ``trn_binary.npy``.

    Returns:
        The path beside it with ``label`` for ``code``, such as ``database_label.npy``.
    """
    for word in CODE_WORDS:
        if word in path.name:
            head, _, tail = path.name.rpartition(word)
            names = [path.with_name(f"{head}{label}{tail}") for label in LABEL_WORDS]
            return next((name for name in names if name.is_file()), names[0])
    return path.with_name(f"{path.stem}_label{path.suffix}")


def _packed(codes: CodeSet) -> bytes:
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


def _unpacked(path: Path) -> CodeSet:
    content = path.read_bytes()  # in one piece: safe_open opens twice, and the file may be replaced
    try:
        tensors = load(content)
    except SafetensorError as error:
        msg = f"codes {path} is truncated or no safetensors file ({error}); make it anew"
        raise ValueError(msg) from error
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    metadata = json.loads(header).get("__metadata__", {})
    if metadata.get("format") != FORMAT or metadata.get("version") != VERSION:
        found = metadata.get("format"), metadata.get("version")
        msg = f"codes {path}: {FORMAT} version {VERSION} is needed, this is {found}"
        raise ValueError(msg)
    try:
        bits = int(metadata["bits"])
        ones = np.unpackbits(tensors["codes"].numpy(), axis=1, count=bits)
        text = bytes(tensors["paths"].to(torch.uint8).numpy()).decode(errors="surrogateescape")
        paths = text[:-1].split("\0") if text.endswith("\0") else text.split("\n")
        return CodeSet(
            codes=torch.from_numpy(ones.astype(np.int8) * 2 - 1),
            labels=tensors["labels"],
            index=tensors["index"],
            paths=tuple(paths) if text else (),
            made_with=json.loads(metadata["made_with"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        msg = f"codes {path}: it is no whole file of {FORMAT} ({error!r}); make it anew"
        raise ValueError(msg) from error


def _npy(values: NDArray[Any]) -> bytes:
    buffer = BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()


def _matrix(path: Path) -> NDArray[Any]:
    """Read a matrix of numbers."""
    try:
        if path.suffix == ".npy":
            values = np.load(path, allow_pickle=False)
        else:
            values = np.loadtxt(path, dtype=np.float32, ndmin=2)
    except (ValueError, OSError, EOFError) as error:
        msg = f"{path} is no matrix of numbers ({error})"
        raise ValueError(msg) from error
    if values.ndim != 2 or not values.size or values.dtype.kind not in "biuf":
        msg = f"{path} must hold a matrix of numbers, got {values.dtype} {values.shape}"
        raise ValueError(msg)
    return np.asarray(values)


def _label_width(values: NDArray[Any], path: Path) -> int:
    """Find where labels end and the code begins: 0 is a label's, -1 a bit's."""
    wrong = np.argwhere(~np.isin(values, (-1, 0, 1)))
    if len(wrong):
        row, column = wrong[0]
        msg = (
            f"codes {path}: a row must be labels of 0/1 and bits of -1/1, got "
            f"{values[row, column]} in row {row + 1}, column {column + 1}"
        )
        raise ValueError(msg)
    first = int(np.flatnonzero((values == 0).any(axis=0))[-1]) + 1
    signed = np.flatnonzero((values < 0).any(axis=0))
    last = int(signed[0]) if len(signed) else first
    if len(signed) and last == first:
        return first
    msg = (
        f"codes {path}: labels end behind column {first} or later, the code begins at or before "
        f"column {last + 1}; say how many bits it has"
    )
    raise ValueError(msg)


def _signs(values: NDArray[Any], path: Path) -> Tensor:
    if values.min() >= 0:
        _zero_one(values, path)
        values = values.astype(np.int8) * 2 - 1
    wrong = np.argwhere(np.abs(values) != 1)
    if len(wrong):
        row, column = wrong[0]
        msg = (
            f"codes {path}: bits must be -1 and 1, or 0 and 1, got {values[row, column]} in row "
            f"{row + 1}, bit {column + 1}"
        )
        raise ValueError(msg)
    return torch.from_numpy(values.astype(np.int8))


def _zero_one(values: NDArray[Any], path: Path) -> Tensor:
    wrong = np.argwhere((values != 0) & (values != 1))
    if len(wrong):
        row, column = wrong[0]
        msg = (
            f"{path}: labels must be 0 or 1, got {values[row, column]} in row {row + 1}, column "
            f"{column + 1}"
        )
        raise ValueError(msg)
    return torch.from_numpy(values.astype(np.uint8))
