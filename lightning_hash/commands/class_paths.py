"""Which class paths the parser imports: without trust those of this program and its libraries."""

import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from unittest.mock import patch

import jsonargparse
from jsonargparse import _util
from jsonargparse._common import ImportDenied, check_import_path, parsing_settings

from lightning_hash.utils.trust import OFFERED, is_trusted, refusal

WRITERS = (".SpikeDetection",)  # classes that write into a file of any name
_DENIED = re.compile(r"Importing '([^']*)' is not allowed")


@contextmanager
def checked_class_paths() -> Iterator[None]:
    """Let jsonargparse import nothing but classes that are offered, while this context lasts.

    It looks at a path before the import, and at where the object that it finds was defined behind
    it; its settings are those of the whole process, and nothing else gives them back. Functions
    and what stands below a class it would call with whatever a config says, so that these are
    refused here. With trust it imports whatever a config names.
    """
    if is_trusted():
        yield
        return
    before = dict(parsing_settings)
    jsonargparse.set_parsing_settings(
        import_path_denylist=["*"],
        import_path_allowlist=list(OFFERED),
        instantiate_subclass_spec_in_any=False,
    )
    try:
        # Every import of what a value names goes through it.
        with patch.object(_util, "check_import_path", _classes_alone(check_import_path)):
            yield
    finally:
        parsing_settings.update(before)


def _classes_alone(check: Callable[[str], None]) -> Callable[[str], None]:
    def checked(path: str) -> None:
        check(path)  # before the import, which would be too late
        if _is_something_else(path) or path.endswith(WRITERS):
            msg = f"Importing '{path}' is not allowed"
            raise ImportDenied(msg)

    return checked


def _is_something_else(path: str) -> bool:
    """Return whether a path stands for what is no class of a module; not where it is nothing."""
    module_name, _, name = path.rpartition(".")
    try:
        module = import_module(module_name)
    except ImportError:
        above, _, inner = module_name.rpartition(".")
        try:
            return hasattr(import_module(above), inner)
        except (ImportError, ValueError):
            return False
    found = getattr(module, name, None)
    return found is not None and not inspect.isclass(found)


def explained_denial(message: str) -> str | None:
    """Return what is said of a class path that was not imported; ``None`` of other messages.

    Args:
        message: jsonargparse's.

    Example:
        >>> explained_denial("Importing 'os.system' is not allowed, denied by ...").split(":")[0]
        'class path os.system is none that may be named without trust, since it could run any code'
    """
    found = _DENIED.search(message)
    if found is None:
        return None
    reason = "is none that may be named without trust, since it could run any code"
    return refusal(f"class path {found[1]}", reason)
