"""ONNX files of others, read as what they are: operators and numbers, written anew.

Names in such a file are free text, which torch.fx writes into code that is run, and a tensor may
name any file of the disk as the place of its values. So the graph is built again: names are made
here, of ONNX's own operators those stay that onnx2torch knows, and values come from the file itself
or from files beside it.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from lightning_hash.utils.escapes import visible
from lightning_hash.utils.foreign_files import check_file, check_pixels, check_size
from lightning_hash.utils.json_text import brief
from lightning_hash.utils.nearest import offer
from lightning_hash.victims.onnx_older import NEWEST, as_known
from lightning_hash.victims.onnx_tensors import FLOATS, TensorReader

PACKAGES = ("onnx", "onnx2torch", "onnxruntime")
# Kinds of attributes that are values, and the field that holds each.
ATTRIBUTES = {
    "FLOAT": "f", "INT": "i", "STRING": "s", "TENSOR": "t",
    "FLOATS": "floats", "INTS": "ints", "STRINGS": "strings",
}  # fmt: skip
OWN_DOMAINS = ("", "ai.onnx")  # two names of one
LARGEST = 2**31 - 1  # bytes, protobuf's own limit
LEAST_IR = 3
LEAST_WRITTEN = 4  # the first whose weights need not be inputs
INPUT = "input"


@dataclass(frozen=True)
class OnnxGraph:
    """The part of an ONNX file that leads from its images to one output.

    Attributes:
        model: a ``ModelProto`` of plain names, with the types and shapes of its values.
        known: the same in operators that onnx2torch knows; nodes keep their names.
        sha256: of all of it, weights and attributes included.
        nodes: what the file calls each node, with its operator, by the name here.
        size: height and width of its images in the order of the file; ``None`` where any will do.
        channels: the same.
        batch: images that it takes at a time; ``None`` for any number.
        number: the type of its images, as torch calls it.
    """

    model: Any
    known: Any
    sha256: bytes
    nodes: Mapping[str, str]
    size: tuple[int | None, int | None]
    channels: int | None
    batch: int | None
    number: str


def need(package: str) -> Any:
    """Import a package of the extra ``onnx``.

    Raises:
        ValueError: if it is missing; names the command that installs it.
    """
    try:
        return import_module(package)
    except ImportError as error:
        msg = f"an ONNX victim needs {package}: pip install 'lightning-hash[onnx]' ({error})"
        raise ValueError(msg) from error


def read_onnx(path: Path, layout: str, output_node: str | None = None) -> OnnxGraph:
    """Read an ONNX file: nothing is run, and no file is opened that does not lie beside it.

    Args:
        path: the file.
        layout: of its images, ``"NCHW"`` or ``"NHWC"``.
        output_node: a node, or a value between two nodes, by name: the output; that of the file by
            default.

    Returns:
        The graph up to that output.

    Raises:
        FileNotFoundError: if it, or a file with its values, is not there.
        ValueError: if it cannot be read; has no such node, or several outputs or inputs of which
            none is named; holds operators that ONNX does not define or onnx2torch does not know;
            names files outside of its folder; or would not fit into memory.
    """
    return _Reader(path, layout).read(output_node)


class _Reader:
    def __init__(self, path: Path, layout: str) -> None:
        self.path, self.layout, self.called = path, layout, f"victim {path}"
        self.onnx = need("onnx")
        self.tensors = TensorReader(path, self.called, self.onnx)

    def fail(self, what: str) -> ValueError:
        return ValueError(f"{self.called}: {what}")

    def read(self, output_node: str | None) -> OnnxGraph:
        file = self._parse()
        graph = file.graph
        if file.functions or graph.sparse_initializer:
            what = "functions" if file.functions else "sparse tensors"
            remedy = "inline them (onnx.inliner)" if file.functions else "save them dense"
            msg = f"it holds {what}, which are not read; {remedy}"
            raise self.fail(msg)
        version = max((o.version for o in file.opset_import if o.domain in OWN_DOMAINS), default=0)
        known = self.onnx.defs.onnx_opset_version()
        if not 0 < version <= known or file.ir_version < LEAST_IR:
            msg = (
                f"its opset is {version} and its format {file.ir_version}; from opset 1 to {known} "
                f"of a format from {LEAST_IR} on is read; export it anew"
            )
            raise self.fail(msg)
        output = self._output(graph, output_node)
        nodes = _leading_to(graph.node, output)
        self._check_nodes(nodes)
        made = Counter(value for node in graph.node for value in node.output if value)
        twice = next((value for value, count in made.items() if count > 1), None)
        if twice is not None:
            msg = f"two nodes make the value {brief(visible(twice))}; export it anew"
            raise self.fail(msg)
        return self._written_anew(graph, nodes, output, version)

    def _parse(self) -> Any:
        check_file(self.path, self.called)
        if not self.path.is_file():
            msg = f"{self.called} does not exist"
            raise FileNotFoundError(msg)
        if self.path.stat().st_size > LARGEST:
            msg = "it has over 2 GiB, which no ONNX file has; export it with external data"
            raise self.fail(msg)
        try:
            file = self.onnx.load_model_from_string(self.path.read_bytes())
        except Exception as error:  # protobuf's own types differ between its builds
            msg = f"it is no ONNX file, or truncated ({_first_line(error)})"
            raise self.fail(msg) from error
        if not file.graph.node:
            msg = "it is no ONNX file, or truncated (it has no nodes)"
            raise self.fail(msg)
        return file

    def _output(self, graph: Any, name: str | None) -> str:
        """Return the value that is the output."""
        outputs = [str(value.name) for value in graph.output]
        if name is None:
            if len(outputs) == 1:
                return outputs[0]
            msg = f"it has {len(outputs)} outputs; name one as output_node; {_offer('', outputs)}"
            raise self.fail(msg)
        found = {str(v) for node in graph.node if node.name == name for v in node.output if v}
        found = found or {v for node in graph.node for v in node.output if v and v == name}
        if len(found) > 1:
            msg = (
                f"output_node {brief(name)} has {len(found)} outputs; name one of these values; "
                f"{_offer(name, sorted(found))}"
            )
            raise self.fail(msg)
        if not found:
            names = [each for node in graph.node for each in (node.name, *node.output) if each]
            msg = f"output_node: there is no {brief(name)}; {_offer(name, names)}"
            raise self.fail(msg)
        return found.pop()

    def _check_nodes(self, nodes: Sequence[Any]) -> None:
        """Refuse operators that are not ONNX's own, before anything looks at them."""
        for node in nodes:
            own = node.domain in OWN_DOMAINS and self.onnx.defs.has(node.op_type, "")
            if not own:
                domain = f" of the domain {brief(visible(node.domain))}" if node.domain else ""
                msg = (
                    f"node {_said(node)}{domain} is an operator that ONNX does not define, and "
                    "that may read files; export it without"
                )
                raise self.fail(msg)

    def _check_converters(self, nodes: Sequence[Any], version: int) -> None:
        """Refuse operators that onnx2torch does not know."""
        find = need("onnx2torch.node_converters").get_converter
        strange: set[str] = set()
        for node in nodes:
            try:
                find(node.op_type, version, "")
            except NotImplementedError:
                strange.add(node.op_type)
        if strange:
            msg = (
                f"onnx2torch turns no {', '.join(sorted(strange))} of opset {version} into "
                "PyTorch; export it without, name an output_node before them, or give the network "
                "as a function (source: module:function)"
            )
            raise self.fail(msg)

    def _written_anew(
        self, graph: Any, nodes: Sequence[Any], output: str, version: int
    ) -> OnnxGraph:
        needed = {value for node in nodes for value in node.input if value}
        made = {value for node in nodes for value in node.output if value}
        constants = {t.name: t for t in graph.initializer if t.name in needed - made}
        free = needed - made - constants.keys()
        inputs = [value for value in graph.input if value.name in free]
        if len(inputs) != 1 or len(free) != 1:
            names = [value.name for value in inputs]
            msg = (
                f"its output depends on {len(free)} inputs, images alone are given; "
                f"{_offer('', names)}"
            )
            raise self.fail(msg)
        helper = self.onnx.helper
        needed.add(output)
        renamed = {inputs[0].name: INPUT, "": ""}
        fresh = helper.make_graph([], "victim", [], [])
        for number, (name, tensor) in enumerate(constants.items()):
            renamed[name] = f"weight_{number}"
            fresh.initializer.append(self.tensors.read(tensor, renamed[name]))
        said: dict[str, str] = {}
        for number, node in enumerate(nodes):
            called = f"node_{number}_{node.op_type}"
            said[called] = _said(node)
            outputs = list(node.output)
            while outputs and outputs[-1] not in needed:  # such as the mask of a dropout
                outputs.pop()
            for place, value in enumerate(outputs):
                if value:
                    renamed[value] = f"value_{number}_{place}"
            try:
                taken = [renamed[value] for value in node.input]
            except KeyError as error:
                msg = f"node {_said(node)} stands before what it takes; export it anew"
                raise self.fail(msg) from error
            plain = helper.make_node(
                node.op_type, taken, [renamed[value] for value in outputs], called
            )
            plain.attribute.extend(self._attribute(node, each) for each in node.attribute)
            fresh.node.append(plain)
        batch, channels, size, number_type = self._images(inputs[0])
        shape = [batch or "batch", channels, *size]
        if self.layout == "NHWC":
            shape = [batch or "batch", *size, channels]
        fresh.input.append(helper.make_tensor_value_info(INPUT, number_type, shape))
        fresh.output.add(name=renamed[output])
        opsets = [helper.make_opsetid("", version)]
        form = max(LEAST_WRITTEN, helper.find_min_ir_version_for(opsets))
        model = helper.make_model(fresh, opset_imports=opsets, ir_version=form)
        content = model.SerializeToString(deterministic=True) + self.layout.encode()
        model = self._typed(model, said)
        known = self._typed(self._known(model, version), said)
        self._check_converters(known.graph.node, known.opset_import[0].version)
        return OnnxGraph(
            model, known, hashlib.sha256(content).digest(), said, size, channels, batch,
            self.tensors.kind(number_type).lower(),
        )  # fmt: skip

    def _known(self, model: Any, version: int) -> Any:
        try:
            return as_known(model)
        except Exception as error:  # of C++
            msg = (
                f"its opset {version} cannot be written as {NEWEST}, which onnx2torch knows "
                f"({_first_line(error)}); export it with opset_version={NEWEST}"
            )
            raise self.fail(msg) from error

    def _images(
        self, value: Any
    ) -> tuple[int | None, int | None, tuple[int | None, int | None], int]:
        """Return batch, channels, size and type of the images that the file says it takes."""
        declared = value.type.tensor_type
        number = declared.elem_type
        kind = self.tensors.kind(number)
        if kind not in FLOATS:
            msg = (
                f"it takes images of {kind.lower()}, through which no gradient comes back; export "
                "it with a float input"
            )
            raise self.fail(msg)
        dimensions = [d.dim_value if d.dim_value > 0 else None for d in declared.shape.dim]
        if len(dimensions) != 4:
            said = " x ".join(str(d or "any") for d in dimensions)
            msg = f"its input is {said or 'no image'}; batches of images have 4 dimensions"
            raise self.fail(msg)
        batch = dimensions[0]
        place = {"NCHW": 1, "NHWC": 3}
        channels = dimensions[place[self.layout]]
        other = next(each for each in place if each != self.layout)
        if channels not in (None, 1, 3) and dimensions[place[other]] in (1, 3):
            said = " x ".join(str(d or "any") for d in dimensions)
            msg = f"its images are {said}, not {self.layout}; give layout: {other}"
            raise self.fail(msg)
        height, width = dimensions[2:] if self.layout == "NCHW" else dimensions[1:3]
        if batch not in (None, 1):
            msg = (
                f"it takes batches of {batch} only; export it with a dynamic batch dimension "
                "(or with batches of 1)"
            )
            raise self.fail(msg)
        try:
            check_pixels(height or 1, width or 1)
        except ValueError as error:
            msg = f"its images: {error}"
            raise self.fail(msg) from error
        return batch, channels, (height, width), number

    def _attribute(self, node: Any, attribute: Any) -> Any:
        """Return an attribute with its value and nothing else."""
        kinds = self.onnx.AttributeProto.AttributeType
        known = attribute.type in kinds.values() and not attribute.ref_attr_name
        field = ATTRIBUTES.get(kinds.Name(attribute.type)) if known else None
        if field is None:
            msg = (
                f"node {_said(node)} has {brief(visible(attribute.name))}, which is no plain value "
                "(a graph within the graph?); export it without"
            )
            raise self.fail(msg)
        plain = self.onnx.AttributeProto(name=attribute.name, type=attribute.type)
        value = getattr(attribute, field)
        if field == "t":
            plain.t.CopyFrom(self.tensors.read(value, ""))
        elif field.endswith("s") and field != "s":
            getattr(plain, field).extend(value)
        else:
            setattr(plain, field, value)
        return plain

    def _typed(self, model: Any, said: Mapping[str, str]) -> Any:
        """Return the model with the types and shapes of its values, which must fit into memory."""
        try:
            typed = self.onnx.shape_inference.infer_shapes(model, data_prop=True)
            self.onnx.checker.check_model(typed)
        except Exception as error:  # of several types, some of C++
            msg = f"it contradicts itself ({_first_line(error)}); export it anew"
            raise self.fail(msg) from error
        origin = {v: said.get(n.name, n.op_type) for n in model.graph.node for v in n.output}
        for value in (*typed.graph.value_info, *typed.graph.output):
            dimensions = [max(d.dim_value, 1) for d in value.type.tensor_type.shape.dim]
            made = f"{self.called}: what {visible(origin.get(value.name, value.name))} makes"
            check_size(4 * math.prod(dimensions), made)
        return typed


def _leading_to(nodes: Sequence[Any], output: str) -> list[Any]:
    """Return the nodes that a value depends on, in the file's order."""
    makers: dict[str, int] = {}
    for number, node in enumerate(nodes):
        for value in node.output:
            makers.setdefault(value, number)
    found: set[int] = set()
    ahead = [output]
    while ahead:
        number = makers.get(ahead.pop(), -1)
        if number >= 0 and number not in found:
            found.add(number)
            ahead.extend(value for value in nodes[number].input if value)
    return [nodes[number] for number in sorted(found)]


def _said(node: Any) -> str:
    name = node.name or next(iter(node.output), "")
    return f"{brief(visible(name))} ({visible(node.op_type)})"


def _offer(word: str, names: Iterable[str]) -> str:
    return visible(offer(word, list(_named(names))))


def _named(names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if name)


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return visible(lines[0]) if lines else type(error).__name__
