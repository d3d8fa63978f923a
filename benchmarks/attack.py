"""Attacks side by side: one victim, one loss, one budget; time per image and iteration.

Contenders alternate in one process, after one unmeasured round; the table gives medians and spread.

    python -m benchmarks.attack
"""

import argparse
import json
import logging
import statistics
import subprocess
import sys
import warnings
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec

import torch
from torch import nn
from torch.utils.data import Dataset
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.clock import Clock, accelerator, add_device, machine
from benchmarks.evaluator import peak_memory
from lightning_hash.attacks import AlphaSchedule, AnchorCode, LInf, SignStep, TargetChoice
from lightning_hash.commands.attack import run_attack
from lightning_hash.data import HashDataModule
from lightning_hash.engine.trainer import quiet_trainer
from lightning_hash.models import build_model
from lightning_hash.modules import AttackModule
from lightning_hash.victims import Kernels, Victim, borrowed
from lightning_hash.victims.borrow import reduced_precision
from lightning_hash.victims.kernel_choice import choose_kernels, rule_kernels

EPSILON, STEP = 8 / 255, 1 / 255
# Network, side, queries per batch, iterations; the authors' loop takes fewer queries.
CASES = (
    ("convnet", 64, 100, 60, 10),
    ("vgg11", 224, 8, 4, 1),
    ("vgg16", 224, 8, 2, 1),
    ("resnet50", 224, 8, 2, 1),
    ("timm/vit_tiny_patch16_224", 224, 8, 4, 1),
)
# Network, side, queries per batch, iterations, each in a process of its own.
GROWTH = (
    ("convnet", 64, 100, 10),
    ("convnet", 128, 100, 5),
    ("convnet", 224, 100, 3),
    ("vgg11", 224, 1, 4),
    ("vgg11", 224, 8, 3),
    ("vgg11", 224, 32, 2),
    ("vgg11", 112, 32, 3),
)


# How the bare loop multiplies: as the attack does (see `borrowed`), or otherwise.
ATTACKS = "as the attack"
TF32, ANY_ORDER, TORCHS = "TF32", "sums in any order", "torch's settings, TF32 convolutions"


class Random(Dataset):
    def __init__(self, count, size):
        self.images = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))
        self.labels = torch.eye(2, dtype=torch.int64)[torch.arange(count) % 2].flip(1)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], self.labels[index], index


class RandomData(HashDataModule):
    name = "random"

    def __init__(self, count, size):
        super().__init__()
        self.count, self.size = count, size

    def setup(self, stage):
        if hasattr(self, "query_set"):
            return
        self.train_set = self.query_set = Random(self.count, self.size)
        self.database_set = Random(24, self.size)
        self.class_names = ["even", "odd"]

    def fingerprints(self):
        return {"train": "", "query": "", "database": ""}


