"""Names that become folders, and files that a folder of somebody else names: both stay inside."""

import os
from pathlib import Path

LONGEST = 255  # bytes of a file's or folder's name, on the file systems of all machines


def check_name(name: str, option: str) -> str:
    """Return a name under which a run writes below a folder, if it stays there.

    Args:
        name: words that become folders, parted by ``/``, such as ``demo/hag``.
        option: what to call it.

    Raises:
        ValueError: if it is empty, absolute, has a part ``.`` or ``..`` or an empty one, a sign
            that cannot be printed, a part that begins with ``-`` or is longer than LONGEST bytes.

    Example:
        >>> check_name("demo/hag", "--name")
        'demo/hag'
    """
    parts = name.split("/")
    rule = None
    if not name.isprintable():
        rule = "must hold no control, line break or other sign that cannot be printed"
    elif not all(parts) or {".", ".."} & {*parts}:
        rule = "must stay below its folder: neither empty nor absolute, without '.' and '..'"
    elif any(part.startswith("-") for part in parts):
        rule = "must not look like an option: no part may begin with '-'"
    elif any(len(os.fsencode(part)) > LONGEST for part in parts):
        rule = f"must have at most {LONGEST} bytes in each part"
    if rule is not None:
        shown = name if len(name) <= 80 else f"{name[:60]} ... ({len(name)} characters)"
        msg = f"{option} {rule}, got {shown!r}; give words such as demo/hag"
        raise ValueError(msg)
    return name


def check_inside(path: Path, folder: Path, remedy: str = "put a copy there if it is meant") -> Path:
    """Return a path, if what it leads to, once all links are followed, lies in a folder.

    Args:
        path: of a file or folder, which need not exist.
        folder: the folder, of somebody else: its links may lead anywhere.
        remedy: what to do.

    Raises:
        ValueError: if it leads elsewhere; says where.
    """
    place, home = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    if not place.is_relative_to(home):
        msg = f"{path} is a link that leads out of {folder}, to {place}; {remedy}"
        raise ValueError(msg)
    return path


def check_no_way_out(folder: Path) -> None:
    """Refuse a folder in which anything is a link that leads out of it.

    Args:
        folder: that is written into, and may be somebody else's; need not exist.

    Raises:
        ValueError: naming the first such link.
    """
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if (path := Path(place) / name).is_symlink():
                check_inside(path, folder, "remove the link, or give another folder")
