"""``VERB --help`` of the verbs over a LightningModule: read from the source, which is not run.

Importing Lightning takes seconds; signatures and docstrings can be read without it.
"""

import ast
import re
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from lightning_hash.commands.table import PROGRAM, VERBS
from lightning_hash.utils.configs import preset_names
from lightning_hash.utils.volume import HELP

_LAST = (
    "An option that is a CLASS takes its name or class path; --OPTION.help CLASS lists what else "
    "there is to set. All options may stand in a YAML file instead; --print_config prints one."
)

_TRUST = (
    " The flag --trust, anywhere behind the verb, lets files and class paths run code of others: "
    "functions, TorchScript, exported programs with pickles, classes of other packages. No config "
    "can set it; see SECURITY.md."
)

# Which presets go with a verb, beside those of data and of the Trainer.
_ATTACKS = ("attack/*", "overlay/**/*")
_PRESETS = {"fit": ("fit/*",), "attack": _ATTACKS, "smallest": _ATTACKS}


class _Parameter(NamedTuple):
    """A parameter of a function as its source has it."""

    name: str
    annotation: ast.expr | None
    default: ast.expr | None
    text: str


def verb_help(verb: str) -> str:
    """Return what ``--help`` of a verb prints.

    Args:
        verb: a verb with a model.

    Example:
        >>> print(verb_help("encode").splitlines()[0])
        usage: lightning_hash encode [options]
    """
    entry = VERBS[verb]
    prog = f"{PROGRAM} {verb}"
    names = preset_names(*_PRESETS.get(verb, ()), "data/*", "trainer/*")
    presets = f"Presets of --config: {', '.join(names)}."
    last = f"{_LAST}{_TRUST if entry.trust else ''} {HELP} {presets}"
    parser = ArgumentParser(
        prog=prog, usage=" ".join(filter(None, (prog, entry.takes, "[options]"))),
        description=f"{entry.help}.", epilog=last, add_help=False,
    )  # fmt: skip
    run, add = parser.add_argument_group("run"), _Adder(entry.defaults)
    add(run, "config", "FILE", None, "YAML with options, or the name of a preset; may be repeated")
    add(run, "print_config", "", None, "print the options as YAML and run nothing")
    for name, option in entry.options.items():
        metavar = "" if option.type is bool else f"{name.upper()}{' ...' if option.nargs else ''}"
        add(run, name, metavar, option.default, option.help, required=option.required)
    if entry.model:
        add(run, "seed_everything", "SEED", 0, "seed of whatever no other option seeds")
        for each in list(_parameters(entry.module, entry.function))[3:]:
            add.parameter(run, entry.module, each, "")
        module, _, model = entry.model.rpartition(".")
        group = parser.add_argument_group("model")
        for each in _parameters(module, model):
            add.parameter(group, module, each, "model.")
        group = parser.add_argument_group("data")
        add(group, "data", "CLASS", None, "a data module; its options are --data.OPTION")
        group = parser.add_argument_group("trainer, as in Lightning")
        for each in _parameters("pytorch_lightning.trainer.trainer", "Trainer"):
            add.parameter(group, "", each, "trainer.")
    return parser.format_help().rstrip()


class _Adder:
    """Adds options to groups of a parser, with the defaults of a verb over those in the source."""

    def __init__(self, defaults: Mapping[str, Any]) -> None:
        self.defaults = defaults

    def __call__(
        self,
        group: Any,
        name: str,
        metavar: str,
        default: Any,
        text: str,
        *,
        required: bool = False,
    ) -> None:
        """Add an option."""
        default = self.defaults.get(name, default)
        if isinstance(default, dict):
            default = default["class_path"].rpartition(".")[2]
        said = "needed" if required else f"default: {default}"
        text = re.sub(r"\.$", "", re.sub(r" Default: \S+$", "", text))
        text = text if default in (None, "") and not required else f"{text} ({said})"
        group.add_argument(f"--{name}", metavar=metavar, help=text.replace("%", "%%"))

    def parameter(self, group: Any, module: str, given: _Parameter, prefix: str) -> None:
        """Add a parameter; one that is a dataclass with its fields in its place."""
        kind = _dataclass(module, given.default)
        if kind is not None:
            for each in _fields(kind):
                self.parameter(group, module, each, f"{prefix}{given.name}.")
            return
        shown = _shown(module, given.default)
        metavar = "CLASS" if _is_class(module, given.annotation) else given.name.upper()
        self(group, f"{prefix}{given.name}", metavar, shown, given.text)


