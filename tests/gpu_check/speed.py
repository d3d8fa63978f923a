"""Speed, reported: the attack beside the bare loop, the share of the peak, what takes the time."""

import platform
import subprocess

import torch

from tests.gpu_check.frame import Check


def machine(place):
    """Return versions, card and driver in one line."""
    import pytorch_lightning as pl
    import torchmetrics
    import torchvision

    said = [
        f"Python {platform.python_version()}", f"torch {torch.__version__}",
        f"torchvision {torchvision.__version__}", f"pytorch-lightning {pl.__version__}",
        f"torchmetrics {torchmetrics.__version__}", f"{torch.get_num_threads()} threads",
    ]  # fmt: skip
    if place.cuda:
        said += [
            torch.cuda.get_device_name(), f"CUDA {torch.version.cuda}",
            f"cuDNN {torch.backends.cudnn.version()}", f"driver {_driver()}",
        ]  # fmt: skip
    return ", ".join(said)


def _driver():
    line = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(line, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"


CHECKS: list[Check] = []
