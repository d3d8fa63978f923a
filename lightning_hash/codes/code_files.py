"""Code databases as files: our own, and those of the hashing repositories."""

import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_hash.codes.code_set import CodeSet
from lightning_hash.codes.code_values import ReadCodes, to_codes
from lightning_hash.codes.foreign import Side, label_width, pick_array, pick_labels, upright
from lightning_hash.codes.hash_lists import HASH_SUFFIXES, read_hashes, written_hashes
from lightning_hash.codes.packed_file import packed, read_packed
from lightning_hash.utils.array_files import read_arrays
from lightning_hash.utils.array_names import ARRAY_SUFFIXES, TEXT, split_name
from lightning_hash.utils.foreign_files import check_file
from lightning_hash.utils.label_values import same_columns, to_labels
from lightning_hash.utils.whole_file import write_whole

CodeForm = Literal["auto", "labelled", "signs"]
SUFFIXES = (".safetensors", ".txt", ".npy", *HASH_SUFFIXES)
READABLE = (".safetensors", *ARRAY_SUFFIXES, *HASH_SUFFIXES)
_READABLE = ", ".join(dict.fromkeys(s for s in (*SUFFIXES, *READABLE) if s))
# How the repositories call codes, and what stands in its place in the name of the label file.
CODE_WORDS, LABEL_WORDS = ("hashcode", "binary", "codes", "code", "hash"), ("label", "labels")


def write_codes(path: Path, codes: CodeSet, form: CodeForm = "auto") -> None:
    """Write a code set, whole or not at all.

    Args:
        path: by its suffix: ``.safetensors``, our own, with packed bits and all that the codes were
            made with; ``.npy``, codes of -1/1 beside a ``..._label.npy``; ``.txt``; ``.hex`` and
            ``.b64``, a list of hashes beside a ``..._label.txt`` of rows of 0/1.
        codes: what to write.
        form: of a ``.txt``: ``"labelled"``, rows of ``label... code...`` as DHTA has them, or
            ``"signs"``, rows of -1/1 alone as ProS-GAN has them; ``"auto"`` is the first.

    Raises:
        ValueError: if the suffix is none of these, or codes of a list of hashes are no whole bytes.
        OSError: if the file cannot be written.
    """
    check_suffix(path)
    if path.suffix == ".safetensors":
        write_whole(path, packed(codes))
    elif path.suffix == ".npy":
        write_whole(label_path(path), _npy(codes.labels.numpy()))
        write_whole(path, _npy(codes.codes.numpy()))
    elif path.suffix in HASH_SUFFIXES:
        lines = written_hashes(codes.codes, path)
        write_whole(label_path(path), _rows([codes.labels.to(torch.int8)]))
        write_whole(path, lines)
    else:
        parts = [codes.codes] if form == "signs" else [codes.labels.to(torch.int8), codes.codes]
        write_whole(path, _rows(parts))


def check_suffix(path: Path) -> None:
    """Check that a path says which kind of code file is meant.

    Raises:
        ValueError: if it does not.
    """
    if path.suffix not in SUFFIXES:
        msg = f"codes {path}: a code file ends in {', '.join(SUFFIXES)}, got {path.suffix!r}"
        raise ValueError(msg)


@dataclass(frozen=True)
class CodeFile:
    """What a file of codes holds, before its labels have their columns.

    Attributes:
        codes: int8 ``(N, K)`` of -1/+1.
        labels: uint8 ``(N, C)`` of 0/1, or class numbers int64 ``(N,)``.
        name: its path, for messages.
        foreign: its name, where the codes are another program's.
        own: what a file of our own holds beside.
        threshold: above which its real values are +1, where it had real ones.
        read_as: what was done to its values, where they were not codes already.
    """

    codes: Tensor
    labels: NDArray[Any]
    name: str
    foreign: str | None = None
    own: CodeSet | None = None
    threshold: float | None = None
    read_as: str | None = None

    def code_set(self, labels: Tensor) -> CodeSet:
        """Return the codes with label rows ``(N, C)``."""
        if self.own is not None:
            return self.own
        index = torch.arange(len(self.codes))
        return CodeSet(self.codes, labels, index, foreign=self.foreign, read_as=self.read_as)


def read_codes(
    path: Path,
    labels: Tensor | Path | None = None,
    bits: int | None = None,
    columns: int | None = None,
) -> CodeSet:
    """Read a code set.

    Args:
        path: see :func:`open_codes`.
        labels: ``(N, C)`` of 0/1, or the file of them, for codes that stand alone; by default the
            file beside it whose name has ``label`` for ``code``.
        bits: K, where a row of labels and code could be cut at several places.
        columns: C, for labels that are class numbers.

    Returns:
        The set; ``made_with`` is empty for files of others.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read, a value is wrong, or labels are missing or do not fit;
            names file and row.
    """
    file = open_codes(path, labels, bits)
    return file.code_set(same_columns({file.name: file.labels}, columns)[file.name])


