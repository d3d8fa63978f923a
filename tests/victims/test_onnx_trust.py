"""A stranger's ONNX file: nothing in it runs, opens a file elsewhere or fills the memory."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_hash.victims import load_foreign
from tests.helpers.onnx_files import BITS, Beside, chain, network, write

onnx = pytest.importorskip("onnx", reason="pip install '.[onnx]'")
onnx2torch = pytest.importorskip("onnx2torch", reason="pip install '.[onnx]'")
pytest.importorskip("onnxruntime", reason="pip install '.[onnx]'")
helper = onnx.helper
node = helper.make_node


@pytest.fixture
def folder(tmp_path):
    """The folder of the model, below one with a file that is nobody's business."""
    (tmp_path / "model").mkdir()
    np.zeros(1000, dtype=np.float32).tofile(tmp_path / "secret")
    return tmp_path / "model"


def refusal(model, folder, error=ValueError):
    with pytest.raises(error, match=r"^victim .*a\.onnx") as raised:
        load_foreign(write(model, folder / "a.onnx"), preprocess="none")
    assert str(raised.value).isprintable()
    return str(raised.value)


def outside(model, location, **more):
    """Let the values of a weight lie in a file."""
    tensor = next(each for each in model.graph.initializer if each.name == "v")
    values = onnx.numpy_helper.to_array(tensor)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=str(value))
    return values


def test_names_are_not_run(folder, monkeypatch):
    """torch.fx writes a layer's name into Python: bare onnx2torch runs what stands there."""
    monkeypatch.chdir(folder)
    code = "open('mark', 'w')" + chr(46) + "close()"
    hidden = code.replace(".", "\\x2e")  # dots would part it
    name = f'x") if exec("{hidden}") else getattr(self, "x'
    model = chain(onnx, [node("Relu", ["x"], ["r"], name), node("Flatten", ["r"], ["y"], "f")])
    with pytest.raises(AttributeError):
        onnx2torch.convert(model)(torch.rand(1, 3, 4, 4))
    assert Path("mark").exists(), "the name is harmless, and this test shows nothing"
    Path("mark").unlink()
    victim = load_foreign(write(model, folder / "a.onnx"), preprocess="none")
    assert victim(torch.rand(2, 3, 4, 4) * 2).shape == (2, 48)
    assert not Path("mark").exists()


def test_values_beside_the_file_are_read(folder):
    model = network(onnx)
    values = outside(model, "weights.bin", offset=64, length=4 * BITS * 5)
    (folder / "weights.bin").write_bytes(b"-" * 64 + values.tobytes())
    victim = load_foreign(write(model, folder / "a.onnx"), preprocess="none")
    images = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(victim(images), Beside()(images))
    (folder / "weights.bin").write_bytes(b"-" * 64 + values.tobytes()[:-1])
    assert "truncated?" in refusal(model, folder)
    (folder / "weights.bin").unlink()
    assert "weights.bin does not exist" in refusal(model, folder, FileNotFoundError)


@pytest.mark.parametrize("location", ["../secret", "{top}/secret", "link", "sub/../../secret", ""])
def test_values_elsewhere_are_not(folder, location):
    (folder / "link").symlink_to(folder.parent / "secret")
    (folder / "sub").mkdir()
    model = network(onnx)
    outside(model, location.format(top=folder.parent))
    assert "outside of the model's folder" in refusal(model, folder)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"offset": -4}, "should have 120 bytes at -4"),
        ({"offset": "x"}, "no number"),
        ({"length": 60}, "of which it names 60"),
        ({"length": 10**15}, "of which it names 1,000,000,000,000,000"),
        ({"location": "a\0b"}, "is a folder"),
        ({"location": "pipe"}, "is a named pipe"),
        ({"location": "\x1b[31m"}, r"\x1b[31m does not exist"),
    ],
)
def test_places_that_are_none(folder, more, words):
    os.mkfifo(folder / "pipe")
    (folder / "w").write_bytes(b"-" * 400)
    model = network(onnx)
    outside(model, more.pop("location", "w"), **more)
    assert words in refusal(model, folder, (ValueError, FileNotFoundError))


def test_values_of_an_attribute_may_lie_elsewhere_too(folder):
    value = onnx.numpy_helper.from_array(np.ones(3, dtype=np.float32))
    value.ClearField("raw_data")
    value.data_location = onnx.TensorProto.EXTERNAL
    value.external_data.add(key="location", value="../secret")
    constant = node("Constant", [], ["c"])
    constant.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(value)
    model = chain(onnx, [constant, node("Add", ["x", "c"], ["y"])])
    assert "outside of the model's folder" in refusal(model, folder)


