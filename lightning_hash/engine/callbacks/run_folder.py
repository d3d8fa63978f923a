"""What an attack leaves behind in its run folder."""

import json
import re
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities import rank_zero_info
from safetensors.torch import save
from torch import Tensor
from torchvision.io import encode_png

from lightning_hash.attacks import Perturbation, write_targets
from lightning_hash.data.views import jpeg_bytes
from lightning_hash.engine.callbacks.retrieved import retrieved_table
from lightning_hash.functional.checks import check_at_most
from lightning_hash.modules.attack_module import AttackModule
from lightning_hash.modules.score_module import ScoreModule
from lightning_hash.results.rows import ResultRow, write_results
from lightning_hash.utils.text_files import utf8
from lightning_hash.utils.whole_file import (
    ready_folder,
    remove_parts,
    warn_of_space,
    write_whole,
)

ELSEWHERE = "give another with --runs FOLDER"


class RunFolder(Callback):
    """Write results, perturbations, codes, targets, skipped items, images and what is retrieved.

    Of a perturbation that images share there is a picture, ``perturbation.png``, and its parameters
    stand beside what it adds to each query. Perturbations of images of several sizes are filled up
    with zeros; ``size`` (Q, 2) beside them is height and width.

    The folder is the trainer's log_dir. ``results.json`` is written anew at every milestone, so
    that a run that is killed keeps what it had measured, and last of all with the final rows: where
    these are, all else is.

    Args:
        images: how many adversarial images to write as PNG, or clips as a folder of PNGs; ``None``
            writes all of them.
        retrieved: ranks of ``retrieved.csv``, see
            :func:`lightning_hash.engine.callbacks.retrieved.retrieved_table`; ``None`` writes none,
            nor does an attack without a database or on candidates.

    Raises:
        ValueError: if ``images`` is below 0 or ``retrieved`` below 1.
    """

    def __init__(self, images: int | None = None, retrieved: int | None = 10) -> None:
        check_at_most("images", images)
        if retrieved is not None and retrieved < 1:
            msg = f"retrieved must be at least 1 or null, got {retrieved}"
            raise ValueError(msg)
        self.images, self.retrieved = images, retrieved

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Find out now, not after the attack, whether the folder can be written to.

        Raises:
            OSError: if it cannot.
        """
        place = trainer.log_dir  # all processes ask for it together
        if not trainer.is_global_zero or place is None:
            return
        folder = Path(place)
        ready_folder(folder, "run folder", ELSEWHERE)
        for version in folder.parent.glob("version_*"):  # the runs of this name
            remove_parts(version)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the kernels that were chosen into config.yaml, which then repeats the run.

        Warns where the disk has less space than the attack will need.
        """
        if not (isinstance(pl_module, AttackModule) and trainer.is_global_zero):
            return
        if pl_module.run_folder is None:
            return
        warn_of_space(pl_module.run_folder, self._needed(trainer, pl_module), ELSEWHERE)
        file = pl_module.run_folder / "config.yaml"
        if file.is_file():
            chosen = rf"\g<1>{pl_module.kernels}  # \g<2>, as chosen"
            text = file.read_text(encoding="utf-8")
            text = re.sub(r"(?m)^(  kernels: )(auto|fastest)$", chosen, text)
            write_whole(file, utf8(text))

    def _needed(self, trainer: pl.Trainer, module: AttackModule) -> float:
        """Return about how many bytes the attack will write."""
        values = sum(batch.inputs.numel() for batch in module.batches) * trainer.world_size
        parts = [part for batch in module.perturbations for part in batch.parameters()]
        state = sum(part.numel() * part.element_size() for part in parts) * trainer.world_size
        shown = 1.0 if self.images is None else min(1.0, self.images / len(module.data.queries))
        # The checkpoint before stays until the new one is whole, each with a step's state as large.
        checkpoints = 2 * 2 * state if trainer.checkpoint_callbacks else 0
        return 4 * values + shown * values + checkpoints

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the rows that are new; nothing at other iterations."""
        if isinstance(pl_module, AttackModule) and trainer.is_global_zero:
            written = getattr(self, "_written", 0)
            if len(pl_module.evaluation.rows) > written:
                self._write_rows(pl_module)
                self._written = len(pl_module.evaluation.rows)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write all but the rows, which are the sign that a run has ended."""
        if not isinstance(pl_module, ScoreModule):
            return
        outcome = pl_module.outcome()
        folder = pl_module.run_folder
        if not trainer.is_global_zero or folder is None:
            return
        if not getattr(self, "_written", 0):  # what another run has left in this folder
            (folder / "results.json").unlink(missing_ok=True)
        self._ended = True
        metadata = {"protocol": json.dumps(pl_module.protocol())}
        if pl_module.budget.scale is not None:
            metadata["scale"] = json.dumps(pl_module.budget.scale.flatten().tolist())
        tensors = {key: value.contiguous() for key, value in outcome.tensors.items()}
        codes = {key: value for key, value in tensors.items() if "perturbation" not in key}
        codes.pop("adversarial_8bit")
        made, _, goal = outcome.way()
        differ = (made != goal).float().mean(dim=1)
        reached = 1 - differ if pl_module.targeted else differ
        names = ("index", "perturbation", "length", "size")
        kept = {**{key: tensors[key] for key in names if key in tensors}, "reached": reached}
        shared = shared_of(pl_module)
        if shared is not None:
            for name, parameter in shared.named_parameters():
                kept[f"shared.{name}"] = parameter.detach().cpu().contiguous()
            picture = shared.picture()
            if picture is not None and picture.shape[0] in (1, 3):
                levels = (picture * 255).round().to(torch.uint8).cpu()
                _write_png(folder / "perturbation.png", levels)
        write_whole(folder / "perturbations.safetensors", save(kept, metadata))
        write_whole(folder / "codes.safetensors", save(codes, metadata))
        chosen = pl_module.data.chosen
        if chosen is not None:  # as query_index takes them
            text = "".join(f"{index}\n" for index in chosen)
            write_whole(folder / "query_index.txt", text.encode())
        skipped = pl_module.data.source.skipped
        if skipped:
            write_whole(folder / "skipped.json", json.dumps(skipped, indent=1).encode())
        if outcome.targets is not None:
            write_targets(folder / "targets.json", outcome.tensors["index"], outcome.targets)
        if self.retrieved is not None and pl_module.retrieves:
            table = retrieved_table(pl_module, outcome, self.retrieved)
            write_whole(folder / "retrieved.csv", table.encode(errors="surrogateescape"))
        images = outcome.tensors["adversarial_8bit"]
        if images.dim() not in (4, 5) or images.shape[-3] not in (1, 3):
            rank_zero_info(f"no PNGs: inputs of shape {tuple(images.shape[1:])} are no images")
            return
        for row, index in enumerate(outcome.tensors["index"][: self.images]):
            place = folder / "images" / f"{int(index):06d}"
            if images.dim() == 4:
                image = outcome.image(row, images)
                _write_png(place.with_suffix(".png"), image)
                if pl_module.jpeg is not None:
                    write_whole(place.with_suffix(".jpg"), jpeg_bytes(image, pl_module.jpeg))
                continue
            for number, frame in enumerate(outcome.frames(row, images), 1):
                _write_png(place / f"{number:05d}.png", frame)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write the rows when all else is there, also what other callbacks write of a test."""
        if isinstance(pl_module, ScoreModule) and getattr(self, "_ended", False):
            self._write_rows(pl_module)
            self._ended, self._written = False, 0

    def _write_rows(self, module: AttackModule | ScoreModule) -> None:
        if module.run_folder is not None:
            rows = [ResultRow(**row) for row in module.evaluation.rows]
            write_results(module.run_folder / "results.json", rows)


def shared_of(module: ScoreModule) -> Perturbation | None:
    """Return the perturbation of all queries, where there is one."""
    made: Any = next(iter(module.perturbations), None)
    return made if made is not None and made.shared else None


def _write_png(path: Path, image: Tensor) -> None:
    write_whole(path, encode_png(image).numpy().tobytes())
