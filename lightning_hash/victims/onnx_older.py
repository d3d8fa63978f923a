"""ONNX graphs in the operators that onnx2torch knows."""

import math
from importlib import import_module
from typing import Any

NEWEST = 17  # opset; what onnx2torch 1.5.15 knows of newer ones is little
CUBIC = 0.044715  # Hendrycks and Gimpel 2016, the approximation by tanh
OUTPUT = "output"
LEFT_OUT = ("allowzero", "noop_with_empty_axes")


def as_known(model: Any) -> Any:
    """Return a model of at most opset 17, without what onnx2torch takes for something else.

    Left out are dropout, ``allowzero`` of Reshape, which matters for empty tensors alone, and
    ``noop_with_empty_axes``, which older opsets do not have. The output gets a node of its own:
    onnx2torch gives all outputs of a node that has several. Who uses the result compares it with
    the model that it came from.

    Args:
        model: a ``ModelProto`` of ONNX's own operators, which is not changed.

    Raises:
        Exception: of onnx's converter, if an operator has no older form.
    """
    found = without_gelu(model)
    if model.opset_import[0].version > NEWEST:
        onnx = import_module("onnx.version_converter")
        found = onnx.convert_version(found, NEWEST)
    for node in found.graph.node:
        kept = [each for each in node.attribute if each.name not in LEFT_OUT]
        del node.attribute[:]
        node.attribute.extend(kept)
        if node.op_type == "Dropout":
            node.op_type = "Identity"
            del node.attribute[:], node.input[1:], node.output[1:]
    (output,) = found.graph.output
    found.graph.node.add(op_type="Identity", name=OUTPUT, input=[output.name], output=[OUTPUT])
    output.name = OUTPUT
    return found


def without_gelu(model: Any) -> Any:
    """Return a model whose GELU nodes are written out, as ONNX defines them (opset 20).

    That is x (1 + erf(x / sqrt 2)) / 2, or with ``approximate="tanh"`` x (1 + tanh(sqrt(2 / pi)
    (x + .044715 x^3))) / 2. The last node of each keeps the name and the output.

    Args:
        model: a ``ModelProto``, which is not changed; its GELUs are of float32.
    """
    helper = import_module("onnx").helper
    found = type(model)()
    found.CopyFrom(model)
    del found.graph.node[:]
    constants = {"half": 0.5, "one": 1.0, "root": math.sqrt(2), "cubic": CUBIC}
    constants["scale"] = math.sqrt(2 / math.pi)
    if any(node.op_type == "Gelu" for node in model.graph.node):
        found.graph.initializer.extend(
            helper.make_tensor(f"gelu_{name}", 1, [], [value]) for name, value in constants.items()
        )
    for node in model.graph.node:
        if node.op_type != "Gelu":
            found.graph.node.append(node)
            continue
        approximate = any(each.s == b"tanh" for each in node.attribute)
        steps = (
            [("Mul", "x", "x"), ("Mul", "-", "x"), ("Mul", "-", "cubic"), ("Add", "-", "x"),
             ("Mul", "-", "scale"), ("Tanh", "-")]
            if approximate else [("Div", "x", "root"), ("Erf", "-")]
        )  # fmt: skip
        steps += [("Add", "-", "one"), ("Mul", "-", "x"), ("Mul", "-", "half")]
        before = ""
        for number, (kind, *taken) in enumerate(steps):
            last = number == len(steps) - 1
            names = {"x": node.input[0], "-": before}
            inputs = [names.get(each, f"gelu_{each}") for each in taken]
            before = node.output[0] if last else f"{node.output[0]}_{number}"
            name = node.name if last else f"{node.name}_{number}"
            found.graph.node.append(helper.make_node(kind, inputs, [before], name))
    return found
