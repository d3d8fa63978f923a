"""Processes that signals end."""

import os
import signal
import subprocess
import sys
import time

import pytest

from lightning_hash.utils.signals import PARENT, ends_by_signal
from tests.helpers.processes import ROOT

BEGIN = """
import os, signal, sys, threading, time
from lightning_hash.utils import signals
signals.PATIENCE = 1.0
with signals.ends_by_signal():
    print("begins", flush=True)
"""
SLEEP = "    time.sleep(60)\n"
FAILS = """
    try:
        time.sleep(60)
    except SystemExit:
        raise RuntimeError("Connection closed by peer") from None
"""
STAYS = """
    while True:
        try:
            time.sleep(60)
        except SystemExit:
            pass
"""
FORKS = """
    if not os.fork():
        os.kill(os.getpid(), signal.SIGTERM)
    os.wait()
    time.sleep(3)
    print("lives", flush=True)
"""


def start(program, **environment):
    process = subprocess.Popen(
        [sys.executable, "-c", BEGIN + program], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip
    assert process.stdout.readline() in ("begins\n", "")
    return process


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("program", [SLEEP, FAILS, STAYS], ids=["sleeps", "fails", "stays"])
def test_a_signal_ends_it_with_its_own_status(program, signum):
    process = start(program)
    process.send_signal(signum)
    errors = process.communicate(timeout=20)[1]
    assert process.returncode == 128 + signum
    assert f"stopped by {signum.name}\n" in errors


@pytest.mark.slow
def test_a_main_thread_that_waits_in_c_is_ended():
    """As for a rank that has not joined yet: Python's handler waits for that."""
    program = """
    from torch.distributed import TCPStore
    print("waits", flush=True)
    TCPStore("127.0.0.1", 0, 2, True)
"""
    process = start(program)
    assert process.stdout.readline() == "waits\n"
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM


@pytest.mark.slow
def test_signals_of_forked_processes_are_their_own():
    """A loader's workers are ended by SIGTERM, which must not end who started them."""
    process = start(FORKS)
    assert process.communicate(timeout=20)[0] == "lives\n"
    assert process.returncode == 0


@pytest.mark.slow
def test_a_further_rank_ends_with_the_process_that_started_it():
    variables = {PARENT: str(os.getpid()), "LOCAL_RANK": "1"}
    process = start("    time.sleep(2)\n", **variables)
    process.communicate(timeout=20)
    assert process.returncode == 0  # this process lives
    variables[PARENT] = "999999999"  # it had ended before this one began
    orphan = start(SLEEP, **variables)
    orphan.communicate(timeout=20)
    assert orphan.returncode == 128 + signal.SIGTERM
    first = start("    time.sleep(1)\n", **{**variables, "LOCAL_RANK": "0"})
    first.communicate(timeout=20)
    assert first.returncode == 0


STALE = """
    pass
try:
    with signals.ends_by_signal():
        signal.raise_signal(signal.SIGTERM)
except SystemExit:
    pass
with signals.ends_by_signal():
    time.sleep(4)
    print("lives", flush=True)
"""


OTHERS = """
    signal.signal(signal.SIGTERM, lambda *_: print("heard", flush=True))
    end = time.monotonic() + 5
    while time.monotonic() < end:
        time.sleep(0.1)
    print("saved", flush=True)
"""


@pytest.mark.slow
def test_who_takes_the_signal_has_the_time_it_needs():
    """As a sweep, which waits for its runs to save, and an attack, for its iteration to end."""
    process = start(OTHERS)
    time.sleep(1)
    process.terminate()
    assert process.communicate(timeout=20)[0] == "heard\nsaved\n"
    assert process.returncode == 0


@pytest.mark.slow
def test_a_signal_is_of_the_program_that_it_was_sent_to():
    process = start(STALE)
    assert process.communicate(timeout=20)[0] == "lives\n"
    assert process.returncode == 0


def test_signals_are_given_back():
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    with pytest.raises(SystemExit, match="143"), ends_by_signal():
        signal.raise_signal(signal.SIGTERM)
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == before
    with pytest.raises(KeyError), ends_by_signal():  # nothing was asked of this one
        raise KeyError
