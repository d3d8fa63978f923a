"""Which kernels an attack runs on where the user names none: by a rule, or measured once."""

import hashlib
import json
import logging
import os
import platform
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor
from torch.nn.functional import cosine_similarity

from lightning_hash._version import __version__
from lightning_hash.functional.gradients import input_gradients
from lightning_hash.utils.distributed import gather_objects
from lightning_hash.utils.json_text import read_json
from lightning_hash.utils.memory import AtATime, is_out_of_memory
from lightning_hash.utils.whole_file import part_of, remove_parts
from lightning_hash.victims.kernels import (
    FASTEST,
    Kernels,
    batch_norms,
    read_kernels,
    widest_convolution,
)
from lightning_hash.victims.victim import Victim

# Images from this many pixels on, and networks up to this many channels, run faster channels-last
# on CPUs (docs/performance.md).
PIXELS, CHANNELS = 192**2, 64
# How far logits of folded weights may be from the victim's own, of the largest: rounding is 1e-6.
CLOSE = 1e-3
# Queries that candidates are timed on: more where their pass takes less than SECONDS, for which
# small caches would flatter some.
QUERIES, SECONDS = 4, 0.1
# Pairs of passes, of a candidate and of float32, where one takes less than a second.
ROUNDS = 7
# How much faster than float32 a candidate must be, and than those before it: less is chance.
GAIN, MORE = 1.1, 1.05
# Least cosine between a candidate's gradient and that of float32.
COSINE = 0.9

log = logging.getLogger(__name__)
Loss = Callable[[Victim, Tensor], Tensor]


def candidates(device: torch.device) -> tuple[Kernels, ...]:
    """Return what is measured on a kind of device; float32 as it comes first."""
    kinds: list[dict[str, bool]] = [
        {}, {"channels_last": True}, {"channels_last": True, "short": True},
    ]  # fmt: skip
    if device.type == "cuda":
        kinds += [{"tf32": True}, {"channels_last": True, "tf32": True}]
    return tuple(Kernels(**kind, folded=folded) for folded in (False, True) for kind in kinds)


def agree_on_kernels(
    wanted: str,
    victim: Victim,
    inputs: Tensor | None,
    loss: Loss,
    lengths: tuple[Tensor, ...] = (),
) -> Kernels:
    """Choose kernels; rank 0 decides for all processes, which call it together.

    Args:
        wanted: ``"auto"`` or ``"fastest"``.
        victim: the victim, on its device.
        inputs: ``(B, ...)`` float32 queries; ``None`` on processes that do not decide.
        loss: ``(network, inputs) -> scalar``, whose gradient ``"fastest"`` times.
        lengths: nothing, or the frames ``(B,)`` of each clip.

    Returns:
        The choice of rank 0; float32 where it does not decide.
    """
    chosen = Kernels()
    if inputs is not None and wanted == FASTEST:
        chosen = fastest_kernels(victim, inputs, loss)
    elif inputs is not None:
        chosen = rule_kernels(victim, inputs, *lengths)
    found: Kernels = gather_objects(chosen)[0]
    return found


@torch.no_grad()
def rule_kernels(victim: Victim, inputs: Tensor, *lengths: Tensor) -> Kernels:
    """Say which float32 kernels suit a victim: nothing is timed.

    The answer is the same for the same victim, inputs and type of device. Batch norms are folded
    into the convolutions before them; on a CPU images are laid out channels-last where they are
    large or the network is narrow.

    Args:
        victim: the victim, on its device.
        inputs: ``(B, ...)`` float32 queries; the first one is passed.
        lengths: nothing, or the frames ``(B,)`` of each clip.

    Returns:
        The kernels; float32 as it comes where a copy of the network fails or gives other logits.
    """
    device = inputs.device.type
    if device not in ("cpu", "cuda"):
        return Kernels()
    width = widest_convolution(victim.network)
    large = inputs.shape[-2:].numel() >= PIXELS
    kernels = Kernels(
        channels_last=device == "cpu" and inputs.dim() == 4 and width > 0
        and (large or width <= CHANNELS),
        folded=batch_norms(victim.network) > 0,
    )  # fmt: skip
    without = Kernels(channels_last=kernels.channels_last)
    for each in dict.fromkeys((kernels, without)):
        first = [part[:1] for part in (inputs, *lengths)]
        if each == Kernels() or _has_same_logits(each, victim, *first):
            return each
    return Kernels()


