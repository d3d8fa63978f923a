"""Names of files of arrays, and of arrays in them."""

import re
from pathlib import Path

TEXT = (".txt", ".csv")
TORCH = (".pt", ".pth", ".pkl", "")  # torch.save names no suffix
ARRAY_SUFFIXES = (".npy", ".npz", ".mat", *TORCH, *TEXT)


def split_name(text: str) -> tuple[Path, str | None]:
    """Part ``FILE:NAME`` into the file and the name of an array in it.

    Args:
        text: what the user wrote.

    Returns:
        The file, and the name or ``None``.

    Example:
        >>> split_name("results.mat:qB")
        (PosixPath('results.mat'), 'qB')
    """
    head, colon, name = text.rpartition(":")
    path = Path(head)
    if colon and name and path.suffix in ARRAY_SUFFIXES and not Path(text).exists():
        return path, name
    return Path(text), None


def natural_order(name: str) -> list[tuple[int, str]]:
    """Return what sorts ``2.png`` before ``10.png``.

    Example:
        >>> sorted(["test10.txt", "test2.txt"], key=natural_order)
        ['test2.txt', 'test10.txt']
    """
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
