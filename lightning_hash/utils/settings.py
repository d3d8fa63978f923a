"""Parts that describe themselves: what made a number, as JSON."""

import dataclasses
import functools
import hashlib
import inspect
import math
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class Part:
    """Base of what an attack is made of; :meth:`settings` returns the constructor's arguments.

    A subclass does nothing for it: the arguments of every constructor are kept as they were given.

    Attributes:
        context: names of constructor arguments that are no settings, such as the inputs that a
            perturbation is made for.

    Example:
        >>> class Pull(Part):
        ...     def __init__(self, weight: float = 1.0) -> None:
        ...         self.w = weight
        >>> Pull().settings()["weight"]
        1.0
    """

    context: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _remembering(cls.__init__)  # type: ignore[method-assign]

    def settings(self) -> dict[str, Any]:
        """Return the class and the constructor's arguments as JSON values.

        Raises:
            TypeError: if an argument cannot be described, see :func:`settings_of`.
        """
        kept = vars(self).get("_arguments", {})
        said = {name: value for name, value in kept.items() if name not in self.context}
        return {"class": public_name(type(self)), **{k: settings_of(v) for k, v in said.items()}}


def _remembering(init: Callable[..., None]) -> Callable[..., None]:
    signature = inspect.signature(init)

    @functools.wraps(init)
    def remember(self: Any, *args: Any, **kwargs: Any) -> None:
        if "_arguments" not in self.__dict__:  # a base's constructor is called by the subclass's
            try:
                bound = signature.bind(self, *args, **kwargs)
            except TypeError:  # raised again, in Python's own words
                bound = None
            if bound is not None:
                bound.apply_defaults()
                self.__dict__["_arguments"] = _flat(bound)
        init(self, *args, **kwargs)

    return remember


def _flat(bound: inspect.BoundArguments) -> dict[str, Any]:
    """Return the arguments by name, without ``self``; lists and mappings are copied."""
    found: dict[str, Any] = {}
    for name, value in list(bound.arguments.items())[1:]:
        if bound.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            found.update(value)
        else:
            found[name] = value
    return {
        name: list(v) if isinstance(v, list) else dict(v) if isinstance(v, dict) else v
        for name, v in found.items()
    }


def settings_of(value: Any) -> Any:
    """Describe a value as JSON, so that two values that differ are described differently.

    Args:
        value: a JSON value, tuple or path; a :class:`Part` or anything else with ``settings()``; an
            optimizer (class and defaults); a dataclass; a tensor or module (type and sha256); a
            class or function that can be imported, or a ``functools.partial`` of one.

    Returns:
        The description.

    Raises:
        TypeError: if it is none of these, such as a lambda, whose code no name stands for.
        ValueError: if a number is not finite.

    Example:
        >>> settings_of(torch.optim.SGD([torch.zeros(1)], lr=0.5))["lr"]
        0.5
    """
    described = getattr(value, "settings", None)
    if callable(described) and not isinstance(value, type):
        return described()
    if isinstance(value, float) and not math.isfinite(value):
        msg = f"settings must be finite, got {value}"
        raise ValueError(msg)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [settings_of(inner) for inner in value]
    if isinstance(value, Mapping):
        return {str(key): settings_of(inner) for key, inner in value.items()}
    if isinstance(value, Optimizer):
        return {"class": public_name(type(value)), **settings_of(value.defaults)}
    if isinstance(value, Tensor):
        return {"class": "torch.Tensor", "sha256": sha256_of({"": value})}
    if isinstance(value, nn.Module):
        digest = sha256_of({**value.state_dict(), "": repr(value)})
        return {"class": public_name(type(value)), "sha256": digest}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: settings_of(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"class": public_name(type(value)), **fields}
    if isinstance(value, functools.partial):
        given = {"args": list(value.args), **value.keywords}
        return {"call": settings_of(value.func), **settings_of(given)}
    return _callable_name(value)


def _callable_name(value: Any) -> str:
    name = getattr(value, "__qualname__", "")
    bound = not isinstance(getattr(value, "__self__", None), ModuleType | type | None)
    if not callable(value) or not name or "<" in name or bound:
        msg = (
            f"a part of the attack holds {value!r}, which has no name to stand in result rows; "
            "give a function or class that can be imported, or an object with a method settings()"
        )
        raise TypeError(msg)
    return public_name(value)


def public_name(value: Any) -> str:
    """Return the shortest path that a class or function can be imported by.

    Example:
        >>> public_name(torch.optim.SGD)
        'torch.optim.SGD'
    """
    module, name = str(value.__module__), str(value.__qualname__)
    parts = module.split(".")
    for end in range(1, len(parts)):
        above = ".".join(parts[:end])
        try:
            found = getattr(import_module(above), name, None)
        except ImportError:
            continue
        if found is value:
            return f"{above}.{name}"
    return f"{module}.{name}"


def sha256_of(state: Mapping[str, Any]) -> str:
    """Return the sha256 over names, dtypes, shapes and bytes of tensors, and what else there is."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        if not isinstance(tensor, Tensor):  # a module's extra state
            digest.update(f"{name} {tensor!r}\n".encode())
            continue
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().reshape(-1).contiguous()
        digest.update(flat.view(torch.uint8).numpy().data)  # no copy
    return digest.hexdigest()
