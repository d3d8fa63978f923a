"""Adversarial robustness of deep-hashing retrieval, on PyTorch Lightning."""

from importlib import import_module
from typing import Any

from lightning_hash._version import __version__

# Where each public name stands; it is imported when it is first asked for.
_PLACES = {
    "Attacked": "lightning_hash.commands.api",
    "attack": "lightning_hash.commands.api",
}
__all__ = ["Attacked", "__version__", "attack"]


def __getattr__(name: str) -> Any:
    """Import torch and Lightning only when they are needed."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)