def with_subgraph():
    inner = helper.make_graph([node("Relu", ["x"], ["z"])], "g", [], [
        helper.make_tensor_value_info("z", 1, None)
    ])  # fmt: skip
    chosen = node("If", ["c"], ["z"], then_branch=inner, else_branch=inner)
    return [chosen, node("Add", ["x", "z"], ["y"])]


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([node("EPContext", ["x"], ["y"], domain="com.microsoft", ep_cache_context="../x")],
         "of the domain 'com.microsoft' is an operator that ONNX does not define"),
        ([node("Mine", ["x"], ["y"])], "is an operator that ONNX does not define"),
        ([node("Relu", ["x"], ["y"], domain="ai.onnx.ml")], "of the domain 'ai.onnx.ml'"),
        (with_subgraph(), "has 'else_branch', which is no plain value"),
        ([node("\x1b[2J", ["x"], ["y"])], r"\x1b[2J"),
    ],
)  # fmt: skip
def test_operators_of_others(folder, nodes, words):
    model = chain(onnx, nodes, weights={"c": np.array(True)})
    assert words in refusal(model, folder)


def test_functions_and_sparse_tensors(folder):
    model = network(onnx)
    model.functions.add(name="Relu", domain="")
    assert "holds functions" in refusal(model, folder)
    model = network(onnx)
    model.graph.sparse_initializer.add(dims=[2**40])
    assert "holds sparse tensors" in refusal(model, folder)


def huge_constant():
    model = chain(onnx, [node("ConstantOfShape", ["s"], ["c"]), node("Add", ["x", "c"], ["y"])],
                  weights={"s": np.array([1, 3, 2**20, 2**20])}, size=(3, 1, 1))  # fmt: skip
    return model, "what 'c' (ConstantOfShape) makes would take"


def huge_tensor():
    model = network(onnx)
    tensor = next(each for each in model.graph.initializer if each.name == "v")
    tensor.dims[:] = [2**40, 5]
    return model, "tensor 'v' would take 2.05e+04 GiB"


def empty_tensor():
    model = network(onnx)
    tensor = next(each for each in model.graph.initializer if each.name == "v")
    tensor.ClearField("raw_data")
    return model, "does not hold as many values"


def huge_images():
    model = chain(onnx, [node("Flatten", ["x"], ["y"])], size=(3, 2**20, 2**20))
    return model, "1048576 x 1048576 pixels"


def texts():
    model = network(onnx)
    tensor = next(each for each in model.graph.initializer if each.name == "v")
    tensor.CopyFrom(helper.make_tensor("v", 8, [1], [b"x"]))
    return model, "tensor 'v' holds string"


def unknown_numbers():
    model = network(onnx)
    next(each for each in model.graph.initializer if each.name == "v").data_type = 999
    return model, "tensor 'v' holds type 999"


@pytest.mark.parametrize(
    "make", [huge_constant, huge_tensor, empty_tensor, huge_images, texts, unknown_numbers]
)
def test_more_than_a_file_can_mean(folder, make):
    model, words = make()
    assert words in refusal(model, folder)


def test_what_an_attribute_hides_beside_its_value_is_left_out(folder):
    """onnx2torch takes the first field that is set, whatever the kind of the attribute."""
    bend = node("LeakyRelu", ["x"], ["b"], alpha=0.5)
    bend.attribute[0].s = b"text"
    bend.attribute[0].g.name = "graph"
    victim = load_foreign(
        write(chain(onnx, [bend, node("Flatten", ["b"], ["y"])]), folder / "a.onnx"),
        preprocess={"mean": [1.0], "std": [1.0]},
    )
    images = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(victim.network(images), 0.5 * (images - 1).flatten(1))


@pytest.mark.parametrize("kind", ["empty", "half", "random", "text"])
def test_files_that_are_none(folder, kind):
    content = network(onnx).SerializeToString()
    damaged = {
        "empty": b"", "half": content[: len(content) // 2], "random": os.urandom(500),
        "text": b"<html>not found</html>\n",
    }[kind]  # fmt: skip
    (folder / "a.onnx").write_bytes(damaged)
    with pytest.raises(ValueError, match=r"a\.onnx: it is no ONNX file, or truncated"):
        load_foreign(str(folder / "a.onnx"))


def test_opsets_of_the_future(folder):
    for version in (0, 10**6):
        assert f"its opset is {version} " in refusal(network(onnx, opset=version), folder)
