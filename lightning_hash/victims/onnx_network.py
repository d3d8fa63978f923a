"""ONNX networks as modules with gradients, compared with onnxruntime when they are loaded."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from pytorch_lightning.utilities import rank_zero_info
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.fx import GraphModule, Interpreter, Node

from lightning_hash.utils.escapes import visible
from lightning_hash.utils.foreign_files import check_file
from lightning_hash.victims.onnx_file import INPUT, PACKAGES, OnnxGraph, need, read_onnx

Layout = Literal["NCHW", "NHWC"]
TOLERANCE = 1e-3  # of the output's largest value
ANY_SIZE = 224  # what a network of any size is tried on
SEED = 0


class OnnxNetwork(nn.Module):
    """An ONNX network: images in, the output of one node out, through a linear head or none.

    Args:
        network: what onnx2torch made of the graph.
        graph: the graph.
        layout: of the network's images.
        head: applied to the output, flattened.
        one: pass one image at a time, whatever the batch.

    Attributes:
        digest: sha256 of the graph with its weights, and of the layout, uint8 ``(32,)``: a buffer,
            so that the fingerprint of the weights is one of the graph too.
        bits: K, once the output is known.
    """

    digest: Tensor

    def __init__(
        self,
        network: nn.Module,
        graph: OnnxGraph,
        layout: Layout = "NCHW",
        head: nn.Linear | None = None,
        *,
        one: bool = False,
    ) -> None:
        super().__init__()
        self.network, self.head, self.layout, self.one = network, head, layout, one
        self.size, self.channels = graph.size, graph.channels
        self.number: torch.dtype = getattr(torch, graph.number)
        self.bits: int | None = None
        self.register_buffer("digest", torch.tensor(list(graph.sha256), dtype=torch.uint8))

    def forward(self, images: Tensor) -> Tensor:
        """Return the output ``(B, ...)``, ``(B, K)`` behind a head, of images ``(B, C, H, W)``.

        Raises:
            ValueError: if the images have another size or other channels than the network takes.
        """
        self._check(images)
        output = self.output(images)
        if self.head is None:
            return output
        logits: Tensor = self.head(output.flatten(1).to(self.head.weight.dtype))
        return logits

    def output(self, images: Tensor) -> Tensor:
        """Return the output without the head."""
        laid_out = self.lay_out(images)
        if not self.one:
            found: Tensor = self.network(laid_out)
            return found
        return torch.cat([self.network(image) for image in torch.split(laid_out, 1)])

    def lay_out(self, images: Tensor) -> Tensor:
        """Return images as the graph takes them."""
        if self.layout == "NHWC":
            images = images.movedim(1, -1)
        return images.to(self.number)

    def _check(self, images: Tensor) -> None:
        size = tuple(images.shape[2:])
        if any(own not in (None, given) for own, given in zip(self.size, size, strict=True)):
            own, given = (" x ".join(str(s or "any") for s in each) for each in (self.size, size))
            msg = f"victim: the ONNX network takes images of {own} pixels, got {given}"
            side = self.size[0] if self.size[0] == self.size[1] else None
            raise ValueError(msg + (f"; give --data.size {side}" if side else ""))
        if self.channels not in (None, images.shape[1]):
            msg = f"victim: the ONNX network takes {self.channels} channels, got {images.shape[1]}"
            raise ValueError(msg)


def load_onnx(
    path: Path,
    layout: Layout = "NCHW",
    output_node: str | None = None,
    head: Path | None = None,
    normalize: Callable[[Tensor], Tensor] = lambda images: images,
) -> OnnxNetwork:
    """Load an ONNX file as a network with gradients.

    It is converted by onnx2torch and compared with onnxruntime on random images. Nothing of it is
    run but operators of ONNX, and no file opened that does not lie in its folder; see
    :func:`lightning_hash.victims.onnx_file.read_onnx`.

    Args:
        path: the file. Its batch dimension is dynamic, or 1.
        layout: of its images.
        output_node: a node or value by name, whose output is taken instead of the file's.
        head: a safetensors file with ``weight`` ``(K, D)`` and perhaps ``bias`` ``(K,)``, such as a
            PCA: the output, flattened to D values, goes through them.
        normalize: what images in [0, 1] go through before the network, for the comparison.

    Returns:
        The network, on the CPU, in eval mode.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if a package of the extra ``onnx`` is missing; the file cannot be read or
            converted; its output is not ``(B, K)``, or not D values for the head; an image's output
            depends on the others of its batch; or the converted network differs from onnxruntime by
            more than 1e-3 of the output's largest value: the message names the first node that
            does.
    """
    called = f"victim {path}"
    if layout not in get_args(Layout):
        msg = f"{called}: layout must be one of {', '.join(get_args(Layout))}, got {layout!r}"
        raise ValueError(msg)
    if not path.is_file():
        msg = f"{called} does not exist; give the path of an ONNX file"
        raise FileNotFoundError(msg)
    for package in PACKAGES:
        need(package)
    graph = read_onnx(path, layout, output_node)
    linear = None if head is None else read_head(head)
    try:
        converted = need("onnx2torch").convert(graph.known)
    except Exception as error:  # what its converters do not know ends in many types
        msg = f"{called}: onnx2torch cannot convert it ({_first_line(error)})"
        raise ValueError(msg) from error
    network = OnnxNetwork(converted, graph, layout, linear, one=graph.batch == 1).eval()
    network.requires_grad_(requires_grad=False)
    comparison = _Comparison(called, graph, network, normalize)
    output = comparison.check()
    if linear is not None and output[0].numel() != linear.in_features:
        msg = (
            f"{called}: the head {head} takes {linear.in_features} values, the output has the "
            f"shape {tuple(output.shape[1:])}; name a pooled output_node, or give its head"
        )
        raise ValueError(msg)
    bits = linear.out_features if linear is not None else output.shape[1]
    if linear is None and output.shape[2:].numel() != 1:
        msg = (
            f"{called}: its output has the shape (B, {', '.join(map(str, output.shape[1:]))}), not "
            "(B, K); name a pooled output_node, or give a head"
        )
        raise ValueError(msg)
    network.bits = bits
    return network


def read_head(path: Path) -> nn.Linear:
    """Read a linear layer from a safetensors file.

    Args:
        path: of ``weight``, floats ``(K, D)``, and perhaps ``bias``, ``(K,)``.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it holds anything else.
    """
    called = f"victim: head {path}"
    check_file(path, called)
    if not path.is_file():
        msg = f"{called} does not exist; give a safetensors file with weight (K, D) and bias (K)"
        raise FileNotFoundError(msg)
    try:
        found = load_file(path)
    except Exception as error:  # of the format's own type, and of files that are cut off
        msg = f"{called} is no safetensors file, or truncated ({_first_line(error)})"
        raise ValueError(msg) from error
    weight, bias = found.get("weight"), found.get("bias")
    fits = (
        weight is not None
        and set(found) <= {"weight", "bias"}
        and weight.dim() == 2
        and weight.numel() > 0
        and (bias is None or bias.shape == weight.shape[:1])
        and all(t.is_floating_point() and bool(torch.isfinite(t).all()) for t in found.values())
    )
    if weight is None or not fits:
        held = ", ".join(f"{visible(name)} {tuple(t.shape)}" for name, t in found.items())
        msg = (
            f"{called} must hold weight (K, D) and perhaps bias (K,), finite floats, got "
            f"{held or 'nothing'}"
        )
        raise ValueError(msg)
    head = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        head.weight.copy_(weight)
        if bias is None:
            head.bias.zero_()
        else:
            head.bias.copy_(bias)
    return head


class _Comparison:
    """The converted network beside onnxruntime, on random images."""

    def __init__(
        self,
        called: str,
        graph: OnnxGraph,
        network: OnnxNetwork,
        normalize: Callable[[Tensor], Tensor],
    ) -> None:
        self.called, self.graph, self.network = called, graph, network
        generator = torch.Generator().manual_seed(SEED)
        height, width = (side or ANY_SIZE for side in graph.size)
        images = torch.rand(2, graph.channels or 3, height, width, generator=generator)
        try:
            self.images = normalize(images)
        except RuntimeError:  # as many channels as there are means
            self.images = images[:0]
        if self.images.shape != images.shape:
            msg = (
                f"{called}: its images have {images.shape[1]} channels, preprocess has another "
                "number; give preprocess: none, or mean and std of its own"
            )
            raise ValueError(msg)

    @torch.no_grad()
    def check(self) -> Tensor:
        """Return the output of two images; afterwards ``network.one`` says how they are passed.

        Raises:
            ValueError: if it is not what onnxruntime gives.
        """
        there = [self._of_runtime(image, [self._output]) for image in self._batches()]
        expected = torch.cat([first for first, *_ in there])
        try:
            output = self.network.output(self.images)
        except Exception as error:  # whatever its layers raise
            msg = f"{self.called}: the converted network fails {self._where()}"
            raise ValueError(msg) from error
        if output.shape[:1] != self.images.shape[:1]:
            msg = f"{self.called}: its output {tuple(output.shape)} has no row for each of 2 images"
            raise ValueError(msg)
        difference = _difference(output, expected)
        if not difference <= TOLERANCE:
            msg = (
                f"{self.called}: the converted network differs from onnxruntime by "
                f"{difference:.3g} of the output's largest value, more than {TOLERANCE:g}; "
                f"{self._where()}"
            )
            raise ValueError(msg)
        self._settle_batches(output)
        return output

    def _settle_batches(self, output: Tensor) -> None:
        """Let batches of a network of one image pass at once, where that is the same."""
        network = self.network
        if network.one:
            network.one = False
            try:
                together = _difference(network.output(self.images), output)
            except Exception:  # whatever its layers raise
                together = float("inf")
            network.one = not together <= TOLERANCE / 10
            if network.one:
                rank_zero_info(
                    f"{self.called} takes one image at a time, which is slow; export it with a "
                    "dynamic batch dimension"
                )
        else:
            alone = torch.cat([network.output(image) for image in torch.split(self.images, 1)])
            if alone.shape != output.shape or not _difference(alone, output) <= TOLERANCE:
                msg = (
                    f"{self.called}: what an image gives depends on the others of its batch; such "
                    "networks are not attacked: export it in eval mode"
                )
                raise ValueError(msg)

    @property
    def _output(self) -> str:
        return str(self.graph.model.graph.output[0].name)

    def _batches(self) -> Iterator[Tensor]:
        laid_out = self.network.lay_out(self.images)
        yield from torch.split(laid_out, 1 if self.network.one else len(laid_out))

    def _of_runtime(self, images: Tensor, values: Sequence[str]) -> list[Tensor]:
        """Return values of the graph as onnxruntime computes them."""
        runtime = need("onnxruntime")
        model = self.graph.model
        if list(values) != [self._output]:
            model = type(model)()
            model.CopyFrom(self.graph.model)
            del model.graph.output[:]
            for value in values:
                model.graph.output.add(name=value)
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = torch.get_num_threads()
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            session = runtime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
            found = session.run(list(values), {INPUT: images.contiguous().numpy()})
        except Exception as error:  # its types are of C++
            msg = f"{self.called}: onnxruntime does not run it ({_first_line(error)})"
            raise ValueError(msg) from error
        return [torch.from_numpy(each) for each in found]

    def _where(self) -> str:
        """Say at which node the converted network first differs, or fails."""
        images = next(self._batches())
        watched = _Watched(self.network.network)
        failure = None
        try:
            watched.run(images)
        except Exception as error:  # the layer that fails is the one without values
            failure = _first_line(error)
        nodes = {node.name: node for node in self.graph.model.graph.node}
        for name, node in nodes.items():
            said = self.graph.nodes[name]
            if name not in watched.values:
                return f"at node {said}: {failure or 'it is not run'}"
            ours = watched.values[name]
            kept = [value for value in node.output if value]
            theirs = self._of_runtime(images, kept)
            own = ours if isinstance(ours, tuple | list) else [ours]
            for mine, other in zip(own, theirs, strict=False):  # it may make what nobody takes
                difference = _difference(mine, other)
                if not difference <= TOLERANCE:
                    return f"it first differs at node {said}, by {difference:.3g}"
        return "no node alone does"


class _Watched(Interpreter):
    """Run a graph and keep what each of its layers gives."""

    def __init__(self, network: nn.Module) -> None:
        if not isinstance(network, GraphModule):
            msg = f"onnx2torch gives a GraphModule, got {type(network).__name__}"
            raise TypeError(msg)
        super().__init__(network, garbage_collect_values=False)
        self.values: dict[str, Any] = {}

    def run_node(self, n: Node) -> Any:
        found = super().run_node(n)
        if n.op == "call_module":
            self.values[str(n.target)] = found
        return found


def _difference(ours: Any, theirs: Tensor) -> float:
    """Return the largest difference beside the largest value; infinite for another shape."""
    if not isinstance(ours, Tensor) or ours.shape != theirs.shape:
        return float("inf")
    if not ours.numel():
        return 0.0
    ours, theirs = ours.double(), theirs.double()
    finite = theirs[theirs.isfinite()].abs()
    scale = finite.max() if finite.numel() else theirs.new_tensor(1.0)
    apart = torch.where(ours == theirs, 0.0, (ours - theirs).abs())  # infinite in both is equal
    return float(apart.max() / scale.clamp(min=torch.finfo(torch.float32).tiny))


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return visible(lines[0]) if lines else type(error).__name__
