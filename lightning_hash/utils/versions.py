"""Folders that runs of one name do not share."""

import itertools
import re
from pathlib import Path


def version_of(folder: Path) -> int:
    """Return N of ``version_N``, or -1."""
    version = re.fullmatch(r"version_(\d+)", folder.name)
    return int(version[1]) if version else -1


def take_version(root: Path, first: int = 0) -> Path:
    """Make the first ``version_N`` that is not there; of processes at once each gets its own.

    Args:
        root: the folder that holds the versions; it is made.
        first: the least N.

    Returns:
        The folder, empty.

    Raises:
        OSError: if it cannot be made.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     [take_version(Path(folder)).name for _ in range(2)]
        ['version_0', 'version_1']
    """
    root.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(first):
        try:
            (root / f"version_{number}").mkdir()
        except FileExistsError:
            continue
        break
    return root / f"version_{number}"
