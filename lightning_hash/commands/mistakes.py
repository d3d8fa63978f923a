"""Which part of a command line or config a parser cannot take, and what there is instead.

jsonargparse refuses as a whole what a type does not take, with all that it tried. Here what was
given is looked at once more, part by part, by the same types.
"""

import argparse
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, cast, get_args, get_origin

import yaml

from lightning_hash.commands.class_names import (
    class_names,
    class_parser,
    class_paths,
    classes_of,
    default_class,
    filled_in,
    imported,
    needed_of,
    no_class,
)
from lightning_hash.commands.given_nodes import (
    Given,
    config_nodes,
    find,
    instead_of,
    is_group,
    is_typed,
    nested,
    options_of,
    place,
    typed,
)
from lightning_hash.commands.kinds import kind_of, own_type, remedy_of, shown, takes, union_members
from lightning_hash.utils.nearest import nearest, nearest_first, offer
from lightning_hash.utils.yaml_text import construct

_CONFIGS = ("--config", "-c")
_SPEC = ("class_path", "init_args", "dict_kwargs")
_NULL = "tag:yaml.org,2002:null"


class MistakeError(ValueError):
    """A part that cannot be taken.

    Attributes:
        depth: how far inside the value of an option it was found.
    """

    def __init__(self, message: str, depth: int = 0) -> None:
        super().__init__(message)
        self.depth = depth


def explain(
    parser: Any,
    arguments: Sequence[str],
    elsewhere: Callable[[str], str | None],
    usual: Mapping[str, str],
) -> str | None:
    """Find the first part of a command line that a parser cannot take.

    Args:
        parser: the parser, which has refused it.
        arguments: the command line, with the paths of configs.
        elsewhere: called with the dotted name of an option that the parser does not have; says
            which other verbs have it, or ``None``.
        usual: class paths that options have where nothing is said, by dotted name.

    Returns:
        One line that names the part, where it stands and what there is; ``None`` if each part by
        itself can be taken.
    """
    look = _Look(parser, elsewhere, usual)
    try:
        for node in config_nodes(arguments, _CONFIGS):
            look.mapping(parser, "", node)
        for given in typed(arguments, parser):
            look.typed(given)
        look.missing()
    except ValueError as error:  # a MistakeError, or a config that is no YAML
        return str(error)
    return None


