"""Presets by name: ``configs/`` of the repository, which the wheel carries."""

from pathlib import Path
from typing import Any

import yaml

_PACKAGE = Path(__file__).parents[1]


def presets() -> Path:
    """Return the folder of the presets: inside the package where installed, else beside it."""
    packaged = _PACKAGE / "configs"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "configs"


def find_config(name: str | Path, what: str = "config") -> Path:
    """Find the file that a user means by a config.

    Args:
        name: a path, from the working directory; where no such file lies there, the name of a
            preset, ``attack/hag.yaml`` or ``configs/attack/hag.yaml``.
        what: what to call it where there is none.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: if there is neither; the message lists what is there.

    Example:
        >>> find_config("attack/hag.yaml").name
        'hag.yaml'
    """
    path = Path(name)
    if path.is_file():
        return path
    preset = presets() / Path(*path.parts[path.parts[:1] == ("configs",) :])
    if path.is_absolute():
        preset = path
    elif preset.is_file():
        return preset
    there = [str(each) for each in path.parent.glob("*.yaml")]
    there += [each.relative_to(presets()).as_posix() for each in _siblings(preset)]
    msg = f"{what} {name} does not exist; there are: {', '.join(sorted(there)) or 'none'}"
    raise FileNotFoundError(msg)


def read_config(name: str | Path, what: str = "config") -> dict[str, Any]:
    """Read a config, found as :func:`find_config` does; an empty file is an empty mapping.

    Args:
        name: a path, or the name of a preset.
        what: what to call it in an error.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is no YAML, or no mapping; names the file and the line.
    """
    path = find_config(name, what)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}, "
        msg = f"{what} {name} is no YAML: {line}{error.problem}"
        raise ValueError(msg) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"{what} {name} is no YAML: it has bytes that are no UTF-8 text"
        raise ValueError(msg) from error
    if content is not None and not isinstance(content, dict):
        msg = f"{what} {name} must be a mapping, got {type(content).__name__}"
        raise ValueError(msg)
    return content or {}


def _siblings(preset: Path) -> list[Path]:
    """Return what a preset could be meant: those of its folder, or the folders of all."""
    if not preset.is_relative_to(presets()):
        return []
    files = list(preset.parent.glob("*.yaml"))
    return files or [path for path in presets().iterdir() if path.is_dir()]
