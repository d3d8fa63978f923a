"""Victims that this project did not train."""

import importlib
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args
from zipfile import ZipFile, is_zipfile

import torch
from torch import Tensor, nn

from lightning_hash.models.network import IMAGENET_MEAN, IMAGENET_STD, call_network
from lightning_hash.models.outputs import read_logits
from lightning_hash.models.pretrained import PretrainedNetwork
from lightning_hash.utils.foreign_files import check_file
from lightning_hash.utils.settings import public_name
from lightning_hash.utils.trust import needs_trust, trusting
from lightning_hash.victims.borrow import unwrapped
from lightning_hash.victims.exported import load_exported
from lightning_hash.victims.functions import CodeFunction, run_for
from lightning_hash.victims.graph_devices import free_script
from lightning_hash.victims.hub import HUB, load_from_hub
from lightning_hash.victims.onnx_network import Layout, load_onnx
from lightning_hash.victims.state_dict_victim import network_of_state_dict
from lightning_hash.victims.victim import Output, Victim, as_float32, check_output

ONNX = ".onnx"
Channels = Literal["RGB", "BGR"]
LARGEST_TANH = 1 - 1e-6  # float32 holds it; its logit is 7.25


class ForeignNetwork(nn.Module):
    """Give a network of others the interface of this project.

    Args:
        network: turns its own kind of inputs into ``(B, K)`` outputs; see
            :func:`lightning_hash.models.outputs.read_logits` for what it may return.
        mean: mean of each channel that it expects to be subtracted from inputs in [0, 1].
        std: standard deviation of each channel that it expects to be divided by.
        output: ``"logits"``; ``"tanh"``: logits are then recovered by atanh; or ``"sigmoid"``,
            probabilities of the bits, as they are of tanh(H) = 2p - 1. Outputs within 1e-6 of an
            end count as 1e-6 from it; their gradient passes as that of the nearest such value.
        bits: K, which tells the outputs from what else the network may return.
        channels: the order of the channels that it expects, ``"RGB"`` or ``"BGR"``; ``mean`` and
            ``std`` are in this order too.

    Raises:
        ValueError: if ``std`` is not positive, or ``output`` or ``channels`` unknown.

    Example:
        >>> network = ForeignNetwork(nn.Sequential(nn.Flatten(), nn.Tanh()), output="tanh")
        >>> network(torch.tensor([[[[0.5, -1.25]]]]))
        tensor([[ 0.5000, -1.2500]])
    """

    mean: Tensor
    std: Tensor
    order: Tensor | None

    def __init__(
        self,
        network: nn.Module,
        mean: Sequence[float] = (0.0,),
        std: Sequence[float] = (1.0,),
        output: Output = "logits",
        bits: int | None = None,
        channels: Channels = "RGB",
    ) -> None:
        super().__init__()
        if len(mean) != len(std) or not mean or min(std) <= 0:
            msg = f"mean and std must be as many, std positive, got {list(mean)} and {list(std)}"
            raise ValueError(msg)
        if output not in get_args(Output):
            msg = (
                "output must be 'logits', 'tanh', 'sigmoid' or, of a function, 'codes', got "
                f"{output!r}"
            )
            raise ValueError(msg)
        if channels not in get_args(Channels):
            msg = f"channels must be one of {', '.join(get_args(Channels))}, got {channels!r}"
            raise ValueError(msg)
        self.network, self.output, self.bits = network, output, bits
        self._looked = False
        self.register_buffer("mean", torch.tensor(list(mean)))
        self.register_buffer("std", torch.tensor(list(std)))
        # A buffer, so that the fingerprint tells one order from the other.
        self.register_buffer("order", torch.tensor([2, 1, 0]) if channels == "BGR" else None)

    def forward(self, inputs: Tensor, *lengths: Tensor) -> Tensor:
        """Return the logits ``(B, K)`` of inputs ``(B, C, H, W)`` or ``(B, T, C, H, W)`` in [0, 1].

        Raises:
            TypeError: if the network returns no tensor.
            ValueError: if there are lengths and the network takes none, or what the first batch
                gives is not what ``output`` says.
        """
        outputs = call_network(self.network, self.normalize(inputs), *lengths)
        if not (isinstance(outputs, Tensor) and outputs.is_floating_point()):
            name = public_name(type(self.network))
            outputs = read_logits(outputs, len(inputs), self.bits, name)
        if not self._looked and outputs.numel() and not torch.compiler.is_compiling():
            self._looked = True
            check_output(outputs, self.output)
        if self.output == "logits":
            return outputs
        outputs = as_float32(outputs)  # a shorter type has no number so near to the ends
        signs = 2 * outputs - 1 if self.output == "sigmoid" else outputs
        inside = signs + (signs.clamp(-LARGEST_TANH, LARGEST_TANH) - signs).detach()
        return torch.atanh(inside)

    def normalize(self, inputs: Tensor) -> Tensor:
        """Return inputs ``(B, ..., C, H, W)`` in [0, 1] as the network expects them."""
        if self.order is not None:
            inputs = inputs.index_select(-3, self.order)
        return (inputs - self.mean.view(-1, 1, 1)) / self.std.view(-1, 1, 1)


