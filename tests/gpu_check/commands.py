"""Losses, presets and verbs: they run, and their numbers are finite."""

import shutil
import traceback
import warnings

import torch
from pytorch_lightning.callbacks import Callback

from lightning_hash.losses import (
    BiHalfLoss,
    CSQLoss,
    DCHLoss,
    DeepVideoLoss,
    DPNLoss,
    DPSHLoss,
    DSDHLoss,
    DSHLoss,
    DTSHLoss,
    GreedyHashLoss,
    HashNetLoss,
    HyP2Loss,
    IDHNLoss,
    OrthoHashLoss,
    PairwiseLoss,
)
from lightning_hash.modules import AttackModule, HashModule
from tests.gpu_check.frame import ROOT, Check
from tests.gpu_check.small import VICTIM, command, photos, rows_in, train_victim, trainer
from tests.helpers.commands import SMALL_DATA
from tests.helpers.photos import write_photos

LOSSES = {
    each.__name__: each
    for each in (
        PairwiseLoss, HashNetLoss, DPSHLoss, DCHLoss, DeepVideoLoss, CSQLoss, GreedyHashLoss,
        OrthoHashLoss, DPNLoss, HyP2Loss, DTSHLoss, DSHLoss, IDHNLoss, BiHalfLoss, DSDHLoss,
    )
}  # fmt: skip
VERBS = (
    "test", "encode", "search", "robustness", "transfer", "report", "audit", "smallest",
    "attack of files",
)  # fmt: skip
PRESETS = [path.stem for path in sorted((ROOT / "configs" / "attack").glob("*.yaml"))]
SMALL = [*SMALL_DATA, "--model.n_queries=8", "--model.batch_size=5"]


