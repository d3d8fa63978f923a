"""Searches, APGD and a universal perturbation beside a bare loop of the same algorithm.

The loop has the same draws and asks the victim as often, in the same batches; it knows no Trainer,
no result rows and no state. Milliseconds per question of a search, per image and iteration of the
others, after the first iteration: of the clock, and of the processor, which neighbours on the
machine disturb less.

    python -m benchmarks.questions
"""

import argparse
import logging
import statistics
import time
import warnings

import torch

from benchmarks.attack import EPSILON, STEP, RandomData
from benchmarks.clock import Clock, accelerator, add_device, machine
from lightning_hash.attacks import (
    APGD,
    HAG,
    NES,
    AlphaSchedule,
    Hinge,
    MomentumSignStep,
    PerQuery,
    SignHunter,
    Square,
    Universal,
)
from lightning_hash.attacks.apgd import looks
from lightning_hash.attacks.draws import query_draws
from lightning_hash.attacks.searches.nes import query_noise
from lightning_hash.attacks.searches.signhunter import chunk_of
from lightning_hash.attacks.searches.square import window_side
from lightning_hash.commands.attack import run_attack
from lightning_hash.engine.trainer import quiet_trainer
from lightning_hash.models import build_model
from lightning_hash.modules import AttackModule
from lightning_hash.victims import Victim, borrowed

BATCH, BITS = 100, 32
SIZES = (64, 32)  # pixels; the second is reported beside the first
LIMIT = 1.05  # times the bare loop, at the first size
PAIRS, SIGMA, NES_STEP = 10, 0.01, 1e-3
# Attack, iterations of a run, questions of an iteration.
ATTACKS = {
    "Square": (61, 1), "SignHunter": (61, 1), "NES": (4, 2 * PAIRS + 1),
    "APGD": (21, 1), "universal": (41, 1),
}  # fmt: skip


class TwoClocks(Clock):
    """The clock, and the time of the processor that this process has had."""

    def mark(self):
        """Return the present moment on both."""
        return super().mark(), time.process_time()

    def seconds(self, start, end):
        """Return the time between two marks on both."""
        return super().seconds(start[0], end[0]), end[1] - start[1]


def above(one, other):
    """Return where one pair of distance and loss is better than another."""
    return (one[0] > other[0]) | ((one[0] == other[0]) & (one[1] < other[1]))


def where(mask, one, other):
    """Choose for each query between two tensors ``(B, C, H, W)``."""
    return torch.where(mask[:, None, None, None], one, other)


