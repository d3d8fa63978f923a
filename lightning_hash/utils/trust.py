"""What a file may do: nothing that runs code of others, unless the user has said that it may."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any

OPTION = "--trust"
# What a config may name without trust: parts of this program and of the libraries that it stands
# on. No functions that load or run something: torch.hub, torch.jit and the like are left out.
# Of this program its parts, and none of what has an argument `trust` or runs something.
OFFERED = (
    *(
        f"lightning_hash.{part}"
        for part in (
            "attacks",
            "data",
            "engine.callbacks",
            "engine.loggers",
            "engine.strategies",
            "functional",
            "losses",
            "metrics",
            "models",
            "modules",
        )
    ),
    "torch.nn",
    "torch.optim",
    "torchvision.models",
    "torchvision.ops",
    "torchvision.transforms",
    "torchmetrics",
    *(
        f"{package}.{part}"
        for package in ("pytorch_lightning", "lightning_fabric")
        for part in ("accelerators", "callbacks", "loggers", "plugins", "profilers", "strategies")
    ),
)


class UntrustedError(ValueError):
    """Something would run code of others, and nobody has said that it may."""


_trusted: ContextVar[bool] = ContextVar("trusted", default=False)


@contextmanager
def trusting(trust: bool = True) -> Iterator[None]:
    """Let files run code, while this context lasts: what ``--trust`` is on the command line.

    Args:
        trust: ``False`` leaves it as it is.

    Example:
        >>> with trusting():
        ...     is_trusted()
        True
        >>> is_trusted()
        False
    """
    token = _trusted.set(trust or _trusted.get())
    try:
        yield
    finally:
        _trusted.reset(token)


def is_trusted() -> bool:
    """Return whether files may run code."""
    return _trusted.get()


def needs_trust(what: str, reason: str) -> None:
    """Refuse what would run code of others, unless the user trusts it.

    Args:
        what: the file, function or class.
        reason: how it would run code, from its verb on.

    Raises:
        UntrustedError: in one line.

    Example:
        >>> needs_trust("victim a.ts", "is TorchScript, which can write files")
        Traceback (most recent call last):
        lightning_hash.utils.trust.UntrustedError: victim a.ts is TorchScript, which can write \
files: if you trust who made it, give --trust (in Python trust=True)
    """
    if not is_trusted():
        raise UntrustedError(refusal(what, reason))


def refusal(what: str, reason: str) -> str:
    """Return what is said of something that needs trust; see :func:`needs_trust`."""
    return f"{what} {reason}: if you trust who made it, give {OPTION} (in Python trust=True)"


def untrusted(error: BaseException | None) -> UntrustedError | None:
    """Return what was not trusted, where that stands behind an error.

    Args:
        error: such as a parser's, which says it in many lines.
    """
    seen: set[int] = set()  # libraries chain errors in circles
    while error is not None and not isinstance(error, UntrustedError):
        if id(error) in seen:
            return None
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return error


def check_flag(arguments: Sequence[str]) -> None:
    """Refuse ``--trust`` with a value.

    Args:
        arguments: a command line.

    Raises:
        ValueError: if it has one.
    """
    for argument in arguments:
        if argument.startswith(f"{OPTION}="):
            msg = f"{argument}: {OPTION} takes no value; give it alone, or leave it out"
            raise ValueError(msg)


def check_no_grant(content: Any, where: str) -> None:
    """Refuse a file that would say of itself that it may be trusted.

    Args:
        content: of a config, nested.
        where: what to call it in the error.

    Raises:
        ValueError: if there is a key ``trust``.
    """
    seen: set[int] = set()  # YAML can name one part in many places
    stack = [content]
    while stack:
        part = stack.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            if any("trust" in str(key).split(".") for key in part):
                msg = (
                    f"{where}: trust is no option of a file, which could grant it to itself; leave "
                    f"it out and give {OPTION} on the command line (in Python trust=True)"
                )
                raise ValueError(msg)
            stack += part.values()
        elif isinstance(part, list):
            stack += part


def import_named(path: str, offered: Sequence[str], what: str) -> Any:
    """Import what a file names; without trust only what some modules define.

    Args:
        path: ``package.module.Name``.
        offered: modules, each with all below it.
        what: what to call it in an error.

    Returns:
        The class, function or value.

    Raises:
        UntrustedError: if it is of another module.
        ValueError: if it cannot be imported.
    """
    reason = f"is not of {', '.join(offered)}, and to import a module runs it"
    if not is_below(path, offered):  # before the import, which would be too late
        needs_trust(what, reason)
    module_name, _, name = path.rpartition(".")
    try:
        found = getattr(import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        msg = f"{what} cannot be imported ({error}); is its folder on PYTHONPATH?"
        raise ValueError(msg) from error
    if not is_below(str(getattr(found, "__module__", "")), offered):  # such as a module's imports
        needs_trust(what, reason)
    return found


def is_below(path: str, offered: Sequence[str]) -> bool:
    """Return whether a dotted path is one of some modules, or below one.

    Example:
        >>> is_below("torch.nn.Linear", ["torch.nn"]), is_below("torch.nnx.A", ["torch.nn"])
        (True, False)
    """
    return any(path == each or path.startswith(f"{each}.") for each in offered)
