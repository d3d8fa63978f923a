"""Which class paths the parser imports: without trust those of this program and its libraries."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import jsonargparse
from jsonargparse._common import parsing_settings

from lightning_hash.utils.trust import OFFERED, is_trusted, refusal

_DENIED = re.compile(r"Importing '([^']*)' is not allowed")


@contextmanager
def checked_class_paths() -> Iterator[None]:
    """Let jsonargparse import nothing but what is offered, while this context lasts.

    It looks at a path before the import, and at where the object that it finds was defined behind
    it; its settings are those of the whole process, and nothing else gives them back. With trust
    it imports whatever a config names.
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
        yield
    finally:
        parsing_settings.update(before)


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
