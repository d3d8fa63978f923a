"""Memory that runs out, the same attack twice, and the choice of kernels."""

import gc
import os
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks.attack import RandomData
from lightning_hash.attacks import AnchorCode
from lightning_hash.commands.attack import run_attack
from lightning_hash.engine.callbacks import AttackCheckpoint
from lightning_hash.models import build_model
from lightning_hash.victims import Victim
from lightning_hash.victims.kernel_choice import fastest_kernels
from tests.gpu_check.frame import Check, timed
from tests.gpu_check.small import (
    attacked,
    module,
    perturbation,
    photos,
    sgd_step,
    trainer,
)
from tests.helpers.attacks import StopAt

MEGABYTE = 2**20
FIT = 38


@contextmanager
def cache(folder):
    """Keep measured kernels in a folder."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("XDG_CACHE_HOME")
        if before is not None:
            os.environ["XDG_CACHE_HOME"] = before


def allocated():
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.synchronize()
    return torch.cuda.memory_allocated()


def peak(work):
    """Return the most memory that was reserved meanwhile."""
    allocated()
    torch.cuda.reset_peak_memory_stats()
    work()
    return torch.cuda.max_memory_reserved()


def check_memory(kernels):
    """A batch of 100 where there is room for 38; MAP is that of 100 at once."""

    def run(place):
        place.needs_cuda()
        torch.manual_seed(0)
        net = build_model("convnet", 32).eval().requires_grad_(requires_grad=False)
        data = lambda: RandomData(100, 224 if place.cuda else 32)  # noqa: E731

        def go(batch_size):
            made = module(
                net, objective=AnchorCode(), step=sgd_step, kernels=kernels, batch_size=batch_size
            )
            scores = attacked(place, made, data(), 3)
            parts = scores.rows[-1]["run"].get("queries_at_a_time")
            return perturbation(scores), [r["value"] for r in scores.rows], parts

        with tempfile.TemporaryDirectory() as folder, cache(folder):
            free, values, _ = go(100)
            go(25)  # chooses kernels, which takes memory of its own
            most, least = peak(lambda: go(100)), peak(lambda: go(25))
            limit = least + (FIT - 25) / (100 - 25) * (most - least)
            begin = allocated()
            total = torch.cuda.get_device_properties(0).total_memory
            torch.cuda.set_per_process_memory_fraction(limit / total)
            try:
                with warnings.catch_warnings(record=True) as said:
                    warnings.simplefilter("always")
                    found, limited, parts = go(100)
            finally:
                torch.cuda.set_per_process_memory_fraction(1.0)
        left = allocated() - begin
        halved = sum("do not fit into the device's memory" in str(w.message) for w in said)
        apart = float((found - free).abs().max())
        worst = max(abs(a - b) for a, b in zip(limited, values, strict=True))
        seen = (
            f"100 need {most / 1e6:.0f} MB, 25 need {least / 1e6:.0f} MB, limit "
            f"{limit / 1e6:.0f} MB, {FIT} queries; halved {halved} times, "
            f"{parts} at a time; perturbations differ by {apart:.1e}, rows by {worst:.1e}; "
            f"{left / 1e6:.3f} MB stay allocated"
        )
        assert halved, f"memory did not run out: {seen}"
        # Parts add up gradients of the whole batch: a few queries.
        assert parts is None or parts >= (FIT - 4) / 2, seen
        assert max(apart, worst) <= 1e-4, seen
        assert left <= MEGABYTE, seen
        return seen

    return run


def check_repeat(name, size, kernels):
    """The same attack twice, and one that was killed in an iteration and resumed."""

    def run(place):
        data = lambda: photos(20, 100, size=size if place.cuda else 32)  # noqa: E731
        torch.manual_seed(0)
        net = build_model(name, 16).eval()
        make = lambda: module(net, step=sgd_step, kernels=kernels, batch_size=8)  # noqa: E731
        with tempfile.TemporaryDirectory() as folder, cache(folder):
            one, two = (perturbation(attacked(place, make(), data(), 10)) for _ in range(2))
            options = {"enable_checkpointing": True, "default_root_dir": folder}
            callbacks = [AttackCheckpoint(every=2), StopAt(5, 1)]
            try:
                run_attack(trainer(place, 10, callbacks=callbacks, **options), make(), data())
                msg = "it was not killed"
                raise AssertionError(msg)
            except KeyError:
                pass
            last = Path(folder) / "checkpoints" / "last.ckpt"
            resumed = perturbation(
                attacked(
                    place, make(), data(), 10, ckpt_path=str(last),
                    callbacks=[AttackCheckpoint(every=2)], **options,
                )
            )  # fmt: skip
        apart = [float((one - other).abs().max()) for other in (two, resumed)]
        assert one.abs().max() > 0, "nothing was perturbed"
        assert apart == [0, 0], f"differ by {apart[0]:.2e} (twice), {apart[1]:.2e} (resumed)"
        return "the same bits twice and resumed"

    return run


def check_choice(name, size, batch):
    def run(place):
        torch.manual_seed(0)
        net = build_model(name, 32).eval().requires_grad_(requires_grad=False)
        victim = Victim(net.to(place.device))
        images = torch.rand(batch, 3, size, size, device=place.device)
        codes = torch.randint(0, 2, (batch, 32), device=place.device) * 2.0 - 1
        objective = AnchorCode()
        loss = lambda network, x: objective(network(x), codes[: len(x)], 0.1).sum()  # noqa: E731
        found = []
        for _ in range(5):
            with tempfile.TemporaryDirectory() as folder, cache(folder):
                found.append(str(fastest_kernels(victim, images, loss)))
        seen = "; ".join(f"{found.count(each)} x {each}" for each in dict.fromkeys(found))
        assert len(set(found)) == 1, seen
        return seen

    return timed(run)


CHECKS = [
    *(Check(f"e memory, kernels {k}", check_memory(k), 90) for k in ("auto", "fastest")),
    Check("f twice and resumed, convnet float32", check_repeat("convnet", 64, "float32"), 90),
    Check("f twice and resumed, resnet18 auto", check_repeat("resnet18", 64, "auto"), 90),
    Check("f twice and resumed, resnet18 fastest", check_repeat("resnet18", 64, "fastest"), 90),
    Check("g fastest five times, convnet 64 x 100", check_choice("convnet", 64, 100), 60),
    Check("g fastest five times, resnet50 224 x 16", check_choice("resnet50", 224, 16), 60),
]
