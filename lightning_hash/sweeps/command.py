"""The command line of a run."""

import json
import sys
from pathlib import Path
from typing import Any

from lightning_hash.sweeps.record import folder_of, made_by
from lightning_hash.sweeps.run import Run
from lightning_hash.utils.trust import OPTION
from lightning_hash.utils.volume import VERBOSE, Volume, volume


def command_of(
    run: Run, root: Path, trainer: Path | None = None, *, trust: bool = False
) -> list[str]:
    """Return what starts a run, or lets it go on where it was killed.

    Args:
        run: the run.
        root: the sweep's folder; the run writes beneath it.
        trainer: a config laid over fits and attacks that says where they run, not what.
        trust: give the run ``--trust``.

    Returns:
        The interpreter and its arguments.

    Raises:
        ValueError: if the sweep file itself gives it.
    """
    line = [sys.executable, "-m", "lightning_hash", run.verb]
    lists = run.verb in ("transfer", "audit")  # verbs with options of several words
    over = [] if trainer is None or lists else [str(trainer)]
    for config in (*run.configs, *over):
        line += ["--config", no_option(config)]
    for name, value in run.options.items():
        if value is True and run.verb == "audit":
            line.append(f"--{name}")
        elif isinstance(value, list) and lists:
            line += [f"--{name}", *(no_option(str(_plain(inner, root))) for inner in value)]
        else:
            plain = _plain(value, root)
            line.append(f"--{name}={plain if isinstance(plain, str) else json.dumps(plain)}")
    if OPTION in line:  # as a name or value of an option
        msg = f"{run.title}: {OPTION} cannot stand in a sweep file; give it to sweep itself"
        raise ValueError(msg)
    line += [OPTION] if trust else []
    line += [VERBOSE] if volume() is Volume.VERBOSE else []  # the log has all that is said
    line += ["--runs", no_option(str(root)), "--name", run.digest]
    folder = folder_of(run, root)
    if run.verb == "fit":
        line += ["--checkpoints", no_option(str(root / "checkpoints"))]
        last = folder / "last.ckpt"
        line += ["--ckpt_path", no_option(str(last))] if last.is_file() else []
    elif run.verb != "audit" and any(folder.rglob("last.ckpt")):
        # Of several, an attack finds the newest whole one; an audit goes on by itself.
        line += ["--ckpt_path", "last"]
    return line


def no_option(path: str) -> str:
    """Return a path that no parser of options takes for one of them.

    Example:
        >>> no_option("-a.yaml"), no_option("a.yaml")
        ('./-a.yaml', 'a.yaml')
    """
    return f"./{path}" if path.startswith("-") else path


def _plain(value: Any, root: Path) -> Any:
    """Put what runs make in place of the runs."""
    if isinstance(value, Run):
        return str(made_by(value, root))
    return [_plain(inner, root) for inner in value] if isinstance(value, list) else value
