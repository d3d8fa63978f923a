"""The Trainer's share: AttackModule against a bare loop, on one victim and one batch.

Rounds of both alternate in one process; the table gives medians per iteration.

    python benchmarks/attack_overhead.py
"""

import argparse
import logging
import statistics
import time
import warnings

import torch
from torch import nn
from torch.utils.data import Dataset

from lightning_hash.attacks import HAG, AlphaSchedule, project_
from lightning_hash.data import HashDataModule
from lightning_hash.models import build_model, freeze
from lightning_hash.modules import AttackModule
from lightning_hash.trainer import HashTrainer

CASES = (("convnet", 64, 100, 100), ("vgg11", 224, 8, 6))


class Random(Dataset):
    def __init__(self, count, size):
        self.images = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], torch.tensor([index % 2, 1 - index % 2]), index


class RandomData(HashDataModule):
    name = "random"

    def __init__(self, count, size):
        super().__init__()
        self.count, self.size = count, size

    def setup(self, stage):
        self.query_set, self.database_set = Random(self.count, self.size), Random(24, self.size)
        self.class_names = ["even", "odd"]

    def fingerprints(self):
        return {"train": "", "query": "", "database": ""}


def bare(network, clean, reference, iterations):
    """Forward, gradient of the input, step and projection, and nothing else."""
    perturbation = nn.Parameter(torch.zeros_like(clean))
    step = torch.optim.SGD([perturbation], lr=0.0077, momentum=0.9)
    objective, alpha = HAG(), AlphaSchedule()
    start = time.perf_counter()
    for iteration in range(iterations):
        logits = network(clean + perturbation)
        loss = objective(logits, reference, alpha(iteration, iterations)).sum()
        step.zero_grad()
        loss.backward()
        step.step()
        with torch.no_grad():
            project_(perturbation, clean, 10 / 255, 1.0)
    return (time.perf_counter() - start) / iterations


class Timed(AttackModule):
    def on_train_start(self):
        self.began = time.perf_counter()

    def on_train_end(self):
        self.ended = time.perf_counter()


def under_trainer(network, data, batch, iterations):
    module = Timed(freeze(network).network, n_queries=None, batch_size=batch, evaluate_at=[])
    trainer = HashTrainer(
        max_epochs=iterations, logger=False, enable_checkpointing=False, accelerator="cpu",
        enable_progress_bar=False, enable_model_summary=False, log_every_n_steps=10,
    )  # fmt: skip
    trainer.attack(module, data)
    return (module.ended - module.began) / iterations


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--networks", nargs="+", default=[case[0] for case in CASES])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    print(f"torch {torch.__version__}, {options.threads} threads, {options.rounds} rounds\n")
    print(
        "| network | input | queries | bare loop, ms | AttackModule, ms | ratio, median of pairs |"
    )
    print("|---|---|---:|---:|---:|---:|")
    for name, size, queries, iterations in (c for c in CASES if c[0] in options.networks):
        torch.manual_seed(0)
        network = freeze(build_model(name, 32)).network
        data = RandomData(queries, size)
        data.setup("predict")
        clean = data.query_set.images
        with torch.no_grad():
            reference = network(clean)
        # Both once unmeasured: the allocator learns to keep its pages.
        bare(network, clean, reference, iterations)
        under_trainer(network, data, queries, iterations)
        times = [
            (
                bare(network, clean, reference, iterations),
                under_trainer(network, data, queries, iterations),
            )
            for _ in range(options.rounds)
        ]
        loop, module = (statistics.median(column) * 1e3 for column in zip(*times, strict=True))
        ratio = statistics.median(b / a for a, b in times)
        shape = f"3 x {size} x {size}"
        print(f"| {name} | {shape} | {queries} | {loop:.1f} | {module:.1f} | {ratio:.3f} |")


if __name__ == "__main__":
    main()
