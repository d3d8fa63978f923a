"""Places that a checkpoint names, which Lightning deletes once there are better ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_hash.utils.plain_load import made_anew


def forget_strange_places(checkpoint: dict[str, Any], callbacks: Sequence[Any]) -> None:
    """Take out of the states of callbacks all places but checkpoints in their own folders.

    Where a folder was moved or copied, its checkpoints are those of the same name that lie there.

    Lightning deletes what lies below the folder of a ModelCheckpoint by the letters of its path,
    folders as a whole, and whatever has an address.

    Args:
        checkpoint: before its callbacks' states are loaded; changed in place.
        callbacks: that save checkpoints, with their ``dirpath``.

    Example:
        >>> state = {"best_k_models": {"ck/../../photos": 0.9}, "last_model_path": "ck/photo.png"}
        >>> content = {"callbacks": {"ModelCheckpoint": state}}
        >>> forget_strange_places(content, [])
        >>> content["callbacks"]["ModelCheckpoint"]
        {'best_k_models': {}, 'last_model_path': ''}
    """
    folders = [getattr(each, "dirpath", None) for each in callbacks]
    homes = {Path(str(each)).resolve() for each in folders if each is not None}
    states = made_anew(checkpoint.get("callbacks"))
    if isinstance(states, Mapping):
        checkpoint["callbacks"] = {name: _at_home(each, homes) for name, each in states.items()}


def _at_home(state: Any, homes: set[Path]) -> Any:
    if not isinstance(state, Mapping):
        return state
    found = dict(state)
    for name, value in state.items():
        if name.endswith("_path"):
            found[name] = _own_place(value, homes) or ""
        elif name.endswith("_models") and isinstance(value, Mapping):
            places = {_own_place(place, homes): each for place, each in value.items()}
            found[name] = {place: each for place, each in places.items() if place is not None}
    return found


def _own_place(place: Any, homes: set[Path]) -> str | None:
    """Return a place that is one of theirs; of a folder that has moved, where it is now."""
    if _is_own(place, homes):
        return str(place)
    if isinstance(place, str) and Path(place).is_absolute():
        moved = [str(home / Path(place).name) for home in sorted(homes)]
        return next((each for each in moved if _is_own(each, homes)), None)
    return None


def _is_own(place: Any, homes: set[Path]) -> bool:
    """Return whether a place is a checkpoint, by itself and not behind a link, in one of them."""
    if not isinstance(place, str) or ":" in place or "~" in place:  # fsspec's ways of writing
        return False
    path = Path(place)
    whole = path.is_file() and not path.is_symlink() and path.suffix == ".ckpt"
    return whole and path.resolve().parent in homes