class Bare:
    """The loops, on the victim's network; ``began`` is when the first iteration had ended."""

    def __init__(self, network, clean, iterations, clock):
        self.network, self.clean, self.iterations = network, clean, iterations
        self.clock, self.began = clock, None
        self.index = torch.arange(len(clean), device=clean.device)
        self.numbers = self.index.tolist()
        self.low, self.high = (-clean).clamp(min=-EPSILON), (1 - clean).clamp(max=EPSILON)
        with torch.no_grad():
            self.logits = network(clean)
        self.hinge, self.hag = Hinge(), HAG()

    def ended(self):
        """Hear that an iteration has ended."""
        self.began = self.began or self.clock.mark()

    @torch.no_grad()
    def ask(self, delta):
        """Return Hamming distance and hinge ``(B,)`` of a perturbation within its bounds."""
        logits = self.network(self.clean + delta)
        return self.distance(logits), self.hinge(logits, self.logits, 1.0)

    def distance(self, logits):
        """Return how many bits have flipped ``(B,)``."""
        return ((logits.detach() > 0) != (self.logits > 0)).sum(dim=1)

    def slope(self, delta):
        """Return Hamming distance and loss ``(B,)`` of a perturbation, and its gradient."""
        delta = delta.requires_grad_()
        logits = self.network(self.clean + delta)
        losses = self.hag(logits, self.logits, 1.0)
        (gradient,) = torch.autograd.grad(losses.sum(), delta)
        return self.distance(logits), losses.detach(), gradient

    def proposals(self, start, propose, reject=lambda number, rows: None):
        """Ask about a start, then accept what is not worse."""
        delta = start.clamp(self.low, self.high)
        _, best = self.ask(delta)
        self.ended()
        for number in range(self.iterations - 1):
            proposal = propose(delta, number).clamp_(self.low, self.high)
            _, losses = self.ask(proposal)
            accepted = losses <= best
            delta = where(accepted, proposal, delta)
            best = torch.where(accepted, losses, best)
            reject(number, ~accepted)
        return delta

    def square(self):
        """Square: stripes, then windows of one sign for each channel."""
        count, channels, height, width = self.clean.shape

        def signs(draws):
            return torch.where(draws < 0.5, -EPSILON, EPSILON).float()

        def propose(delta, number):
            side = window_side(0.8, number, self.iterations, height, width)
            draws = query_draws(0, self.index, number, 2 + channels)
            window = self.index.new_ones(count, 1, height, width, dtype=torch.bool)
            for axis, size in ((2, height), (3, width)):
                first = (draws[:, axis - 2] * (size - side + 1)).long().view(-1, 1, 1, 1)
                shape = (1, 1, size, 1) if axis == 2 else (1, 1, 1, size)
                place = torch.arange(size, device=draws.device).view(shape)
                window = window & (place >= first) & (place < first + side)
            return torch.where(window, signs(draws[:, 2:, None, None]), delta)

        stripes = signs(query_draws(0, self.index, -1, channels * width))
        start = stripes.view(count, channels, 1, width).expand_as(self.clean)
        return self.proposals(start, propose)

    def sign_hunter(self):
        """SignHunter: flips the signs of ever smaller chunks."""
        signs = torch.full_like(self.clean, EPSILON)
        flat = signs.flatten(1)
        size = flat.shape[1]

        def propose(delta, number):
            flat[:, chunk_of(number, size)].neg_()
            return signs.clone()

        def reject(number, rows):
            flat[:, chunk_of(number, size)] *= torch.where(rows, -1, 1)[:, None]

        return self.proposals(signs, propose, reject)

    def nes(self):
        """NES: a gradient of pairs of samples, a sign step, the best place of all."""
        point, momentum = torch.zeros_like(self.clean), torch.zeros_like(self.clean)
        best = most = None
        for iteration in range(self.iterations):
            estimate = torch.zeros_like(point)
            for pair in range(PAIRS):
                noise = query_noise(0, self.numbers, f"{iteration}/{pair}", point)
                up, down = (
                    self.ask((point + sign * SIGMA * noise).clamp_(self.low, self.high))[1]
                    for sign in (1, -1)
                )
                estimate += noise * (up - down)[:, None, None, None]
            momentum = 0.5 * momentum + estimate / (2 * PAIRS * SIGMA)
            point = (point - NES_STEP * momentum.sign()).clamp_(self.low, self.high)
            found = self.ask(point)
            if most is None:
                best, most = point, found
            won = above(found, most)
            best = where(won, point, best)
            most = tuple(torch.where(won, a, b) for a, b in zip(found, most, strict=True))
            self.ended()
        return best

    def apgd(self):
        """APGD: a step with momentum, halved where it does not pay; the best place of all."""
        point, places = torch.zeros_like(self.clean), set(looks(self.iterations))
        distance, loss, gradient = self.slope(point)
        before, best, best_gradient = point, point, gradient
        last = most = seen = (distance, loss)
        length = torch.full_like(loss, 2 * EPSILON)
        better, halved, looked = torch.zeros_like(loss), torch.ones_like(loss) > 0, 0

        for step in range(self.iterations - 1):
            moved = point.detach() - length[:, None, None, None] * gradient.sign()
            moved = moved.clamp_(self.low, self.high)
            self.ended()
            if step:
                moved = point.detach() + 0.75 * (moved - point) + 0.25 * (point - before)
                moved = moved.detach().clamp_(self.low, self.high)
            before, point = point.detach(), moved
            distance, loss, gradient = self.slope(point)
            found = (distance, loss)
            better += above(found, last)
            won, last = above(found, most), found
            most = tuple(torch.where(won, a, b) for a, b in zip(found, most, strict=True))
            best = where(won, point.detach(), best)
            best_gradient = where(won, gradient, best_gradient)
            if step + 1 in places:
                halves = (better <= 0.75 * (step + 1 - looked)) | (~halved & ~above(most, seen))
                length = torch.where(halves, length / 2, length)
                point, gradient = where(halves, best, point), where(halves, best_gradient, gradient)
                halved, looked, seen, better = halves, step + 1, most, torch.zeros_like(loss)
        return best

    def universal(self):
        """One delta: momentum on the mean gradient over its size, sign steps."""
        delta = torch.zeros_like(self.clean[:1])
        velocity = torch.zeros_like(delta)
        items = list(zip(self.clean, self.numbers, strict=True))
        for _ in range(self.iterations):
            order = torch.randperm(len(items))
            images = torch.stack([items[place][0] for place in order.tolist()])
            with torch.no_grad():
                logits = self.network(images)
            delta.requires_grad_()
            losses = self.hag(self.network((images + delta).clamp(0, 1)), logits, 1.0)
            (gradient,) = torch.autograd.grad(losses.mean(), delta)
            with torch.no_grad():
                velocity = velocity + gradient / gradient.abs().mean()
                delta = (delta - STEP * velocity.sign()).clamp_(-EPSILON, EPSILON)
            self.ended()
        return delta


