"""Adversarial robustness of deep-hashing retrieval, on PyTorch Lightning."""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

from lightning_hash._version import __version__

if TYPE_CHECKING:  # what __getattr__ returns, for type checkers and editors
    from lightning_hash.commands.api import Attacked, attack
    from lightning_hash.commands.audit import audit
    from lightning_hash.commands.encode import encode
    from lightning_hash.commands.push import push_to_hub
    from lightning_hash.commands.report import report
    from lightning_hash.commands.score import score
    from lightning_hash.commands.search import search
    from lightning_hash.commands.smallest import smallest
    from lightning_hash.engine.trainer import HashTrainer
    from lightning_hash.modules.attack_module import AttackModule
    from lightning_hash.modules.hash_module import HashModule
    from lightning_hash.reports.audit_card import AuditCard
    from lightning_hash.victims.victim import load_victim

# Where each public name stands; it is imported, with torch and Lightning, when first asked for.
_PLACES = {
    "attack": "lightning_hash.commands.api",
    "Attacked": "lightning_hash.commands.api",
    "audit": "lightning_hash.commands.audit",
    "AuditCard": "lightning_hash.reports.audit_card",
    "encode": "lightning_hash.commands.encode",
    "score": "lightning_hash.commands.score",
    "search": "lightning_hash.commands.search",
    "smallest": "lightning_hash.commands.smallest",
    "load_victim": "lightning_hash.victims.victim",
    "HashModule": "lightning_hash.modules.hash_module",
    "AttackModule": "lightning_hash.modules.attack_module",
    "HashTrainer": "lightning_hash.engine.trainer",
    "push_to_hub": "lightning_hash.commands.push",
    "report": "lightning_hash.commands.report",
}
__all__ = [
    "AttackModule",
    "Attacked",
    "AuditCard",
    "HashModule",
    "HashTrainer",
    "__version__",
    "attack",
    "audit",
    "encode",
    "load_victim",
    "push_to_hub",
    "report",
    "score",
    "search",
    "smallest",
]

if not TYPE_CHECKING:  # a type checker would take any name, misspelt ones too

    def __getattr__(name: str) -> object:
        if name in _PLACES:
            return getattr(_import_module(_PLACES[name]), name)
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)


def __dir__() -> list[str]:
    return list(__all__)
