"""SignHunter: flip the signs of ever smaller parts."""

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from lightning_hash.attacks.searches.proposals import Proposal, Proposals


class SignHunter(Proposals):
    """SignHunter (Al-Dujaili and O'Reilly, ICLR 2020, Alg. 2); it draws nothing.

    It begins at plus epsilon throughout. At level h = 0, 1, 2, ... the n values of an input are cut
    into chunks of ceil(n / 2^h); each proposal flips the signs of the next chunk, and stays unless
    the loss is strictly worse. A level ends with the last value, and after the level of single
    values the first begins anew. Where a start is given, the signs at first are its own.

    Args:
        params: a perturbation's only parameter, ``(B, ...)``.
    """

    def __init__(self, params: ParamsT) -> None:
        super().__init__(params, {})

    def start(self, delta: Tensor) -> None:
        """Set plus epsilon."""
        delta.fill_(self.perturbation.budget.epsilon)
        self.start_from(delta)

    def start_from(self, delta: Tensor) -> None:
        """Note the signs of a start, beside it, since the box may leave them no room."""
        signs = torch.where(delta < 0, -1, 1).to(torch.int8)
        self.state[delta]["signs"] = signs.contiguous()

    def propose(self, delta: Tensor, number: int) -> Proposal:
        """Flip a chunk of each query; see :meth:`Proposals.propose`."""
        signs: Tensor = self.state[delta]["signs"]
        chunk = chunk_of(number, signs[:1].numel())
        flipped = signs.flatten(1)[:, chunk].neg_().to(delta.dtype)
        values = flipped * self.perturbation.budget.epsilon
        if delta.is_contiguous():
            return Proposal(delta.flatten(1), (slice(None), chunk), values)
        places = torch.arange(chunk.start, chunk.stop, device=delta.device)
        return Proposal(delta, (slice(None), *torch.unravel_index(places, delta.shape[1:])), values)

    def rejected(self, delta: Tensor, rows: Tensor, number: int) -> None:
        """Flip the chunk back."""
        signs: Tensor = self.state[delta]["signs"]
        chunk = signs.flatten(1)[:, chunk_of(number, signs[:1].numel())]
        chunk.mul_(torch.where(rows, -1, 1).to(torch.int8)[:, None])


def chunk_of(number: int, size: int) -> slice:
    """Return which of the values of an input a proposal flips.

    Args:
        number: of the proposal, from 0.
        size: values of an input.

    Example:
        >>> [(c.start, c.stop) for c in (chunk_of(number, 5) for number in range(6))]
        [(0, 5), (0, 3), (3, 5), (0, 2), (2, 4), (4, 5)]
    """
    size = max(1, size)
    length = size
    while number >= -(-size // length):
        number -= -(-size // length)
        length = -(-length // 2) if length > 1 else size
    return slice(number * length, min(size, (number + 1) * length))
