"""Time and memory of reading a labelled list of 200,000 rows with 81 labels.

python -m benchmarks.list_loading
"""

import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from lightning_hash.data.lists import read_list

ROWS, LABELS = 200_000, 81


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main():
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "database.txt"
        random = np.random.default_rng(0)
        with file.open("w") as stream:
            for row in range(ROWS):
                labels = " ".join(map(str, (random.random(LABELS) < 0.03).astype(int)))
                stream.write(f"images/some/folder/{row:07d}.jpg {labels}\n")
        before, start = peak(), time.perf_counter()
        table = read_list((file,))
        seconds = time.perf_counter() - start
    print("| rows | labels | seconds | peak above the imports, MB |\n|---:|---:|---:|---:|")
    print(f"| {len(table)} | {LABELS} | {seconds:.2f} | {peak() - before:.0f} |")


if __name__ == "__main__":
    main()
