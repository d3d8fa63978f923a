"""Threat models by name: what an adversary may change, and what he sees."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lightning_hash.results.card import Sees
from lightning_hash.utils.nearest import offer

QUESTIONS = 1000


@dataclass(frozen=True)
class Threat:
    """A threat model.

    Attributes:
        name: of it.
        norm: of the change of a query: ``linf`` (the largest change of a value) or ``l2`` (the
            length of the change, which goes with the size of the inputs).
        epsilon: the most that the norm may be, in [0, 1] units.
        sees: ``gradients`` is everything; ``codes`` that of each question, ``distances`` and
            ``ids`` those of what is retrieved.
        questions: that may be asked about each query; ``None`` where the adversary has gradients.
    """

    name: str
    norm: Literal["linf", "l2"]
    epsilon: str
    sees: Sees = "gradients"
    questions: int | None = None

    @property
    def white_box(self) -> bool:
        """Whether the adversary has the network."""
        return self.sees == "gradients"


THREATS = {
    threat.name: threat
    for threat in (
        *(Threat(f"linf-{level}", "linf", f"{level}/255") for level in (2, 4, 8, 10)),
        *(Threat(f"l2-{length}", "l2", length) for length in ("0.5", "3")),
        Threat(f"codes-{QUESTIONS}", "linf", "8/255", "codes", QUESTIONS),
        Threat(f"distances-{QUESTIONS}", "linf", "8/255", "distances", QUESTIONS),
        Threat(f"ids-{QUESTIONS}", "linf", "8/255", "ids", QUESTIONS),
    )
}
DEFAULT = "linf-8"


def read_threats(names: Sequence[str]) -> list[Threat]:
    """Return threat models by their names.

    Args:
        names: at least one, each once.

    Raises:
        ValueError: if a name is unknown or stands twice, or there is none.

    Example:
        >>> read_threats(["linf-8"])[0].epsilon
        '8/255'
    """
    if not names or len(set(names)) < len(names):
        msg = f"threats must be one or several different names, got {list(names)}"
        raise ValueError(msg)
    for name in names:
        if name not in THREATS:
            msg = f"threats: {name!r} is no threat model; {offer(name, list(THREATS))}"
            raise ValueError(msg)
    return [THREATS[name] for name in names]
