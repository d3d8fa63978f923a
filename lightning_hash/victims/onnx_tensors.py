"""Tensors of ONNX files of others, whose values may lie in files of their own."""

import math
import os
from pathlib import Path
from typing import Any

from lightning_hash.utils.escapes import visible
from lightning_hash.utils.foreign_files import check_file, check_size
from lightning_hash.utils.json_text import brief

FLOATS = ("FLOAT", "DOUBLE", "FLOAT16")
NUMBERS = (*FLOATS, "INT8", "INT16", "INT32", "INT64", "UINT8", "BOOL")


class TensorReader:
    """Reads the tensors of a file, and no file that does not lie in its folder.

    Args:
        path: the file.
        called: what to call it in an error.
        onnx: the package.
    """

    def __init__(self, path: Path, called: str, onnx: Any) -> None:
        self.path, self.called, self.onnx = path, called, onnx

    def fail(self, what: str) -> ValueError:
        """Return the error about the file."""
        return ValueError(f"{self.called}: {what}")

    def kind(self, number: int) -> str:
        """Return what ONNX calls a type of numbers."""
        kinds = self.onnx.TensorProto.DataType
        return str(kinds.Name(number)) if number in kinds.values() else f"type {number}"

    def read(self, tensor: Any, name: str) -> Any:
        """Return a tensor with its values in it, whatever file they came from.

        Args:
            tensor: a ``TensorProto``.
            name: that it gets.

        Raises:
            FileNotFoundError: if the file with its values is not there.
            ValueError: if it holds no numbers, not as many as it says or more than the memory, or
                its values lie outside of the folder.
        """
        helper, kinds = self.onnx.numpy_helper, self.onnx.TensorProto
        called = brief(visible(tensor.name))
        kind = self.kind(tensor.data_type)
        if kind not in NUMBERS:
            msg = f"tensor {called} holds {kind.lower()}; {', '.join(NUMBERS).lower()} are read"
            raise self.fail(msg)
        shape = list(tensor.dims)
        item = self.onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        size = math.prod(shape) * item
        if min(shape, default=0) < 0:
            msg = f"tensor {called} has the shape {shape}"
            raise self.fail(msg)
        check_size(size, f"{self.called}: tensor {called}")
        plain = kinds()
        plain.CopyFrom(tensor)
        if tensor.data_location == kinds.EXTERNAL:
            plain = kinds(dims=shape, data_type=tensor.data_type)
            plain.raw_data = self._outside(tensor, size, called)
        try:
            values = helper.to_array(plain)
            if list(values.shape) != shape:
                msg = f"{values.size} values"
                raise ValueError(msg)
        except (ValueError, TypeError) as error:
            msg = f"tensor {called} of the shape {shape} does not hold as many values; truncated?"
            raise self.fail(msg) from error
        return helper.from_array(values, name)

    def _outside(self, tensor: Any, size: int, called: str) -> bytes:
        """Read a tensor's values from a file beside this one."""
        told = {entry.key: entry.value for entry in tensor.external_data}
        location = told.get("location", "")
        folder = Path(os.path.realpath(self.path.parent))
        place = Path(os.path.realpath(folder / location)) if "\0" not in location else folder
        if not location or Path(location).is_absolute() or not place.is_relative_to(folder):
            msg = (
                f"tensor {called} lies in {brief(visible(location))}, outside of the model's "
                "folder; such files are not read. Copy them (cp -L) into one folder if they are "
                "the model's"
            )
            raise self.fail(msg)
        shown = f"{self.called}: its file {visible(location)}"
        check_file(place, shown)
        if not place.is_file():
            msg = f"{shown} does not exist; copy it into the folder of the model"
            raise FileNotFoundError(msg)
        try:
            offset, length = int(told.get("offset") or 0), int(told.get("length") or size)
        except ValueError as error:
            msg = f"tensor {called} has an offset or length that is no number"
            raise self.fail(msg) from error
        if offset < 0 or length != size or offset + length > place.stat().st_size:
            msg = (
                f"tensor {called} should have {size:,} bytes at {offset:,}; {visible(location)} "
                f"has {place.stat().st_size:,}, of which it names {length:,}: truncated?"
            )
            raise self.fail(msg)
        with place.open("rb") as file:
            file.seek(offset)
            return file.read(length)
