"""MAP over a Hamming ranking, side by side with the ways of the public repositories.

Contenders alternate in one process on one thread, after one unmeasured round; medians and spread
per query. Memory and growth are measured in processes of their own.

    python -m benchmarks.evaluator
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from benchmarks.clock import Clock, add_device, machine
from lightning_hash.functional import RankingOptions, average_precision
from lightning_hash.metrics import AttackMetrics


def make(queries, items, bits, labels, seed=0):
    """Multi-label items whose codes follow their labels, as those of a trained model do."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.randint(0, 2, (labels, bits), generator=generator) * 2 - 1
    codes, rows = [], []
    for start in range(0, queries + items, 50_000):
        count = min(50_000, queries + items - start)
        row = (torch.rand(count, labels, generator=generator) < 0.1).to(torch.uint8)
        row[torch.arange(count), torch.randint(0, labels, (count,), generator=generator)] = 1
        noise = torch.randn(count, bits, generator=generator) * 1.2
        codes.append(torch.where(row.float() @ centres.float() + noise > 0, 1, -1).to(torch.int8))
        rows.append(row)
    codes, rows = torch.cat(codes), torch.cat(rows)
    return codes[:queries], codes[queries:], rows[:queries], rows[queries:]


def public(query, database, own, theirs, top_k):
    """As nearly every hashing repository does it: a loop of sign products and full argsorts."""
    query, database = query.numpy().astype(np.float32), database.numpy().astype(np.float32)
    own, theirs = own.numpy().astype(np.float32), theirs.numpy().astype(np.float32)
    values = []
    for code, label in zip(query, own, strict=True):
        relevant = (theirs @ label > 0).astype(np.float32)
        order = np.argsort(0.5 * (database.shape[1] - database @ code))[:top_k]
        hits = relevant[order]
        if hits.sum():
            ranks = np.flatnonzero(hits) + 1.0
            values.append((np.arange(1, len(ranks) + 1) / ranks).mean())
    return values


def torchmetrics(query, database, own, theirs, top_k):
    from torchmetrics.retrieval import RetrievalMAP

    metric = RetrievalMAP(top_k=top_k)
    bits = database.shape[1]
    for number, (code, label) in enumerate(zip(query.float(), own.float(), strict=True)):
        score = (database.float() @ code + bits + 1) / (2 * bits + 2)  # it drops what is not > 0
        relevant = theirs.float() @ label > 0
        metric.update(score, relevant, torch.full((len(database),), number))
    return metric.compute()


def faiss_search(query, database, own, theirs, top_k):
    """The search alone, with ties in index order; relevance and AP would come on top."""
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexBinaryFlat(database.shape[1])
    index.add(np.packbits(database.numpy() > 0, axis=1))
    return index.search(np.packbits(query.numpy() > 0, axis=1), top_k)


def together(case, top_k):
    query, database, own, theirs = case
    metrics = AttackMetrics(RankingOptions(top_k)).to(query.device)
    index = torch.arange(max(len(database), len(query)), device=query.device)
    metrics.set_database(database, theirs, index[: len(database)])
    metrics.update(query, own, index[: len(query)])
    return metrics.compute(["map", "precision_at_n"])


def contenders(top_k):
    ours = {
        f"ours, MAP@{top_k}, ties expected": {"top_k": top_k},
        f"ours, MAP@{top_k}, ties stable": {"top_k": top_k, "ties": "stable"},
        "ours, MAP over all, ties expected": {},
    }
    found = {
        name: lambda case, options=options: average_precision(*case, **options)
        for name, options in ours.items()
    }
    found[f"ours, MAP@{top_k} and precision@100 of one ranking"] = lambda case: together(
        case, top_k
    )
    found[f"as the public repositories, MAP@{top_k}"] = lambda case: public(*case, top_k)
    found[f"torchmetrics RetrievalMAP, top {top_k}"] = lambda case: torchmetrics(*case, top_k)
    try:
        import faiss  # noqa: F401

        found[f"faiss IndexBinaryFlat, search of top {top_k} only"] = lambda case: faiss_search(
            *case, top_k
        )
    except ImportError:
        pass
    return found


