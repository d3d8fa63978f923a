"""The graph of an exported program as JSON: read only where it can do nothing but compute.

torch makes Python of it: names and targets go into code that is run, symbolic sizes through
``eval``, and a target may be any function below ``torch``. What is not plain is refused here.
"""

import ast
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch

NAME = re.compile(r"(?a:[A-Za-z_]\w*|)")
DOTTED = re.compile(r"(?a:[\w.-]*)")
NUMBER = re.compile(r"-?(Infinity|NaN|[\d.e+-]+)")
TEXT = re.compile(r"(?a:[\w .,:;+*/<>()=|-]*)")  # no quotes, backslashes, braces or line ends
_DOTTED_KEYS = (
    "parameter_name", "buffer_name", "tensor_constant_name", "fqn", "path_name", "verifiers",
)  # fmt: skip
# Operators of torch that start with an underscore are internal; these stand in exported networks.
_INTERNAL = re.compile(
    r"__(and|or|xor|lshift|rshift)__|_adaptive_avg_pool[23]d|_assert_(async|scalar|tensor_metadata)"
    r"|_cdist_forward|_conj|_convolution|_fft_(c2c|c2r|r2c)|_local_scalar_dense|_log_softmax"
    r"|_native_batch_norm_legit\w*|_native_multi_head_attention|_prelu_kernel|_safe_softmax"
    r"|_scaled_dot_product_\w+|_softmax|_to_copy|_transformer_encoder_layer_fwd|_trilinear"
    r"|_unsafe_view|_upsample_\w+|_weight_norm(_interface)?"
)
_FILES = ("from_file",)  # of aten, and opens or makes a file
_PYTHON = re.compile(
    r"math\.trunc|torch\.sym_(not|int|float|ite|max|min|sum)|torch\._?sym_sqrt|_operator\.(eq|ne|le"
    r"|ge|lt|gt|neg|pos|mul|add|sub|floordiv|mod|pow|truediv|and_|or_|lshift|rshift|getitem)"
)
_OF_GUARDS = re.compile(
    r"size|stride|storage_offset|trunc|floor|ceil|sqrt|isnan|inf|sym_(not|int|float|ite|max|min|sum)"
)
_HIGHER = re.compile(
    r"torch\.ops\.higher_order\.(cond|wrap_with_set_grad_enabled|wrap_with_autocast)"
)
_SYMBOLIC = re.compile(
    r"Symbol|Integer|Float|Rational|Add|Mul|Pow|Max|Min|Mod|Abs|And|Or|Not|Eq|Ne|Lt|Le|Gt|Ge"
    r"|Equality|Unequality|(Strict)?(Less|Greater)Than|Piecewise|ExprCondPair|floor|ceiling|true"
    r"|false|oo|int_oo|FloorDiv|CeilDiv|CleanDiv|ModularIndexing|Where|PythonMod|[LR]Shift|Identity"
    r"|(Ceil|Floor|Trunc|Round)ToInt|TruncToFloat|RoundDecimal|ToFloat|PowByNatural|FloatPow"
    r"|(Float|Int)TrueDiv|IsNonOverlappingAndDenseIndicator"
)
_SIZES = re.compile(r"(?a:[suzf]+\d+)|true|false|oo|int_oo")  # s77, a size by its name
# What sympy is told of a symbol.
_ASSUMPTIONS = ("integer", "positive", "nonnegative", "nonzero", "negative", "real", "finite",
                "commutative", "extended_real", "rational", "even", "odd", "prime")  # fmt: skip
_TREES = ("builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict")


class NotPlainError(ValueError):
    """A part of an exported program that could do more than compute."""


def plain_json(text: bytes) -> bytes:
    """Return a part of an exported program, on the CPU, without what is not needed to run it.

    Args:
        text: JSON: the program, or what its weights are.

    Returns:
        JSON again, so that torch reads what was looked at.

    Raises:
        NotPlainError: naming the first part that is more than a computation.
        ValueError: if it is no JSON.
    """
    content = _plain(json.loads(text), "")
    types = {str(device["type"]) for device in _devices(content)}
    return json.dumps(_on_the_cpu(content, types)).encode()


