"""One clock for all tables: the processor's, or the GPU's own by events in its stream."""

import time
from contextlib import contextmanager
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Clock:
    """Time of what is done between two marks.

    On a GPU a mark is an event among the kernels: the host does not wait for it, so what is timed
    runs as it does untimed. It waits once, for the last mark, when the seconds are asked for.

    Args:
        device: where the work is done.
    """

    device: torch.device | str

    @property
    def on_gpu(self):
        return torch.device(self.device).type == "cuda"

    def mark(self):
        """Return the present moment of the device."""
        if not self.on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds(self, start, end):
        """Return the time between two marks; the second is waited for."""
        if not self.on_gpu:
            return end - start
        end.synchronize()
        return start.elapsed_time(end) / 1e3

    @contextmanager
    def timed(self):
        """Time a block: the list that is yielded holds its seconds when it has ended."""
        found, start = [], self.mark()
        yield found
        found.append(self.seconds(start, self.mark()))


def machine(device, threads):
    """Return the versions, the device and how float32 multiplies there, for the head of a table."""
    said = [f"torch {torch.__version__}"]
    if torch.device(device).type == "cuda":
        said += [torch.cuda.get_device_name(), "times by events of the GPU",
                 "TF32 off but where a row names it"]  # fmt: skip
    return ", ".join([*said, f"{threads} threads"])


def add_device(parser):
    """Give a benchmark the option ``--device``: the GPU where there is one."""
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=default, choices=["cpu", "cuda"])


def accelerator(device):
    """Return what Lightning calls the device."""
    return "gpu" if device == "cuda" else device
