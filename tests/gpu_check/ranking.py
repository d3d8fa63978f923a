"""Rankings of the size of NUS-WIDE on the GPU, and metrics in a world of NCCL."""

import torch

from benchmarks.clock import Clock
from benchmarks.evaluator import make
from lightning_hash.functional import average_precision, precision_at, precision_recall_curve
from lightning_hash.metrics import HammingMAP
from tests.gpu_check.frame import ROOT, Check, finish, start, timed

QUERIES, ITEMS, BITS, LABELS, CLOSE = 200, 193_734, 64, 21, 1e-12


def check_ranking(name):
    def run(place):
        items = ITEMS if place.cuda else ITEMS // 50
        case = make(QUERIES, items, BITS, LABELS)
        measures = {
            "MAP": lambda c: [average_precision(*c)],
            "MAP of the first 5000": lambda c: [average_precision(*c, top_k=5000)],
            "precision at 100": lambda c: [precision_at(*c, n=100)],
            "precision and recall": lambda c: list(precision_recall_curve(*c)),
            "HammingMAP": lambda c: [metric_value(c)],
        }
        found, times = [], []
        for device in ("cpu", place.device):
            there = [part.to(device) for part in case]
            few = [there[0][:10], there[1], there[2][:10], there[3]]
            measures[name](few)  # the first pass prepares memory and kernels
            with Clock(device).timed() as seconds:
                found.append([part.cpu() for part in measures[name](there)])
            times.append(seconds[0] / QUERIES * 1e3)
        apart = max(float((a - b).abs().nan_to_num().max()) for a, b in zip(*found, strict=True))
        alike = all(torch.equal(a.isnan(), b.isnan()) for a, b in zip(*found, strict=True))
        seen = (
            f"differ by {apart:.1e}; ms per query: {times[1]:.3f} on {place.device}, "
            f"{times[0]:.3f} on the CPU with {torch.get_num_threads()} threads"
        )
        assert alike, f"NaN elsewhere: {seen}"
        assert apart < CLOSE, seen
        return seen

    return timed(run)


def metric_value(case):
    query, database, own, theirs = case
    metric = HammingMAP().to(query.device)
    metric.update_database(database, theirs, torch.arange(len(database), device=query.device))
    metric.update(query, own, torch.arange(len(query), device=query.device))
    return metric.compute()


def check_nccl(place):
    place.needs_cuda()
    return finish(start(ROOT, "--child", "nccl", module="tests.gpu_check")).splitlines()[-1]


def nccl():
    """Called in a process of its own: collectives and metrics in a world of one."""
    import torch.distributed as dist

    from lightning_hash.utils.distributed import (
        any_process,
        gather_objects,
        gather_rows,
        gather_rows_with_grad,
        sum_over_processes,
    )
    from tests.gpu_check.processes import free_port

    torch.cuda.set_device(0)
    case = make(20, 2000, 32, 5)
    expected, there = metric_value(case), [part.cuda() for part in case]
    done = []
    for backend in ("nccl", "cpu:gloo,cuda:nccl"):
        address = f"tcp://127.0.0.1:{free_port()}"
        dist.init_process_group(backend, init_method=address, rank=0, world_size=1)
        value = metric_value(there).cpu()
        assert abs(float(value - expected)) < CLOSE, f"{backend}: MAP {value}, not {expected}"
        metric = HammingMAP().cuda()
        metric.update_database(there[1], there[3], torch.arange(2000).cuda())
        metric.update(there[0], there[2], torch.arange(20).cuda())
        metric.sync(distributed_available=lambda: True)
        metric.unsync()
        assert abs(float(metric.compute()) - float(expected)) < CLOSE, f"{backend}: after sync"
        rows = torch.arange(6.0, device="cuda").reshape(3, 2)
        assert torch.equal(gather_rows(rows), rows), f"{backend}: gather_rows"
        assert torch.equal(gather_rows_with_grad(rows.requires_grad_()), rows), backend
        assert sum_over_processes(torch.ones(2, device="cuda")).tolist() == [1, 1], backend
        assert gather_objects({"a": torch.ones(1)})[0]["a"].item() == 1, backend
        assert [any_process(True), any_process(False)] == [True, False], backend
        done.append(backend)
        dist.destroy_process_group()
    print(f"MAP and collectives under {' and '.join(done)}, NCCL {torch.cuda.nccl.version()}")


CHECKS = [
    Check("i NCCL in a world of one", check_nccl, 150, apart=True),
    *(
        Check(f"h {name}", check_ranking(name), 60)
        for name in (
            "MAP", "MAP of the first 5000", "precision at 100", "precision and recall",
            "HammingMAP",
        )
    ),
]  # fmt: skip
