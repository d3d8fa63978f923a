"""Encoding a database against the bare model, in images per second.

The first table has the Trainer's share: HashTrainer.encode, from a data set in memory to the
written file, against the frozen model over the same batches made ready before. The second has the
share of reading: encode from JPEG files, and decoding alone. In both, images travel as uint8, as
they do, or as float32, as those of other data sets. What is compared takes turns in one process; the tables give medians over the rounds, and in
brackets the least and the greatest.

    python benchmarks/encoder.py
    python benchmarks/encoder.py --quick
"""

import argparse
import functools
import logging
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from lightning_hash.data import FolderDataModule, HashDataModule
from lightning_hash.data.eight_bit import EightBitImages
from lightning_hash.models import build_model, freeze
from lightning_hash.models.frozen import FrozenNetwork
from lightning_hash.modules import Encoder
from lightning_hash.modules.encoder import codes_of
from lightning_hash.trainer import HashTrainer

# Network, side of the input, images per batch, batches.
CASES = (("convnet", 64, 256, 12), ("vgg11", 224, 16, 4))
QUICK = (("convnet", 64, 256, 2), ("vgg11", 224, 4, 1))
FILES, QUICK_FILES = 300, 20


class Random(EightBitImages):
    def __init__(self, count, size):
        generator = torch.Generator().manual_seed(0)
        shape = (count, 3, size, size)
        self.images = torch.randint(256, shape, dtype=torch.uint8, generator=generator)
        self.labels = torch.eye(10, dtype=torch.uint8)[torch.arange(count) % 10]

    def __len__(self):
        return len(self.images)

    def image(self, index):
        return self.images[index]


class RandomData(HashDataModule):
    name = "random"

    def __init__(self, size, batch, batches):
        super().__init__(eval_batch_size=batch)
        self.train_set = self.query_set = self.database_set = Random(batch * batches, size)
        self.class_names = [str(number) for number in range(10)]

    def fingerprints(self):
        return {"train": "", "query": "", "database": ""}


class Scaled(Dataset):
    """Image files whose items are scaled before they travel."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index]

    def __getattr__(self, name):
        if name == "images":  # not there yet while a worker unpickles it
            raise AttributeError(name)
        return getattr(self.images, name)


class ScaledRandomData(RandomData):
    def dataset(self, split):
        return Scaled(super().dataset(split))


class ScaledFolder(FolderDataModule):
    def dataset(self, split):
        return Scaled(super().dataset(split))


def seconds(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


@torch.inference_mode()
def bare(network, batches):
    """The least that an encoder does: codes of ready batches, put together."""
    return torch.cat([codes_of(network, inputs) for inputs in batches])


def encode(victim, data, output):
    trainer = HashTrainer(
        logger=False, enable_checkpointing=False, accelerator="cpu", enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.encode(Encoder(victim), data, output=str(output))


def alternate(runs, rounds):
    """Time all of some runs in turn; once before, unmeasured, so that memory is there."""
    for run in runs.values():
        run()
    times = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(seconds(run))
    return times


def rate(count, times):
    values = [count / t for t in times]
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def share(bare_times, times):
    ratios = [a / b for a, b in zip(bare_times, times, strict=True)]
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


def in_memory(cases, rounds, folder):
    print("| network | input | batch | run | images/s | speed / bare model's |")
    print("|---|---|---:|---|---:|---:|")
    for name, size, batch, batches in cases:
        victim = freeze(build_model(name, 64))
        data, scaled = (kind(size, batch, batches) for kind in (RandomData, ScaledRandomData))
        images = data.database_set
        ready = list(images.scale(images.images).split(batch))
        network = FrozenNetwork(victim)
        runs = {
            "bare model": functools.partial(bare, network, ready),
            **{
                f"encode, {travels}": functools.partial(
                    encode, victim, source, folder / "codes.safetensors"
                )
                for travels, source in (("uint8", data), ("float32", scaled))
            },
        }
        for run, times in (found := alternate(runs, rounds)).items():
            print(
                f"| {name} | 3 x {size} x {size} | {batch} | {run} | {rate(len(images), times)} | "
                f"{share(found['bare model'], times)} |",
                flush=True,
            )


def make_files(folder, count):
    """Write JPEGs of a photograph's size in bytes: noise that is smooth over some pixels."""
    random = np.random.default_rng(0)
    for number in range(count):
        small = Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8))
        path = folder / str(number % 2) / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True, parents=True)
        small.resize((256, 256), Image.Resampling.BICUBIC).save(path, quality=90)


def from_files(count, rounds, folder):
    make_files(folder / "photos", count + 4)
    size = sum(path.stat().st_size for path in folder.glob("photos/*/*")) / (count + 4) / 1e3
    draws = {"train": "2 from all", "query": "2 from all", "database": "rest of all"}

    def data(kind, workers):
        made = kind(
            str(folder / "photos"), size=224, resize=256, eval_batch_size=16, num_workers=workers,
            **draws,
        )  # fmt: skip
        made.setup("predict")
        return made

    victim = freeze(build_model("convnet", 64))
    network = FrozenNetwork(victim)
    images = data(FolderDataModule, 0).database_set
    ready = list(torch.stack([images[i][0] for i in range(count)]).split(16))
    runs = {
        "bare model, ready batches": functools.partial(bare, network, ready),
        "decoding alone": lambda: [images.image(i) for i in range(count)],
    }
    for workers in (0, 1, 2):
        for kind, travels in ((FolderDataModule, "uint8"), (ScaledFolder, "float32")):
            runs[f"encode, {workers} workers, {travels}"] = functools.partial(
                encode, victim, data(kind, workers), folder / "codes.safetensors"
            )
    times = alternate(runs, rounds)
    first = times["bare model, ready batches"]
    print(f"\nconvnet, batches of 16, {count} JPEG files of 256 x 256 and {size:.0f} kB:\n")
    print("| run | images/s | speed / bare model's |\n|---|---:|---:|")
    for name, measured in times.items():
        print(f"| {name} | {rate(count, measured)} | {share(first, measured)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="few images, one round")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    warnings.filterwarnings("ignore")
    for name in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    rounds = 1 if options.quick else options.rounds
    print(f"torch {torch.__version__}, {options.threads} threads, {rounds} rounds\n")
    with tempfile.TemporaryDirectory() as folder:
        in_memory(QUICK if options.quick else CASES, rounds, Path(folder))
        from_files(QUICK_FILES if options.quick else FILES, rounds, Path(folder))


if __name__ == "__main__":
    main()
