"""Places that a checkpoint names, which Lightning deletes once there are better ones."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def forget_strange_places(checkpoint: dict[str, Any], callbacks: Sequence[Any]) -> None:
    """Take out of the states of callbacks what is none of their own files.

    Lightning deletes what lies below the folder of a ModelCheckpoint by the letters of its path,
    folders as a whole, and whatever has an address.

    Args:
        checkpoint: before its callbacks' states are loaded; changed in place.
        callbacks: that save checkpoints, with their ``dirpath``.

    Example:
        >>> state = {"best_k_models": {"ck/../../photos": 0.9}, "best_model_path": "ck/best.ckpt"}
        >>> content = {"callbacks": {"ModelCheckpoint": state}}
        >>> forget_strange_places(content, [])
        >>> content["callbacks"]["ModelCheckpoint"]
        {'best_k_models': {}, 'best_model_path': 'ck/best.ckpt'}
    """
    folders = [str(getattr(each, "dirpath", None)) for each in callbacks]
    states = checkpoint.get("callbacks")
    if isinstance(states, Mapping):
        checkpoint["callbacks"] = {name: _at_home(each, folders) for name, each in states.items()}


def _at_home(state: Any, folders: Sequence[str]) -> Any:
    if not isinstance(state, Mapping) or not isinstance(state.get("best_k_models"), Mapping):
        return state

    def is_own(place: str) -> bool:
        if ".." in Path(place).parts or Path(place).is_dir():
            return False
        remote = "://" in place or "::" in place
        return not remote or any(place.startswith(f"{each}/") for each in folders)

    kept = {place: score for place, score in state["best_k_models"].items() if is_own(str(place))}
    names = [name for name in state if name.endswith("_path") and not is_own(str(state[name]))]
    return {**state, "best_k_models": kept, **dict.fromkeys(names, "")}