class _Look:
    """Looks at what was given, in the order in which it holds."""

    def __init__(
        self,
        parser: Any,
        elsewhere: Callable[[str], str | None],
        usual: Mapping[str, str],
    ) -> None:
        self.parser, self.elsewhere, self.usual = parser, elsewhere, usual
        self.classes: dict[str, type] = {}  # by the dotted name of what they are given for
        self.given: dict[str, tuple[str, Any, set[str]]] = {}  # place, type and options of these

    def typed(self, given: Given | str) -> None:
        """Look at a word of the command line."""
        if isinstance(given, str):
            if any(not action.option_strings for action in self.parser._actions):
                return  # one of the words that the verb takes
            msg = f"{given!r} stands behind no option; {instead_of(given)}"
            raise MistakeError(msg)
        action = given.action
        if action is None and not given.typed.startswith("--"):
            msg = f"{given.typed} is no option; they begin with two dashes, as in --{given.name}"
            raise MistakeError(msg)
        if action is None:
            self._unknown(self.parser, "", given.name, given.typed)
        elif isinstance(action, argparse._HelpAction) or action.nargs == 0:
            return
        elif not given.values and action.nargs not in ("?", "*"):
            msg = f"{given.typed}: the value is missing; give {given.typed}=VALUE"
            raise MistakeError(msg)
        elif action.dest in ("config", "print_config") or given.name.endswith(".help"):
            return
        for value in given.values:
            if given.below:
                prefix = given.name[: -len(given.below) - 1]
                self._value(self.parser, action, prefix, nested(given.below, value))
            else:
                appended = given.typed.endswith("+")
                self._value(self.parser, action, given.name, value, appended=appended)

    def mapping(self, parser: Any, prefix: str, node: yaml.MappingNode) -> None:
        """Look at options in a mapping."""
        for key, value in node.value:
            name = f"{prefix}{key.value}"
            self._option(parser, "", name, key, value)

    def _option(self, parser: Any, above: str, name: str, key: yaml.Node, value: yaml.Node) -> None:
        """Look at an option of a parser; ``above`` is what the parser is for."""
        action, below = find(parser, f"--{name}")
        if action is not None and below:
            value = nested(below, value)
            name = name[: -len(below) - 1]
        called = f"{above}{name}".removesuffix("+")
        inside = any(known.startswith(f"--{name}.") for known in parser._option_string_actions)
        if action is None and not inside:
            self._unknown(parser, above, name.removesuffix("+"), place(called, key))
        elif inside and (action is None or is_group(action)):
            if not isinstance(value, yaml.MappingNode):
                msg = f"{place(called, value)} must be a mapping of options, got {shown(value)}"
                raise MistakeError(msg)
            for inner, node in value.value:
                self._option(parser, above, f"{name}.{inner.value}", inner, node)
        elif action is not None and action.dest == "config":
            msg = f"{place(called, key)} stands in a config; give it on the command line"
            raise MistakeError(msg)
        elif action is not None:
            self._value(parser, action, called, value, appended=name.endswith("+"))

    def _value(
        self,
        parser: Any,
        action: argparse.Action,
        name: str,
        value: yaml.Node,
        *,
        appended: bool = False,
    ) -> None:
        if is_group(action):
            if isinstance(value, yaml.MappingNode):
                self.mapping(parser, f"{action.dest}.", value)
            elif not Path(str(value.value)).is_file():
                msg = f"{place(name, value)} must be a mapping of options, got {shown(value)}"
                raise MistakeError(msg)
            return
        hint = getattr(action, "_typehint", None)
        if hint is None:
            self._plain(action, name, value)
            return
        if name not in self.classes:
            usual = default_class(action)
            if usual is not None:
                self.classes[name] = usual
        lists = [member for member in union_members(hint) if own_type(member) is list]
        if appended and lists and not isinstance(value, yaml.SequenceNode):
            hint = get_args(lists[0])[0]
        self._check(name, hint, value, 0)

    def _plain(self, action: argparse.Action, name: str, value: yaml.Node) -> None:
        """Look at a value that a function reads, or that is one of a few."""
        if action.choices is not None and value.value not in action.choices:
            known = [str(choice) for choice in action.choices]
            msg = f"{place(name, value)}: there is no {value.value!r}; {offer(value.value, known)}"
            raise MistakeError(msg)
        read: Any = action.type
        if read is None or isinstance(action, argparse._StoreTrueAction):
            return
        content = value.value if is_typed(value) else construct(value)
        try:
            read(content)
        except (ValueError, TypeError, argparse.ArgumentTypeError) as error:
            rule = str(error).partition(", got ")[0]
            rule = rule if rule.startswith("must") else f"must be {kind_of(read)}"
            msg = f"{place(name, value)} {rule}, got {shown(value)}"
            raise MistakeError(msg) from error

    def _check(self, name: str, hint: Any, value: yaml.Node, depth: int) -> None:
        """Raise the mistake in a value, by its type."""
        members = union_members(hint)
        if len(members) > 1:
            self._check_union(name, members, value, depth)
            return
        hint = members[0]
        classes = classes_of(hint)
        if classes:
            self._check_class(name, hint, classes, value, depth)
        elif own_type(hint) is list:
            if not isinstance(value, yaml.SequenceNode):
                if isinstance(value, yaml.ScalarNode) and classes_of(*get_args(hint)[:1]):
                    self._check(name, get_args(hint)[0], value, depth)
                    msg = f"{place(name, value)} must be a list, got a class; write [{value.value}]"
                    raise MistakeError(msg, depth)
                msg = f"{place(name, value)} must be {kind_of(hint)}, got {shown(value)}"
                raise MistakeError(msg, depth)
            for each in value.value:
                for inner in get_args(hint)[:1]:
                    self._check(name, inner, each, depth + 1)
        elif not takes(hint, value):
            self._wrong(name, [hint], value, depth)

    def _check_union(self, name: str, members: list[Any], value: yaml.Node, depth: int) -> None:
        found: list[MistakeError] = []
        for member in members:
            try:
                self._check(name, member, value, depth)
            except MistakeError as mistake:
                found.append(mistake)
            else:
                return
        classes = [m for m in members if classes_of(m)]
        deepest = max(found, key=lambda mistake: mistake.depth)
        if deepest.depth > depth:
            raise deepest
        lists = [m for m in members if own_type(m) is list]
        inside = any(classes_of(each) for kind in lists[:1] for each in get_args(kind)[:1])
        if inside and isinstance(value, yaml.ScalarNode) and not classes:
            self._check(name, lists[0], value, depth)
        if classes and not (lists and isinstance(value, yaml.SequenceNode)):
            self._check(name, classes[0], value, depth)
        self._wrong(name, members, value, depth)

    def _wrong(self, name: str, hints: list[Any], value: yaml.Node, depth: int) -> None:
        """Raise that a value is of none of some types, with the words that there are."""
        literals = [hint for hint in hints if get_origin(hint) is Literal]
        words = [str(word) for hint in literals for word in get_args(hint)]
        words += ["true", "false"] if words and bool in hints else []
        where = place(name, value)
        if words and isinstance(value, yaml.ScalarNode):
            msg = f"{where}: there is no {value.value!r}; {offer(value.value, words)}"
            raise MistakeError(msg, depth)
        kinds = list(dict.fromkeys(kind_of(hint) for hint in hints if hint is not type(None)))
        kind = " or ".join(([", ".join(kinds[:-1])] if kinds[1:] else []) + kinds[-1:])
        msg = f"{where} must be {kind}, got {shown(value)}{remedy_of(hints, value)}"
        raise MistakeError(msg, depth)

    def _check_class(
        self, name: str, hint: Any, classes: tuple[type, ...], value: yaml.Node, depth: int
    ) -> None:
        """Look at the name of a class, or at a mapping with its options."""
        if isinstance(value, yaml.ScalarNode):
            if value.tag == _NULL or (is_typed(value) and value.value == "null"):
                msg = f"{place(name, value)} must be a class, got null"
                raise MistakeError(msg, depth)
            self.classes[name] = self._class_named(name, hint, value, depth)
            self.given[name] = (place(name, value), hint, set())
            return
        if not isinstance(value, yaml.MappingNode):
            msg = f"{place(name, value)} must be a class and its options, got {shown(value)}"
            raise MistakeError(msg, depth)
        parts = {key.value: (key, inner) for key, inner in value.value}
        if "class_path" in parts:
            path = parts["class_path"][1]
            if not isinstance(path, yaml.ScalarNode):
                msg = f"{place(name, path)}.class_path must be the name of a class"
                raise MistakeError(msg, depth)
            self.classes[name] = self._class_named(name, hint, path, depth)
            self.given[name] = (place(name, path), hint, set())
            for key, (node, _) in parts.items():
                if key not in _SPEC:
                    msg = (
                        f"{place(f'{name}.{key}', node)} stands beside class_path; options of a "
                        "class stand below init_args"
                    )
                    raise MistakeError(msg, depth + 1)
        chosen = self.classes.get(name)
        if chosen is None and not inspect.isabstract(classes[0]):
            chosen = classes[0]
        if chosen is None:
            if not parts:
                msg = f"{place(name, value)} must be a class, got {{}}"
                raise MistakeError(msg, depth)
            first = next(iter(parts.values()))[0]
            msg = no_class(self.parser, name, first, class_names(classes, self.usual.get(name)))
            raise MistakeError(msg, depth)
        options = parts.get("init_args", (None, None if "class_path" in parts else value))[1]
        if options is not None and not isinstance(options, yaml.MappingNode):
            msg = f"{place(f'{name}.init_args', options)} must be a mapping, got {shown(options)}"
            raise MistakeError(msg, depth + 1)
        if options is not None:
            inner, skipped = class_parser(self.parser, chosen, hint)
            above = f"{name}.init_args." if "init_args" in parts and is_typed(value) else f"{name}."
            for key, node in options.value:
                if key.value in _SPEC:
                    continue
                if key.value in skipped:
                    msg = filled_in(self.parser, name, key, chosen)
                    raise MistakeError(msg, depth + 1)
                if name in self.given:
                    self.given[name][2].add(key.value)
                self._option_of_class(inner, above, key, node, depth)

    def _option_of_class(
        self, parser: Any, above: str, key: yaml.Node, value: yaml.Node, depth: int
    ) -> None:
        try:
            self._option(parser, above, key.value, key, value)
        except MistakeError as mistake:
            mistake.depth += depth + 1
            raise

    def _class_named(self, name: str, hint: Any, node: yaml.Node, depth: int) -> type:
        """Return the class that a name or import path stands for."""
        classes = classes_of(hint)
        word, where = str(node.value), place(name, node)
        known = class_paths(classes)
        by_name = {path.rpartition(".")[2]: path for path in known}
        same = sorted({path for path in known if path.rpartition(".")[2] == word})
        if len(same) > 1:
            msg = f"{where}: {word!r} is the name of several; there are: {', '.join(same)}"
            raise MistakeError(msg, depth)
        found = imported(by_name.get(word, word)) if "." in word or word in by_name else None
        if found is None or not (inspect.isclass(found) or callable(found)):
            names = class_names(classes, self.usual.get(name))
            said = f"{word!r} cannot be imported" if "." in word else f"there is no {word!r}"
            msg = f"{where}: {said}; {offer(word.rpartition('.')[2], names)}"
            raise MistakeError(msg, depth)
        if not (issubclass(found, classes) if inspect.isclass(found) else takes(hint, node)):
            names = class_names(classes, self.usual.get(name))
            kinds = " or ".join(each.__name__ for each in classes)
            msg = f"{where}: {word} is no {kinds}; {offer(word.rpartition('.')[2], names)}"
            raise MistakeError(msg, depth)
        if inspect.isabstract(found):
            names = class_names(classes, self.usual.get(name))
            msg = f"{where}: {word} is the base of others; {offer('', names)}"
            raise MistakeError(msg, depth)
        return cast(type, found)

    def missing(self) -> None:
        """Raise that a class lacks an option that it needs."""
        for name, (where, hint, given) in self.given.items():
            chosen = self.classes[name]
            needed, filled = needed_of(chosen, hint)
            lacks = [each for each in needed if each not in given and each not in filled]
            if lacks:
                msg = f"{where}: {chosen.__name__} needs {lacks[0]}; give --{name}.{lacks[0]}=VALUE"
                raise MistakeError(msg)

    def _unknown(self, parser: Any, above: str, name: str, where: str) -> NoReturn:
        """Raise that there is no such option, with those there are."""
        leaf, known = name.rpartition(".")[2], options_of(parser)
        if above:
            msg = f"{where}: there is no such option; {offer(leaf, known)}"
            raise MistakeError(msg)
        same = [option for option in known if option.lower() == name.lower()]
        inside = same or [option for option in known if option.rpartition(".")[2] == leaf]
        inside += (
            []
            if same
            else [
                f"{given}.{leaf}"
                for given, chosen in self._default_classes().items()
                if leaf in inspect.signature(chosen).parameters
            ]
        )
        said = self.elsewhere(name)
        if inside and (said is None or "." not in name):
            msg = f"{where}: there is no such option; did you mean --{' or --'.join(inside)}?"
            raise MistakeError(msg)
        if said is not None:
            msg = f"{where} {said}"
            raise MistakeError(msg)
        group = name.partition(".")[0]
        there = [option for option in known if option.startswith(f"{group}.")]
        there = there or (known if nearest(name, known) else [o for o in known if "." not in o])
        dashed = [f"--{option}" for option in nearest_first(name, there)]
        msg = f"{where}: there is no such option; {offer('', dashed)}"
        raise MistakeError(msg)

    def _default_classes(self) -> dict[str, type]:
        usual = {action.dest: default_class(action) for action in self.parser._actions}
        return {name: kind for name, kind in usual.items() if kind is not None} | self.classes
