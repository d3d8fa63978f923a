import os
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import torch
torch.set_num_threads(1)
from lightning_hash.utils.allocator import keep_pages
print(keep_pages())
def iteration():
    return [torch.ones(7_500_000) for _ in range(3)]
for _ in range(20):
    iteration()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    iteration()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(**variables):
    answer = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True,
        env={**os.environ, **variables},
    )  # fmt: skip
    done, faults = answer.stdout.split()
    return done, int(faults)


@pytest.mark.slow
def test_what_an_iteration_frees_is_there_for_the_next():
    done, faults = run()
    if done == "False":
        pytest.skip("the C library is not glibc")
    assert faults < 1000  # ten iterations of 90 MB are 219,727 pages


@pytest.mark.slow
def test_the_users_own_setting_stays():
    assert run(MALLOC_TRIM_THRESHOLD_="100000")[0] == "False"