def _plain(value: Any, key: str) -> Any:
    """Return a part as torch may read it.

    Left out are stack traces and modules' names, which torch would write into the code.
    Expressions are written anew from what was parsed here: torch takes their line ends out before
    it parses them, and would read another text.
    """
    if isinstance(value, list):
        return [_plain(inner, key) for inner in value]
    if isinstance(value, dict):
        return {name: _plain_item(name, inner, key) for name, inner in value.items()}
    if not isinstance(value, str):
        return value
    if key in ("expr_str", "guards_code"):
        return plain_size(value) if key == "expr_str" else plain_guard(value)
    if key in ("in_spec", "out_spec"):
        return _plain_tree(value)
    if not _rule(key)(value):
        raise NotPlainError(_refusal(key, value))
    return value


def _devices(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict) and set(value) == {"type", "index"}:
        yield value
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _devices(inner)


def _on_the_cpu(value: Any, types: set[str]) -> Any:
    """Name the CPU for each device.

    Args:
        value: JSON.
        types: of the devices in it. As texts they stand where autocast is entered.
    """
    if isinstance(value, list):
        return [_on_the_cpu(inner, types) for inner in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"type", "index"}:
        return {"type": "cpu", "index": None}
    if value.get("as_string") in types:
        return {"as_string": "cpu"}
    return {name: _on_the_cpu(inner, types) for name, inner in value.items()}


def _plain_item(name: str, value: Any, key: str) -> Any:
    rule = TEXT if key == "range_constraints" else DOTTED
    if name in ("as_custom_obj", "custom_obj") or not rule.fullmatch(name):
        raise NotPlainError(_refusal(key or "key", name))
    if name == "use_pickle" and value is not False:
        raise NotPlainError(_refusal("use_pickle", str(value)))
    if name == "metadata":
        return {}
    return _plain(value, name)


def _refusal(key: str, value: str) -> str:
    shown = value if len(value) <= 60 else f"{value[:57]}..."
    return f"{key} {shown!r}"


def _rule(key: str) -> Callable[[str], bool]:
    if key in ("target", "as_operator"):
        return is_operator
    pattern = NAME
    if key in ("as_string", "as_strings", "torch_version"):
        pattern = TEXT
    elif key in _DOTTED_KEYS:
        pattern = DOTTED
    elif key.startswith("as_float") or key in ("real", "imag"):
        pattern = NUMBER
    return lambda text: pattern.fullmatch(text) is not None


def is_operator(target: str) -> bool:
    """Return whether a target is an operator that computes, and no other function.

    Example:
        >>> is_operator("torch.ops.aten.relu.default"), is_operator("torch.hub.load")
        (True, False)
    """
    if _PYTHON.fullmatch(target) or _HIGHER.fullmatch(target):
        return True
    prefix = "torch.ops.aten."
    name, _, overload = target.removeprefix(prefix).partition(".")
    if not target.startswith(prefix) or name in _FILES:
        return False
    if name.startswith("_") and not _INTERNAL.fullmatch(name):
        return False
    # TorchScript's own, such as aten::save, are none of the dispatcher's.
    return f"aten::{name}" + ("" if overload == "default" else f".{overload}") in _operators()


@cache
def _operators() -> frozenset[str]:
    return frozenset(torch._C._dispatch_get_all_op_names())


def plain_size(expression: str) -> str:
    """Return a symbolic size written anew; it is made of symbols, numbers and arithmetic alone.

    Texts stand in ``Symbol`` and the numbers alone: elsewhere sympy evaluates them.

    Raises:
        NotPlainError: if there is more in it.

    Example:
        >>> plain_size("Mul(Integer(2),  Symbol('s0', integer=True))  # twice")
        "Mul(Integer(2), Symbol('s0', integer=True))"
    """
    return _written_anew(expression, _is_size, "expr_str")


