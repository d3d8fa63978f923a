"""Memory between two iterations on a CPU."""

import ctypes
import os
import sys

# mallopt's parameters, from malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_MMAP_THRESHOLD = 32 * 2**20  # what glibc accepts on 64 bits
NEVER = 2**31 - 1


def keep_pages() -> bool:
    """Ask glibc to keep what an iteration frees for the next one.

    By default it gives the top of the heap back to the system, and every iteration faults its
    activations in again: 60 instead of 45 ms per iteration of the demo's attack. A process keeps
    its largest size until it ends. Where the user has set ``MALLOC_TRIM_THRESHOLD_`` or
    ``MALLOC_MMAP_THRESHOLD_``, and where the C library is another, nothing is changed.

    Returns:
        Whether anything was changed.
    """
    if sys.platform != "linux" or any(
        name in os.environ for name in ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_")
    ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    done: int = mallopt(M_MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
    return bool(done and mallopt(M_TRIM_THRESHOLD, NEVER))
