"""Memory of a device that runs out: fewer queries at a time."""

from collections.abc import Callable
from typing import TypeVar

import torch
from pytorch_lightning.utilities import rank_zero_warn
from pytorch_lightning.utilities.memory import garbage_collection_cuda, is_oom_error

# What cuDNN and cuBLAS say where their own allocations fail.
TEXTS = (
    "CUDNN_STATUS_ALLOC_FAILED", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_INTERNAL_ERROR",
    "CUBLAS_STATUS_NOT_INITIALIZED", "CUFFT_ALLOC_FAILED",
    "Unable to find a valid cuDNN algorithm", "unable to find an engine to execute",
)  # fmt: skip
T = TypeVar("T")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that memory ran out, of a GPU or the CPU."""
    if isinstance(error, torch.OutOfMemoryError) or is_oom_error(error):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in TEXTS)


class AtATime:
    """Works on a batch at once, or on parts of half the size whenever memory runs out.

    Args:
        warns: say so.

    Attributes:
        size: queries at a time, once memory ran out.
    """

    def __init__(self, *, warns: bool = True) -> None:
        self.size: int | None = None
        self.warns = warns

    def run(self, count: int, work: Callable[[int], T]) -> T:
        """Call ``work`` with a number of queries at a time until memory holds it.

        Args:
            count: queries in the batch.
            work: does the whole batch, so many queries at a time.

        Returns:
            What ``work`` returned.

        Raises:
            RuntimeError: if memory does not hold one query.
        """
        while True:
            size = count if self.size is None else min(self.size, count)
            try:
                return work(size)
            except RuntimeError as error:
                if size <= 1 or not is_out_of_memory(error):
                    raise
            # Not while the error is handled: it holds all that the pass had made.
            garbage_collection_cuda()
            self.size = -(-size // 2)
            if self.warns:
                rank_zero_warn(
                    f"{size} queries do not fit into the device's memory: going on with "
                    f"{self.size} at a time; a smaller batch_size avoids this"
                )
