"""Exported programs: what is in them runs only where the user trusts them."""

import json
import pickle
import zipfile
from collections import OrderedDict
from contextlib import suppress

import pytest
import torch
from torch import nn

from lightning_hash.utils.trust import UntrustedError
from lightning_hash.victims import load_foreign
from lightning_hash.victims.exported_graph import (
    NotPlainError,
    is_operator,
    plain_guard,
    plain_size,
)
from tests.helpers.exported import (
    CONSTANTS,
    INPUTS,
    MODEL,
    WEIGHTS,
    Disguised,
    export,
    records_of,
    saved,
    write,
)

SIDE = 4


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3 * SIDE * SIDE, 8)

    def forward(self, x):
        return self.layer(x.flatten(1)).relu()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The records of an honest file."""
    return records_of(export(Net().eval(), tmp_path_factory.mktemp("honest") / "a.pt2"))


def runs(mark):
    """Python that leaves a mark."""
    return f"open({str(mark)!r}, 'w').close()"


class Pickled:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


def changed(records, name, change):
    content = json.loads(records[name])
    change(content)
    return {**records, name: json.dumps(content).encode()}


def graph(content):
    return content["graph_module"]["graph"]


def pickled_inputs(records, mark):
    return {**records, INPUTS: saved(((torch.rand(2, 3, SIDE, SIDE), Pickled(mark)), {}))}


def bare_pickle_as_inputs(records, mark):
    return {**records, INPUTS: pickle.dumps(((Pickled(mark),), {}))}


def symbolic_size(records, mark):
    def change(content):
        for value in graph(content)["tensor_values"].values():
            for size in value["sizes"]:
                if "as_expr" in size:
                    size["as_expr"]["expr_str"] = f"[{runs(mark)}, Symbol('s1')][1]"

    return changed(records, MODEL, change)


def guard(records, mark):
    def change(content):
        content["guards_code"] = [f"{runs(mark)} is None"]

    return changed(records, MODEL, change)


def text_with_line_ends(mark):
    """A text that is harmless as it stands; torch takes its line ends out, and a quote is left."""
    code = 'a"+str(' + runs(mark).replace("'", '"') + ')+"b'
    return "'a" + "".join(f"\\\nx{ord(letter):02x}" for letter in code) + "'"


def guard_with_line_ends(records, mark):
    def change(content):
        content["guards_code"] += [text_with_line_ends(mark)]

    return changed(records, MODEL, change)


def guard_of_bytes(records, mark):
    def change(content):
        content["guards_code"] += ["b'a\"+str(" + runs(mark).replace("'", '"') + ")+\"b'"]

    return changed(records, MODEL, change)


def size_with_line_ends(records, mark):
    """To Python the second line is a comment, and a text goes on over the line ends."""

    def change(content):
        for value in graph(content)["tensor_values"].values():
            for size in value["sizes"]:
                if "as_expr" in size:
                    size["as_expr"]["expr_str"] = (
                        f"Symbol('a\\\n' # ') and {runs(mark)} or Symbol(\n'b')"
                    )

    return changed(records, MODEL, change)


def size_that_is_called(records, mark):
    """sympy evaluates texts as it makes numbers of them, and gives what it finds back."""
    parts = [f"Min('chr', evaluate=False)({ord(letter)})" for letter in runs(mark)]

    def change(content):
        for value in graph(content)["tensor_values"].values():
            for size in value["sizes"]:
                if "as_expr" in size:
                    size["as_expr"]["expr_str"] = (
                        f"Min('eval', evaluate=False)({' + '.join(parts)})"
                    )

    return changed(records, MODEL, change)


def operator_that_writes(records, mark):
    """An operator of torch makes a file of the size that it is told."""

    def change(content):
        values = graph(content)["tensor_values"]
        values["made"] = next(iter(values.values()))
        inputs = {
            "filename": {"as_string": str(mark)}, "shared": {"as_bool": True},
            "size": {"as_int": 8},
        }  # fmt: skip
        node = {
            "target": "torch.ops.aten.from_file.default", "metadata": {}, "name": "made",
            "outputs": [{"as_tensor": {"name": "made"}}],
            "inputs": [{"name": k, "arg": value, "kind": 1} for k, value in inputs.items()],
        }  # fmt: skip
        graph(content)["nodes"].insert(0, node)

    return changed(records, MODEL, change)


def target(records, mark):
    def change(content):
        node = graph(content)["nodes"][0]
        text = {"as_string": f"touch {mark}"}
        node["target"] = "torch.serialization.os.system"
        node["inputs"] = [{"name": "", "arg": text, "kind": 1}]

    return changed(records, MODEL, change)


def name_of_a_node(records, mark):
    evil = f"x\n    {runs(mark)}\n    y"
    text = records[MODEL].decode()
    name = graph(json.loads(text))["nodes"][0]["outputs"][0]["as_tensor"]["name"]
    return {**records, MODEL: text.replace(json.dumps(name), json.dumps(evil)).encode()}


def name_of_a_weight(records, mark):
    evil = f'l["a"] + {runs(mark)} + "'
    text = records[MODEL].decode().replace('"layer.weight"', json.dumps(evil))
    config = records[WEIGHTS].decode().replace('"layer.weight"', json.dumps(evil))
    return {**records, MODEL: text.encode(), WEIGHTS: config.encode()}


def tree_of_outputs(records, mark):
    (mark.parent / "treemodule.py").write_text(f"{runs(mark)}\nclass A: B = 1\n")
    key = {"__enum__": True, "fqn": "treemodule:A", "name": "B"}
    leaf = {"type": None, "context": None, "children_spec": []}
    tree = {"type": "builtins.dict", "context": json.dumps([key]), "children_spec": [leaf]}

    def change(content):
        content["graph_module"]["module_call_graph"][0]["signature"]["out_spec"] = json.dumps(
            [1, tree]
        )

    return changed(records, MODEL, change)


def pickled_weight(records, mark):
    def change(content):
        content["config"]["layer.weight"]["use_pickle"] = True

    found = changed(records, WEIGHTS, change)
    path = json.loads(records[WEIGHTS])["config"]["layer.weight"]["path_name"]
    return {**found, f"data/weights/{path}": saved(Pickled(mark))}


def old_weights(records, mark):
    return {**records, "data/weights/model.pt": saved({"layer.weight": Pickled(mark)})}


def opaque_constant(records, mark):
    def change(content):
        content["config"]["c"] = {
            "path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None,
        }  # fmt: skip

    found = changed(records, CONSTANTS, change)
    return {**found, "data/constants/opaque_obj_0": pickle.dumps(Pickled(mark))}


RUN = [
    pickled_inputs, bare_pickle_as_inputs, symbolic_size, guard, operator_that_writes,
    tree_of_outputs, pickled_weight, old_weights, opaque_constant, guard_of_bytes,
    size_that_is_called, guard_with_line_ends,
]  # fmt: skip
READ_ANEW = [size_with_line_ends]  # harmless as Python reads them


def use(path, mark, **options):
    """Load and call a victim; whether something ran, and what was said."""
    said = None
    try:
        victim = load_foreign(path, preprocess="none", **options)
        victim.network(torch.rand(2, 3, SIDE, SIDE))
    except Exception as error:
        said = error
    return mark.exists(), said


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("change", RUN)
def test_code_in_a_file_runs_with_trust_alone(whole, tmp_path, monkeypatch, change):
    mark = tmp_path / "mark"
    monkeypatch.syspath_prepend(tmp_path)
    path = write(tmp_path / "a.pt2", change(whole, mark))
    ran, said = use(path, mark)
    assert not ran
    assert isinstance(said, UntrustedError), said
    assert "can run code" in str(said)
    assert "--trust" in str(said)
    assert "\n" not in str(said)
    ran, said = use(path, mark, trust=True)
    assert ran, said  # torch runs it: the case is a real one


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("change", READ_ANEW)
def test_torch_reads_the_text_that_was_looked_at(whole, tmp_path, change):
    mark = tmp_path / "mark"
    path = write(tmp_path / "a.pt2", change(whole, mark))
    for trust in (False, True):  # a file that is plain is written anew in both cases
        ran, _ = use(path, mark, trust=trust)
        assert not ran
    with suppress(Exception):
        torch.export.load(path).module()(torch.rand(2, 3, SIDE, SIDE))
    assert mark.exists()  # torch runs it: the case is a real one


def test_sample_inputs_are_what_they_really_hold(whole, tmp_path):
    """A mapping may carry methods of its own, and drop them when torch writes it again."""
    evil = "'] or f() or L['"
    hidden = Disguised({evil: torch.rand(2)}, values=OrderedDict, items=OrderedDict)
    outer = Disguised({"a": hidden}, values=OrderedDict)
    path = write(tmp_path / "a.pt2", {**whole, INPUTS: saved(((outer,), {}))})
    with pytest.raises(UntrustedError, match=r"or f\(\) or"):
        load_foreign(path, preprocess="none")


@pytest.mark.filterwarnings("ignore")
def test_old_format_is_unpickled_by_torch_and_needs_trust(tmp_path):
    mark = tmp_path / "mark"
    with zipfile.ZipFile(tmp_path / "a.pt2", "w") as archive:
        archive.writestr("version", "8.8")
        for name in ("exported_program.json", "state_dict.pt", "constants.pt"):
            archive.writestr(f"serialized_{name}", b"")
        archive.writestr("serialized_example_inputs.pt", saved(Pickled(mark)))
    ran, said = use(str(tmp_path / "a.pt2"), mark)
    assert not ran
    assert isinstance(said, ValueError)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r, m: {**r, "data/aotinductor/model/a.so": b"\x7fELF"}, "data/aotinductor/model"),
        (lambda r, m: {**r, "models/other.json": r[MODEL]}, "models/other.json"),
        (name_of_a_weight, "open"),
        (name_of_a_node, "open"),
        (target, "target 'torch.serialization.os.system'"),
        (
            lambda r, m: {**r, INPUTS: saved(((torch.rand(2),), {"'] or f() or L['": 1}))},
            r"'\] or f\(\)",
        ),
        (
            lambda r, m: {**r, INPUTS: saved(((torch.rand(2), "' or f() or '"), {}))},
            r"' or f\(\)",
        ),
    ],
)
def test_parts_that_are_not_plain_are_named(whole, tmp_path, change, message):
    path = write(tmp_path / "a.pt2", change(whole, tmp_path / "mark"))
    with pytest.raises(UntrustedError, match=message):
        load_foreign(path, preprocess="none")


def test_an_honest_file_is_the_same_network_without_trust(whole, tmp_path):
    path = write(tmp_path / "a.pt2", {**whole, "extra/note.txt": b"hello"})
    plain = load_foreign(path, preprocess="none")
    trusted = load_foreign(path, preprocess="none", trust=True)
    images = torch.rand(5, 3, SIDE, SIDE)
    assert torch.equal(plain.network(images), trusted.network(images))
    assert plain.sha256 == trusted.sha256
    for victim in (plain, trusted):  # the sizes that it was exported with are still looked at
        with pytest.raises(AssertionError, match="Guard failed"):
            victim.network(torch.rand(5, 3, SIDE, SIDE + 1))


@pytest.mark.parametrize(
    "target",
    [
        "torch.ops.aten.save.default", "torch.ops.aten.from_file.default", "torch.load",
        "torch.ops.load_library", "torch.ops.image.write_file.default", "_operator.methodcaller",
        "torch.ops.aten._print.default", "torch.ops.higher_order.call_torchbind", "math.nothing",
        "torch.ops.aten.add.Tensor.__globals__", "torch.ops.aten.conv2d", "builtins.eval", "",
    ],
)  # fmt: skip
def test_targets_that_do_more_than_compute(target):
    assert not is_operator(target)


@pytest.mark.parametrize(
    "target",
    ["torch.ops.aten.conv2d.default", "torch.ops.aten._softmax.default", "_operator.mul",
     "torch.ops.aten.sym_size.int", "torch.sym_max", "torch.ops.higher_order.cond"],
)  # fmt: skip
def test_targets_that_compute(target):
    assert is_operator(target)


def test_expressions_are_written_anew():
    size = "Max(Integer(1), Pow(Symbol('s0', positive=True), Integer(-1)))"
    assert plain_size(size) == size
    assert plain_size("s77") == "s77"
    assert plain_size("Symbol('a\\\n' # ') or f(\n'b')") == "Symbol('ab')"
    condition = "L['x'].size()[2] // 4 <= 7 * math.trunc(0.5 * torch.sym_float(L['x'].size()[1]))"
    assert plain_guard(condition.replace(" ", "")) == condition


@pytest.mark.parametrize(
    "text",
    [
        "Symbol.__class__", "Symbol('a b')", "(lambda: 1)()", "[1 for x in Symbol]", "eval('1')",
        "Add('__import__(\"os\")')", "f'{Symbol}'", "Symbol('x').f()", "Symbol(", "s0; s1",
        "Symbol(b'x')", "Integer(...)", "Integer(1j)", "Symbol('x\\x22')",
        "Min('eval', evaluate=False)", "Min('a')", "Add('x', 'y')", "Symbol('a', 'b')", "'eval'",
        "Mul(Symbol('a'), 'b')", "Symbol('a')('b')", "Symbol('a', evaluate=False)", "Symbol",
        "Integer('x')", "Symbol(**{})", "Symbol('a', positive='b')", "'a' + 'b'", "s0(1)",
    ],
)  # fmt: skip
def test_sizes_that_are_more(text):
    with pytest.raises(NotPlainError, match="expr_str"):
        plain_size(text)


@pytest.mark.parametrize(
    "text",
    [
        "'x'", "L['x'].size('y')", "not_none(torch)", "torch", "L", "math.trunc(1)(2)",
        "L['x'].size()['y']", "not_none(L['x'], y=1)", "torch.load('x')", "L['x'].__class__",
        "math.os", "L['a b'] == 1", "getattr(L, x)", "b'x' == L['x'].size()",
        "L['\\x22'].size()[0] == 1",
    ],
)  # fmt: skip
def test_conditions_that_are_more(text):
    with pytest.raises(NotPlainError, match="guards_code"):
        plain_guard(text)
