"""What keeps graphs of others' networks on the device and in the mode that they were made in.

torch.export and torch.jit.trace write the device of the moment where a network makes tensors on its
way: the first state of an LSTM, positions, zeros. Moving the module leaves them behind. They write
eval mode into recurrent layers, of which cuDNN has no backward pass; without dropout both modes are
equal.
"""

from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.fx.node import map_aggregate

AUTOCAST = "wrap_with_autocast"
RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")


class GraphDevices:
    """What is on a device in exported graphs beside parameters and buffers, as it is now.

    torch's own ``move_to_device_pass`` makes a new program with new parameters; these graphs stay
    parts of the caller's module, which is given back as it came.

    Args:
        network: a module that may hold exported programs. Graphs of ``torch.fx`` that call Python
            functions are left alone.
    """

    def __init__(self, network: nn.Module) -> None:
        graphs = [module for module in network.modules() if isinstance(module, GraphModule)]
        self._nodes = [
            (graph, node, node.args, node.kwargs)
            for graph in graphs
            for node in graph.graph.nodes
            if _is_bound(node)
        ]
        self._constants = [
            (owner, name, vars(owner)[name])
            for graph in graphs
            for node in graph.graph.nodes
            if node.op == "get_attr"
            for owner, name in [_owner(graph, str(node.target))]
            if isinstance(vars(owner).get(name), Tensor)
        ]

    def move(self, before: torch.device, after: torch.device) -> None:
        """Put all of it on a device.

        Args:
            before: where the weights were; what computes in a shorter type there does so after.
            after: the device.
        """

        def moved(value: Any) -> Any:
            return after if isinstance(value, torch.device) else value

        changed = []
        for graph, node, args, kwargs in self._nodes:
            args, kwargs = map_aggregate(args, moved), map_aggregate(kwargs, moved)
            if str(node.target) == AUTOCAST and args[:1] == (before.type,):
                args = (after.type, *args[1:])
            if _is_recurrent(node.target):
                names = [argument.name for argument in node.target._schema.arguments]
                first = names.index("dropout")
                args = (*args[:first], 0.0, True, *args[first + 2 :])
            changed.append((graph, node, args, kwargs))
        self._write(changed)
        for owner, name, value in self._constants:
            setattr(owner, name, value.to(after))

    def restore(self) -> None:
        """Put everything back to where it was."""
        self._write(self._nodes)
        for owner, name, value in self._constants:
            setattr(owner, name, value)

    @staticmethod
    def _write(nodes: list[tuple[GraphModule, Node, Any, Any]]) -> None:
        written = {}
        for graph, node, args, kwargs in nodes:
            if (node.args, node.kwargs) != (args, kwargs):
                node.args, node.kwargs = args, kwargs
                written[id(graph)] = graph
        for graph in written.values():
            graph.recompile()


def _is_recurrent(target: Any) -> TypeGuard[torch._ops.OpOverload]:
    operator = isinstance(target, torch._ops.OpOverload)
    return operator and target.name().removeprefix("aten::").partition(".")[0] in RECURRENT


def _is_bound(node: Node) -> bool:
    if str(node.target) == AUTOCAST or _is_recurrent(node.target):
        return True
    found: list[Any] = []
    if isinstance(node.target, torch._ops.OpOverload):
        map_aggregate((node.args, node.kwargs), found.append)
    return any(isinstance(value, torch.device) for value in found)


def _owner(graph: GraphModule, target: str) -> tuple[nn.Module, str]:
    path, _, name = target.rpartition(".")
    return graph.get_submodule(path), name


def free_script(script: nn.Module) -> None:
    """Let a script make tensors where its inputs are, and cuDNN differentiate recurrent layers.

    Args:
        script: as ``torch.jit.load`` returned it; torch keeps the plans of what has run.
    """
    for module in script.modules():
        if isinstance(module, torch.jit.ScriptModule):
            for name in module._c._method_names():
                graph = module._c._get_method(name).graph
                _free_devices(graph)
                _free_modes(graph)


def _free_devices(graph: Any) -> None:
    inputs = [
        value for value in graph.inputs() if value.type().isSubtypeOf(torch._C.TensorType.get())
    ]
    for node in graph.findAllNodes("prim::Constant") if inputs else ():
        if node.output().type().kind() == "DeviceObjType":
            follow = graph.create("prim::device", inputs[:1], 1)
            follow.insertBefore(node)
            follow.output().setType(node.output().type())
            node.output().replaceAllUsesWith(follow.output())


def _free_modes(graph: Any) -> None:
    for node in (node for kind in RECURRENT for node in graph.findAllNodes(f"aten::{kind}")):
        kinds = [value.type().kind() for value in node.inputs()]
        dropout = kinds.index("FloatType")  # in front of whether it trains
        graph.setInsertPoint(node)
        node.replaceInput(dropout, graph.insertConstant(0.0))
        node.replaceInput(dropout + 1, graph.insertConstant(True))