def _shown(module: str, default: ast.expr | None) -> str | None:
    """Return a default as text, a constant by its value; ``None`` where there is none to show."""
    if isinstance(default, ast.Name):
        constant = _definition(module, default.id)
        default = constant.value if isinstance(constant, ast.Assign) else default
    text = "None" if default is None else ast.unparse(default)
    return None if text in ("None", "()") else text.strip("'")


@cache
def _tree(module: str) -> ast.Module:
    top, *inner = module.split(".")
    spec = find_spec(top)  # of a name without dots: imports nothing
    if spec is None or not spec.submodule_search_locations:
        msg = f"{top} is not installed"
        raise ModuleNotFoundError(msg)
    path = Path(next(iter(spec.submodule_search_locations))).joinpath(*inner)
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def _definition(module: str, name: str) -> ast.ClassDef | ast.FunctionDef | ast.Assign | None:
    """Find what a name in a module of this package stands for, through imports."""
    for node in _tree(module).body if module else ():
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
            return node
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return node
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PROGRAM):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _definition(str(node.module), alias.name)
    return None


def _parameters(module: str, name: str) -> Iterator[_Parameter]:
    """Yield the parameters of a function, or of a class without ``self``."""
    found = _definition(module, name)
    if found is None or isinstance(found, ast.Assign):
        msg = f"{module} has no function or class {name}"
        raise LookupError(msg)
    texts = _texts(found)
    first = 0
    if isinstance(found, ast.ClassDef):
        methods = [node for node in found.body if isinstance(node, ast.FunctionDef)]
        (found,) = (method for method in methods if method.name == "__init__")
        texts, first = {**texts, **_texts(found)}, 1
    arguments = found.args
    plain = arguments.args
    defaults = [*[None] * (len(plain) - len(arguments.defaults)), *arguments.defaults]
    pairs = list(zip(plain, defaults, strict=True))[first:]
    pairs += list(zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True))
    for argument, default in pairs:
        text = texts.get(argument.arg, "")
        yield _Parameter(argument.arg, argument.annotation, default, text)


def _fields(kind: ast.ClassDef) -> Iterator[_Parameter]:
    texts = _texts(kind)
    for node in kind.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
            yield _Parameter(name, node.annotation, node.value, texts.get(name, ""))


def _dataclass(module: str, default: ast.expr | None) -> ast.ClassDef | None:
    """Return the dataclass of which a default is a plain instance."""
    if not (isinstance(default, ast.Call) and isinstance(default.func, ast.Name)):
        return None
    found = _definition(module, default.func.id)
    return found if isinstance(found, ast.ClassDef) else None


def _is_class(module: str, annotation: ast.expr | None) -> bool:
    """Return whether an option takes a class of this package, of torch, or a callable."""
    if annotation is None:
        return False
    names = {node.id for node in ast.walk(annotation) if isinstance(node, ast.Name)}
    classes = any(isinstance(_definition(module, name), ast.ClassDef) for name in names)
    return classes or bool(module and names & {"Callable", "nn"})


def _texts(node: Any) -> dict[str, str]:
    """Return what a docstring says about each argument, without its markup."""
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", ast.get_docstring(node) or "", re.M | re.S)
    if section is None:
        return {}
    entries = re.findall(r"^ {4}(\w+):(.*?)(?=^ {4}\w|\Z)", section[1], re.M | re.S)
    plain = {name: re.sub(r":\w+:`~?(.*?)`|``", r"\1", text) for name, text in entries}
    return {name: " ".join(text.split()) for name, text in plain.items()}
