"""A disk that is full."""

import errno
import io
from pathlib import Path


class Full(io.FileIO):
    """A file on a disk that is full after 100 bytes."""

    def write(self, data):
        super().write(bytes(data[:100]))
        raise OSError(errno.ENOSPC, "No space left on device")


def fill(monkeypatch):
    whole = Path.open

    def full(self, mode="r", *args, **kwargs):
        return Full(self, mode) if ".ckpt." in self.name else whole(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
