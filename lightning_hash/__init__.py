"""Adversarial robustness of deep-hashing retrieval, on PyTorch Lightning."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_hash.api import Attacked, attack

__version__ = "0.1.0.dev0"
__all__ = ["Attacked", "attack"]


def __getattr__(name: str) -> Any:
    """Import torch and Lightning only when they are needed: ``--version`` answers at once."""
    if name in __all__:
        from lightning_hash import api

        return getattr(api, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
