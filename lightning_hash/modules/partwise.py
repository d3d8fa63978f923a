"""Forward and backward passes over a batch that the device's memory may not hold."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn

OUT_OF_MEMORY = torch.OutOfMemoryError


class PartwisePass:
    """Pass over a batch whole, or in parts of half the size whenever memory runs out.

    Losses of queries are independent, so parts change no gradient but for rounding.

    Args:
        losses: ``(parameter, batch number, rows) -> (B,)``, the losses of some rows of a batch.
        context: the precision's forward context, for passes outside of ``training_step``.

    Attributes:
        size: queries that are passed at a time, once memory ran out.
    """

    def __init__(
        self,
        losses: Callable[[int, slice], Tensor],
        context: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.losses, self.context = losses, context
        self.size: int | None = None

    def forward(self, number: int, parameter: nn.Parameter) -> Tensor:
        """Return a scalar whose :meth:`backward` gives the batch's gradient.

        Args:
            number: the batch.
            parameter: ``(B, ...)``, its perturbations.

        Returns:
            The summed loss, or 0 where the batch is passed in parts by :meth:`backward`.

        Raises:
            torch.OutOfMemoryError: if memory does not hold one query.
        """
        self._current = number, parameter
        if self._whole(parameter):
            try:
                return self.losses(number, slice(None)).sum()
            except OUT_OF_MEMORY:
                self._halve(len(parameter))
        return parameter.flatten()[:1].sum() * 0

    def backward(self, loss: Tensor) -> None:
        """Compute the gradient of the batch that :meth:`forward` was called with last.

        Args:
            loss: what it returned.

        Raises:
            torch.OutOfMemoryError: if memory does not hold one query.
        """
        number, parameter = self._current
        if self._whole(parameter):
            try:
                loss.backward()  # type: ignore[no-untyped-call]
            except OUT_OF_MEMORY:
                self._halve(len(parameter))
            else:
                return
        while True:
            parameter.grad = None
            size = self.size or len(parameter)
            try:
                for start in range(0, len(parameter), size):
                    with self.context():
                        part = self.losses(number, slice(start, start + size)).sum()
                    part.backward()  # type: ignore[no-untyped-call]
            except OUT_OF_MEMORY:
                self._halve(size)
            else:
                return

    def _whole(self, parameter: nn.Parameter) -> bool:
        return self.size is None or len(parameter) <= self.size

    def _halve(self, size: int) -> None:
        """Halve the parts.

        Called while the error is handled, so that one query that does not fit raises it again.
        """
        if size <= 1:
            raise
        self.size = -(-size // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        rank_zero_warn(
            f"{size} queries do not fit into the device's memory: going on with {self.size} at a "
            "time; a smaller batch_size avoids this"
        )
