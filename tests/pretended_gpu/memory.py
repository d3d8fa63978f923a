"""Memory that runs out, in the forward and in the backward pass, counted in bytes."""

import gc
import shutil
import tempfile
import warnings

import torch

from lightning_hash.attacks import AnchorCode
from lightning_hash.models import build_model
from tests.gpu_check.memory import cache
from tests.gpu_check.small import attacked, module, perturbation, photos, sgd_step
from tests.pretended_gpu.device import MEMORY

QUERIES, FEW = 32, 4
# Of what the attack on all queries at once needs beyond that on few.
SHARES = {"backward": 0.999, "half": 0.5, "forward": 0.3}


def peak_of(function, limit=float("inf")):
    """Return what a function returns, and the most memory that it held at a time."""
    gc.collect()
    MEMORY.peak, MEMORY.limit = MEMORY.used, limit
    try:
        return function(), MEMORY.peak
    finally:
        MEMORY.limit = float("inf")


def check_memory(kernels, share, choose=False):
    """All queries in one batch, where there is room for a share of what that needs."""

    def run(place):
        torch.manual_seed(0)
        net = build_model("convnet", 16).eval().requires_grad_(requires_grad=False)
        data = lambda: photos(QUERIES, 60, size=32)  # noqa: E731

        def go(batch_size=QUERIES):
            made = module(
                net, objective=AnchorCode(), step=sgd_step, kernels=kernels, batch_size=batch_size
            )
            scores = attacked(place, made, data(), 3)
            return perturbation(scores), scores.rows[-1]["run"].get("queries_at_a_time")

        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, cache(folder):
            go()  # chooses kernels, which takes memory of its own
            (free, _), most = peak_of(go)
            _, least = peak_of(lambda: go(FEW))
            gc.collect()
            before = MEMORY.used
            limit = least + SHARES[share] * (most - least)
            if choose:
                shutil.rmtree(folder)
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                (found, at_a_time), _ = peak_of(go, limit)
        gc.collect()
        return {
            "halved": sum("do not fit into the device's memory" in str(w.message) for w in said),
            "at_a_time": at_a_time, "differ": float((found - free).abs().max()),
            "fit": FEW + SHARES[share] * (QUERIES - FEW), "left": MEMORY.used - before,
        }  # fmt: skip

    return run


CHECKS = [
    ("memory half, fastest chosen then", check_memory("fastest", "half", choose=True)),
    *(
        (f"memory {share}, {kernels}", check_memory(kernels, share))
        for kernels in ("float32", "auto", "fastest")
        for share in SHARES
    ),
]
