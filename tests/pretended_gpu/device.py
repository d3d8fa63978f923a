"""A pretended CUDA device: Lightning's own CUDAAccelerator runs on a machine without a GPU.

Its tensors say that they are on ``cuda:0`` and hold their values on the CPU. They refuse to mix
with CPU tensors, note each wait of the host for the device, and their memory is counted. What it
cannot show: cuDNN, autocast, NCCL, DDP's reducer, which dtypes a kernel takes, speed.

:func:`install` changes torch for the whole process: run it in one of its own.
"""

import sys
import time
import weakref
from collections import Counter
from contextlib import contextmanager

import pytorch_lightning.accelerators.cuda as lightning_cuda
import torch
from lightning_fabric.accelerators import cuda as fabric_cuda
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

aten = torch.ops.aten
CUDA = torch.device("cuda", 0)
INDEXING = {
    aten.index.Tensor, aten.index_put.default, aten.index_put_.default,
    aten._index_put_impl_.default, aten._unsafe_index.Tensor,
}  # fmt: skip
SCALARS = {aten._local_scalar_dense.default, aten.item.default}
WAITING = {
    *SCALARS, aten.equal.default, aten.nonzero.default, aten.masked_select.default,
    aten._unique2.default, aten.unique_dim.default, aten.unique_consecutive.default,
    aten.bincount.default, aten.repeat_interleave.Tensor,
}  # fmt: skip
# Kernels that take no CPU tensor, not even one without dimensions.
STRICT = {
    aten.mm.default, aten.addmm.default, aten.bmm.default, aten.cat.default, aten.gather.default,
    aten.scatter.src, aten.scatter_reduce.two, aten.convolution.default, aten.stack.default,
    aten.index_select.default, aten.native_batch_norm.default, aten.embedding.default,
    aten.searchsorted.Tensor,
}  # fmt: skip
DIVISIONS = {aten.div.Tensor, aten.div_.Tensor, aten.div.Scalar, aten.div_.Scalar}
COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd


class Memory:
    """Bytes of the storages that are alive; raises as CUDA does where they would pass a limit."""

    def __init__(self):
        self.used, self.peak, self.limit, self.holders = 0, 0, float("inf"), {}

    def hold(self, real):
        storage = real.untyped_storage()
        key, size = storage.data_ptr(), storage.nbytes()
        if not size:
            return
        if key in self.holders:
            self.holders[key][0] += 1
        else:
            if self.used + size > self.limit:
                msg = f"CUDA out of memory. Tried to allocate {size} bytes beside {self.used}."
                raise torch.OutOfMemoryError(msg)
            self.holders[key] = [1, size]
            self.used += size
            self.peak = max(self.peak, self.used)
        weakref.finalize(real, self._drop, key)

    def _drop(self, key):
        holder = self.holders[key]
        holder[0] -= 1
        if not holder[0]:
            self.used -= holder[1]
            del self.holders[key]


class Waits:
    """Waits of the host for the device, by the place of our code that caused them.

    Attributes:
        counts: ``{(region, what, place): times}``; a region is the name given to a stretch of time.
        operations: ``{region: operations}``.
    """

    def __init__(self):
        self.counts, self.operations, self.region = Counter(), Counter(), ""

    def note(self, what):
        self.counts[self.region, what, _place()] += 1

    def during(self, region):
        """Return ``{"what at place": times}``."""
        found = Counter()
        for (where, what, place), times in self.counts.items():
            if where == region:
                found[f"{what} at {place}"] += times
        return dict(found)

    def clear(self):
        self.counts.clear()
        self.operations.clear()

    @contextmanager
    def of(self, region):
        before, self.region = self.region, region
        try:
            yield
        finally:
            self.region = before


MEMORY, WAITS = Memory(), Waits()


def _place():
    frame, foreign = sys._getframe(2), "?"
    while frame is not None:
        name = frame.f_code.co_filename
        short = f"{'/'.join(name.split('/')[-2:])}:{frame.f_lineno}"
        if "/lightning_hash/" in name:
            return short
        if foreign == "?" and ("pytorch_lightning" in name or "torchmetrics" in name):
            foreign = short
        frame = frame.f_back
    return foreign