def compare(options, top_k):
    case = make(options.queries, options.items, options.bits, options.labels)
    few = [part[:20] for part in case]
    few[1], few[3] = case[1], case[3]
    ours = [part.to(options.device) for part in case]
    print("| contender | ms per query | least .. most |\n|---|---:|---:|")
    runs = contenders(top_k)
    times = {name: [] for name in runs}
    for number in range(options.rounds + 1):
        for name, run in runs.items():
            slow = not name.startswith("ours")
            with Clock("cpu" if slow else options.device).timed() as seconds:
                run(few if slow else ours)
            if number:
                times[name].append(seconds[0] / (len(few[0]) if slow else options.queries) * 1e3)
    for name, found in times.items():
        spread = f"{min(found):.3f} .. {max(found):.3f}"
        where = "" if name.startswith("ours") or options.device == "cpu" else ", on the CPU"
        print(f"| {name}{where} | {statistics.median(found):.3f} | {spread} |", flush=True)


def peak_memory():
    """Most resident memory of this process so far in MB; getrusage counts its parent's too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1e3


def alone(device, queries, items, bits, labels, top_k, ties):
    """Print time per query and memory of one evaluation; called in a process of its own."""
    imports = peak_memory()
    case = make(queries, items, bits, labels)
    there = [part.to(device) for part in case]
    data = peak_memory()
    with Clock(device).timed() as seconds:
        average_precision(*there, top_k=top_k, ties=ties)
    memory = [imports, data, peak_memory()]
    if device == "cuda":
        memory = [0, 0, torch.cuda.max_memory_allocated() / 1e6]
    print(json.dumps([seconds[0] / queries * 1e3, *memory]))


def growth(cases, device):
    print("\n| queries | items | bits | labels | top_k | ties | ms per query | imports, MB |"
          " with data | at most |\n|---:|---:|---:|---:|---:|---|---:|---:|---:|---:|")  # fmt: skip
    for case in cases:
        answer = subprocess.run(
            [sys.executable, "-m", "benchmarks.evaluator", "--alone", json.dumps([device, *case])],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        milliseconds, *memory = json.loads(answer.stdout)
        cells = [*("all" if cell is None else cell for cell in case), f"{milliseconds:.3f}"]
        cells += [f"{megabytes:.0f}" for megabytes in memory]
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=2100)
    parser.add_argument("--items", type=int, default=193_734)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--labels", type=int, default=21)
    parser.add_argument("--rounds", type=int, default=3)
    add_device(parser)
    parser.add_argument("--quick", action="store_true", help="A hundredth of the size.")
    parser.add_argument("--alone", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.alone:
        alone(*options.alone)
        return
    scale = 100 if options.quick else 1
    if options.quick:
        options.queries, options.items, options.rounds = 100, options.items // scale, 1
    print(f"{machine(options.device, 1)}, numpy {np.__version__}, {platform.machine()}; "
          f"{options.queries} queries, {options.items} items, {options.bits} bits, "
          f"{options.labels} labels, {options.rounds} rounds\n")  # fmt: skip
    compare(options, top_k=max(1, 5000 // scale))
    cases = (
        [queries // scale, items // scale, bits, labels, top_k, ties]
        for queries, items, bits, labels, top_k, ties in (
            (2100, 193_734, 64, 21, 5000, "expected"),
            (2100, 193_734, 64, 21, 5000, "stable"),
            (2100, 193_734, 16, 21, 5000, "expected"),
            (2100, 193_734, 128, 21, 5000, "expected"),
            (2100, 193_734, 64, 81, 5000, "expected"),
            (1000, 500_000, 128, 21, None, "expected"),
            (1000, 1_000_000, 128, 21, None, "expected"),
        )
    )
    growth(cases, options.device)


if __name__ == "__main__":
    main()
