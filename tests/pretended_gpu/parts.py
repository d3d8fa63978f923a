"""Kinds of data, parts of an attack and metrics on the pretended device."""

from functools import partial

import torch
from PIL import Image
from torch.utils._python_dispatch import _disable_current_modes

import lightning_hash
from lightning_hash.attacks import (
    AnchorCode,
    ChosenFrames,
    DiverseInputs,
    MomentumSignStep,
    SignStep,
)
from lightning_hash.data import FolderDataModule, SampleClips
from lightning_hash.functional import from_8bit
from lightning_hash.metrics import HammingMAP, HammingPrecision, TargetedHammingMAP
from lightning_hash.models import build_model
from lightning_hash.modules import HashModule
from lightning_hash.victims import load_foreign
from tests.conftest import TinyNet
from tests.gpu_check.frame import finish, start
from tests.gpu_check.small import attacked, module, perturbation, photos, sign_step
from tests.helpers.exported import Maker, export, on_cuda, records_of, write
from tests.pretended_gpu.commands import ITERATIONS, fitted, steps_of
from tests.pretended_gpu.device import CUDA, WAITS


def photographs(folder, **options):
    """Pictures in class folders, as files."""
    if not (folder / "photos").exists():
        for source, count in (("train", 12), ("test", 4)):
            for shade, name in enumerate("abc"):
                place = folder / "photos" / source / name
                place.mkdir(parents=True)
                for number in range(count):
                    Image.new("RGB", (40, 30), (80 * shade, 10 * number, 99)).save(
                        place / f"{number}.png"
                    )
    sources = {"train": "train", "query": "test", "database": "train"}
    return FolderDataModule(str(folder / "photos"), size=16, batch_size=10, **sources, **options)


def clips(**options):
    return SampleClips(
        n_train=60, n_query=10, n_database=20, frames=3, size=16, batch_size=10, **options
    )


def check_fit(make_data, network="convnet", **options):
    return lambda place: fitted(place, make_data(place.folder), network, **options)


def check_attack(make_data, network="convnet", **options):
    def run(place):
        data = make_data(place.folder)
        made = module(
            HashModule(network, 8).network, batch_size=5, **{"step": sign_step, **options}
        )
        with steps_of(type(made)):
            scores = attacked(place, made, data, ITERATIONS, log_every_n_steps=1000)
        device = {row["run"]["devices"] for row in scores.rows}
        return {
            "devices": sorted(device), "step": WAITS.during("step"),
            "between": WAITS.during("between"),
        }  # fmt: skip

    return run


def check_finished(place):
    """Queries that are stepped no more: known late on the device, with the CPU's result."""
    network, found = TinyNet(2), []
    for accelerator in ("gpu", "cpu"):
        made = module(network, batch_size=5, step=far_step, epsilon=0.9, stop_finished=True)
        scores = attacked(place, made, photos(20, 60), ITERATIONS, accelerator)
        done = torch.cat([queries.done.cpu() for queries in made.batches])
        found.append((perturbation(scores), done))
    (there, done), (here, expected) = found
    return {
        "differ": float((there - here).abs().max()), "largest": float(here.abs().max()),
        "done": done.tolist(), "done on CPU": expected.tolist(),
    }  # fmt: skip


def far_step(parameters):
    return SignStep(parameters, 0.1)


def check_python(place):
    """An attack in two lines gives a model on the device back on it."""
    model = build_model("convnet", 8).to(CUDA)
    tensors = lambda: [*model.parameters(), *model.buffers()]  # noqa: E731
    before = [tensor.host.data_ptr() for tensor in tensors()]
    found = lightning_hash.attack(model, torch.rand(5, 3, 32, 32).to(CUDA), iterations=3)
    devices = {tensor.device.type for tensor in tensors()}
    after = [tensor.host.data_ptr() for tensor in tensors() if tensor.is_cuda]
    return {"model": sorted(devices), "same": before == after,
            "found": found.adversarial.device.type}  # fmt: skip


def loaded(path):
    """A victim; torch exports and reads programs in modes of its own, which do not nest here."""
    with _disable_current_modes():
        return load_foreign(path, preprocess="none")


