"""A victim is given back as it came."""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from lightning_hash.victims.graph_devices import GraphDevices

_FILLING: Any = torch.utils.deterministic  # a module whose attributes are properties
CUDNN = ("enabled", "benchmark", "deterministic")
HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
    "_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs", "_forward_hooks_always_called",
)  # fmt: skip


def unwrapped(network: nn.Module) -> nn.Module:
    """Return the network in DataParallel, DistributedDataParallel or ``torch.compile``.

    Attacks share out their queries by themselves, and compile by ``kernels: compile``; the name and
    the fingerprint are those of the network.
    """
    inner = network
    while isinstance(inner, (nn.DataParallel, nn.parallel.DistributedDataParallel)) or (
        type(inner).__name__ == "OptimizedModule"  # its class imports the compiler
    ):
        inner = inner._modules.get("module", inner._modules.get("_orig_mod")) or inner
    return inner


@contextmanager
def borrowed(network: nn.Module) -> Iterator[None]:
    """Freeze a network, in eval mode (see :func:`set_eval`), and give it back as it came.

    Meanwhile products of float32 numbers are float32's. Kernels are not chosen by timing, and where
    torch has the choice, not among those whose sums depend on the order in which threads end.

    Given back are, for each submodule, mode and hooks; each parameter's tensor (and so its device,
    type and memory format), requires_grad and grad; the buffers with their values; the devices in
    exported graphs; and the caller's random state, number of threads, cuDNN flags, precision of
    products and determinism. Parameters and buffers that the Trainer moves are moved copies: the
    caller's own tensors come back without a copy.

    Args:
        network: the caller's.
    """
    frozen = [module for module in network.modules() if not hasattr(module, "training")]
    for module in frozen:  # scripts lose it; Lightning asks for it
        vars(module)["training"] = False
    modules = [(module, module.training, _hooks(module)) for module in network.modules()]
    parameters = [(p, p.data, p.requires_grad, p.grad) for p in network.parameters()]
    registered = [
        (module, dict(module.named_parameters(recurse=False))) for module in network.modules()
    ]
    buffers = [
        (module, name, buffer, None if buffer is None else buffer.clone())
        for module in network.modules()
        for name, buffer in module._buffers.items()
    ]
    graphs, process = GraphDevices(network), _process_state()
    dropouts = [(module, module.dropout) for module in _recurrent(network)]
    set_eval(network)
    for parameter in network.parameters():
        parameter.requires_grad = False
        parameter.grad = None
    try:
        _repeat_exactly()
        yield
    finally:
        for module, training, hooks in modules:
            module.training = training
            for name, content in hooks.items():
                present = getattr(module, name)
                present.clear()
                present.update(content)
        for recurrent, dropout in dropouts:
            recurrent.dropout = dropout
        for module, named in registered:
            for name, parameter in named.items():
                if getattr(module, name) is not parameter:  # torch can be told to replace it
                    module._parameters[name] = parameter
        for parameter, data, requires_grad, grad in parameters:
            parameter.data = data
            parameter.requires_grad_(requires_grad)
            parameter.grad = grad
        for module, name, buffer, value in buffers:
            if buffer is not None and value is not None:
                buffer.copy_(value)
            module._buffers[name] = buffer
        graphs.restore()
        for module in frozen:
            vars(module).pop("training", None)
        _restore(process)


@contextmanager
def exact_arithmetic() -> Iterator[None]:
    """Let products of float32 numbers be float32's and sums have one order, for a while.

    Convolutions in TensorFloat-32, torch's own default on a GPU, flip bits of codes. Where torch
    has no kernel of one order it warns, or refuses if the caller has asked for that.
    """
    present = _arithmetic()
    try:
        _repeat_exactly()
        yield
    finally:
        _set_arithmetic(present)


@contextmanager
def reduced_precision() -> Iterator[None]:
    """Let products of float32 numbers be TensorFloat-32's for a while, on devices that have it."""
    process = _precision()
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    try:
        yield
    finally:
        _set_precision(process)


def _repeat_exactly() -> None:
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    if torch.cuda.is_available():
        # cuBLAS repeats itself only with a workspace of a fixed size.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        refuses = (
            torch.are_deterministic_algorithms_enabled()
            and not torch.is_deterministic_algorithms_warn_only_enabled()
        )
        torch.use_deterministic_algorithms(mode=True, warn_only=not refuses)
        # Else each new tensor is filled before it is written: a quarter of an attack's launches.
        _FILLING.fill_uninitialized_memory = False


def _precision() -> dict[str, Any]:
    return {
        "matmul": torch.get_float32_matmul_precision(),
        "cudnn": torch.backends.cudnn.allow_tf32,
    }


def _set_precision(precision: dict[str, Any]) -> None:
    torch.set_float32_matmul_precision(precision["matmul"])
    torch.backends.cudnn.allow_tf32 = precision["cudnn"]


def set_eval(network: nn.Module) -> None:
    """Set eval mode; scripts and exported programs may refuse, whose mode is part of them.

    Recurrent layers are set to training mode without dropout, which is the same: cuDNN has no
    backward pass of them in eval mode.
    """
    try:
        network.eval()
    except (AttributeError, NotImplementedError):
        for module in network.modules():
            module.training = False
    for module in _recurrent(network):
        module.training, module.dropout = True, 0.0


def _recurrent(network: nn.Module) -> list[nn.RNNBase]:
    return [module for module in network.modules() if isinstance(module, nn.RNNBase)]


def _hooks(module: nn.Module) -> dict[str, dict[Any, Any]]:
    found = {name: getattr(module, name, None) for name in HOOKS}
    return {name: dict(hooks) for name, hooks in found.items() if hooks is not None}


def _process_state() -> dict[str, Any]:
    cuda = torch.cuda.is_available() and torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),  # noqa: NPY002 - the global one is the caller's
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if cuda else None,
        "threads": torch.get_num_threads(),
        "arithmetic": _arithmetic(),
    }


def _arithmetic() -> dict[str, Any]:
    return {
        "precision": _precision(),
        "cudnn": {name: getattr(torch.backends.cudnn, name) for name in CUDNN},
        "deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            _FILLING.fill_uninitialized_memory,
        ),
    }


def _restore(state: dict[str, Any]) -> None:
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None:
        torch.cuda.set_rng_state_all(state["cuda"])
    if torch.get_num_threads() != state["threads"]:
        torch.set_num_threads(state["threads"])
    _set_arithmetic(state["arithmetic"])


def _set_arithmetic(state: dict[str, Any]) -> None:
    _set_precision(state["precision"])
    enabled, warn_only, fill = state["deterministic"]
    torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
    _FILLING.fill_uninitialized_memory = fill
    for name, value in state["cudnn"].items():
        if getattr(torch.backends.cudnn, name) != value:
            setattr(torch.backends.cudnn, name, value)
