"""Small ONNX files, built node by node beside the torch network that they are."""

import numpy as np
import torch
from torch import nn

SIDE, BITS = 8, 6
MEAN, SCALE = 0.4, 2.5


class Beside(nn.Module):
    """What :func:`network` is in torch: constants of its own, a convolution, a mean, a layer."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.conv = nn.Conv2d(3, 5, 3, stride=2, padding=1)
        self.hash = nn.Linear(5, BITS)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)

    def features(self, images):
        maps = nn.functional.leaky_relu(self.conv((images - MEAN) * SCALE), 0.2)
        return maps.mean(dim=(2, 3))

    def forward(self, images):
        return self.hash(self.features(images))


def network(onnx, *, layout="NCHW", batch="batch", opset=13, flatten=True, prefix=""):
    """Return a ModelProto of :class:`Beside`."""
    helper, net = onnx.helper, Beside()
    shape = [batch, 3, SIDE, SIDE] if layout == "NCHW" else [batch, SIDE, SIDE, 3]
    nodes = [] if layout == "NCHW" else [
        helper.make_node("Transpose", ["images"], ["turned"], f"{prefix}turn", perm=[0, 3, 1, 2])
    ]  # fmt: skip
    first = "images" if layout == "NCHW" else "turned"
    nodes += [
        helper.make_node("Sub", [first, "mean"], ["centred"], f"{prefix}centre"),
        helper.make_node("Mul", ["centred", "scale"], ["scaled"], f"{prefix}scale"),
        helper.make_node(
            "Conv", ["scaled", "w", "b"], ["maps"], f"{prefix}conv", strides=[2, 2],
            pads=[1, 1, 1, 1],
        ),
        helper.make_node("LeakyRelu", ["maps"], ["bent"], f"{prefix}bend", alpha=0.2),
        helper.make_node("GlobalAveragePool", ["bent"], ["pooled"], f"{prefix}pool"),
        helper.make_node("Dropout", ["pooled"], ["kept", "mask"], f"{prefix}drop"),
        helper.make_node("Flatten", ["kept"], ["flat"], f"{prefix}flatten")
        if flatten
        else helper.make_node("Reshape", ["kept", "one_row"], ["flat"], f"{prefix}flatten"),
        helper.make_node("Gemm", ["flat", "v", "c"], ["logits"], f"{prefix}hash", transB=1),
    ]  # fmt: skip
    weights = {
        "mean": np.array(MEAN), "scale": np.array(SCALE),
        "w": net.conv.weight.detach().numpy(), "b": net.conv.bias.detach().numpy(),
        "v": net.hash.weight.detach().numpy(), "c": net.hash.bias.detach().numpy(),
    }  # fmt: skip
    tensors = [onnx.numpy_helper.from_array(v.astype(np.float32), k) for k, v in weights.items()]
    tensors.append(onnx.numpy_helper.from_array(np.array([1, 5]), "one_row"))
    graph = helper.make_graph(
        nodes, "small", [helper.make_tensor_value_info("images", 1, shape)],
        [helper.make_tensor_value_info("logits", 1, [batch, BITS])], tensors,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def chain(onnx, nodes, *, inputs=("x",), outputs=("y",), weights=(), opset=13, size=(3, 4, 4)):
    """Return a ModelProto of some nodes, of images ``x``."""
    helper = onnx.helper
    graph = helper.make_graph(
        nodes, "chain",
        [helper.make_tensor_value_info(name, 1, ["batch", *size]) for name in inputs],
        [helper.make_tensor_value_info(name, 1, None) for name in outputs],
        [onnx.numpy_helper.from_array(value, name) for name, value in dict(weights).items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def write(model, path):
    path.write_bytes(model.SerializeToString())
    return str(path)
