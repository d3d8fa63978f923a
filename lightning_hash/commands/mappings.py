"""Options that take a mapping or a list of them, given part by part on the command line.

``--model.victim.source x.pt2 --model.victim.preprocess.mean [0.5]`` sets parts of one mapping, and
``--model.victim+ a.ckpt`` appends to a list, whose last item further parts belong to.
"""

from typing import Any

from jsonargparse._typehints import ActionTypeHint

from lightning_hash.commands.kinds import own_type, union_members
from lightning_hash.utils.yaml_text import load_yaml


class MappingAction(ActionTypeHint):
    """jsonargparse's option of a type, which here may be a mapping; it keeps parts given before."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Take a value, or a part of one by its dotted name."""
        if len(args) == 4 and isinstance(args[3], str):
            args = self._whole(*args)
            if isinstance(args[1].get(self.dest), dict):
                args[1][self.dest] = None  # jsonargparse takes a mapping of a class for a namespace
        return super().__call__(*args, **kwargs)  # type: ignore[no-untyped-call]

    def _whole(self, parser: Any, given: Any, value: Any, typed: str) -> tuple[Any, ...]:
        """Return the arguments of a call with a part put into the value there was before."""
        option = self.get_option_string_base(typed)
        if option is None and not typed.endswith("+"):
            return parser, given, value, typed
        before = given.get(self.dest)
        if option is None:
            if not isinstance(before, list):
                before = [] if before is None or before == self.default else [before]
            whole: Any = [*before, _read(value)]
        else:
            keys = typed[len(option) + 1 :].split(".")
            inside = isinstance(before, list) and before
            last = _with(before[-1] if inside else before, keys, _read(value))
            whole = [*before[:-1], last] if inside else last
        return parser, given, whole, self.option_strings[0]


def with_parts(action: Any) -> Any:
    """Let an option that takes a mapping take its parts; return it.

    Args:
        action: what a parser's ``add_argument`` returned.
    """
    if type(action) is ActionTypeHint and takes_mapping(action._typehint):
        action.__class__ = MappingAction
    return action


def takes_mapping(hint: Any) -> bool:
    """Return whether a type takes a mapping that describes no class.

    Example:
        >>> takes_mapping(dict[str, int] | None), takes_mapping(Any), takes_mapping(int)
        (True, True, False)
    """
    return any(member is Any or own_type(member) is dict for member in union_members(hint))


def _read(value: Any) -> Any:
    """Return a typed value as YAML has it, or as the text that it is."""
    if not isinstance(value, str):
        return value
    try:
        return load_yaml(value, "value")
    except ValueError:
        return value


def _with(mapping: Any, keys: list[str], value: Any) -> dict[str, Any]:
    """Return a mapping with a part of it set; what is no mapping is left behind."""
    found = dict(mapping) if isinstance(mapping, dict) else {}
    first, *rest = keys
    found[first] = _with(found.get(first), rest, value) if rest else value
    return found