def _has_same_logits(kernels: Kernels, victim: Victim, inputs: Tensor, *lengths: Tensor) -> bool:
    """Compare a copy with the victim."""
    try:
        network = kernels.of(victim).to(inputs.device)
        found = network(network.lay_out(inputs), *lengths)
    except (ValueError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not is_out_of_memory(error):
            raise
        log.debug("%s", error)
        return False
    expected = victim(inputs, *lengths)
    return bool((found - expected).abs().max() <= CLOSE * expected.abs().max())


def fastest_kernels(victim: Victim, inputs: Tensor, loss: Loss) -> Kernels:
    """Return the fastest kernels: measured once, then read from a file.

    The file is named by the device, the structure of the network, the shape of the inputs, the
    number of threads and the versions; see :func:`cache_folder`. Of runs that measure at once, the
    first that ends decides for all.

    Args:
        victim: the victim, on its device.
        inputs: ``(B, ...)`` float32 queries.
        loss: ``(network, inputs) -> scalar``.
    """
    key = cache_key(victim, inputs)
    name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    path = cache_folder() / f"{name}.json"
    kept = _read(path)
    if kept is None:
        chosen, gain = choose_kernels(victim, inputs, loss)
        kept = _keep(path, {"kernels": str(chosen), "gain": gain, **key})
    kernels, gain = kept
    if kernels != Kernels() and not _points_alike(kernels, victim, inputs, loss):
        rank_zero_warn(f"kernels {kernels} of {path} do not suit these weights; float32 is taken")
        return Kernels()
    rank_zero_info(f"kernels: {kernels}, {gain:.1f} times as fast as float32, kept in {path}")
    return kernels


def cache_folder() -> Path:
    """Return the folder of measured choices, in ``XDG_CACHE_HOME`` or ``~/.cache``."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "lightning_hash" / "kernels"


def cache_key(victim: Victim, inputs: Tensor) -> dict[str, Any]:
    """Return all that a measured choice is kept for, as JSON."""
    network = victim.network
    shapes = [[k, list(v.shape), str(v.dtype)] for k, v in network.state_dict().items()]
    structure = hashlib.sha256(f"{network}{shapes}".encode()).hexdigest()
    return {
        "device": _device_name(inputs.device),
        "network": structure,
        "inputs": list(inputs.shape),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "version": __version__,
    }


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    file = Path("/proc/cpuinfo")
    said = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    model = re.search(r"model name\s*: (.*)", said)
    name = platform.processor() if model is None else model[1]
    return f"{platform.machine()} {name} {torch.backends.cpu.get_cpu_capability()}"


def _read(path: Path) -> tuple[Kernels, float] | None:
    if not path.is_file():
        return None
    try:
        content = read_json(path, str(path), "measure again")
        kernels = read_kernels(content["kernels"])
        return (kernels, float(content["gain"])) if isinstance(kernels, Kernels) else None
    except (ValueError, KeyError, TypeError):
        rank_zero_warn(f"{path} is damaged; the kernels are measured again")
        path.unlink(missing_ok=True)
        return None


def _keep(path: Path, content: dict[str, Any]) -> tuple[Kernels, float]:
    """Write a choice, unless another run has done so meanwhile, and return what is kept."""
    own = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_parts(path.parent)
        try:
            own.write_text(json.dumps(content, indent=1), encoding="utf-8")
            with suppress(FileExistsError):
                path.hardlink_to(own)
        finally:
            own.unlink(missing_ok=True)
    except OSError as error:
        rank_zero_warn(f"kernels: the choice cannot be kept in {path.parent} ({error.strerror})")
    kept = _read(path)
    if kept is not None:
        return kept
    kernels = read_kernels(content["kernels"])
    assert isinstance(kernels, Kernels)
    return kernels, content["gain"]


def choose_kernels(victim: Victim, inputs: Tensor, loss: Loss) -> tuple[Kernels, float]:
    """Time forward and backward passes of a few queries on each candidate.

    Each candidate takes turns with float32, so that a clock that changes changes both. Candidates
    that fail, or whose gradient points elsewhere than that of float32, are left out.

    Args:
        victim: the victim, on its device.
        inputs: ``(B, ...)`` float32 queries; the first few are used.
        loss: ``(network, inputs) -> scalar``.

    Returns:
        The fastest and how many times as fast as float32 it was.
    """
    plain, *others = candidates(inputs.device)
    many, exact, once = _queries_to_time(plain, victim, inputs, loss)
    few = inputs[: len(exact)].detach()
    rounds = ROUNDS if once < 1 else 1
    best, gain = plain, 1.0
    for kernels in others:  # one after the other: no two copies of the weights at a time
        try:
            network = kernels.of(victim).to(inputs.device)
            with kernels.arithmetic():
                gradient = _gradient(network, few, loss)
            if not _close(gradient.flatten(), exact.flatten()):
                continue
            _seconds(kernels, network, many, loss)  # prepares weights and memory
            ratios = [
                _seconds(plain, victim, many, loss) / _seconds(kernels, network, many, loss)
                for _ in range(rounds)
            ]
        except Exception as error:  # whatever torch.fx, copies and foreign networks raise
            log.debug("kernels %s left out: %s", kernels, error)
            continue
        ratio = median(ratios)
        if ratio >= GAIN and ratio >= MORE * gain:
            best, gain = kernels, ratio
    return best, gain


def _queries_to_time(
    plain: Kernels, victim: Victim, inputs: Tensor, loss: Loss
) -> tuple[Tensor, Tensor, float]:
    """Return queries whose passes can be timed, the gradient of the first few, and its seconds.

    Raises:
        torch.OutOfMemoryError: if memory does not hold one query.
    """
    fit = AtATime(warns=False)

    def passes(size: int) -> tuple[Tensor, float]:
        few = inputs[:size].detach()
        return _gradient(victim, few, loss), max(_seconds(plain, victim, few, loss), 1e-6)

    exact, once = fit.run(min(QUERIES, len(inputs)), passes)
    wanted = max(len(exact), min(len(inputs), int(len(exact) * SECONDS / once)))

    def timed(size: int) -> int:
        _seconds(plain, victim, inputs[:size].detach(), loss)
        return size

    return inputs[: fit.run(wanted, timed)].detach(), exact, once


def _points_alike(kernels: Kernels, victim: Victim, inputs: Tensor, loss: Loss) -> bool:
    """Return whether a candidate's gradient points where float32's does, for these weights."""
    few = inputs[:QUERIES].detach()
    network = kernels.of(victim).to(inputs.device)
    with kernels.arithmetic():
        gradient = _gradient(network, few, loss).flatten()
    return _close(gradient, _gradient(victim, few, loss).flatten())


def _seconds(kernels: Kernels, network: Victim, inputs: Tensor, loss: Loss) -> float:
    with kernels.arithmetic():
        start = _now(inputs.device)
        _gradient(network, inputs, loss)
        return _now(inputs.device) - start


def _gradient(network: Victim, inputs: Tensor, loss: Loss) -> Tensor:
    laid_out = network.lay_out(inputs).requires_grad_()
    (gradient,) = input_gradients(loss(network, laid_out), [laid_out])
    return gradient


def _close(gradient: Tensor, plain: Tensor) -> bool:
    if not gradient.isfinite().all():
        return False
    alike = cosine_similarity(gradient.double(), plain.double(), dim=0) >= COSINE
    return bool(alike) or not plain.any()


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