def check_exported(place):
    """Programs that make tensors on their way, exported on the CPU and on a device."""
    with _disable_current_modes():
        torch.manual_seed(0)
        here = export(Maker(side=16).eval(), place.folder / "here.pt2", 16)
        there = write(place.folder / "there.pt2", on_cuda(records_of(here)))
    found = {}
    for name, path in {"here": here, "there": there}.items():
        victim = loaded(path)
        made = module(victim, batch_size=5, step=sign_step)
        with steps_of(type(made)):
            scores = attacked(place, made, photos(size=16), ITERATIONS, log_every_n_steps=1000)
        found[name] = {
            "devices": scores.rows[-1]["run"]["devices"], "step": WAITS.during("step"),
            "between": WAITS.during("between"), "moved": float(perturbation(scores).abs().max()),
            "after": victim(torch.rand(2, 3, 16, 16)).device.type,
        }  # fmt: skip
    return found


def check_branches(place):
    """Branches of a program; torch cannot trace their gradients on the pretended device."""
    path = place.folder / "branches.pt2"
    finish(start(place.folder, str(path), module="tests.helpers.exported"))
    victim, images = loaded(str(path)), torch.rand(5, 3, 4, 4)
    with torch.no_grad():
        here = victim(images)
        there = victim.to(CUDA)(images.to(CUDA))
    return {"device": there.device.type, "differ": float((there.cpu() - here).abs().max())}


def check_levels(place):
    """The 256 levels of an image, and how many of them a division by a number would change."""
    levels = torch.arange(256, dtype=torch.uint8)
    there = levels.to(CUDA)
    return {
        "differ": int((from_8bit(there).cpu() != from_8bit(levels)).sum()),
        "of a number": int(((there.float() / 255).cpu() != levels.float() / 255).sum()),
    }


def check_metric(metric):
    def run(place):
        generator = torch.Generator().manual_seed(0)
        draw = lambda n, k: torch.randint(0, 2, (n, k), generator=generator)  # noqa: E731
        database = 2 * draw(40, 16) - 1, draw(40, 3), torch.arange(40)
        queries = 2 * draw(9, 16) - 1, draw(9, 3), torch.arange(9)
        found = []
        for device in (CUDA, torch.device("cpu")):
            there = metric().to(device)
            there.update_database(*(each.to(device) for each in database))
            there.update(*(each.to(device) for each in queries))
            value = there.compute()
            found.append((value.device.type, float(value)))
        return {"values": found}

    return run


VIDEO = {
    "class_path": "lightning_hash.models.VideoNetwork",
    "init_args": {"frames": "convnet", "hidden": 6},
}
FRAME = partial(ChosenFrames, count=1)
momentum = partial(MomentumSignStep, lr=1 / 255)
CHECKS = [
    ("data folder, fit", check_fit(partial(photographs, augment=True))),
    ("data folder, attack", check_attack(photographs)),
    ("data clips, fit", check_fit(lambda _: clips(), VIDEO)),
    ("data clips, attack", check_attack(lambda _: clips(), VIDEO)),
    ("data clips, attack on frames", check_attack(lambda _: clips(), VIDEO, perturbation=FRAME)),
    ("data photographs, targeted", check_attack(lambda _: photos(), objective=AnchorCode())),
    ("inputs diverse", check_attack(lambda _: photos(), inputs=DiverseInputs(), step=momentum)),
    ("inputs stop_finished", check_attack(lambda _: photos(), stop_finished=True)),
    ("finished queries", check_finished),
    ("python attack", check_python),
    ("levels", check_levels),
    ("exported programs", check_exported),
    ("exported branches", check_branches),
    ("metric HammingMAP", check_metric(partial(HammingMAP, top_k=20))),
    ("metric HammingMAP by index", check_metric(partial(HammingMAP, top_k=20, ties="stable"))),
    ("metric TargetedHammingMAP", check_metric(TargetedHammingMAP)),
    ("metric HammingPrecision", check_metric(partial(HammingPrecision, 10))),
]
