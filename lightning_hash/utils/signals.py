"""A process that a signal ends: with which status, and how late at most."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NoReturn

SIGNALS = (signal.SIGTERM, signal.SIGINT)
PARENT = "LIGHTNING_HASH_PARENT"  # id of the process that started this one as another rank
STUCK, PATIENCE = 2.0, 15.0  # seconds: until the main thread hears a signal, and until it has left
_LOOK = 0.2  # seconds between two looks of a thread


@dataclass
class _Asked:
    """What signals have asked of this process.

    Attributes:
        signum: the signal that asked it to end, or 0.
        before: who had the signals before, for processes that are forked.
        programs: how many have begun and ended here, to know one that is over.
    """

    signum: int = 0
    before: dict[int, Any] = field(default_factory=dict)
    programs: int = 0


_asked = _Asked()


def note(signum: int) -> None:
    """Remember that a signal has asked this process to end."""
    _asked.signum = signum


@contextmanager
def ends_by_signal() -> Iterator[None]:
    """End the process with 128 + SIGTERM or SIGINT where nobody else takes the signal.

    Whatever goes wrong behind a signal, such as another process that is gone already, ends with
    that status too. A main thread that does not come to it, since it waits for another process, or
    that does not get away, is ended by a thread, but not while others have the signal. A further
    rank of a run ends with the process that started it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    note(0)
    _asked.programs += 1
    parent = _follow_parent()
    _asked.before = {signum: signal.signal(signum, _leave) for signum in SIGNALS}
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reader, _asked.programs), daemon=True).start()
    try:
        yield
    except SystemExit as error:
        if parent and isinstance(error.code, int) and error.code > 128:
            _outlast(parent)
        raise
    except BaseException as error:
        if not _asked.signum:
            raise
        raise SystemExit(128 + _asked.signum) from error
    finally:
        signal.set_wakeup_fd(wakeup)
        for signum, handler in _asked.before.items():
            signal.signal(signum, handler)
        _asked.before = {}
        _asked.programs += 1
        os.close(writer)  # the thread ends


def _leave(signum: int, frame: FrameType | None) -> NoReturn:
    """Leave at once; a second signal of the same kind acts as if there were no handler."""
    note(signum)
    signal.signal(signum, signal.SIG_DFL)
    if os.environ.get("LOCAL_RANK", "0") == "0":
        with suppress(OSError):  # stderr may be gone; print is not for handlers
            os.write(2, f"stopped by {signal.Signals(signum).name}\n".encode())
    raise SystemExit(128 + signum)


def _watch(reader: int, program: int) -> None:
    """End the process if its main thread does not after a signal; bytes are signals."""
    with open(reader, "rb", buffering=0, closefd=True) as signals:
        while signum := signals.read(1):
            if signum[0] in SIGNALS:
                threading.Thread(target=_insist, args=(signum[0], program), daemon=True).start()


def _insist(signum: int, program: int) -> None:
    waited = 0.0
    while waited < (PATIENCE if _asked.signum else STUCK):
        time.sleep(_LOOK)
        if program != _asked.programs:  # it has ended by itself
            return
        ours = signal.getsignal(signum) in (_leave, signal.SIG_DFL)
        waited = waited + _LOOK if ours else 0.0
    os._exit(128 + signum)


def _follow_parent() -> int:
    """End with the process that has started this one as another rank; return its id, or 0.

    Without it this process might wait for half an hour for one that is not there.
    """
    parent = int(os.environ.get(PARENT, "0"))
    first = os.environ.get("LOCAL_RANK", "0") == "0"
    if first or not parent or "TORCHELASTIC_RUN_ID" in os.environ:
        return 0

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK)
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=follow, daemon=True).start()
    return parent


def _outlast(parent: int) -> None:
    """Wait for the process that has started this one, which would die of seeing it gone."""
    end = time.monotonic() + PATIENCE / 2
    while os.getppid() == parent and time.monotonic() < end:
        time.sleep(_LOOK)


def _forked() -> None:
    """Give a forked process, such as a loader's worker, the signals as they were before."""
    if _asked.before:
        signal.set_wakeup_fd(-1)
        for signum, handler in _asked.before.items():
            signal.signal(signum, handler)
        _asked.before = {}


os.register_at_fork(after_in_child=_forked)
