"""Encoding a database: run_encode beside the bare model, from memory and from JPEG files.

Contenders alternate in one process, after one unmeasured round; medians and spread.

    python -m benchmarks.encoder
"""

import argparse
import logging
import statistics
import tempfile
import warnings
from contextlib import nullcontext
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader

from benchmarks.attack import RandomData
from benchmarks.clock import Clock, accelerator, add_device, machine
from lightning_hash.commands.encode import run_encode
from lightning_hash.data import FolderDataModule
from lightning_hash.engine.trainer import quiet_trainer
from lightning_hash.functional import sign_code
from lightning_hash.models import build_model
from lightning_hash.modules import Encoder
from lightning_hash.victims import Victim
from lightning_hash.victims.borrow import exact_arithmetic, reduced_precision

CASES = (("convnet", 64, 256, 4096), ("vgg11", 224, 16, 48))


def encode(device, victim, data, batch):
    data.eval_batch_size = batch
    with (
        quiet_trainer(accelerator=accelerator(device)) as trainer,
        tempfile.TemporaryDirectory() as folder,
    ):
        place = str(Path(folder) / "a.safetensors")
        with Clock(device).timed() as seconds:
            run_encode(trainer, Encoder(victim), data, "query", place)
    return seconds[0]


def bare(device, victim, batches, arithmetic=nullcontext):
    """The model alone, on batches that wait in the device's memory; float32 is exact."""
    victim.to(device)
    batches = [inputs.to(device) for inputs in batches]
    with (
        torch.inference_mode(),
        exact_arithmetic(),
        arithmetic(),
        Clock(device).timed() as seconds,
    ):
        for inputs in batches:
            sign_code(victim.network(inputs))
    victim.cpu()
    return seconds[0]


def bare_models(device, victim, batches):
    """The model alone, on a GPU also with what torch does there by itself."""
    found = {"bare model, ready batches": lambda: bare(device, victim, batches)}
    if device == "cuda":
        found["bare model, ready batches, TF32"] = lambda: bare(
            device, victim, batches, reduced_precision
        )
    return found


def report(name, rounds, items, **contenders):
    times = {contender: [] for contender in contenders}
    for number in range(rounds + 1):
        for contender, run in contenders.items():
            seconds = run()
            if number:
                times[contender].append(seconds)
    first = statistics.median(next(iter(times.values())))
    for contender, found in times.items():
        median = statistics.median(found)
        print(
            f"| {name} | {contender} | {items / median:,.0f} | {items / max(found):,.0f} .. "
            f"{items / min(found):,.0f} | {first / median:.3f} |",
            flush=True,
        )


def pictures(folder, count):
    generator = torch.Generator().manual_seed(0)
    for number in range(count):
        place = folder / f"class{number % 4}" / f"{number}.jpg"
        place.parent.mkdir(exist_ok=True)
        small = torch.randint(0, 256, (16, 16, 3), generator=generator, dtype=torch.uint8)
        Image.fromarray(small.numpy()).resize((320, 256), Image.Resampling.BICUBIC).save(place)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    add_device(parser)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--quick", action="store_true", help="The first network, one round.")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    rounds = 1 if options.quick else options.rounds
    device = options.device
    print(f"{machine(device, options.threads)}, {rounds} rounds\n")
    print("| victim and input | contender | images per second | least .. most | over the first |")
    print("|---|---|---:|---:|---:|")
    for name, size, batch, items in CASES[: 1 if options.quick else None]:
        torch.manual_seed(0)
        victim = Victim(build_model(name, 32).eval().requires_grad_(requires_grad=False))
        data = RandomData(items, size)
        data.setup("predict")
        batches = data.query_set.images.split(batch)
        report(
            f"{name}, {items} images of {size}x{size} in memory, batches of {batch}", rounds, items,
            **bare_models(device, victim, batches),
            run_encode=lambda v=victim, d=data, b=batch: encode(device, v, d, b),
        )  # fmt: skip
    count = 48 if options.quick else 192
    with tempfile.TemporaryDirectory() as folder:
        pictures(Path(folder), count)
        victim = Victim(build_model("alexnet", 32).eval().requires_grad_(requires_grad=False))
        data = FolderDataModule(
            folder, train="1 per class from all", query="rest of all", database="all", resize=256,
            size=224,
        )  # fmt: skip
        data.setup("predict")
        items = len(data.query_set)
        inputs = torch.stack([data.query_set[i][0] for i in range(items)])

        def decode(workers):
            data.num_workers = workers
            with Clock("cpu").timed() as seconds:
                for _ in DataLoader(data.query_set, batch_size=16, num_workers=workers):
                    pass
            return seconds[0]

        def with_workers(workers):
            data.num_workers = workers
            return encode(device, victim, data, 16)

        contenders = bare_models(device, victim, inputs.split(16))
        for workers in options.workers:
            contenders[f"decoding alone, {workers} workers"] = lambda w=workers: decode(w)
            contenders[f"encode, {workers} workers"] = lambda w=workers: with_workers(w)
        report(f"alexnet, {items} JPEG files of 320x256", rounds, items, **contenders)


if __name__ == "__main__":
    main()
