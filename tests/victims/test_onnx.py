"""ONNX networks: what they give, what they are compared with, and what is refused."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lightning_hash.__main__ import main
from lightning_hash.victims import as_victim, load_foreign, load_onnx
from tests.helpers.commands import SMALL_ATTACK, SMALL_DATA
from tests.helpers.onnx_files import BITS, SIDE, Beside, chain, network, write

onnx = pytest.importorskip("onnx", reason="pip install '.[onnx]'")
onnx2torch = pytest.importorskip("onnx2torch", reason="pip install '.[onnx]'")
pytest.importorskip("onnxruntime", reason="pip install '.[onnx]'")
node = onnx.helper.make_node


@pytest.fixture
def images():
    return torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))


def loaded(model, folder, **options):
    options.setdefault("preprocess", "none")
    return load_foreign(write(model, folder / "a.onnx"), **options)


def refusal(model, folder, **options):
    with pytest.raises(ValueError, match=r"^victim .*a\.onnx: ") as error:
        loaded(model, folder, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("opset", [9, 13, 20])
def test_logits_and_gradients_are_those_of_the_same_network_in_torch(
    tmp_path, images, layout, opset
):
    model = network(onnx, layout=layout, opset=opset)
    victim = loaded(model, tmp_path, layout=layout)
    assert (victim.bits, victim.backbone) == (BITS, "a.onnx")
    found, expected = images.clone().requires_grad_(), images.clone().requires_grad_()
    logits, theirs = victim(found), Beside()(expected)
    torch.testing.assert_close(logits, theirs)
    weights = torch.rand(theirs.shape)
    (logits * weights).sum().backward()
    (theirs * weights).sum().backward()
    assert expected.grad.abs().min() > 1e-4
    torch.testing.assert_close(found.grad, expected.grad)
    assert not any(parameter.requires_grad for parameter in victim.parameters())


def test_what_the_network_expects_is_a_matter_of_preprocess(tmp_path, images):
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.25, 2.0]
    given = {"mean": mean, "std": std, "channels": "BGR"}
    found = loaded(network(onnx), tmp_path, preprocess=given)(images)
    seen = (images.flip(1) - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    torch.testing.assert_close(found, Beside()(seen))


@pytest.mark.parametrize("name", ["pool", "pooled"])  # of the node, of its value
def test_an_inner_node(tmp_path, images, name):
    found = loaded(network(onnx), tmp_path, output_node=name)
    torch.testing.assert_close(found(images), Beside().features(images))
    assert found.bits == 5
    said = refusal(network(onnx), tmp_path, output_node="conv")
    assert "has the shape (B, 5, 4, 4), not (B, K)" in said
    said = refusal(network(onnx), tmp_path, output_node="poool")
    assert "there is no 'poool'; there are: pool" in said


@pytest.mark.parametrize(("kind", "number"), [(10, torch.float16), (11, torch.float64)])
def test_images_of_another_float(tmp_path, kind, number):
    model = chain(onnx, [node("Flatten", ["x"], ["y"])])
    model.graph.input[0].type.tensor_type.elem_type = kind
    model.graph.output[0].type.tensor_type.elem_type = kind
    images = torch.rand(2, 3, 4, 4)
    victim = loaded(model, tmp_path)
    assert torch.equal(victim.network.network(images), images.flatten(1).to(number))
    model.graph.input[0].type.tensor_type.elem_type = 2
    assert "images of uint8, through which no gradient" in refusal(model, tmp_path)


def test_a_node_of_several_outputs_is_named_by_its_value(tmp_path):
    nodes = [
        node("Flatten", ["x"], ["f"]),
        node("Split", ["f"], ["left", "right"], "halves", axis=1),
    ]
    model = chain(onnx, nodes, outputs=("left", "right"))
    images = torch.rand(2, 3, 4, 4)
    said = refusal(model, tmp_path)
    assert "has 2 outputs; name one as output_node; there are: left, right" in said
    assert "'halves' has 2 outputs" in refusal(model, tmp_path, output_node="halves")
    found = loaded(model, tmp_path, output_node="right")(images)
    assert torch.equal(found, images.flatten(1)[:, 24:])


@pytest.mark.parametrize("biased", [True, False])
def test_a_linear_head(tmp_path, images, biased):
    tensors = {"weight": torch.randn(9, 5), "bias": torch.randn(9)}
    head = tmp_path / "pca.safetensors"
    save_file(tensors if biased else {"weight": tensors["weight"]}, head)
    found = loaded(network(onnx), tmp_path, output_node="pool", head=str(head))
    expected = Beside().features(images) @ tensors["weight"].T
    torch.testing.assert_close(found(images), expected + tensors["bias"] * biased)
    assert found.bits == 9
    assert "takes 5 values, the output has the shape (6,)" in refusal(
        network(onnx), tmp_path, head=str(head)
    )


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ({"weigth": torch.ones(2, 5)}, "got weigth (2, 5)"),
        ({"weight": torch.ones(5)}, "weight (5,)"),
        ({"weight": torch.ones(2, 5), "bias": torch.ones(3)}, "bias (3,)"),
        ({"weight": torch.ones(2, 5), "more": torch.ones(2)}, "more (2,)"),
        ({"weight": torch.full((2, 5), math.nan)}, "finite floats"),
        ({"weight": torch.ones(2, 5, dtype=torch.int64)}, "finite floats"),
    ],
)
def test_a_head_that_is_none(tmp_path, tensors, words):
    save_file(tensors, tmp_path / "h.safetensors")
    path = write(network(onnx), tmp_path / "a.onnx")
    with pytest.raises(ValueError, match=r"h\.safetensors must hold weight \(K, D\)") as error:
        load_foreign(path, output_node="pool", head=str(tmp_path / "h.safetensors"))
    assert words in str(error.value)


def test_a_network_of_one_image_at_a_time(tmp_path, images):
    """A reshape to one row keeps batches out; without it they pass at once."""
    victim = loaded(network(onnx, batch=1, flatten=False), tmp_path)
    assert victim.network.network.one
    torch.testing.assert_close(victim(images), Beside()(images))
    free = loaded(network(onnx, batch=1), tmp_path)
    assert not free.network.network.one
    torch.testing.assert_close(free(images), Beside()(images))
    assert "takes batches of 4 only" in refusal(network(onnx, batch=4), tmp_path)


def test_images_of_another_size_layout_or_number_of_channels(tmp_path):
    said = refusal(network(onnx), tmp_path, layout="NHWC")
    assert "its images are any x 3 x 8 x 8, not NHWC; give layout: NCHW" in said
    assert "layout must be one of NCHW, NHWC" in refusal(network(onnx), tmp_path, layout="CHW")
    victim = loaded(network(onnx), tmp_path)
    with pytest.raises(ValueError, match=r"takes images of 8 x 8 pixels, got 4 x 8; give --data"):
        victim(torch.rand(1, 3, 4, 8))
    with pytest.raises(ValueError, match="takes 3 channels, got 1"):
        victim(torch.rand(1, 1, 8, 8))
    flat = chain(onnx, [node("Flatten", ["x"], ["y"])], size=(1, 4, 4))
    said = refusal(flat, tmp_path, preprocess="imagenet")
    assert "its images have 1 channels, preprocess has another number" in said


def scaled(monkeypatch, layer, factor):
    """Let onnx2torch convert one layer wrongly."""
    real = onnx2torch.convert

    def convert(model):
        found = real(model)
        (name,) = (n for n, _ in found.named_children() if n.endswith(layer))
        found.get_submodule(name).weight.data *= factor
        return found

    monkeypatch.setattr(onnx2torch, "convert", convert)


def test_a_network_that_is_converted_wrongly_is_refused(tmp_path, monkeypatch):
    scaled(monkeypatch, "Conv", 1.01)
    said = refusal(network(onnx), tmp_path)
    assert "differs from onnxruntime by 0.0" in said
    assert "more than 0.001; it first differs at node 'conv' (Conv), by 0.0" in said


def test_rounding_is_no_difference(tmp_path, monkeypatch):
    scaled(monkeypatch, "Gemm", 1.0005)
    assert loaded(network(onnx), tmp_path).bits == BITS


def test_a_layer_that_fails_is_named(tmp_path, monkeypatch):
    real = onnx2torch.convert

    def convert(model):
        found = real(model)
        (name,) = (n for n, _ in found.named_children() if n.endswith("Flatten"))
        setattr(found, name, nn.Linear(3, 2))
        return found

    monkeypatch.setattr(onnx2torch, "convert", convert)
    said = refusal(network(onnx), tmp_path)
    assert "the converted network fails at node 'flatten' (Flatten): " in said


def test_an_image_that_sees_its_neighbours_is_refused(tmp_path):
    nodes = [
        node("Flatten", ["x"], ["f"]),
        node("ReduceMean", ["f"], ["m"], axes=[0]),
        node("Sub", ["f", "m"], ["y"]),
    ]
    assert "depends on the others of its batch" in refusal(chain(onnx, nodes), tmp_path)


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_operators_of_newer_opsets(tmp_path, approximate):
    """torch's own exporter writes opset 20: GELU, axes as inputs, reshapes of a newer kind."""
    nodes = [
        node("Gelu", ["x"], ["g"], approximate=approximate),
        node("ReduceMean", ["g", "axes"], ["m"], keepdims=0, noop_with_empty_axes=0),
        node("Reshape", ["m", "shape"], ["y"], allowzero=1),
    ]
    weights = {"axes": np.array([3]), "shape": np.array([-1, 12])}
    victim = loaded(chain(onnx, nodes, weights=weights, opset=20), tmp_path)
    images = torch.rand(3, 3, 4, 4)
    expected = nn.functional.gelu(images, approximate=approximate).mean(3).flatten(1)
    torch.testing.assert_close(victim.network(images), expected)


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([node("Hardmax", ["x"], ["y"])], "onnx2torch turns no Hardmax of opset 13"),
        ([node("Add", ["x", "z"], ["y"])], "depends on 2 inputs"),
        ([node("Identity", ["w"], ["y"])], "depends on 0 inputs"),
        ([node("Add", ["x", "later"], ["y"]), node("Relu", ["x"], ["later"])], "stands before"),
        ([node("Relu", ["x"], ["a"]), node("Neg", ["a"], ["a"]), node("Neg", ["a"], ["y"])],
         "two nodes make the value 'a'"),
        ([node("Conv", ["x", "w"], ["y"])], "contradicts itself|onnxruntime does not run"),
    ],
)  # fmt: skip
def test_graphs_that_are_no_network_of_images(tmp_path, nodes, words):
    model = chain(
        onnx, nodes, inputs=("x", "z"), weights={"w": np.ones((1, 2, 3), dtype=np.float32)}
    )
    assert any(word in refusal(model, tmp_path) for word in words.split("|"))