def load_foreign(
    source: str,
    backbone: str | None = None,
    bits: int | None = None,
    preprocess: str | Mapping[str, Any] = "imagenet",
    output: Output | Literal["codes"] = "logits",
    output_node: str | None = None,
    layout: Layout | None = None,
    head: str | None = None,
    *,
    trust: bool = False,
) -> Victim:
    """Load a victim that others trained.

    State dicts are read without unpickling anything, and of exported programs and ONNX files a
    graph of known operators and tensors; what else there is runs code of others and needs
    ``trust``.

    Args:
        source: ``module:function`` that returns an nn.Module when it is called; a TorchScript file
            (``.ts``, ``.torchscript``, ``.pt``); an exported program (``.pt2``), exported in eval
            mode, with the batch as a dynamic dimension; an ONNX file (``.onnx``), see
            :func:`lightning_hash.victims.load_onnx`; ``hf-hub:owner/name`` or
            ``hf-hub:owner/name@revision``, a checkpoint of this project that
            :func:`lightning_hash.push_to_hub` has put on the Hugging Face hub; or a state dict
            (``.pth``, ``.pt``, ``.safetensors``) of a named backbone whose last layer has ``bits``
            units, as in DHTA's, DeepHash-pytorch's, HashNet's, CgAT's and SAAT's models; see
            :func:`lightning_hash.victims.state_dict_victim.network_of_state_dict`.
        backbone: the backbone of a state dict; other sources have their own.
        bits: K of a state dict; of other sources what their network must return.
        preprocess: what the network expects: ``"imagenet"``'s mean and standard deviation,
            ``"none"`` for inputs in [0, 1], or ``{"mean": [...], "std": [...]}``, with
            ``"channels": "BGR"`` where it expects that order, in which mean and std then are. Of a
            state dict of a ``timm/`` or ``open_clip/`` backbone the default is what that was made
            for. Epsilon stays in [0, 1] whatever stands here. Not with ``output: codes``.
        output: what it returns: ``"logits"``, ``"tanh"`` of them, or their ``"sigmoid"``. With
            ``"codes"`` the source is itself a function from 8-bit images to codes, see
            :class:`lightning_hash.victims.CodeFunction`; it has no gradient. The network of a state
            dict is built here, up to its logits: whatever its own code returned, nothing has to be
            undone, and ``"logits"`` stands in the rows.
        output_node: of an ONNX file: a node, or a value between two nodes, whose output is taken.
        layout: of an ONNX file's images, ``"NCHW"``, the default, or ``"NHWC"``.
        head: of an ONNX file: a safetensors file with ``weight`` ``(K, D)`` and perhaps ``bias``
            ``(K,)``, such as a PCA, through which the output goes.
        trust: let the source run code: functions, TorchScript, exported programs with more in them
            than a graph and tensors.

    Returns:
        The victim, on the CPU, frozen.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the source cannot be imported or read, does not fit, or needs trust.
    """
    with trusting(trust):
        return _load(
            source, backbone, bits, preprocess, output,
            {"output_node": output_node, "layout": layout, "head": head},
        )  # fmt: skip


def _load(
    source: str,
    backbone: str | None,
    bits: int | None,
    preprocess: str | Mapping[str, Any],
    output: Output | Literal["codes"],
    of_onnx: Mapping[str, Any],
) -> Victim:
    onnx = Path(source).suffix == ONNX and not source.startswith(HUB)
    for name, value in of_onnx.items():
        if value is not None and not onnx:
            msg = f"victim {source}: {name} goes with an ONNX file (.onnx); leave it out"
            raise ValueError(msg)
    if source.startswith(HUB):
        return _of_hub(source, backbone, bits, preprocess, output)
    if output == "codes":
        return _function(source, backbone, bits, preprocess)
    normalisation = _normalisation(preprocess)
    path, built = Path(source), False
    own = ":" in source and not path.exists()
    if not own:
        check_file(path, f"victim {source}")
    script = path.suffix in (".ts", ".torchscript") or _is_script(path)
    if backbone is not None and (own or script or path.suffix in (".pt2", ONNX)):
        msg = (
            f"victim {source}: backbone {backbone} goes with a state dict; this source has its own "
            "network: leave backbone out"
        )
        raise ValueError(msg)
    if own:
        network, name = _call(source), source
    elif script:
        network, name = _script(path), path.name
    elif path.suffix == ".pt2":
        network, name = load_exported(path), path.name
    elif onnx:
        # Compared on what it will see.
        normalize = ForeignNetwork(nn.Identity(), **normalisation).normalize
        network, name = load_onnx(path, **_of_onnx(of_onnx), normalize=normalize), path.name
    else:
        if backbone is None or bits is None:
            msg = f"victim {source}: a state dict needs backbone and bits, got {backbone}, {bits}"
            raise ValueError(msg)
        own_network = network_of_state_dict(path, backbone, bits)
        if isinstance(own_network, PretrainedNetwork) and preprocess == "imagenet":
            own_mean, own_std = own_network.mean.tolist(), own_network.std.tolist()
            normalisation = {**normalisation, "mean": own_mean, "std": own_std}
        # The wrapper normalises.
        own_network.mean, own_network.std = torch.zeros(3), torch.ones(3)
        network, name, built = own_network, backbone, True
    foreign = ForeignNetwork(network, output=output, bits=bits, **normalisation).eval()
    if built:
        foreign.output = "logits"
    foreign.requires_grad_(requires_grad=False)
    own_bits = getattr(network, "bits", None)
    if isinstance(own_bits, int) and bits not in (None, own_bits):
        msg = f"victim {source}: bits = {bits}, the network has {own_bits}; leave bits out"
        raise ValueError(msg)
    known = own_bits if bits is None and isinstance(own_bits, int) else bits
    return Victim(foreign, name, known, name=source)


