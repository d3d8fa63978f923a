"""Several victims as one, for a perturbation that is to work on all of them."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_hash.utils.names import source_names
from lightning_hash.victims.call import LogitCall
from lightning_hash.victims.victim import Victim


class JointNetwork(nn.Module):
    """Return the logits of several networks side by side.

    Args:
        networks: each turns ``(B, ...)`` inputs in [0, 1] into ``(B, K_i)`` logits.
        bits: K_i of each.

    Raises:
        ValueError: by a call, if one returns another shape.
    """

    def __init__(self, networks: Sequence[nn.Module], bits: Sequence[int]) -> None:
        super().__init__()
        self.networks, self.widths = nn.ModuleList(networks), tuple(bits)
        self.calls = [LogitCall() for _ in networks]

    def forward(self, inputs: Tensor, *lengths: Tensor) -> Tensor:
        """Return ``(B, K_1 + K_2 + ...)``."""
        found = []
        for number, (network, bits, call) in enumerate(
            zip(self.networks, self.widths, self.calls, strict=True), 1
        ):
            logits = call(network, inputs, *lengths, bits=bits, name=f"{number} of the list")
            found.append(logits)
            if logits.shape != (len(inputs), bits):
                msg = (
                    f"victim {number} of the list: bits = {bits}, but its network returns logits "
                    f"of shape {tuple(logits.shape)}; give the bits that it has"
                )
                raise ValueError(msg)
        return torch.cat(found, dim=1)


def join_victims(members: Sequence[Victim]) -> Victim:
    """Make one victim of several, whose code is theirs one behind the other.

    Args:
        members: at least two, of known code lengths.

    Returns:
        The joint victim.

    Raises:
        ValueError: if there are fewer than two, a code length is not known, or two are the same.
    """
    if len(members) < 2:
        msg = f"victim: a list must name at least two victims, got {len(members)}"
        raise ValueError(msg)
    unknown = [member.backbone for member in members if member.bits is None]
    if unknown:
        msg = f"victim: the code length of {unknown[0]} is not known before it runs; give bits"
        raise ValueError(msg)
    prints = [member.sha256 for member in members]
    if len(set(prints)) < len(prints):
        msg = "victim: two victims of the list have the same weights; name each once"
        raise ValueError(msg)
    return Victim(
        network=JointNetwork([m.network for m in members], [m.bits or 0 for m in members]),
        backbone=victim_names(members),
        bits=sum(member.bits or 0 for member in members),
        sha256=hashlib.sha256("+".join(prints).encode()).hexdigest(),
        members=tuple(members),
    )


def member_bits(victim: Victim) -> list[slice]:
    """Return which bits of a victim's code are each member's; all of them where it is one."""
    parts, start = [], 0
    for member in victim.members:
        parts.append(slice(start, start + (member.bits or 0)))
        start = parts[-1].stop
    return parts or [slice(None)]


def victim_names(victims: Sequence[Victim]) -> str:
    """Name victims as ``backbone-bits``, joined by +."""
    return source_names([(v.backbone, v.bits, v.sha256) for v in victims])