class Case:
    def __init__(self, name, size, queries, iterations, few, device, choose=True):
        torch.manual_seed(0)
        self.iterations, self.few = iterations, few
        self.device, self.clock = device, Clock(device)
        network = build_model(name, 32).eval().requires_grad_(requires_grad=False)
        self.victim = Victim(network.to(device))
        self.data = RandomData(queries, size)
        self.data.setup("predict")
        self.clean = self.data.query_set.images.to(device)
        self.targets = torch.randint(0, 2, (queries, 32)).to(device) * 2.0 - 1
        self.objective = AnchorCode()
        loss = lambda network, x: self.objective(network(x), self.targets[: len(x)], 0.1).sum()  # noqa: E731
        self.kernels = {"float32": Kernels()}
        if choose:
            self.kernels["auto"] = rule_kernels(self.victim, self.clean)
            self.kernels["fastest"] = choose_kernels(self.victim, self.clean, loss)[0]

    def authors(self):
        """As the DHTA authors' public loop works: one query after the other, all gradients."""
        network = self.victim.network.requires_grad_()
        alpha, start = AlphaSchedule(), self.clock.mark()
        for query in range(self.few):
            clean, target = self.clean[query : query + 1], self.targets[query : query + 1]
            delta = torch.zeros_like(clean, requires_grad=True)
            for iteration in range(self.iterations):
                code = torch.tanh(alpha(iteration, self.iterations) * network(clean + delta))
                loss = -(code @ target.T).sum() / 32
                loss.backward()
                delta.data = delta - STEP * delta.grad / torch.norm(delta.grad, 2)
                delta.data = (clean + delta.data).clamp(0, 1) - clean
                delta.data = delta.data.clamp(-EPSILON, EPSILON)
                delta.grad.zero_()
        seconds = self.clock.seconds(start, self.clock.mark())
        network.requires_grad_(requires_grad=False)
        network.zero_grad(set_to_none=True)
        return seconds / self.few / self.iterations

    def torchattacks(self):
        """PGD of torchattacks, which maximises a classifier's cross entropy."""
        import torchattacks

        labels = torch.zeros(len(self.clean), dtype=torch.long)
        attack = torchattacks.PGD(
            self.victim.network, EPSILON, STEP, self.iterations, random_start=False
        )
        attack.set_device(self.device)
        with self.clock.timed() as seconds:
            attack(self.clean, labels)
        return seconds[0] / len(self.clean) / self.iterations

    def bare(self, kernels, arithmetic=ATTACKS):
        """Forward, gradient of the input, step and projection, and nothing else."""
        with ExitStack() as stack:
            if arithmetic != TORCHS:
                stack.enter_context(borrowed(self.victim.network))
            if arithmetic == TF32:
                stack.enter_context(reduced_precision())
            if arithmetic == ANY_ORDER:
                torch.backends.cudnn.deterministic = False
                torch.use_deterministic_algorithms(mode=False)
            stack.enter_context(kernels.arithmetic())
            return self._bare(kernels)

    def _bare(self, kernels):
        network = kernels.of(self.victim)
        clean = network.lay_out(self.clean)
        perturbation = nn.Parameter(torch.zeros_like(clean))
        step, alpha, budget = SignStep([perturbation], STEP), AlphaSchedule(), LInf(EPSILON)
        with self.clock.timed() as seconds:
            for iteration in range(self.iterations):
                logits = network(clean + perturbation)
                value = alpha(iteration, self.iterations)
                step.zero_grad()
                self.objective(logits, self.targets, value).sum().backward()
                step.step()
                with torch.no_grad():
                    budget.project(perturbation, clean)
        return seconds[0] / len(self.clean) / self.iterations

    def module(self, kernels="float32", kind=None):
        """AttackModule under HashTrainer; the time between its first and its last iteration."""
        module = (kind or Timed)(
            self.victim, AnchorCode(), step=lambda p: SignStep(p, STEP), epsilon=EPSILON,
            targets=TargetChoice(n_t=1), n_queries=None, batch_size=len(self.clean),
            evaluate_at=[], kernels=str(self.kernels[kernels]),
        )  # fmt: skip
        module.clock = self.clock
        place = accelerator(self.device)
        with quiet_trainer(
            max_epochs=self.iterations, accelerator=place, log_every_n_steps=10
        ) as trainer:
            run_attack(trainer, module, self.data)
        return module.seconds / len(self.clean) / self.iterations

    def operations(self):
        """Multiplications and additions of one pass forward and back to the input, per image."""
        inputs = self.clean[:2].clone().requires_grad_()
        with FlopCounterMode(display=False) as counter:
            self.victim.network(inputs).sum().backward()
        return counter.get_total_flops() / len(inputs)


class Timed(AttackModule):
    """An attack whose iterations are timed by its ``clock``."""

    def on_train_start(self):
        super().on_train_start()
        self.began = self.clock.mark()

    def on_train_end(self):
        self.seconds = self.clock.seconds(self.began, self.clock.mark())


def peak(device, dtype):
    """Operations per second of a large matrix product."""
    size = 8192 if device == "cuda" else 2048
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = 0.0
    for _ in range(5):
        with Clock(device).timed() as seconds:
            a @ b
        best = max(best, 2 * size**3 / seconds[0])
    return best


def alone(name, size, queries, iterations, device):
    """Print time and memory of one attack; called in a process of its own."""
    imports = peak_memory()
    case = Case(name, size, queries, iterations, 1, device, choose=False)
    loaded = peak_memory()
    seconds = case.module()
    most = peak_memory()
    if device == "cuda":
        imports, loaded, most = 0, 0, torch.cuda.max_memory_allocated() / 1e6
    print(json.dumps([seconds * 1e3, imports, loaded, most]))