def _function(
    source: str,
    backbone: str | None,
    bits: int | None,
    preprocess: str | Mapping[str, Any],
) -> Victim:
    if ":" not in source or Path(source).exists() or Path(source).suffix == ONNX:
        msg = f"victim {source}: output: codes goes with a function, module:function; leave it out"
        raise ValueError(msg)
    if backbone is not None or preprocess not in ("imagenet", "none"):
        what = "backbone" if backbone is not None else "preprocess"
        msg = (
            f"victim {source}: {what} does not go with output: codes, whose function is given "
            "8-bit images; leave it out"
        )
        raise ValueError(msg)
    return Victim(CodeFunction(_imported(source), source), source, bits, name=source)


def _of_hub(
    source: str,
    backbone: str | None,
    bits: int | None,
    preprocess: str | Mapping[str, Any],
    output: Output | Literal["codes"],
) -> Victim:
    own = {"backbone": (backbone, None), "output": (output, "logits")}
    own["preprocess"] = (preprocess, "imagenet")  # type: ignore[assignment]
    for name, (value, default) in own.items():
        if value != default:
            msg = f"victim {source}: {name} goes with models of others; leave it out"
            raise ValueError(msg)
    victim = load_from_hub(source)
    if bits not in (None, victim.bits):
        msg = f"victim {source}: bits = {bits}, the network has {victim.bits}; leave bits out"
        raise ValueError(msg)
    return victim


def _of_onnx(options: Mapping[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in options.items() if value is not None}
    return {**given, **({"head": Path(given["head"])} if "head" in given else {})}


def _normalisation(preprocess: str | Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of :class:`ForeignNetwork` that normalise."""
    if preprocess == "imagenet":
        return {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    if preprocess == "none":
        return {}
    if (
        isinstance(preprocess, Mapping)
        and {"mean", "std"} <= set(preprocess) <= {"mean", "std", "channels"}
        and all(_are_numbers(preprocess[name]) for name in ("mean", "std"))
    ):
        return dict(preprocess)
    msg = (
        "preprocess must be imagenet, none or {mean: [...], std: [...]}, with channels: BGR where "
        f"that is the order, got {preprocess!r}"
    )
    raise ValueError(msg)


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list | tuple) and all(
        isinstance(value, int | float) and math.isfinite(value) for value in values
    )


def _imported(source: str) -> Callable[..., Any]:
    needs_trust(f"victim {source!r}", "is a function, which is run")
    module_name, _, name = source.partition(":")
    try:
        function: Any = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        msg = f"victim {source!r} cannot be imported ({error}); is its folder on PYTHONPATH?"
        raise ValueError(msg) from error
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        place = traceback.extract_tb(error.__traceback__)[-1]
        msg = (
            f"victim {source!r} cannot be imported ({said}, {place.filename}:{place.lineno}); mend "
            "it, --verbose shows the traceback"
        )
        raise ValueError(msg) from error
    if not callable(function):
        msg = f"victim {source!r} must be a function, got {type(function).__name__}"
        raise TypeError(msg)
    found: Callable[..., Any] = function
    return found


def _call(source: str) -> nn.Module:
    network = run_for(repr(source), _imported(source))
    if not isinstance(network, nn.Module):
        msg = f"victim {source!r} must return an nn.Module, got {type(network).__name__}"
        raise ValueError(msg)
    return unwrapped(network)


def _is_script(path: Path) -> bool:
    """Return whether torch.jit.save wrote a file, under whatever name."""
    if not is_zipfile(path):
        return False
    with ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _script(path: Path) -> nn.Module:
    if not path.is_file():
        msg = f"victim {path} does not exist"
        raise FileNotFoundError(msg)
    needs_trust(f"victim {path}", "is TorchScript, a program that can read and write files")
    try:
        script: nn.Module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        msg = f"victim {path} is no TorchScript file, or truncated ({error})"
        raise ValueError(msg) from error
    free_script(script)
    return script
