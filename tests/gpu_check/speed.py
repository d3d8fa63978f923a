"""Speed, reported: the attack beside the bare loop, the share of the peak, what takes the time."""

import platform
import statistics
import subprocess

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.attack import ANY_ORDER, ATTACKS, TF32, TORCHS, Case, Timed, peak
from lightning_hash.victims import Kernels
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


def report_overhead(name, size, batch, iterations):
    def run(place):
        sizes = (size, batch, iterations) if place.cuda else (32, 4, 3)
        case = Case(name, *sizes[:2], sizes[2], 1, place.device, choose=False)
        runs = {"AttackModule": case.module}
        for arithmetic in (ATTACKS, TF32, ANY_ORDER, TORCHS):
            runs[f"bare loop, {arithmetic}"] = lambda a=arithmetic: case.bare(Kernels(), a)
        times = _times(runs, rounds=3 if batch * size < 10_000 else 2)
        ours = times.pop("AttackModule")
        unit = sizes[1] * 1e3
        said = [f"AttackModule {statistics.median(ours) * unit:.3f} ms an iteration"]
        for contender, found in times.items():
            ratios = [a / b for a, b in zip(ours, found, strict=True)]
            said.append(
                f"{contender} {statistics.median(found) * unit:.3f} ms, AttackModule over it "
                f"{statistics.median(ratios):.3f} ({min(ratios):.3f} .. {max(ratios):.3f})"
            )
        return "; ".join(said)

    return run


def _times(runs, rounds):
    """Time contenders in turns, after one unmeasured round."""
    times = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            seconds = run()
            if number:
                times[name].append(seconds)
    return times


def report_authors(place):
    sizes = (224, 64, 20) if place.cuda else (64, 4, 2)
    case = Case("vgg16", *sizes[:2], sizes[2], 1, place.device)
    runs = {"authors": case.authors}
    runs |= {kind: lambda kind=kind: case.module(kind) for kind in case.kernels}
    median = {name: statistics.median(t) for name, t in _times(runs, rounds=2).items()}
    peaks = {d: peak(place.device, d) for d in (torch.bfloat16, torch.float32)}
    operations, first = case.operations(), median.pop("authors")
    said = [
        f"matrix product {peaks[torch.bfloat16] / 1e12:.1f} TFLOP/s in bfloat16, "
        f"{peaks[torch.float32] / 1e12:.1f} in float32",
        f"authors' loop, {TORCHS}, {first * 1e3:.3f} ms per image and iteration",
    ]
    for kind, seconds in median.items():
        share = operations / seconds / peaks[torch.bfloat16]
        said.append(
            f"{kind} ({case.kernels[kind]}) {seconds * 1e3:.3f} ms, {first / seconds:.2f} times as "
            f"fast, {share:.1%} of bfloat16's peak"
        )
    return "; ".join(said)


def report_profile(place):
    """Where the time of 20 iterations goes, in AttackModule and in the bare loop."""
    sizes = (64, 100) if place.cuda else (32, 4)
    case = Case("convnet", *sizes, 25, 1, place.device, choose=False)
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * place.cuda
    kept = profile(activities=activities)

    class Profiled(Timed):
        def wait(self):
            if place.cuda:
                torch.cuda.synchronize()

        def on_train_epoch_start(self):
            if self.current_epoch == 5:
                self.wait()
                kept.start()

        def on_train_end(self):
            self.wait()
            kept.stop()
            super().on_train_end()

    case.module(kind=Profiled)
    case.iterations = 20
    case.bare(Kernels())
    with profile(activities=activities) as bare:
        case.bare(Kernels())
    for title, found in (("AttackModule", kept), ("bare loop", bare)):
        for order in ["self_device_time_total"] * place.cuda + ["self_cpu_time_total"]:
            place.details.append(f"20 iterations of {title}, by {order}:\n\n{_top(found, order)}")
    return "; ".join(
        f"{title}: {_launches(found):.1f} kernel launches, {_busy(found):.3f} ms of the device, "
        f"{_processor(found):.3f} ms of the CPU an iteration"
        for title, found in (("AttackModule", kept), ("bare loop", bare))
    )


def _top(found, order, count=12):
    """Return the operations that take the most time, per iteration, as a table."""
    lines = ["| operation | calls | CPU, us | device, us |", "|---|---:|---:|---:|"]
    events = sorted(found.key_averages(), key=lambda e: -getattr(e, order, 0))
    for e in events[:count]:
        device = getattr(e, "self_device_time_total", 0)
        name = e.key[:70].replace("|", "/")
        cells = (f"{value / 20:.1f}" for value in (e.count, e.self_cpu_time_total, device))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _launches(found):
    names = ("cudaLaunchKernel", "cuLaunchKernel")
    return sum(e.count for e in found.key_averages() if e.key.startswith(names)) / 20


def _busy(found):
    """Return the milliseconds of the device; an operation's are those of its kernels again."""
    kernels = [
        e for e in found.key_averages()
        if e.device_type != DeviceType.CPU and not e.is_user_annotation
    ]  # fmt: skip
    return sum(e.self_device_time_total for e in kernels) / 20e3


def _processor(found):
    return sum(e.self_cpu_time_total for e in found.key_averages()) / 20e3


CHECKS = [
    *(
        Check(f"r1 {name} {size} x {batch}", report_overhead(name, size, batch, n), 90, False)
        for name, size, batch, n in (
            ("convnet", 64, 100, 200), ("vgg16", 224, 8, 30), ("vgg16", 224, 64, 30),
        )
    ),
    Check("r2 vgg16 224 x 64 and the authors' loop", report_authors, 90, False),
    Check("r3 profile of convnet 64 x 100", report_profile, 60, False),
]  # fmt: skip
