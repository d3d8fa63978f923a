"""Victims that were saved by torch.export."""

import io
import re
from collections import OrderedDict
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightning_hash.utils.plain_load import load_plain
from lightning_hash.utils.trust import UntrustedError, is_trusted, refusal
from lightning_hash.victims.exported_graph import (
    DOTTED,
    TEXT,
    NotPlainError,
    plain_json,
)
from lightning_hash.victims.graph_devices import GraphDevices

MODEL = "models/model.json"
CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
PICKLES = ("data/sample_inputs/model.pt", "data/weights/model.pt", "data/constants/model.pt")
RAW = re.compile(r"data/(weights/weight|constants/tensor)_\d+")
# What torch writes anew, and texts of the user's, which are not read.
LEFT_OUT = re.compile(r"archive_(format|version)|byteorder|version|\.data/.*|extra/.*")
OLD = "it was saved by torch 2.7 or older, whose format torch unpickles"


def load_exported(path: Path) -> nn.Module:
    """Load an exported program.

    torch unpickles parts of such a file and runs Python that it makes of others. The file is
    written anew in memory of what is plain: tensors, and a graph of torch's operators; what holds
    more is read as it is, with trust. Weights and graph come to the CPU, wherever it was exported.

    Args:
        path: the file, ``.pt2``.

    Returns:
        The network, on the CPU; a :class:`lightning_hash.victims.Victim` moves its graph too.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no exported program, was exported in training mode or for one batch
            size; or on a GPU where there is none, and holds more than tensors and a graph.
        UntrustedError: if it holds more than tensors and a graph.
    """
    if not path.is_file():
        msg = f"victim {path} does not exist"
        raise FileNotFoundError(msg)
    records = _records(path)
    try:
        source: Any = _plain_archive(path, records)
    except NotPlainError as error:
        if not is_trusted():
            raise UntrustedError(refusal(f"victim {path}", f"can run code ({error})")) from error
        source = path
    try:
        network = torch.export.load(source).module()
    except Exception as error:
        on_gpu = source is path and b'"cuda"' in records.get(MODEL, b"")
        if on_gpu and not torch.cuda.is_available():
            msg = f"victim {path} was exported on a GPU and there is none; export it on the CPU"
            raise ValueError(msg) from error
        raise ValueError(_damaged(path, error)) from error
    before = next(chain(network.parameters(), network.buffers()), torch.empty(0)).device
    GraphDevices(network.cpu()).move(before, torch.device("cpu"))
    for node in network.graph.nodes:
        if str(node.target) == "aten.dropout.default" and node.args[2]:
            msg = f"victim {path} was exported in training mode; export model.eval()"
            raise ValueError(msg)
    inputs = next(node for node in network.graph.nodes if node.op == "placeholder")
    batch = inputs.meta["val"].shape[0]
    if isinstance(batch, int):
        msg = (
            f"victim {path} takes batches of {batch} only; export it with "
            "dynamic_shapes=({0: torch.export.Dim('batch')},)"
        )
        raise ValueError(msg)
    for name in ("train", "eval"):  # torch lets them raise; the mode is part of the program
        vars(network).pop(name, None)
    return network


def _damaged(path: Path, error: Exception) -> str:
    return f"victim {path} is no exported program, or truncated ({error})"


def _records(path: Path) -> dict[str, bytes]:
    """Return the parts of the archive by name.

    torch's own reader opens it: another could find other parts under the same names.
    """
    try:
        reader = torch._C.PyTorchFileReader(io.BytesIO(path.read_bytes()))
        return {name: reader.get_record(name) for name in reader.get_all_records()}
    except Exception as error:  # a damaged archive ends in any of several types
        raise ValueError(_damaged(path, error)) from error


def _plain_archive(path: Path, records: dict[str, bytes]) -> io.BytesIO:
    """Return the archive written anew: what torch then reads is what was looked at."""
    from torch.export.pt2_archive._package import PT2ArchiveWriter

    if "serialized_exported_program.json" in records:
        raise NotPlainError(OLD)
    try:
        plain = {
            name: _plain_record(name, content)
            for name, content in records.items()
            if not LEFT_OUT.fullmatch(name)
        }
    except NotPlainError:
        raise
    except Exception as error:  # damaged parts, too
        raise ValueError(_damaged(path, error)) from error
    buffer = io.BytesIO()
    with PT2ArchiveWriter(buffer) as writer:
        for name, content in plain.items():
            writer.write_bytes(name, content)
    buffer.seek(0)
    return buffer


def _plain_record(name: str, content: bytes) -> bytes:
    if RAW.fullmatch(name):  # numbers, where no config says that they are a pickle
        return content
    if name == MODEL or name in CONFIGS:
        return plain_json(content)
    if name in PICKLES:
        return _plain_pickle(name, content)
    msg = f"it holds {name}"
    raise NotPlainError(msg)


def _plain_pickle(name: str, content: bytes) -> bytes:
    """Return a pickle written anew of what is plain in it."""
    if not content:
        return content
    try:
        values = load_plain(io.BytesIO(content))
    except Exception as error:
        msg = f"{name} is more than tensors and plain values"
        raise NotPlainError(msg) from error
    _check_plain(values, name)
    buffer = io.BytesIO()
    torch.save(values, buffer)
    return buffer.getvalue()


def _check_plain(value: Any, name: str) -> None:
    """Refuse texts that torch would write into code, and tensors with a class of their own."""
    inner: list[Any] = []
    if type(value) in (list, tuple):
        inner = list(value)
    elif type(value) in (dict, OrderedDict):
        inner = list(value.values())
        for key in value:
            _check_text(key, DOTTED, name)
    elif isinstance(value, str):
        _check_text(value, TEXT, name)
    elif value is not None and type(value) not in (Tensor, nn.Parameter, bool, int, float):
        msg = f"{name} holds a {type(value).__name__}"
        raise NotPlainError(msg)
    for each in inner:
        _check_plain(each, name)


def _check_text(value: Any, rule: re.Pattern[str], name: str) -> None:
    if not (isinstance(value, str) and rule.fullmatch(value)):
        msg = f"{name} holds {value!r}"
        raise NotPlainError(msg)
