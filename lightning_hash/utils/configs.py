"""Presets by name: ``configs/`` of the repository, which the wheel carries."""

import glob
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from lightning_hash.utils.foreign_files import check_file, read_bytes
from lightning_hash.utils.trust import check_no_grant
from lightning_hash.utils.yaml_text import load_yaml

SUFFIX = ".yaml"
MOST_BYTES = 2**20  # of a config, which takes seconds
_PACKAGE = Path(__file__).parents[1]


def presets() -> Path:
    """Return the folder of the presets: inside the package where installed, else beside it."""
    packaged = _PACKAGE / "configs"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "configs"


def preset_names(*patterns: str) -> list[str]:
    """Return the names of presets, as :func:`find_config` takes them.

    Args:
        patterns: which, such as ``data/*``.

    Example:
        >>> preset_names("overlay/quick/*")
        ['overlay/quick/sgd', 'overlay/quick/sign']
    """
    found = [path for each in patterns for path in sorted(presets().glob(f"{each}{SUFFIX}"))]
    return [path.relative_to(presets()).with_suffix("").as_posix() for path in found]


def find_config(name: str | Path, what: str = "config") -> Path:
    """Find the file that a user means by a config; ``.yaml`` may be left out.

    Args:
        name: a path, from the working directory; where no such file lies there, the name of a
            preset, ``attack/hag`` or ``configs/attack/hag.yaml``.
        what: what to call it where there is none.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: if there is neither; the message lists what is there.
        ValueError: if what lies there is a pipe or a device.

    Example:
        >>> find_config("attack/hag").name
        'hag.yaml'
    """
    for path in _meant(Path(name)):
        for file in (path, path.with_name(f"{path.name}{SUFFIX}")) if path.name else ():
            if file.is_file():
                return file
            if not file.is_dir():
                check_file(file, f"{what} {name}")
    msg = f"{what} {name} does not exist; {_offer(Path(name))}"
    raise FileNotFoundError(msg)


def find_configs(name: str | Path, what: str = "config") -> list[Path]:
    """Find the files that a user means by a config, a folder of them or a pattern.

    Args:
        name: as :func:`find_config` takes it, or ``papers``, or ``papers/hag_*``.
        what: what to call them where there are none.

    Returns:
        The paths of the files, in order.

    Raises:
        FileNotFoundError: if there are none; the message lists what is there.

    Example:
        >>> [path.stem for path in find_configs("papers/hag_table[12]")]
        ['hag_table1', 'hag_table2']
    """
    for path in _meant(Path(name)):
        pattern = f"*{SUFFIX}" if path.is_dir() else path.name
        folder = path if path.is_dir() else path.parent
        if path.is_dir() or glob.has_magic(pattern):
            found = sorted({*folder.glob(pattern), *folder.glob(f"{pattern}{SUFFIX}")})
            files = [file for file in found if file.is_file()]
            if files:
                return files
    return [find_config(name, what)]


def read_config(name: str | Path, what: str = "config") -> dict[str, Any]:
    """Read a config, found as :func:`find_config` does.

    Args:
        name: a path, or the name of a preset.
        what: what to call it in an error.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is no YAML, no mapping or empty, or a key stands twice, naming the file
            and the line; if it is too large; or if it would grant itself trust.
    """
    path = find_config(name, what)
    try:
        text = read_bytes(path, MOST_BYTES)
    except ValueError as error:
        msg = f"{what} {name} is not read: {error}"
        raise ValueError(msg) from error
    content = load_yaml(text, f"{what} {name}")
    if content is None:
        msg = f"{what} {name} is empty; write options into it, such as model: {{seed: 0}}"
        raise ValueError(msg)
    if not isinstance(content, dict):
        msg = (
            f"{what} {name} must be a mapping, got {type(content).__name__}; write KEY: VALUE, "
            "as in the presets"
        )
        raise ValueError(msg)
    check_no_grant(content, f"{what} {name}")
    return content


def _meant(path: Path) -> list[Path]:
    """Return where a config may lie: at its path, and among the presets."""
    inner = path.parts[1:] if path.parts[:1] == ("configs",) else path.parts
    return [path] if path.is_absolute() else [path, presets().joinpath(*inner)]


def _offer(path: Path) -> str:
    """Say which configs there are where none was found: those of the folder, or all presets.

    The nearest names come first.
    """
    there = sorted(str(each) for each in path.parent.glob(f"*{SUFFIX}"))
    if not path.is_absolute():
        preset = _meant(path)[1]
        folder = preset if preset.parent == presets() else preset.parent
        inside = folder.is_relative_to(presets()) and ".." not in folder.parts
        files = sorted(folder.glob(f"*{SUFFIX}")) if inside else []
        files = files or sorted(presets().rglob(f"*{SUFFIX}"))
        there += [each.relative_to(presets()).as_posix() for each in files]
    stems = dict.fromkeys(Path(each).stem for each in there)
    close = get_close_matches(path.stem, stems, n=len(stems)) if stems else []
    nearest = sorted(there, key=lambda each: (*close, Path(each).stem).index(Path(each).stem))
    return f"there are: {', '.join(nearest) or 'none'}"
