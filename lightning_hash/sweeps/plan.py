"""What a sweep file says, as runs."""

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_hash.results.settings import as_json
from lightning_hash.sweeps.run import VERBS, Run
from lightning_hash.utils.configs import read_config
from lightning_hash.utils.yaml_text import load_yaml

SCALES = ("full", "demo")
MOST_RUNS = 20_000  # of all files, those that others need counted as often as they are needed
DEEPEST = 50  # runs that need one another in a row


@dataclass(frozen=True, kw_only=True)
class Template:
    """A run with ``{names}`` in place of values.

    Attributes:
        verb: ``fit``, ``attack``, ``transfer`` or ``audit``.
        config: configs, the later over the earlier.
        options: dotted option names and values. A value ``@NAME`` is what the run NAME makes with
            the same values; ``@NAME bits=64 seed=1`` with others.
        values: values where a sweep gives none.
    """

    verb: str
    config: list[str] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


def read_plan(paths: Sequence[Path], scale: str) -> list[Run]:
    """Read sweep files.

    A file has ``runs``, a mapping of names and :class:`Template` or the path of one, in which
    ``{scale}`` stands for the scale; and a list under each scale. An entry of the list names a run
    or several and gives values; a list of values means a run with each, several lists every
    combination.

    Args:
        paths: the files.
        scale: which of their lists, one of SCALES.

    Returns:
        All runs and the runs that they need, each behind its own needs. Runs of one configuration
        are one run.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if a file is not as described, or asks for more than MOST_RUNS runs; names the
            file and the entry.
    """
    runs: dict[str, Run] = {}
    count = _Count()
    for path in paths:
        content = read_config(path, "sweep file")
        _only(content, ("runs", *SCALES), str(path))
        templates = _templates(content.get("runs"), scale, path)
        entries = content.get(scale)
        if not isinstance(entries, list) or not entries:
            msg = f"{path}: {scale} must be a list of at least one entry, got {entries!r}"
            raise ValueError(msg)
        for number, entry in enumerate(entries, 1):
            try:
                found = list(_expand(entry, templates, count))
                for run in itertools.chain.from_iterable(run.in_order() for run in found):
                    runs.setdefault(run.digest, run)
            except (ValueError, FileNotFoundError) as error:
                kind = ValueError if isinstance(error, ValueError) else FileNotFoundError
                msg = f"{path}, {scale}, entry {number}: {error}"
                raise kind(msg) from error
    return list(runs.values())