class Pretended(torch.Tensor):
    """A tensor that says it is on the device; its values are in ``host``, on the CPU."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, host, requires_grad=False):
        with _disable_current_modes(), torch.inference_mode(mode=False):
            shape = torch.empty_strided(host.shape, host.stride(), dtype=host.dtype, device="meta")
            self = torch.Tensor._make_subclass(
                cls, shape, requires_grad, device_for_backend_keys=CUDA
            )
        MEMORY.hold(host)
        self.host = host
        return self

    def __init__(self, *args, **options):
        pass

    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)
    is_meta = property(lambda self: False)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return dispatch(func, args, kwargs or {})

    @property
    def data(self):
        return torch.Tensor.data.__get__(self)

    @data.setter
    def data(self, value):
        if not isinstance(value, Pretended):
            msg = "a CPU tensor was set as the data of a CUDA parameter"
            raise TypeError(msg)
        torch.Tensor.data.__set__(self, value)
        self.host = value.host

    def numpy(self, *args, **options):
        msg = "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first"
        raise TypeError(msg)

    __array__ = numpy

    def tolist(self):
        WAITS.note("tolist")
        return self.host.tolist()

    def __repr__(self, *args, **options):
        return f"Pretended({self.host!r})"

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            memo[id(self)] = copied = Pretended(self.host.clone()).requires_grad_(
                self.requires_grad
            )
            if getattr(self, "_is_param", False):
                copied._is_param = True
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        WAITS.note("pickle")
        return self.host.detach().__reduce_ex__(protocol)

    def pin_memory(self, *args):
        msg = "cannot pin a CUDA tensor"
        raise RuntimeError(msg)

    def new_tensor(self, data, **options):
        return torch.tensor(data, dtype=options.get("dtype", self.dtype), device=CUDA)


def host_of(value):
    return value.host if isinstance(value, Pretended) else value


def pretend(value):
    return Pretended(value) if isinstance(value, torch.Tensor) else value


def dispatch(func, args, kwargs):
    """Do an operation on the values, as the device would: refuse what it refuses."""
    if func is torch.ops.prim.device.default:
        return CUDA
    flat, spec = tree_flatten((args, kwargs))
    ours = [each for each in flat if isinstance(each, Pretended)]
    plain = [
        each for each in flat if isinstance(each, torch.Tensor) and not isinstance(each, Pretended)
    ]
    device = kwargs.get("device")
    device = None if device is None else torch.device(device)
    to_cuda = device is not None and device.type in ("cuda", "meta")
    if func in (aten._pin_memory.default, aten.is_pinned.default):
        return func(*tree_map(host_of, args))
    if func is aten._to_copy.default:
        return _moved(args[0], device, kwargs)
    if not ours and not to_cuda:
        return func(*args, **kwargs)
    if func is aten.copy_.default:
        return _copied(*args)
    if not ours:
        return _made(func, args, kwargs, plain)
    _refuse_mixtures(func, args, plain)
    if func in WAITING:
        WAITS.note(func.overloadpacket.__name__)
        if func in SCALARS:
            return args[0].host.item()
    if func in INDEXING:
        for index in args[1] or ():
            if isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8):
                WAITS.note("boolean index")
    args, kwargs = tree_unflatten([host_of(each) for each in flat], spec)
    if device is not None:
        kwargs = {**{k: v for k, v in kwargs.items() if k != "pin_memory"}, "device": "cpu"}
    if func in DIVISIONS and len(flat) - len(ours) == 1 and flat[0] is ours[0]:
        func, args = _by_reciprocal(func, *args)
    found = _lstm_cell(func, args) or func(*args, **kwargs)
    WAITS.operations[WAITS.region] += 1
    if device is not None and device.type == "cpu":
        return found
    known = {id(each.host): each for each in ours}
    return tree_map(lambda value: known[id(value)] if id(value) in known else pretend(value), found)


def _moved(source, device, kwargs):
    options = {k: v for k, v in kwargs.items() if k not in ("device", "non_blocking", "pin_memory")}
    moved = aten._to_copy.default(host_of(source), **options)
    if isinstance(source, Pretended):
        if device is not None and device.type == "cpu":
            if not kwargs.get("non_blocking"):
                WAITS.note("copy to the CPU")
            return moved
        WAITS.operations[WAITS.region] += 1
        return Pretended(moved)
    if device is None or device.type not in ("cuda", "meta"):
        return moved
    if not kwargs.get("non_blocking"):
        WAITS.note("copy to the device")
    return Pretended(moved)


def _copied(target, source, non_blocking=False):
    if isinstance(target, Pretended) != isinstance(source, Pretended):
        to_cuda = isinstance(target, Pretended)
        if not (to_cuda and non_blocking):
            WAITS.note(f"copy to the {'device' if to_cuda else 'CPU'}")
    host_of(target).copy_(host_of(source))
    return target


def _made(func, args, kwargs, plain):
    if any(each.dim() for each in plain):
        msg = f"{func}: a CPU tensor with device=cuda"
        raise RuntimeError(msg)
    options = {**{k: v for k, v in kwargs.items() if k != "pin_memory"}, "device": "cpu"}
    WAITS.operations[WAITS.region] += 1
    return tree_map(pretend, func(*args, **options))


def _refuse_mixtures(func, args, plain):
    for each in plain:
        if func is aten.index.Tensor and isinstance(args[0], Pretended):
            WAITS.note("CPU index of a CUDA tensor")
        elif each.dim() or func in STRICT:
            msg = (
                "Expected all tensors to be on the same device, but found at least two devices, "
                f"cuda:0 and cpu! ({func}, at {_place()})"
            )
            raise RuntimeError(msg)


def _by_reciprocal(func, dividend, divisor):
    """CUDA multiplies by the reciprocal of a number that the host knows."""
    if not dividend.is_floating_point():
        return func, (dividend, divisor)
    product = aten.mul_ if "div_" in func.overloadpacket.__name__ else aten.mul
    return product.Tensor, (dividend, 1 / torch.as_tensor(divisor, dtype=dividend.dtype))


def _lstm_cell(func, args):
    """CUDA's own LSTM cell, which has no CPU kernel; ``None`` for everything else."""
    name = func.overloadpacket.__name__
    if name == "_thnn_fused_lstm_cell":
        return _lstm_forward(*args)
    if name == "_thnn_fused_lstm_cell_backward_impl":
        return _lstm_backward(*args)
    return None