def test_the_fingerprint_is_of_graph_weights_and_head(tmp_path):
    model = network(onnx)
    first = loaded(model, tmp_path).sha256
    assert loaded(network(onnx, prefix="other_"), tmp_path).sha256 == first
    bend = next(each for each in model.graph.node if each.op_type == "LeakyRelu")
    bend.attribute[0].f = 0.21
    prints = [first, loaded(model, tmp_path).sha256]
    weights = network(onnx)
    tensor = next(each for each in weights.graph.initializer if each.name == "c")
    values = onnx.numpy_helper.to_array(tensor) + np.float32(1e-3)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, "c"))
    prints.append(loaded(weights, tmp_path).sha256)
    prints.append(loaded(network(onnx), tmp_path, output_node="flat").sha256)
    for factor in (1.0, 2.0):
        save_file({"weight": factor * torch.ones(3, 5)}, tmp_path / "h.safetensors")
        head = str(tmp_path / "h.safetensors")
        prints.append(loaded(network(onnx), tmp_path, output_node="flat", head=head).sha256)
    square = chain(onnx, [node("Flatten", ["x"], ["y"])], size=(3, 3, 3))
    prints += [loaded(square, tmp_path, layout=each).sha256 for each in ("NCHW", "NHWC")]
    unit = {"mean": [0.0], "std": [1.0]}
    for order in ("RGB", "BGR"):
        prints.append(loaded(square, tmp_path, preprocess={**unit, "channels": order}).sha256)
    assert prints[-2] == prints[-4]  # RGB, NCHW
    assert len(set(prints)) == len(prints) - 1


