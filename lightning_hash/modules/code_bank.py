"""The latest logits of all training items."""

import torch
from torch import Tensor


class CodeBank:
    """The latest logits of each training item seen so far, by index, without gradient.

    Args:
        items: training items, those of the validation among them, which are never seen.

    Example:
        >>> bank = CodeBank(3)
        >>> for logits in (torch.zeros(2, 4), torch.ones(2, 4)):
        ...     bank.update(torch.tensor([2, 0]), logits, torch.eye(2))
        >>> bank.rows()[0]
        tensor([[1., 1., 1., 1.],
                [1., 1., 1., 1.]])
    """

    def __init__(self, items: int) -> None:
        self.items = items
        self._columns: dict[str, Tensor] = {}

    def update(self, index: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Put in the logits of a batch.

        Args:
            index: ``(B,)`` integer in [0, items); of a repeated one the last row counts, on every
                device and process.
            logits: ``(B, K)`` floating.
            labels: ``(B, C)`` of 0/1.
        """
        rows = {"logits": logits.detach(), "labels": labels}
        rows["seen"] = torch.ones_like(index, dtype=torch.bool)
        place = torch.arange(len(index), device=index.device)
        last = place.new_zeros(self.items).scatter_reduce(0, index, place, "amax")[index]
        for name, values in rows.items():
            old = self._columns.get(name)
            if old is None:
                old = values.new_zeros((self.items, *values.shape[1:]))
            self._columns[name] = old = old.to(values.device)
            old[index] = values[last].to(old.dtype)

    def rows(self) -> tuple[Tensor, Tensor]:
        """Return logits ``(n, K)`` and labels ``(n, C)`` of the n items seen, by index."""
        seen = torch.nonzero(self._columns["seen"]).flatten()  # the host waits for the device once
        return self._columns["logits"][seen], self._columns["labels"][seen]

    def state(self) -> dict[str, Tensor]:
        """Return what :meth:`load` takes."""
        return {name: values.cpu() for name, values in self._columns.items()}

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on with the rows of a checkpoint.

        Args:
            state: what :meth:`state` returned.

        Raises:
            ValueError: if it is of another number of training items.
        """
        for name, values in state.items():
            if len(values) != self.items:
                msg = (
                    f"the checkpoint's code bank holds {len(values)} training items, these data "
                    f"have {self.items}; go on with the data that it was made with"
                )
                raise ValueError(msg)
            self._columns[name] = values.clone()