def _lstm_forward(inputs, hidden, cell, input_bias=None, hidden_bias=None):
    gates = inputs + hidden
    if input_bias is not None:
        gates = gates + input_bias + hidden_bias
    i, f, c, o = gates.chunk(4, 1)
    i, f, c, o = i.sigmoid(), f.sigmoid(), c.tanh(), o.sigmoid()
    now = f * cell + i * c
    return o * now.tanh(), now, torch.cat([i, f, c, o], 1)


def _lstm_backward(of_hidden, of_cell, before, now, workspace, has_bias):
    i, f, c, o = workspace.chunk(4, 1)
    of_hidden = torch.zeros_like(now) if of_hidden is None else of_hidden
    bent = now.tanh()
    inner = of_hidden * o * (1 - bent**2) + (torch.zeros_like(now) if of_cell is None else of_cell)
    gates = torch.cat(
        [
            inner * c * i * (1 - i), inner * before * f * (1 - f), inner * i * (1 - c**2),
            of_hidden * bent * o * (1 - o),
        ],
        1,
    )  # fmt: skip
    return gates, inner * f, gates.sum(0) if has_bias else None


class Pretence(TorchDispatchMode):
    """While it is entered, ``device="cuda"`` makes pretended tensors."""

    supports_higher_order_operators = True

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is torch.ops.higher_order.cond:
            WAITS.note("cond")
            which, if_true, if_false, operands = args
            with self:
                return (if_true if host_of(which).item() else if_false)(*operands)
        if func not in WAITING and torch._C._dispatch_has_kernel_for_dispatch_key(
            func.name(), COMPOSITE
        ):
            flat = tree_flatten((args, kwargs))[0]
            if any(isinstance(each, Pretended) or _names_cuda(each) for each in flat):
                with self:
                    found = func.decompose(*args, **kwargs)
                if found is not NotImplemented:
                    return found
        return dispatch(func, args, kwargs)


