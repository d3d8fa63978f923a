"""Presets by name: ``configs/`` of the repository, which the wheel carries."""

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def presets() -> Path:
    """Return the folder of the presets: inside the package where installed, else beside it."""
    packaged = _PACKAGE / "configs"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "configs"


def find_config(name: str | Path) -> Path:
    """Find the file that a user means by a config.

    Args:
        name: a path, from the working directory; where no such file lies there, the name of a
            preset, ``attack/hag.yaml`` or ``configs/attack/hag.yaml``.

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
    if not path.is_absolute() and preset.is_file():
        return preset
    known = sorted(str(found) for found in path.parent.glob("*.yaml"))
    inside = not path.is_absolute() and preset.parent != presets() and preset.parent.is_dir()
    found = presets().rglob("*.yaml") if not inside else preset.parent.glob("*.yaml")
    known += sorted(found.relative_to(presets()).as_posix() for found in found)
    msg = f"config {name} does not exist; there are: {', '.join(dict.fromkeys(known)) or 'none'}"
    raise FileNotFoundError(msg)