def growth(cases, options):
    heads = ("network", "input", "batch", "ms per image and iteration", "imports, MB", "with data",
             "at most")  # fmt: skip
    print(f"\n| {' | '.join(heads)} |\n|---|---|" + "---:|" * (len(heads) - 2))
    for name, size, queries, iterations in cases:
        case = json.dumps([name, size, queries, iterations, options.device])
        command = [sys.executable, "-m", "benchmarks.attack", "--alone", case]
        command += ["--threads", str(options.threads)]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        milliseconds, *memory = json.loads(answer.stdout.splitlines()[-1])
        cells = [name, f"{size}x{size}", queries, f"{milliseconds:.3g}"]
        cells += [f"{megabytes:.0f}" for megabytes in memory]
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def installed(names):
    """Leave out the networks of libraries that are missing."""
    return [n for n in names if "/" not in n or find_spec(n.partition("/")[0]) is not None]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--networks", nargs="+", default=installed([case[0] for case in CASES]))
    add_device(parser)
    parser.add_argument("--batch", type=int, help="Queries per batch, in place of the case's.")
    parser.add_argument("--quick", action="store_true", help="One network, few queries, one round.")
    parser.add_argument("--alone", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    if options.alone:
        alone(*options.alone)
        return
    if options.quick:
        options.networks, options.rounds = options.networks[:1], 1
    peaks = {d: peak(options.device, d) for d in (torch.float32, torch.bfloat16)}
    print(
        f"{machine(options.device, options.threads)}, {options.rounds} rounds; "
        f"matrix product {peaks[torch.float32] / 1e9:,.0f} GFLOP/s in float32, "
        f"{peaks[torch.bfloat16] / 1e9:,.0f} in bfloat16\n"
    )
    print(
        "| network | input | batch | contender | ms per image and iteration | least .. most | "
        "times the authors' loop | share of peak |"
    )
    print("|---|---|---:|---|---:|---:|---:|---:|")
    for name, size, queries, iterations, few in CASES:
        if name in options.networks:
            if options.quick:
                queries, iterations, few = 8, 4, 2
            case = Case(name, size, options.batch or queries, iterations, few, options.device)
            report(name, case, options.rounds, peaks)
    growth([("convnet", 32, 4, 2)] if options.quick else GROWTH, options)


def report(name, case, rounds, peaks):
    cuda = case.device == "cuda"
    # These two run on what torch does by itself.
    authors, pgd = (
        f"{name}, {TORCHS}" if cuda else name
        for name in ("like the DHTA authors' loop", "torchattacks PGD")
    )
    contenders = {authors: case.authors, pgd: case.torchattacks}
    for kind, kernels in case.kernels.items():
        said = str(kernels) if kind == "float32" else f"{kind}: {kernels}"
        contenders[f"bare loop, {said}"] = partial(case.bare, kernels)
        contenders[f"AttackModule, {said}"] = partial(case.module, kind)
    for arithmetic in (TF32, ANY_ORDER, TORCHS) if cuda else ():
        contenders[f"bare loop, float32, {arithmetic}"] = partial(
            case.bare, case.kernels["float32"], arithmetic
        )
    try:
        import torchattacks  # noqa: F401
    except ImportError:
        contenders.pop(pgd)
    times = {contender: [] for contender in contenders}
    for number in range(rounds + 1):
        for contender, run in contenders.items():
            seconds = run()
            if number or rounds == 1:
                times[contender].append(seconds)
    operations = case.operations()
    first = statistics.median(times[authors])
    for contender, found in times.items():
        median = statistics.median(found)
        top = peaks[torch.bfloat16 if "bfloat16" in contender else torch.float32]
        shape = "x".join(map(str, case.clean.shape[1:]))
        print(
            f"| {name} | {shape} | {len(case.clean)} | {contender} | {median * 1e3:.3g} | "
            f"{min(found) * 1e3:.3g} .. {max(found) * 1e3:.3g} | {first / median:.2f} | "
            f"{operations / median / top:.2f} |",
            flush=True,
        )
    for bare in [contender for contender in times if contender.startswith("bare")]:
        kind = bare.removeprefix("bare loop, ")
        if f"AttackModule, {kind}" not in times:
            continue
        loops = times[bare], times[f"AttackModule, {kind}"]
        ratios = [module / bare for bare, module in zip(*loops, strict=True)]
        print(
            f"| {name} | | | AttackModule over bare loop, {kind} | "
            f"{statistics.median(ratios):.3f} | {min(ratios):.3f} .. {max(ratios):.3f} | | |"
        )


if __name__ == "__main__":
    main()