def _names_cuda(value):
    return isinstance(value, torch.device) and value.type in ("cuda", "meta")


class Event:
    """Stands for torch.cuda.Event: what is recorded has happened."""

    def __init__(self, enable_timing=False):
        self.timing = enable_timing

    def record(self, stream=None):
        self.at = time.perf_counter()

    def synchronize(self):
        pass

    def elapsed_time(self, end):
        assert self.timing, "an event that was not made for timing"
        assert end.timing, "an event that was not made for timing"
        return (end.at - self.at) * 1e3


def install(count=1):
    """Make torch and Lightning see ``count`` devices, for the rest of the process."""
    nothing = lambda *args, **options: None  # noqa: E731
    for name, value in {
        "is_available": lambda: True, "is_initialized": lambda: True,
        "device_count": lambda: count, "current_device": lambda: 0, "set_device": nothing,
        "_lazy_init": nothing, "empty_cache": nothing, "manual_seed_all": nothing,
        "synchronize": lambda *args: WAITS.note("synchronize"),
        "is_current_stream_capturing": lambda: False, "get_device_capability": lambda *args: (9, 0),
        "get_device_name": lambda *args: "pretended", "get_rng_state_all": lambda: [],
        "set_rng_state_all": nothing, "is_bf16_supported": lambda *args, **options: True,
        "memory_allocated": lambda *args: MEMORY.used,
        "max_memory_allocated": lambda *args: MEMORY.peak,
        "Event": Event,
    }.items():  # fmt: skip
        setattr(torch.cuda, name, value)
    torch.optim.Optimizer._accelerator_graph_capture_health_check = nothing
    torch._C._cuda_clearCublasWorkspaces = nothing
    for library in (fabric_cuda, lightning_cuda):
        library.num_cuda_devices = lambda: count
        library._clear_cuda_memory = nothing
        library.CUDAAccelerator.is_available = staticmethod(lambda: True)
        library.CUDAAccelerator.auto_device_count = staticmethod(lambda: count)
    torch.backends.cudnn.enabled = False
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch.Tensor.to, torch.Tensor.cuda = _to, lambda self, *args, **options: self.to(CUDA)
    torch.Tensor.pin_memory = lambda self, *args: self
    torch.tensor, torch.as_tensor = _maker(torch.tensor), _maker(torch.as_tensor)


_torch_to = torch.Tensor.to


def _to(self, *args, **options):
    args = [_with_index(each) for each in args]
    options = {name: _with_index(each) for name, each in options.items()}
    if isinstance(self, Pretended) and not options.get("memory_format") and not options.get("copy"):
        given = [*args, *options.values()]
        devices = [torch.device(x) for x in given if isinstance(x, str | torch.device)]
        devices += [x.device for x in given if isinstance(x, torch.Tensor)]
        kinds = [x for x in given if isinstance(x, torch.dtype)]
        kinds += [x.dtype for x in given if isinstance(x, torch.Tensor)]
        here = all(each.type == "cuda" for each in devices)
        if here and all(kind == self.dtype for kind in kinds):
            return self
    return _torch_to(self, *args, **options)


def _with_index(value):
    if isinstance(value, str | torch.device) and str(value) == "cuda":
        return CUDA
    return value


def _maker(make):
    def made(data, *args, device=None, **options):
        if isinstance(data, Pretended):
            found = data.to(options["dtype"]) if options.get("dtype") else data
            return found if device is None else found.to(device)
        if isinstance(data, list | tuple) and any(isinstance(x, Pretended) for x in data):
            data = [x.item() for x in data]
        found = make(data, *args, **options)
        cuda = device is not None and torch.device(device).type == "cuda"
        return found.to(CUDA) if cuda else found

    return made
