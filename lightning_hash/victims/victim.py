"""The victim of an attack: a hash model in eval mode, and what identifies it."""

import hashlib
from collections.abc import Callable, Mapping
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import Any, Literal, Self
from zipfile import ZipFile

import torch
from torch import Tensor, nn

from lightning_hash.models.build import backbone_name, build_network
from lightning_hash.models.network import HashNetwork, as_taken
from lightning_hash.utils.memory import AtATime
from lightning_hash.utils.settings import public_name, sha256_of
from lightning_hash.utils.trust import trusting
from lightning_hash.victims.call import LogitCall
from lightning_hash.victims.checkpoints import CHECKPOINT_KEY, check_shapes, read_checkpoint
from lightning_hash.victims.functions import CodeFunction
from lightning_hash.victims.graph_devices import GraphDevices

Output = Literal["logits", "tanh", "sigmoid"]
LEAST = 64  # outputs that are not all positive by chance


class Victim(nn.Module):
    """A hash model as attacks and encoders run it: always in eval mode, logits of float32.

    The network is the caller's own; it is frozen while it is attacked and given back as it came,
    see :func:`lightning_hash.victims.borrowed`.

    Args:
        network: ``(B, ...)`` inputs in [0, 1] to ``(B, K)`` logits, in any number type; see
            :func:`lightning_hash.models.outputs.read_logits` for what it may return. It may change
            its inputs in place.
        backbone: its name; the class path by default.
        bits: K; by default the network's ``bits``, where it has them.
        loss: name of its training loss, where known.
        name: of the file or function that it came from, where known.
        sha256: fingerprint of its weights; computed by default.
        members: the victims that it joins, if it is several.
        selected_on: whose queries its weights were picked by: ``"validation"``, ``"test"``, or
            ``"train"`` for a loss in training; ``None`` where nobody picked them, or unknown.

    Attributes:
        bits: K; ``None`` before the first batch, where nobody has said it.
        channels_last: whether inputs are laid out channels-last.

    Raises:
        ValueError: if ``bits`` are not the network's own; by a call, if the network fails, does not
            return ``(B, K)``, or its first batch has probabilities for logits.
        TypeError: by a call, if the network returns no tensor.

    Example:
        >>> victim = Victim(nn.Sequential(nn.Flatten(), nn.Linear(12, 8)))
        >>> victim(torch.rand(5, 3, 2, 2)).shape, victim.bits
        (torch.Size([5, 8]), 8)
    """

    def __init__(
        self,
        network: nn.Module,
        backbone: str | None = None,
        bits: int | None = None,
        loss: str | None = None,
        name: str | None = None,
        sha256: str | None = None,
        members: tuple["Victim", ...] = (),
        selected_on: str | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.backbone = backbone or public_name(type(network))
        own = getattr(network, "bits", None)
        self.bits: int | None = own if bits is None else bits
        if isinstance(own, int) and own != self.bits:
            raise ValueError(_other_width(self.backbone, self.bits, own))
        self.loss, self.name = loss, name
        self.sha256 = sha256 or _fingerprint(network)
        self.members, self.selected_on = members, selected_on
        self.channels_last = self._looked = False
        self.call, self.at_a_time = LogitCall(), AtATime()
        self.training = False

    @property
    def gives_codes(self) -> bool:
        """Whether it answers with codes alone, without logits and gradients."""
        return any(each.gives_codes for each in self.members) or isinstance(
            self.network, CodeFunction
        )

    def train(self, mode: bool = True) -> "Victim":
        """Leave the mode of the network to :func:`lightning_hash.victims.borrowed`."""
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        before = _device(self)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if before is not None:
            GraphDevices(self.network).move(before, _device(self) or before)
        return self

    def lay_out(self, inputs: Tensor) -> Tensor:
        """Return inputs in the layout that the network runs on."""
        if self.channels_last and inputs.dim() == 4:
            return inputs.contiguous(memory_format=torch.channels_last)
        return inputs

    def forward(self, inputs: Tensor, *lengths: Tensor) -> Tensor:
        """Return H(x).

        Args:
            inputs: ``(B, ...)`` in [0, 1]; B may be 0 once K is known.
            lengths: of clips; see :func:`lightning_hash.models.network.call_network`.

        Returns:
            ``(B, K)``, float32 where the network computes in a shorter type. Without gradients a
            batch that does not fit into memory is passed in parts.

        Raises:
            ValueError: if the network returns another shape, or takes no lengths.
        """
        if len(inputs) == 0 and self.bits is not None:
            return inputs.flatten(1).sum(dim=1, keepdim=True).expand(-1, self.bits)
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self._pass(inputs, *lengths)

        def work(size: int) -> Tensor:
            if size == len(inputs):
                return self._pass(inputs, *lengths)
            parts = zip(*(torch.split(each, size) for each in (inputs, *lengths)), strict=True)
            return torch.cat([self._pass(*part) for part in parts])

        return self.at_a_time.run(len(inputs), work)

    def _pass(self, inputs: Tensor, *lengths: Tensor) -> Tensor:
        return self._checked(
            self.call(self.network, inputs, *lengths, bits=self.bits, name=self.backbone)
        )

    def with_features(self, inputs: Tensor, *lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits ``(B, K)`` and what the hash layer sees, ``(B, D)``, in one pass.

        Raises:
            ValueError: if the network has no hash layer that is known.
        """
        network = self.check_features()
        features = network.features(as_taken(network, inputs), *lengths)
        return self._checked(network.hash_layer(features)), as_float32(features)

    def check_features(self) -> HashNetwork:
        """Return the network, whose hash layer is known.

        Raises:
            ValueError: if it is not.
        """
        if not isinstance(self.network, HashNetwork):
            msg = (
                f"the attack sees what the hash layer sees; that of {self.backbone} is not known: "
                "give a victim of a named backbone"
            )
            raise ValueError(msg)
        return self.network

    def _checked(self, logits: Tensor) -> Tensor:
        if self.bits not in (None, logits.shape[1]):
            raise ValueError(_other_width(self.backbone, self.bits, logits.shape[1]))
        self.bits = logits.shape[1]
        if not self._looked and logits.numel() and not torch.compiler.is_compiling():
            self._looked = True
            check_output(logits, "logits")
        return as_float32(logits)


def _device(network: nn.Module) -> torch.device | None:
    tensors = chain(network.parameters(), network.buffers())
    return next((tensor.device for tensor in tensors), None)


def _fingerprint(network: nn.Module) -> str:
    """Return the sha256 of a network's weights, and of the constants of a frozen script in it."""
    if isinstance(network, CodeFunction):
        return network.fingerprint()
    weights = sha256_of(network.state_dict())
    scripts = (each for each in network.modules() if isinstance(each, torch.jit.ScriptModule))
    script = next(scripts, None)  # the outermost
    if script is None or script.state_dict():
        return weights
    with ZipFile(BytesIO(script.save_to_buffer())) as archive:
        names = sorted(name for name in archive.namelist() if "/constants/" in name)
        contents = [name.partition("/")[2].encode() + archive.read(name) for name in names]
    return hashlib.sha256(b"".join([weights.encode(), *contents])).hexdigest() if names else weights


def _other_width(backbone: str, bits: int | None, own: int) -> str:
    return (
        f"victim: bits = {bits}, but the network {backbone} returns {own} logits; give {own}, or "
        "leave bits out"
    )


def check_output(outputs: Tensor, output: Output) -> None:
    """Refuse outputs that are not what somebody said they are.

    Args:
        outputs: ``(B, K)`` of a batch.
        output: what they are said to be.

    Raises:
        ValueError: naming their range and what they may be.
    """
    low, high = (float(value) for value in outputs.detach().float().aminmax())
    least = {"tanh": -1.0, "sigmoid": 0.0}.get(output)
    if least is not None and not (least <= low and high <= 1):
        msg = (
            f"victim.output: {output} is in [{least:g}, 1], this network's outputs are in "
            f"[{low:.4g}, {high:.4g}]; logits are output: logits"
        )
        raise ValueError(msg)
    bits = bool(((outputs == 0) | (outputs == 1)).all())
    if output != "sigmoid" and low >= 0 and high <= 1 and not bits and outputs.numel() >= LEAST:
        msg = (
            f"victim.output: {output} has both signs, this network's {outputs.numel()} outputs are "
            f"in [{low:.4g}, {high:.4g}], so that all bits would be 1; probabilities are output: "
            "sigmoid (from Python: ForeignNetwork(network, output='sigmoid')), and features, as of "
            "a node of an ONNX file, need a head, the layer that makes bits of them"
        )
        raise ValueError(msg)


def as_float32(values: Tensor) -> Tensor:
    """Return values of a shorter type than float32 as float32, others as they are."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def load_victim(path: str | Path, *, trust: bool = False) -> Victim:
    """Load a hash model from a checkpoint that ``fit`` wrote.

    Nothing is unpickled: the file is read with ``weights_only=True``. A class that it names as its
    network is one of this package's, torch's or torchvision's, or needs ``trust``.

    Args:
        path: the checkpoint.
        trust: let it name a class of any module, which is imported.

    Returns:
        The victim, on the CPU, frozen.

    Raises:
        FileNotFoundError: if there is no such file; the message names the command that makes it.
        ValueError: if the file is truncated, holds pickled code, is not a checkpoint of ours, or
            names a class that needs trust.
    """
    path = Path(path)
    checkpoint = read_checkpoint(path, "victim", "python -m lightning_hash fit")
    prefix = "network."
    state = {
        key.removeprefix(prefix): value
        for key, value in checkpoint["state_dict"].items()
        if key.startswith(prefix)
    }
    name = f"{path.resolve().parent.name}/{path.name}"  # most are a folder's best.ckpt
    return build_victim(checkpoint[CHECKPOINT_KEY], state, f"victim {path}", name, trust=trust)


def build_victim(
    entry: Mapping[str, Any], state: Mapping[str, Any], called: str, name: str, *, trust: bool
) -> Victim:
    """Build the network that our own entry of a checkpoint describes, with its weights.

    Args:
        entry: see :func:`lightning_hash.victims.checkpoints.check_entry`.
        state: the network's state dict.
        called: what to call the file in an error.
        name: the victim's.
        trust: let it name a class of any module, which is imported.

    Returns:
        The victim, on the CPU, frozen.

    Raises:
        ValueError: if the weights do not fit, or it names a class that needs trust.
    """
    backbone = entry["backbone"]
    if isinstance(backbone, dict) and "weights" in (backbone.get("init_args") or {}):
        # The checkpoint has the weights; those that the training began with may be gone.
        backbone = {**backbone, "init_args": {**backbone["init_args"], "weights": None}}
    with trusting(trust):
        # Without a description, a backbone on the hub is refused: no checkpoint causes a download.
        network = build_network(backbone, entry["bits"], None, entry.get("architecture") or {})
    said = f"{called}: its weights do not fit {entry['backbone']} of {entry['bits']} bits"
    check_shapes(state, network.state_dict(), said)
    network.load_state_dict(state)
    network.eval().requires_grad_(requires_grad=False)
    return Victim(
        network,
        backbone_name(entry["backbone"], network),
        entry["bits"],
        entry["loss"],
        name=name,
        selected_on=entry.get("selected_on"),
    )
