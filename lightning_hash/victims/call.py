"""Calls of networks that may change what they are given, or fail."""

import torch
from torch import Tensor, nn

from lightning_hash.models.network import call_network
from lightning_hash.models.outputs import read_logits
from lightning_hash.utils.memory import is_out_of_memory


class LogitCall:
    """Call a network for its logits, and keep its inputs as they were.

    Many networks normalise in place. The first call looks whether this one does; if so, it is given
    copies.
    """

    def __init__(self) -> None:
        self._copies: bool | None = None

    def __call__(
        self, network: nn.Module, inputs: Tensor, *lengths: Tensor, bits: int | None, name: str
    ) -> Tensor:
        """Return the logits ``(B, K)``.

        Args:
            network: see :func:`lightning_hash.models.network.call_network`.
            inputs: ``(B, ...)`` in [0, 1].
            lengths: of clips.
            bits: K, where known.
            name: the network's, for the messages.

        Raises:
            TypeError: see :func:`lightning_hash.models.outputs.read_logits`.
            ValueError: see there; or if the network fails on its first inputs.
        """
        given = inputs if self._copies is False else inputs.clone()
        try:
            outputs = call_network(network, given, *lengths)
        except RuntimeError as error:
            if self._copies is not None or is_out_of_memory(error):
                raise
            lines = [line for line in str(error).splitlines() if line.strip()] or ["no message"]
            remedy = "are its size, channels and device those of the data?"
            if "same device" in str(error) or "expected device" in str(error):
                remedy = (
                    "it makes or keeps tensors on another device: make them where its inputs are, "
                    "register them as buffers, or give --trainer.accelerator cpu"
                )
            msg = (
                f"victim {name}: the network fails on inputs {tuple(inputs.shape)} of "
                f"{inputs.dtype} in [0, 1] on {inputs.device}: {lines[-1].strip()}; {remedy}"
            )
            raise ValueError(msg) from error
        if self._copies is None and inputs.numel() and not torch.compiler.is_compiling():
            self._copies = not torch.equal(given, inputs)
        return read_logits(outputs, len(inputs), bits, name).to(inputs.device)