class Timed(AttackModule):
    """An attack whose iterations after the first are timed by its ``clock``."""

    def on_train_batch_end(self, outputs, batch, batch_idx):
        if self.current_epoch == 0:
            self.began = self.clock.mark()

    def on_train_end(self):
        self.taken = self.clock.seconds(self.began, self.clock.mark())


class Case:
    """One attack on one victim: the loop, and the same under the Trainer."""

    def __init__(self, name, size, batch, iterations, device):
        torch.manual_seed(0)
        self.name, self.iterations, self.device = name, iterations, device
        self.clock = TwoClocks(device)
        network = build_model("convnet", BITS).eval().requires_grad_(requires_grad=False)
        self.victim = Victim(network.to(device))
        self.data = RandomData(batch, size)
        self.data.batch_size = batch
        self.data.selected_on = "test"
        self.data.setup("predict")

    def bare(self):
        """Return the delta of the loop, and its seconds on both clocks."""
        with borrowed(self.victim.network):
            clean = self.data.query_set.images.to(self.device)
            loop = Bare(self.victim.network, clean, self.iterations, self.clock)
            run = getattr(loop, {"SignHunter": "sign_hunter"}.get(self.name, self.name.lower()))
            delta = run()
            taken = self.clock.seconds(loop.began, self.clock.mark())
        return delta, taken

    def module(self):
        """Return the perturbation of AttackModule, and the seconds of its iterations."""
        objective = HAG() if self.name in ("APGD", "universal") else Hinge()
        step = {
            "Square": Square, "SignHunter": SignHunter, "APGD": APGD,
            "NES": lambda p: NES(p, lr=NES_STEP, pairs=PAIRS, sigma=SIGMA),
            "universal": lambda p: MomentumSignStep(p, STEP),
        }  # fmt: skip
        module = Timed(
            self.victim, objective, step=step[self.name], epsilon=EPSILON, n_queries=None,
            perturbation=Universal if self.name == "universal" else PerQuery,
            alpha=AlphaSchedule([1.0], [0.0]), batch_size=len(self.data.query_set),
            evaluate_at=[], kernels="float32",
        )  # fmt: skip
        module.clock = self.clock
        place = accelerator(self.device)
        with quiet_trainer(
            max_epochs=self.iterations, accelerator=place, log_every_n_steps=10
        ) as trainer:
            run_attack(trainer, module, self.data)
        return next(module.perturbation(0).parameters()).detach(), module.taken


def compare(case, pairs):
    """Return the seconds of both, of both clocks, pair by pair; in turn, each first in half."""
    times = {"bare": [], "module": []}
    for number in range(-1, pairs):  # the first pair warms up
        for which in ("bare", "module") if number % 2 else ("module", "bare"):
            _, seconds = getattr(case, which)()
            if number >= 0:
                times[which].append(seconds)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--attacks", nargs="+", default=list(ATTACKS), choices=list(ATTACKS))
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    add_device(parser)
    parser.add_argument("--quick", action="store_true", help="Few images and questions, one pair.")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    batch, pairs, sizes = BATCH, options.pairs, options.sizes
    if options.quick:
        batch, pairs, sizes = 8, 1, SIZES[-1:]
    print(f"{machine(options.device, options.threads)}, batches of {batch}, {pairs} pairs\n")
    print(
        "| attack | input | bare loop, ms | AttackModule, ms | ratio of pairs | "
        "ratio, time of the processor |\n|---|---|---:|---:|---:|---:|"
    )
    for name in options.attacks:
        for size in sizes:
            iterations, questions = ATTACKS[name]
            case = Case(name, size, batch, 2 if options.quick else iterations, options.device)
            report(case, size, compare(case, pairs), (case.iterations - 1) * questions)


def report(case, size, times, questions):
    each = 1e3 / questions
    of = "question"
    if case.name in ("APGD", "universal"):
        each, of = each / len(case.data.query_set), "image and iteration"
    cells = [f"{case.name}, per {of}", f"{size}x{size}"]
    for which in ("bare", "module"):
        cells.append(f"{each * statistics.median(wall for wall, _ in times[which]):.3g}")
    for clock in (0, 1):
        pairs = zip(times["bare"], times["module"], strict=True)
        ratios = [module[clock] / bare[clock] for bare, module in pairs]
        cells.append(f"{statistics.median(ratios):.3f} ({min(ratios):.2f} to {max(ratios):.2f})")
    print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
