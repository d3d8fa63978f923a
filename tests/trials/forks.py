"""The command line in forks of this process, which has imported everything: a start takes no time.

Several processes are started as torchrun does.
"""

import os
import signal
import socket
import sys
import time

import pytorch_lightning as pl
from lightning_utilities.core.rank_zero import rank_zero_only

from lightning_hash.__main__ import main


class Fork:
    """A run of the command line by one or several processes of a group.

    Args:
        folder: where it runs; what it prints goes to ``log.txt`` there.
        arguments: the command line.
        world: how many processes.
    """

    def __init__(self, folder, arguments, world=1):
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            port = server.getsockname()[1]
        self.ids, self.statuses = [], {}
        for rank in range(world):
            started = os.fork()
            if not started:
                self._child(folder, arguments, rank, world, port)
            group = self.ids[0] if self.ids else started
            os.setpgid(started, group)
            self.ids.append(started)

    def _child(self, folder, arguments, rank, world, port):
        status = 99
        try:
            os.setpgid(0, self.ids[0] if self.ids else 0)
            os.chdir(folder)
            log = os.open("log.txt", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            if world > 1:
                os.environ |= {
                    "TORCHELASTIC_RUN_ID": "trial", "RANK": str(rank), "LOCAL_RANK": str(rank),
                    "WORLD_SIZE": str(world), "LOCAL_WORLD_SIZE": str(world), "GROUP_RANK": "0",
                    "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                }  # fmt: skip
            rank_zero_only.rank = pl.utilities.rank_zero_only.rank = rank
            status = main(list(arguments))
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
        except BaseException:
            sys.excepthook(*sys.exc_info())
            status = 98
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def wait(self, seconds):
        """Return the statuses of all processes; ``None`` if some are still there after a time."""
        end = time.monotonic() + seconds
        while len(self.statuses) < len(self.ids):
            for each in self.ids:
                if each not in self.statuses:
                    ended, status = os.waitpid(each, os.WNOHANG)
                    if ended:
                        self.statuses[each] = os.waitstatus_to_exitcode(status)
            if time.monotonic() > end:
                return None
            time.sleep(0.01)
        return [self.statuses[each] for each in self.ids]

    def kill(self):
        """Kill all processes at once."""
        for each in self.ids:
            if each not in self.statuses:
                os.kill(each, signal.SIGKILL)
        return self.wait(30)
