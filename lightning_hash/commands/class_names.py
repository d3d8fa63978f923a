"""The classes that an option takes, by the types of jsonargparse."""

import argparse
import inspect
from typing import Any, get_args

import yaml
from jsonargparse import Namespace
from jsonargparse._typehints import (
    get_all_subclass_paths,
    get_callable_return_type,
    get_subclass_types,
)
from jsonargparse._util import import_object

from lightning_hash.commands.given_nodes import options_of, place
from lightning_hash.utils.nearest import offer


def class_names(classes: tuple[type, ...], usual: str | None = None) -> list[str]:
    """Return the names of the classes that an option is meant for, those of this package first.

    Args:
        classes: those of which it takes subclasses.
        usual: class path of its default. Of a type as wide as any network the classes beside it
            are meant.
    """
    paths = class_paths(classes)
    paths = [path for path in paths if imported(path) not in classes or _is_whole(path)] or paths
    # The Trainer's parts are Lightning's: those of this package stand there by themselves.
    lightning = all(each.__module__.startswith("pytorch_lightning") for each in classes)
    first = "pytorch_lightning." if lightning else "lightning_hash."
    ours = [path for path in paths if path.startswith(first)]
    if usual is not None and any(each.__module__.startswith("torch.nn") for each in classes):
        package = usual.rpartition(".")[0]
        ours = paths = [path for path in ours if path.startswith(f"{package}.")]
    return list(dict.fromkeys(path.rpartition(".")[2] for path in (*ours, *paths)))


def _is_whole(path: str) -> bool:
    """Return whether a class of this package is meant itself, and not as a base alone."""
    found = imported(path)
    return found.__module__.startswith("lightning_hash.") and not inspect.isabstract(found)


def default_class(action: argparse.Action) -> Any:
    """Return the class of an option's default, or ``None`` where that is none."""
    default = action.default
    if isinstance(default, dict | Namespace) and "class_path" in default:
        return imported(str(default["class_path"]))
    return None


def classes_of(hint: Any) -> tuple[type, ...]:
    """Return the classes of which an option takes a subclass, or a function that makes one."""
    made = get_callable_return_type(hint)  # type: ignore[no-untyped-call]
    found: Any = get_subclass_types(hint if made is None else made)  # type: ignore[no-untyped-call]
    return tuple(each for each in found or () if inspect.isclass(each))


def class_paths(classes: tuple[type, ...]) -> list[str]:
    """Return the import paths of the classes that may be given for some base classes."""
    return [path for each in classes for path in get_all_subclass_paths(each)]


def imported(path: str) -> Any:
    """Return what an import path stands for, or ``None`` where it cannot be imported."""
    try:
        return import_object(path)
    except Exception:  # of whatever module: that it cannot be imported is what is said
        return None


def class_parser(parser: Any, chosen: type, hint: Any) -> tuple[Any, list[str]]:
    """Return a parser of a class's options, and the names of those that the program fills in."""
    made = type(parser)(exit_on_error=False)
    _, filled = needed_of(chosen, hint)
    skip: set[str | int] = {len(filled)} if filled else set()
    add = made.add_class_arguments if inspect.isclass(chosen) else made.add_function_arguments
    add(chosen, skip=skip, fail_untyped=False)
    return made, filled


def needed_of(chosen: Any, hint: Any) -> tuple[list[str], list[str]]:
    """Return the options without which a class cannot be made, and those the program fills in.

    Args:
        chosen: the class.
        hint: the type of what it is given for.
    """
    parameters = inspect.signature(chosen).parameters
    made = get_callable_return_type(hint)  # type: ignore[no-untyped-call]
    filled = 0 if made is None else len(get_args(hint)[0])
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    needed = [
        name
        for name, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty and parameter.kind in plain
    ]
    return needed, list(parameters)[:filled]


def no_class(parser: Any, name: str, key: yaml.Node, names: list[str]) -> str:
    """Say that an option of a class was given, and no class.

    Args:
        parser: the parser of all options.
        name: what the class is given for.
        key: the option.
        names: the classes that there are.
    """
    where = place(f"{name}.{key.value}", key)
    own = [option for option in options_of(parser) if option.endswith(f".{key.value}")]
    if own:
        return f"{where}: there is no such option; did you mean --{own[0]}?"
    return f"{where}: no class is chosen; give --{name}=CLASS before it; {offer('', names)}"


def filled_in(parser: Any, name: str, key: yaml.Node, chosen: type) -> str:
    """Say that a class gets an argument from the program; see :func:`no_class`."""
    whole = [option for option in options_of(parser) if option.endswith(f".{key.value}")]
    remedy = f"give --{whole[0]}" if whole else "leave it out"
    where = place(f"{name}.{key.value}", key)
    return f"{where}: {chosen.__name__} gets {key.value} from the program; {remedy}"
