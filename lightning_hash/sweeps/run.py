"""One run of a sweep: a command of this program, known by what it computes."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from lightning_hash.utils.configs import read_config

VERBS = ("fit", "attack", "transfer", "audit")
DIGITS = 12  # of the fingerprint: 2^48 values


@dataclass(frozen=True, eq=False)
class Run:
    """A fit, an attack, a transfer or an audit with all its options.

    Attributes:
        title: what it is, for people.
        verb: one of VERBS.
        configs: YAML files, the later over the earlier.
        options: dotted names and values that go over the files. A run among the values, or in a
            list of them, stands for what it makes: a checkpoint or a folder.

    Example:
        >>> small, large = (Run("victim", "fit", (), {"model.bits": bits}) for bits in (16, 32))
        >>> Run("a", "attack", (), {"model.victim": small}).digest == Run(
        ...     "b", "attack", (), {"model": {"victim": small}}
        ... ).digest
        True
        >>> small.digest == large.digest
        False
    """

    title: str
    verb: str
    configs: tuple[str, ...]
    options: Mapping[str, Any]

    @cached_property
    def needs(self) -> tuple["Run", ...]:
        """The runs among the options, each once."""
        found = {run.digest: run for value in self.options.values() for run in _runs_in(value)}
        return tuple(found.values())

    @cached_property
    def configuration(self) -> dict[str, Any]:
        """What decides the result: files and options as one mapping, runs by their fingerprints.

        Comments, the order of keys and whether a value stands in a file or an option change
        nothing.
        """
        merged: dict[str, Any] = {}
        for path in self.configs:
            _lay_over(merged, _content(path))
        for name, value in self.options.items():
            nested: Any = _by_fingerprint(value)
            for key in reversed(name.split(".")):
                nested = {key: nested}
            _lay_over(merged, nested)
        return {"verb": self.verb, "options": merged}

    @cached_property
    def digest(self) -> str:
        """The fingerprint of the configuration, which names the run's folder."""
        text = json.dumps(self.configuration, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]

    def in_order(self) -> Iterator["Run"]:
        """Yield the runs that it needs, directly or not, and then itself."""
        for need in self.needs:
            yield from need.in_order()
        yield self


def _runs_in(value: Any) -> Iterator[Run]:
    if isinstance(value, Run):
        yield value
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _runs_in(inner)


def _by_fingerprint(value: Any) -> Any:
    if isinstance(value, Run):
        return {"run": value.digest}
    if isinstance(value, dict):
        return {key: _by_fingerprint(inner) for key, inner in value.items()}
    return [_by_fingerprint(inner) for inner in value] if isinstance(value, list) else value


def _lay_over(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    """Lay a mapping over another; the one above is not changed, now or later."""
    for key, value in above.items():
        if isinstance(value, dict):
            inner = below.get(key)
            below[key] = dict(inner) if isinstance(inner, dict) else {}
            _lay_over(below[key], value)
        else:
            below[key] = value


_content = cache(read_config)
