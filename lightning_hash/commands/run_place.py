"""What the Trainer of a run gets beside the user's options: a place to write to, and callbacks."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback
from pytorch_lightning.callbacks import Checkpoint, ProgressBar
from pytorch_lightning.utilities import rank_zero_info

from lightning_hash.engine.loggers import RunLogger
from lightning_hash.utils.places import check_inside, check_no_way_out
from lightning_hash.utils.whole_file import ready_folder

# A metric as a number; others could be attributes, or the letter of a number, such as a slash.
FIELD = re.compile(r"\{[\w/.-]*(:[0-9.]*[dfeg]?)?\}")


def place_of_run(trainer: Mapping[str, Any], runs: str, name: str) -> dict[str, Any]:
    """Return the logger of a run, or its folder where the user wants no logger.

    Args:
        trainer: the user's options of the Trainer.
        runs: folder of all runs.
        name: of this one, below ``runs``.

    Returns:
        Options of the Trainer; none where the user gave a logger or a folder.

    Raises:
        OSError: if the folder cannot be written to.
        ValueError: if it is a link out of ``runs``.
    """
    check_inside(Path(runs) / name, Path(runs), "give --runs another folder")
    check_no_way_out(Path(runs) / name)
    if trainer["logger"] in (None, True):
        if not trainer["fast_dev_run"]:  # which writes nothing
            ready_folder(Path(runs) / name, "run folder", "give another with --runs FOLDER")
        return {"logger": RunLogger(runs, name=name)}
    if trainer["logger"] is False and trainer["default_root_dir"] is None:
        folder = Path(runs) / name
        if (folder / "results.json").is_file():
            rank_zero_info(
                f"{folder}: the results of an earlier run are replaced; with a logger each run "
                "has a folder version_N of its own"
            )
        return {"default_root_dir": folder}  # of config.yaml
    return {}


def merge_callbacks(trainer: Mapping[str, Any], own: Sequence[Callback]) -> list[Callback]:
    """Put the callbacks of a verb behind the user's.

    Args:
        trainer: the user's options of the Trainer.
        own: callbacks of the verb; those of a kind that the user gave, or switched off, are left
            out; a progress bar of the user's stands for the verb's.

    Returns:
        All callbacks.

    Raises:
        ValueError: if one would write its files out of its folder.
    """
    given = list(trainer["callbacks"] or [])
    for callback in given:
        name = getattr(callback, "filename", None)
        outside = isinstance(name, str) and (
            ".." in Path(name).parts or Path(name).is_absolute() or "{" in FIELD.sub("", name)
        )
        if outside:
            msg = (
                f"trainer.callbacks: filename of {type(callback).__name__} must stay below its "
                f"folder, got {name!r}; give dirpath"
            )
            raise ValueError(msg)
    kinds = {type(callback) for callback in given}
    own = [callback for callback in own if type(callback) not in kinds]
    bars = any(isinstance(callback, ProgressBar) for callback in given)
    if trainer["enable_checkpointing"] is False:
        own = [callback for callback in own if not isinstance(callback, Checkpoint)]
    if bars or trainer["enable_progress_bar"] is False:
        own = [callback for callback in own if not isinstance(callback, ProgressBar)]
    return [*given, *own]