def open_codes(
    path: Path,
    labels: Tensor | Path | None = None,
    bits: int | None = None,
    threshold: float | None = None,
    side: Side | None = None,
    *,
    labelled: bool = True,
) -> CodeFile:
    """Read a file of codes, whoever made it; what is done to its values is said.

    Args:
        path: our own ``.safetensors``; or what :func:`lightning_hash.utils.array_files.read_arrays`
            reads, whose values :func:`lightning_hash.codes.code_values.to_codes` turns into codes:
            codes alone, also ``(K, N)``, or in text rows of ``label... code...`` (DHTA); or a list
            of hashes, see :func:`lightning_hash.codes.hash_lists.read_hashes`.
            ``FILE:NAME`` is one of several arrays.
        labels: as in :func:`read_codes`.
        bits: K, where a row could be cut at several places, or bits are packed.
        threshold: above which a value is a bit of +1; by default a rule says so.
        side: which of the arrays of one file are meant.
        labelled: whether there must be labels; otherwise codes without get labels of no column.

    Returns:
        The codes.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: as :func:`read_codes`.
    """
    place, name = split_name(str(path))
    if bits is not None and bits < 1:
        msg = f"bits must be at least 1, got {bits}"
        raise ValueError(msg)
    if place.suffix not in READABLE:
        msg = f"codes {place}: a code file ends in {_READABLE}, got {place.suffix!r}"
        raise ValueError(msg)
    check_file(place, f"codes {place}")
    if not place.is_file():
        msg = f"codes {place} does not exist; make it with: python -m lightning_hash encode"
        raise FileNotFoundError(msg)
    if place.suffix == ".safetensors":
        own = read_packed(place)
        if bits not in (None, own.bits):
            msg = f"codes {path}: {own.bits} bits, {bits} expected"
            raise ValueError(msg)
        if isinstance(labels, Path):
            _check_same(own.labels.numpy(), to_labels(read_labels(labels, path), str(labels)), path)
        return CodeFile(own.codes, own.labels.numpy(), str(path), own=own)
    is_hashes = place.suffix in HASH_SUFFIXES
    arrays = {"": read_hashes(place).numpy()} if is_hashes else read_arrays(place)
    values = pick_array(arrays, place, name, side, labels=False)
    inside = None if isinstance(labels, Path) else pick_labels(arrays, side)
    if place.suffix in TEXT:
        known = labels is not None or label_path(place).is_file()
        width = label_width(values, str(place), bits, known=known)
        inside, values = (values[:, :width], values[:, width:]) if width else (None, values)
    said = f"codes {path}"
    read = to_codes(values, said, bits=bits, threshold=threshold, packed=place.suffix not in TEXT)
    if bits and read.codes.shape[1] != bits:
        msg = f"{said}: {read.codes.shape[1]} bits, {bits} expected"
        raise ValueError(msg)
    if isinstance(labels, Path):
        given = read_labels(labels, path, side)
        if inside is not None and not np.array_equal(inside, given):
            msg = f"{said} holds labels of its own, not those of {labels}; leave these out"
            raise ValueError(msg)
    elif inside is not None:
        given = inside
    elif labels is None and not labelled and not label_path(place).is_file():
        return _unlabelled(read, place, str(path))
    else:
        beside = label_path(place)
        given = read_labels(beside, path, side) if labels is None else labels.numpy()
    codes, given = upright(read.codes.numpy(), given, said)
    rows = to_labels(given, f"labels of {path}")
    if rows.ndim == 2 and not rows.any():
        msg = f"labels of {path}: no item has a label, so nothing is relevant; name another"
        raise ValueError(msg)
    if len(rows) != len(codes):
        msg = f"{said}: {len(codes)} rows, but {len(rows)} rows of labels; each item must have one"
        raise ValueError(msg)
    if read.read_as is not None:
        warnings.warn(f"{said}: {read.read_as}", stacklevel=2)
    return CodeFile(
        torch.from_numpy(np.ascontiguousarray(codes)), rows, str(path), place.name,
        threshold=read.threshold, read_as=read.read_as,
    )  # fmt: skip


def _unlabelled(read: ReadCodes, place: Path, name: str) -> CodeFile:
    """Return codes whose items have no labels."""
    if read.read_as is not None:
        warnings.warn(f"codes {name}: {read.read_as}", stacklevel=3)
    none = np.zeros((len(read.codes), 0), np.uint8)
    return CodeFile(
        read.codes, none, name, place.name, threshold=read.threshold, read_as=read.read_as
    )


def read_labels(path: Path, codes: Path, side: Side | None = None) -> NDArray[Any]:
    """Read the values of a file of labels.

    Args:
        path: what :func:`lightning_hash.utils.array_files.read_arrays` reads; ``FILE:NAME`` is one
            of several arrays.
        codes: the code file they belong to, for the message.
        side: which of the arrays of one file are meant.

    Returns:
        What :func:`lightning_hash.utils.label_values.to_labels` takes.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read.
    """
    place, name = split_name(str(path))
    check_file(place, f"labels {place}")
    if not place.is_file():
        msg = f"codes {codes} hold no labels, and {place} does not exist; name the file of labels"
        raise FileNotFoundError(msg)
    return pick_array(read_arrays(place), place, name, side, labels=True)


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
    suffix = ".txt" if path.suffix in HASH_SUFFIXES else path.suffix
    return path.with_name(f"{path.stem}_label{suffix}")


def _rows(parts: list[Tensor]) -> bytes:
    rows = torch.cat(parts, dim=1).tolist()
    return "".join(" ".join(map(str, row)) + "\n" for row in rows).encode()


def _check_same(own: NDArray[Any], given: NDArray[Any], path: Path) -> None:
    """Refuse labels beside a file that has other ones, which would be passed over."""
    if given.ndim == 1:
        numbers = own.argmax(axis=1) if own.shape[1] and (own.sum(axis=1) == 1).all() else None
        same = numbers is not None and np.array_equal(numbers, given)
    else:
        same = np.array_equal(own, given)
    if not same:
        msg = f"codes {path} hold labels of their own, not the ones that are named; leave these out"
        raise ValueError(msg)


def _npy(values: NDArray[Any]) -> bytes:
    buffer = BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()
