"""Adversarial robustness of deep-hashing retrieval, on PyTorch Lightning."""

from importlib import import_module as _import_module

from lightning_hash._version import __version__

# Where each public name stands; it is imported, with torch and Lightning, when first asked for.
_PLACES = {
    "attack": "lightning_hash.commands.api",
    "Attacked": "lightning_hash.commands.api",
    "encode": "lightning_hash.commands.encode",
    "score": "lightning_hash.commands.score",
    "load_victim": "lightning_hash.victims.victim",
    "HashModule": "lightning_hash.modules.hash_module",
    "AttackModule": "lightning_hash.modules.attack_module",
    "HashTrainer": "lightning_hash.engine.trainer",
    "report": "lightning_hash.commands.report",
}
__all__ = ["__version__", *_PLACES]


def __getattr__(name: str) -> object:
    if name in _PLACES:
        return getattr(_import_module(_PLACES[name]), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return list(__all__)