def test_in_a_list_beside_another(tmp_path, images):
    path = write(network(onnx), tmp_path / "a.onnx")
    own = {"source": path, "preprocess": "none"}
    both = as_victim([own, {**own, "output_node": "flat"}])
    assert both(images).shape == (4, BITS + 5)


def test_the_function_alone(tmp_path, images):
    found = load_onnx(Path(write(network(onnx), tmp_path / "a.onnx")))
    torch.testing.assert_close(found(images), Beside()(images))


def options_of(folder):
    write(network(onnx), folder / "a.onnx")
    save_file({"weight": torch.randn(16, 5), "bias": torch.randn(16)}, folder / "h.safetensors")
    victim = "{source: a.onnx, preprocess: none, output_node: pool, head: h.safetensors}"
    return ["--model.victim", victim, "--data.size=8"]


@pytest.mark.slow
def test_commands(tmp_path, monkeypatch):
    """Encode, attack, score and audit; the attack lowers MAP."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(3)
    victim = options_of(tmp_path)
    small = [*victim, *SMALL_ATTACK]
    encode = ["encode", *victim, "--data.n_query=20", "--data.n_database=200"]
    for split in ("query", "database"):
        to = ["--split", split, "--output", f"{split}.safetensors", "--trainer.accelerator=cpu"]
        assert main([*encode, *to]) == 0
    assert load_file(tmp_path / "query.safetensors")["codes"].shape[0] == 20
    score = ["--query", "query.safetensors", "--database", "database.safetensors"]
    assert main(["score", *score]) == 0
    assert main(["attack", *small, "--trainer.max_epochs=20", "--name=a"]) == 0
    rows = json.loads(next((tmp_path / "runs/attack/a").rglob("results.json")).read_text())
    expected = load_foreign(
        "a.onnx", preprocess="none", output_node="pool", head="h.safetensors"
    ).sha256
    assert {row["victim"]["sha256"] for row in rows} == {expected}
    maps = {row["attack"] and row["quantized"]: row for row in rows if row["metric"] == "map"}
    assert maps[True]["value"] < maps[None]["value"] - 0.05
    audit = ["audit", *victim, "--quick", "--n_queries=2", "--accelerator=cpu", "--curve"]
    assert main([*audit, *SMALL_DATA]) == 0
    assert next((tmp_path / "runs/audit").rglob("card.html")).is_file()
