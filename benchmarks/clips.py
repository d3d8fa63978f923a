"""Clips: memory and time of attacks, and training with and without cached features.

python -m benchmarks.clips
"""

import argparse
import json
import logging
import subprocess
import sys
import tempfile
import warnings

import torch

from benchmarks.attack import RandomData, Timed
from benchmarks.clock import Clock, accelerator, add_device, machine
from benchmarks.evaluator import peak_memory
from lightning_hash.attacks import AlphaSchedule, AnchorCode, SignStep, TargetChoice
from lightning_hash.commands.attack import run_attack
from lightning_hash.commands.fit import run_fit
from lightning_hash.data import SampleClips
from lightning_hash.engine.trainer import quiet_trainer
from lightning_hash.functional import RankingOptions
from lightning_hash.models import VideoNetwork
from lightning_hash.modules import HashModule

# Network of a frame, clips, frames, side, clips per step, frames per pass; each in its own process.
ATTACKS = (
    ("alexnet", 1, 40, 224, 1, None),
    ("alexnet", 1, 40, 224, 1, 8),
    ("alexnet", 4, 40, 224, 1, 40),
    ("alexnet", 4, 40, 224, 4, None),
    ("alexnet", 4, 40, 224, 4, 40),
    ("vgg11", 1, 40, 224, 1, None),
    ("vgg11", 1, 40, 224, 1, 8),
)
QUICK = (("convnet", 2, 3, 64, 2, 2),)


class RandomClips(RandomData):
    """Clips whose frames are random."""

    def __init__(self, count, frames, size):
        super().__init__(count, size)
        self.frames = frames

    def setup(self, stage):
        if hasattr(self, "query_set"):
            return
        generator = torch.Generator().manual_seed(0)
        shape = self.frames, 3, self.size, self.size
        sets = [
            [torch.rand(*shape, generator=generator) for _ in range(n)] for n in (self.count, 4)
        ]
        queries, database = (
            [(clip, torch.tensor([i % 2, 1 - i % 2]), i) for i, clip in enumerate(clips)]
            for clips in sets
        )
        self.train_set = self.query_set = queries
        self.database_set = database
        self.class_names = ["even", "odd"]


def alone(device, name, count, frames, size, batch, chunk, iterations):
    """Print seconds per clip and iteration, and memory; called in a process of its own.

    On a GPU the memory is the GPU's.
    """
    imports = peak_memory()
    torch.manual_seed(0)
    network = VideoNetwork(48, frames=name, chunk=chunk)
    loaded = peak_memory()
    data = RandomClips(count, frames, size)
    data.eval_batch_size = 1
    module = Timed(
        network, AnchorCode(), step=lambda p: SignStep(p, 1 / 255), epsilon=0.032,
        alpha=AlphaSchedule([0.1], [0.0]), targets=TargetChoice(n_t=1), n_queries=None,
        batch_size=batch, ranking=RankingOptions(None), evaluate_at=[], kernels="float32",
    )  # fmt: skip
    module.clock = Clock(device)
    with quiet_trainer(max_epochs=iterations, accelerator=accelerator(device)) as trainer:
        run_attack(trainer, module, data)
    memory = [imports, loaded, peak_memory()]
    if device == "cuda":
        memory = [0, 0, torch.cuda.max_memory_allocated() / 1e6]
    print(json.dumps([module.seconds / count / iterations, *memory]))


def training(device, clips, size, epochs):
    """Time epochs of training through pixels and on cached features, in turn."""
    data = {"n_train": clips, "n_query": 10, "n_database": 10, "size": size, "jitter": None,
            "selected_on": "test"}  # fmt: skip
    print(f"\nTraining, {clips} clips of 8 frames of {size}x{size}, {epochs} epochs\n")
    print("| | seconds |\n|---|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for name, cache in (
            ("through pixels", None), ("the features computed on the way", folder),
            ("the features in their files", folder),
        ):  # fmt: skip
            torch.manual_seed(0)
            backbone = {"class_path": "lightning_hash.models.VideoNetwork"}
            module = HashModule(backbone, 32, ranking=RankingOptions(None), feature_cache=cache)
            options = {"max_epochs": epochs, "accelerator": accelerator(device)}
            with (
                quiet_trainer(**options, limit_val_batches=0) as trainer,
                Clock(device).timed() as seconds,
            ):
                run_fit(trainer, module, datamodule=SampleClips(frames=8, **data))
            print(f"| {name} | {seconds[0]:.1f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    add_device(parser)
    parser.add_argument("--quick", action="store_true", help="Few small clips.")
    parser.add_argument("--alone", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    if options.alone:
        alone(*options.alone)
        return
    heads = (
        "network", "clips", "frames", "side", "per step", "frames per pass",
        "s per clip and iteration", "imports, MB", "with network", "at most",
    )  # fmt: skip
    print(f"{machine(options.device, options.threads)}\n")
    print(f"| {' | '.join(heads)} |\n|" + "---:|" * len(heads))
    for case in QUICK if options.quick else ATTACKS:
        command = [sys.executable, "-m", "benchmarks.clips", "--threads", str(options.threads)]
        command += ["--alone", json.dumps([options.device, *case, 2])]
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
        seconds, *memory = json.loads(answer.stdout.splitlines()[-1])
        cells = [*(x or "all" for x in case), f"{seconds:.3g}", *(f"{mb:.0f}" for mb in memory)]
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    training(options.device, *((20, 64, 2) if options.quick else (200, 112, 5)))


if __name__ == "__main__":
    main()