def _is_size(node: ast.AST) -> bool:
    if isinstance(node, ast.Name):
        return _SIZES.fullmatch(node.id) is not None
    if not isinstance(node, ast.Call):
        return _is_arithmetic(node, _is_size)
    if not (isinstance(node.func, ast.Name) and _SYMBOLIC.fullmatch(node.func.id)):
        return False
    rule = {"Symbol": NAME, "Integer": NUMBER, "Float": NUMBER, "Rational": NUMBER}
    if len(node.args) == 1 and _is_text(node.args[0], rule.get(node.func.id)):
        return all(_is_assumption(each) for each in node.keywords)
    return not node.keywords and all(map(_is_size, node.args))


def _is_assumption(keyword: ast.keyword) -> bool:
    value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
    if keyword.arg in ("precision", "dps"):
        return type(value) is int
    return keyword.arg in _ASSUMPTIONS and type(value) is bool


def plain_guard(expression: str) -> str:
    """Return a condition written anew; it compares sizes of inputs and numbers alone.

    Raises:
        NotPlainError: if there is more in it.

    Example:
        >>> plain_guard("L['x'].size()[2] % 4  == 0")
        "L['x'].size()[2] % 4 == 0"
    """
    return _written_anew(expression, _is_guard, "guards_code")


def _is_guard(node: ast.AST) -> bool:
    if isinstance(node, ast.Subscript):
        whole = isinstance(node.slice, ast.Constant) and type(node.slice.value) is int
        return _is_input(node) or (whole and _is_guard(node.value))
    if isinstance(node, ast.Attribute):
        return node.attr == "inf" and _is_module(node.value)
    if not isinstance(node, ast.Call):
        return _is_arithmetic(node, _is_guard)
    named = isinstance(node.func, ast.Name) and node.func.id == "not_none"
    if isinstance(node.func, ast.Attribute) and _OF_GUARDS.fullmatch(node.func.attr):
        named = _is_module(node.func.value) or _is_input(node.func.value)
    return named and not node.keywords and all(map(_is_guard, node.args))


def _is_module(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id in ("math", "torch")


def _is_input(node: ast.AST) -> bool:
    """Return whether a node is ``L['x']``, or an item of one."""
    if isinstance(node, ast.Name):
        return node.id == "L"
    if not isinstance(node, ast.Subscript):
        return False
    item = isinstance(node.slice, ast.Constant) and type(node.slice.value) is int
    return (item or _is_text(node.slice, NAME)) and _is_input(node.value)


def _is_text(node: ast.AST, rule: re.Pattern[str] | None) -> bool:
    text = node.value if isinstance(node, ast.Constant) else None
    return rule is not None and isinstance(text, str) and rule.fullmatch(text) is not None


def _is_arithmetic(node: ast.AST, known: Callable[[ast.AST], bool]) -> bool:
    """Return whether a node is a number, or computes or compares what is known."""
    if isinstance(node, ast.Constant):
        return node.value is None or isinstance(node.value, int | float)  # bool is an int
    parts = (ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare)
    inner = [each for each in ast.iter_child_nodes(node) if isinstance(each, ast.expr)]
    return isinstance(node, parts) and all(map(known, inner))


def _written_anew(expression: str, known: Callable[[ast.AST], bool], key: str) -> str:
    try:
        tree = ast.parse(expression, mode="eval")
        plain = known(tree.body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        plain = False
    if not plain:
        raise NotPlainError(_refusal(key, expression))
    return ast.unparse(tree)


def _plain_tree(text: str) -> str:
    """Return the nesting of inputs or outputs; it is of Python's own containers."""
    if not text:
        return text
    tree = json.loads(text)
    if not _is_tree(tree):
        raise NotPlainError(_refusal("spec", text))
    return json.dumps(tree)


def _is_tree(tree: Any) -> bool:
    stack = [tree[1]]
    while stack:
        part = stack.pop()
        keys = json.loads(part["context"] or "null")
        plain = keys is None or (
            isinstance(keys, list) and all(isinstance(k, str) and NAME.fullmatch(k) for k in keys)
        )
        if part["type"] not in (None, *_TREES) or not plain:
            return False
        stack += part["children_spec"]
    return True
