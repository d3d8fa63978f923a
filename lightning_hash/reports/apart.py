"""How settings are written, and what tells several apart."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lightning_hash.results.settings import canonical, flatten, look_up
from lightning_hash.results.tables import format_epsilon, frames_text


def told_apart(settings: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Say for each of several settings what others have otherwise; nothing where all are equal.

    Args:
        settings: JSON mappings.
    """
    paths = {path for setting in settings for path in _all_paths(setting)}
    counts_frames = any(look_up(each, "perturbation.count") is not None for each in settings)
    differing = [
        [(path, value) for path, value in each if value is not None]
        for each in _distinctions(settings, "")
    ]
    said = []
    for each in differing:
        texts = [
            "all frames"
            if (path, counts_frames) == ("perturbation", True) and _is_plain(value)
            else _named(path, _short_path(path, paths), value)
            for path, value in each
        ]
        said.append(list(dict.fromkeys(texts)))
    if len({tuple(texts) for texts in said}) < len({canonical(each) for each in settings}):
        # Rounded they are alike.
        return [[f"{path}={canonical(value)}" for path, value in each] for each in differing]
    return said


def _distinctions(values: Sequence[Any], path: str) -> list[list[tuple[str, Any]]]:
    """Return for each of several values the paths and values that others have otherwise.

    Parts of several classes differ as wholes, and those of one class also in their options.
    """
    found: list[list[tuple[str, Any]]] = [[] for _ in values]
    if len({canonical(value) for value in values}) == 1:
        return found
    kinds = [
        str(value.get("class", "")) if isinstance(value, Mapping) else None for value in values
    ]
    if len(set(kinds)) > 1 or None in kinds:
        for place, value in zip(found, values, strict=True):
            place.append((path, value))
    for kind in dict.fromkeys(kind for kind in kinds if kind is not None):
        members = [number for number, other in enumerate(kinds) if other == kind]
        for key in dict.fromkeys(key for number in members for key in values[number]):
            inner = [values[number].get(key) for number in members]
            below = _distinctions(inner, f"{path}.{key}" if path else key)
            for number, more in zip(members, below, strict=True):
                found[number] += more
    return found


def _all_paths(setting: Mapping[str, Any]) -> set[str]:
    """Return the paths of all values and of the mappings that hold them."""
    leaves = [path.split(".") for path in flatten(setting)]
    return {".".join(keys[:end]) for keys in leaves for end in range(1, len(keys) + 1)}


def _short_path(path: str, paths: Iterable[str]) -> str:
    """Return the last components of a path, as many as tell it from the others."""
    keys = path.split(".")
    for start in range(len(keys) - 1, 0, -1):
        end = ".".join(keys[start:])
        if sum(other == end or other.endswith(f".{end}") for other in paths) == 1:
            return end
    return path


def _named(path: str, name: str, value: Any) -> str:
    """Write one setting that lines differ in."""
    if path == "iterations":
        return f"{value} iterations"
    if path == "budget.epsilon":
        return f"ε {format_epsilon(value, None)}"
    if path == "perturbation.count":
        return frames_text(value)
    if path == "perturbation" and isinstance(value, Mapping) and value.get("count") is not None:
        return frames_text(value["count"])
    if "sha256" in path:
        return f"{path.partition('.')[2] or path}={_brief(value)[:8]}"
    return f"{name}={_brief(value)}"


def _is_plain(value: Any) -> bool:
    """Return whether a perturbation is the one of whole queries, each its own."""
    return isinstance(value, Mapping) and short_class(value.get("class")) == "PerQuery"


def options_of(setting: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Write all settings that are neither null nor off.

    Args:
        setting: JSON.
        prefix: its dotted path.
    """
    said = []
    for key, value in setting.items():
        path = f"{prefix}.{key}" if prefix else key
        if value is None or value is False or key == "class":
            continue
        if isinstance(value, Mapping):
            said.append(_part(path, value))
        elif path == "iterations":
            said += [f"{value} iterations"] if value else []
        elif path == "budget.epsilon":
            said.append(f"ε {format_epsilon(value, setting.get('space'))}")
        elif path != "budget.space":
            said.append(key if value is True else f"{key} {_brief(value)}")
    return said


def _part(path: str, setting: Mapping[str, Any]) -> str:
    name = short_class(setting["class"]) if "class" in setting else path.rpartition(".")[2]
    options = options_of(setting, path)
    return f"{name} ({', '.join(options)})" if options else name


def _brief(value: Any) -> str:
    if isinstance(value, Mapping):
        return short_class(value.get("class", canonical(value)))
    if isinstance(value, list):
        return " ".join(_brief(inner) for inner in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def short_class(value: Any) -> str:
    """Return the class of a part, without its module."""
    return str(value).rpartition(".")[2]


def pruned(mapping: Mapping[str, Any], prefix: str, paths: Sequence[str]) -> dict[str, Any]:
    """Return a mapping without what stands at some dotted paths.

    Args:
        mapping: JSON.
        prefix: its dotted path.
        paths: those to leave out.
    """
    inner = {f"{prefix}.{key}": key for key in mapping}
    return {
        key: pruned(mapping[key], path, paths)
        if isinstance(mapping[key], Mapping)
        else mapping[key]
        for path, key in inner.items()
        if path not in paths
    }