class Losses(Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.seen.append(outputs["loss"].detach())


def check_loss(name, bank=False):
    def run(place):
        torch.manual_seed(0)
        model = HashModule("convnet", 16, loss=LOSSES[name](), code_bank=bank)
        seen = Losses()
        run = trainer(place, 1, max_steps=3, callbacks=[seen], limit_val_batches=0)
        run.fit(model, datamodule=photos(batch_size=25))
        losses = torch.stack(seen.seen)
        assert losses.device.type == place.device, f"the loss is on {losses.device}"
        assert len(losses) == 3, f"{len(losses)} steps"
        assert losses.isfinite().all(), f"losses {losses.tolist()}"
        assert all(p.isfinite().all() for p in model.parameters()), "weights are not finite"
        return f"losses {', '.join(f'{x:.3f}' for x in losses.tolist())}"

    return run


def check_fit(place):
    train_victim(place)
    return "4 epochs and a test"


def attack_line(place, preset, name, *more):
    iterations = [] if preset == "noise" else ["--trainer.max_epochs=3"]
    config = ROOT / "configs" / "attack" / f"{preset}.yaml"
    # Of the few queries not many share a label.
    targets = ["--model.targets.n_t=1"] if preset.startswith("candidate") else []
    training = ["--model.objective.steps=20"] if preset == "tha" else []
    if preset.endswith("_surrogate"):  # the victim stands for another network too
        targets = ["--model.surrogates=checkpoints/demo/best.ckpt", "--model.start.iterations=3"]
    return [
        "attack", f"--config={config}", *SMALL, *iterations, *targets, *training, *place.trainer,
        f"--name={name}", *more,
    ]  # fmt: skip


def check_preset(preset):
    def run(place):
        shutil.rmtree(place.folder / "runs" / "attack" / preset, ignore_errors=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            command(*attack_line(place, preset, preset))
        rows = rows_in(place.folder / "runs" / "attack" / preset)
        devices = {row["run"]["devices"] for row in rows}
        assert devices == {f"1 x {place.device}"}, f"run.devices {devices}"
        kernels = {row["run"].get("kernels") for row in rows}
        return f"{len(rows)} rows, kernels {', '.join(map(str, kernels))}"

    return run


def check_verb(verb):
    def run(place):
        lines = {
            "test": ["test", *SMALL_DATA, *place.trainer],
            "encode": ["encode", *SMALL_DATA, *place.trainer, "--output=codes.safetensors"],
            "search": [  # after encode, with images of the attack
                "search", "--codes=codes.safetensors", "runs/attack/hag/version_0/images",
                "--accelerator", place.accelerator, "--format=json",
            ],
            "robustness": [
                "robustness", *SMALL_DATA, *place.trainer, "--n_queries=4",
                "--transforms=[jpeg, flip]",
            ],
            "transfer": [
                "transfer", "--perturbations", "runs/attack/hag", "--victims", VICTIM,
                "--accelerator", place.accelerator,
            ],
            "report": ["report", "runs/attack", "--output", "report"],
            "smallest": [
                "smallest", *SMALL, "--levels=3", "--model.stop_at=4", "--trainer.max_epochs=3",
                *place.trainer, "--name=smallest",
            ],
            "attack of files": [
                "attack", "--data=FolderDataModule", f"--data.folder={_files(place)}",
                "--data.train=train", "--data.query=query", "--data.database=database",
                "--data.size=64", "--data.resize=72", "--data.keep_aspect=true",
                "--model.resolution=original", "--model.jpeg=90", "--model.batch_size=4",
                "--model.targets.n_t=1", "--trainer.max_epochs=3", *place.trainer, "--name=files",
            ],
            "audit": [
                "audit", *SMALL_DATA, "--quick", "--n_queries=6", "--batch_size=4",
                "--curve", "4/255", "--accelerator", place.accelerator,
            ],
        }  # fmt: skip
        command(*lines[verb])
        return "ended with 0"

    return run


def _files(place):
    """Return a folder of image files of several sizes."""
    folder = place.folder / "sizes"
    return folder if folder.is_dir() else write_photos(folder)


class SyncWatch:
    """Counts synchronisations by line, inside training_step and around it, of some iterations."""

    first, last, strict = 1, 5, 10  # counted from and to; an error from then on to strict

    def __init__(self):
        self.inside, self.around, self.stepping = {}, {}, False

    def note(self, message, category, filename, lineno, file=None, line=None):
        if "called a synchronizing CUDA operation" not in str(message):
            return
        own = [f for f in traceback.extract_stack() if "/warnings.py" not in f.filename][:-1]
        ours = [f for f in own if "lightning_hash" in f.filename]
        at = own[-1]
        said = f"{'/'.join(at.filename.split('/')[-2:])}:{at.lineno}"
        if ours and ours[-1] is not at:
            said = f"{'/'.join(ours[-1].filename.split('/')[-2:])}:{ours[-1].lineno} > {said}"
        counts = self.inside if self.stepping else self.around
        counts[said] = counts.get(said, 0) + 1


def check_syncs(preset):
    def run(place):
        place.needs_cuda()
        watch, taken = SyncWatch(), AttackModule.training_step

        def stepped(self, batch, batch_idx):
            return _step(watch, taken, self, batch, batch_idx)

        AttackModule.training_step = stepped
        shutil.rmtree(place.folder / "runs" / "attack" / f"sync_{preset}", ignore_errors=True)
        more = ["--model.evaluate_at=[]", "--trainer.log_every_n_steps=1000"]
        line = attack_line(place, preset, f"sync_{preset}", *more)
        line = [a for a in line if "max_epochs" not in a] + ["--trainer.max_epochs=12"]
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = watch.note
            try:
                command(*line)
            finally:
                AttackModule.training_step = taken
                torch.cuda.set_sync_debug_mode("default")
        iterations = watch.last - watch.first + 1
        inside, around = (
            ", ".join(f"{count / iterations:g} x {at}" for at, count in counts.items()) or "none"
            for counts in (watch.inside, watch.around)
        )
        assert not watch.inside, f"per iteration, in the iteration: {inside}; around it: {around}"
        return f"none in the iteration (2 batches); around it, per iteration: {around}"

    return run


def _step(watch, taken, module, batch, batch_idx):
    number = module.current_epoch
    counted = watch.first <= number <= watch.last
    strict = watch.last < number <= watch.strict and not watch.inside
    mode = "warn" if counted else "error" if strict else "default"
    torch.cuda.set_sync_debug_mode(mode)
    watch.stepping = True
    try:
        return taken(module, batch, batch_idx)
    finally:
        watch.stepping = False
        torch.cuda.set_sync_debug_mode("warn" if counted else "default")


CHECKS = [
    *(Check(f"a loss {name}", check_loss(name), 60) for name in LOSSES),
    Check("a loss HashNetLoss with a bank", check_loss("HashNetLoss", bank=True), 60),
    *(Check(f"b preset {preset}", check_preset(preset), 60) for preset in PRESETS),
    *(Check(f"b verb {verb}", check_verb(verb), 60) for verb in VERBS),
    *(Check(f"d synchronisations {p}", check_syncs(p), 60) for p in PRESETS if p != "noise"),
]  # fmt: skip