def _only(content: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    unknown = [key for key in content if key not in known]
    if unknown:
        msg = f"{where}: unknown key {unknown[0]!r}; known are {', '.join(known)}"
        raise ValueError(msg)


def _templates(runs: Any, scale: str, path: Path) -> dict[str, Template]:
    where = f"{path}, runs"
    if isinstance(runs, str):
        where = runs.replace("{scale}", scale)
        runs = read_config(where, "sweep file")
    if not isinstance(runs, dict) or not runs:
        msg = f"{where} must be a mapping of names and runs, or the path of one, got {runs!r}"
        raise ValueError(msg)
    templates = {}
    for name, content in runs.items():
        inside = f"{where}, {name}"
        if not isinstance(content, dict):
            msg = f"{inside} must be a mapping, got {content!r}"
            raise ValueError(msg)
        _only(content, ("verb", "config", "options", "values"), inside)
        if content.get("verb") not in VERBS:
            msg = f"{inside}: verb must be one of {', '.join(VERBS)}, got {content.get('verb')!r}"
            raise ValueError(msg)
        _check_template(name, content, inside)
        templates[name] = Template(**content)
    return templates


class _Count:
    """Counts the runs of a plan, before they are made.

    Attributes:
        asked: combinations of values that entries ask for.
        made: those made, and all that they need.
    """

    def __init__(self) -> None:
        self.asked, self.made = 0, 0

    def ask(self, combinations: int) -> None:
        """Add the combinations of an entry; refuse too many."""
        self.asked += combinations
        if self.asked > MOST_RUNS:
            msg = (
                f"asks for {combinations:,} combinations, with those before {self.asked:,} runs; a "
                f"sweep has at most {MOST_RUNS:,}: give fewer values, or several sweeps"
            )
            raise ValueError(msg)

    def make(self) -> None:
        """Add a run, or one that it needs; refuse too many."""
        self.made += 1
        if self.made > MOST_RUNS:
            msg = (
                f"its runs need more than {MOST_RUNS:,} runs, each counted as often as it is "
                "needed; give fewer values, or let fewer runs need several"
            )
            raise ValueError(msg)


def _check_template(name: Any, content: Mapping[str, Any], where: str) -> None:
    """Refuse parts of a run that are of another kind than :class:`Template` says."""
    if not isinstance(name, str) or not name.strip():
        msg = f"{where}: a run has a name, got {name!r}"
        raise ValueError(msg)
    config = content.get("config", [])
    if not isinstance(config, list) or not all(isinstance(e, str) and e for e in config):
        msg = f"{where}: config must be a list of files, such as [attack/hag], got {config!r}"
        raise ValueError(msg)
    for part in ("options", "values"):
        given = content.get(part, {})
        if not isinstance(given, dict) or not all(map(_is_dotted, given)):
            msg = f"{where}: {part} must be a mapping of names and values, got {given!r}"
            raise ValueError(msg)
        try:
            as_json(given, part)
        except ValueError as error:
            msg = f"{where}: {error}; quote what is to be a text"
            raise ValueError(msg) from error


def _is_dotted(name: Any) -> bool:
    return isinstance(name, str) and all(name.split("."))


def _expand(entry: Any, templates: Mapping[str, Template], count: _Count) -> Iterator[Run]:
    if not isinstance(entry, dict) or "run" not in entry:
        msg = f"must be a mapping with a key run, got {entry!r}"
        raise ValueError(msg)
    as_json(entry, "the entry")
    lists = {key: value if isinstance(value, list) else [value] for key, value in entry.items()}
    empty = [key for key, values in lists.items() if not values]
    if empty:
        msg = f"{empty[0]} is an empty list; give at least one value"
        raise ValueError(msg)
    count.ask(math.prod(map(len, lists.values())))
    for combination in itertools.product(*lists.values()):
        values = dict(zip(lists, combination, strict=True))
        name = values.pop("run")
        filling = _Filling(templates, name, values, (), count)
        unused = sorted(values.keys() - filling.used)
        if unused:
            msg = (
                f"no option of {name} or of what it needs has {{{unused[0]}}}; they have: "
                f"{', '.join(sorted(filling.used)) or 'none'}"
            )
            raise ValueError(msg)
        yield filling.run


class _Filling:
    """A template with its values put in.

    Args:
        templates: all there are.
        name: which.
        given: values, over the template's own.
        within: names of the runs that need it.
        count: counts it.

    Attributes:
        run: the run.
        used: the variables of the template and of the runs that it needs.
    """

    def __init__(
        self,
        templates: Mapping[str, Template],
        name: str,
        given: Mapping[str, Any],
        within: tuple[str, ...],
        count: _Count,
    ) -> None:
        count.make()
        if name in within:
            msg = f"run {name} needs itself: {' needs '.join((*within, name))}"
            raise ValueError(msg)
        if len(within) > DEEPEST:
            msg = f"run {name} is needed by {len(within)} runs in a row; at most {DEEPEST} may be"
            raise ValueError(msg)
        if not isinstance(name, str) or name not in templates:
            msg = f"there is no run {name!r}; there are: {', '.join(templates)}"
            raise ValueError(msg)
        self._templates, self._name, self._given = templates, name, given
        self._within, self._count = within, count
        self.used: set[str] = set()
        template = templates[name]
        self._values = {**template.values, **given}
        configs = tuple(self._fill(config) for config in template.config)
        wrong = next((each for each in configs if not isinstance(each, str) or not each), None)
        if wrong is not None or "" in configs:
            msg = f"run {name}: config must name files, got {wrong!r} for {template.config}"
            raise ValueError(msg)
        options = {key: self._fill(value) for key, value in template.options.items()}
        said = [f"{key}={_brief(given[key])}" for key in given if key in self.used]
        self.run = Run(" ".join([name, *said]), template.verb, configs, options)

    def _fill(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._fill(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._fill(inner) for inner in value]
        if not isinstance(value, str):
            return value
        whole = re.fullmatch(r"\{(\w+)\}", value)
        if whole is None:
            text = re.sub(r"\{(\w+)\}", lambda found: str(self._value_of(found[1])), value)
            return self._refer(text)
        filled = self._value_of(whole[1])
        # What a variable holds may name runs in its turn, but no more variables.
        return [self._refer(inner) for inner in filled] if isinstance(filled, list) else filled

    def _value_of(self, variable: str) -> Any:
        self.used.add(variable)
        if variable not in self._values:
            msg = (
                f"run {self._name} has no value of {variable}; give one beside run: {self._name}, "
                "or under its values"
            )
            raise ValueError(msg)
        return self._values[variable]

    def _refer(self, value: Any) -> Any:
        if not isinstance(value, str) or not value.startswith("@"):
            return value
        name, *changes = value[1:].split() or [""]
        changed = {}
        for change in changes:
            key, equals, text = change.partition("=")
            if not (key and equals):
                msg = f"{value}: {change} is no NAME=VALUE; write such as bits=64"
                raise ValueError(msg)
            changed[key] = load_yaml(text, value)
        needed = _Filling(
            self._templates, name, {**self._given, **changed}, (*self._within, self._name),
            self._count,
        )  # fmt: skip
        unused = sorted(changed.keys() - needed.used)
        if unused:
            msg = f"{value}: no option of {name} or of what it needs has {{{unused[0]}}}"
            raise ValueError(msg)
        self.used |= needed.used - changed.keys()
        return needed.run


def _brief(value: Any) -> str:
    values = value if isinstance(value, list) else [value]
    return "+".join(str(inner).lstrip("@") for inner in values)
