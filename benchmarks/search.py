"""Search over a database of codes: our packed search beside faiss' IndexBinaryFlat.

Contenders alternate in one process, after one unmeasured round; medians and spread per query. Their
answers are compared: the same items in the same order. Codes are packed and indexed beforehand.

    pip install '.[faiss]'
    python -m benchmarks.search
"""

import argparse
import platform
import statistics

import numpy as np
import torch

from benchmarks.clock import Clock, machine
from lightning_hash.codes.indexes import FaissIndex, PackedIndex
from lightning_hash.functional.packed import packed_words


def make(count, bits, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, (count, bits), generator=generator, dtype=torch.int8) * 2 - 1


def distances_alone(queries, database):
    """XOR and population count of every item: what no search in NumPy can leave out."""
    (queries, database), size = map(packed_words, (queries, database)), 32_768
    word, distance = np.empty(size, database.dtype), np.empty(size, np.uint8)

    def run():
        for start in range(0, database.shape[1], size):
            for query in queries.T:
                for code, own in zip(database[:, start : start + size], query, strict=True):
                    np.bitwise_xor(code, own, out=word[: len(code)])
                    np.bitwise_count(word[: len(code)], out=distance[: len(code)])

    return run


def contenders(queries, database, top_k):
    ours = PackedIndex(database)
    found = {"ours, packed search": lambda: ours.nearest(queries, top_k)}
    try:
        theirs = FaissIndex(database)
    except ModuleNotFoundError:
        print("faiss is not installed: ours alone\n")
        return found
    found["faiss IndexBinaryFlat"] = lambda: theirs.nearest(queries, top_k)
    for one, other in zip(ours.nearest(queries, top_k), theirs.nearest(queries, top_k),
                          strict=True):  # fmt: skip
        assert torch.equal(one, other), "the answers differ"
    return found


def set_threads(threads):
    torch.set_num_threads(threads)
    try:
        import faiss
    except ImportError:
        return
    faiss.omp_set_num_threads(threads)


def measure(runs, rounds):
    times = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            with Clock("cpu").timed() as seconds:
                run()
            if number:
                times[name] += seconds
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--top_k", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--quick", action="store_true", help="A hundredth of the size.")
    options = parser.parse_args()
    if options.quick:
        options.items, options.rounds = options.items // 100, 1
    print(f"{machine('cpu', options.threads)}, numpy {np.__version__}, {platform.machine()}; "
          f"{options.items:,} codes of {options.bits} bits, the nearest {options.top_k}, "
          f"{options.rounds} rounds\n")  # fmt: skip
    print("| threads | queries at once | contender | ms per query | least .. most | over ours |")
    print("|---:|---:|---|---:|---:|---:|")
    database = make(options.items, options.bits, seed=0)
    for threads in options.threads:
        set_threads(threads)
        for count in (1, 64):
            queries = make(count, options.bits, seed=1)
            runs = contenders(queries, database, options.top_k)
            if threads == 1:
                runs["distances alone, NumPy"] = distances_alone(queries, database)
            times = measure(runs, options.rounds)
            ours = statistics.median(next(iter(times.values())))
            for name, found in times.items():
                each = [seconds / count * 1e3 for seconds in found]
                middle = statistics.median(each)
                print(f"| {threads} | {count} | {name} | {middle:.3f} | {min(each):.3f} .. "
                      f"{max(each):.3f} | {middle / (ours / count * 1e3):.2f} |",
                      flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
