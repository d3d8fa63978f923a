"""``python -m lightning_hash encode``: the codes of a split."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_info
from torch.utils.data import Subset

from lightning_hash.codes.code_files import CodeForm, check_suffix, write_codes
from lightning_hash.codes.code_set import CodeSet
from lightning_hash.commands.run_place import merge_callbacks
from lightning_hash.data.base import HashDataModule
from lightning_hash.engine.callbacks import PassProgress
from lightning_hash.engine.encode_splits import encode_splits
from lightning_hash.engine.trainer import quiet_trainer
from lightning_hash.modules.encoder import Encoder, flips, float32_codes
from lightning_hash.utils.escapes import visible
from lightning_hash.utils.whole_file import ready_file
from lightning_hash.victims.resolve import as_victim

OTHERWISE = "give another with --output FILE"


def encode(
    model: Any,
    datamodule: HashDataModule,
    split: str = "database",
    output: str | None = None,
    form: CodeForm = "auto",
    accelerator: str = "auto",
    *,
    trust: bool = False,
) -> CodeSet:
    """Encode a split of a data set.

    Args:
        model: what makes the codes: the path of a checkpoint, a model, or what else
            :class:`lightning_hash.AttackModule` takes as its victim.
        datamodule: the data.
        split: ``database``, ``query``, ``train`` or ``open_set``.
        output: file to write them into as well, ``.safetensors``, ``.txt`` or ``.npy``.
        form: rows of a ``.txt``, as in :func:`run_encode`.
        accelerator: as in Lightning's Trainer.
        trust: let a file or function that stands for the model run code, see
            :func:`lightning_hash.victims.load_foreign`.

    Returns:
        Codes, labels and indices of the N items, and what the codes depend on.

    Raises:
        FileNotFoundError: if there is no such checkpoint.
        ValueError: if there is no such split, a logit is not finite, or the suffix is unknown.

    Example:
        >>> import torch
        >>> from lightning_hash.data import SamplePhotos
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64 * 64, 16))
        >>> found = encode(model, SamplePhotos(n_query=20), "query", accelerator="cpu")
        >>> found.codes.shape, found.codes.dtype
        (torch.Size([20, 16]), torch.int8)
    """
    if output is not None:
        check_suffix(Path(output))
        ready_file(Path(output), "output", OTHERWISE)
    with quiet_trainer(accelerator=accelerator) as trainer:
        found = encode_splits(trainer, as_victim(model, trust=trust), datamodule, (split,))[split]
    if output is not None:
        write_codes(Path(output), found, form)
    return found


def run_encode(
    trainer: pl.Trainer,
    model: Encoder,
    datamodule: HashDataModule,
    split: str = "database",
    output: str | None = None,
    form: CodeForm = "auto",
    compare: int = 0,
) -> Path:
    """Write the codes of a split into a file.

    Args:
        trainer: runs the passes, by any number of processes.
        model: runs the victim.
        datamodule: the data.
        split: ``database``, ``query``, ``train`` or ``open_set``.
        output: the file, ``.safetensors``, ``.txt`` or ``.npy``; by default
            ``runs/codes/SPLIT.safetensors``.
        form: rows of a ``.txt``: ``labelled`` (``label... code...``, as DHTA has them) or
            ``signs`` (-1/1 alone, as ProS-GAN has them); ``auto`` is the first.
        compare: encode so many of the first items in float32 too, and say how many bits the
            trainer's precision flips.

    Returns:
        The file.

    Raises:
        ValueError: if there is no such split, a logit is not finite, the suffix is unknown, or
            ``compare`` is negative.
        OSError: if the file cannot be written.
    """
    path = Path("runs") / "codes" / f"{split}.safetensors" if output is None else Path(output)
    check_suffix(path)
    if form != "auto" and path.suffix != ".txt":
        msg = f"form {form} is one of a .txt, output is {path}; leave form out"
        raise ValueError(msg)
    if compare < 0:
        msg = f"compare must not be negative, got {compare}"
        raise ValueError(msg)
    if trainer.is_global_zero:
        ready_file(path, "output", OTHERWISE)
    reference = None
    # First of all: some precisions shorten the weights for good.
    if compare and trainer.is_global_zero:
        datamodule.prepare_data()
        datamodule.setup("predict")
        items = datamodule.dataset(split)
        first = range(min(compare, len(items)))  # type: ignore[arg-type]
        reference = float32_codes(
            model.victim,
            Subset(items, first),
            datamodule.eval_batch_size,
            trainer.strategy.root_device,
        )
    found = encode_splits(trainer, model.victim, datamodule, (split,))[split]
    if trainer.is_global_zero:
        write_codes(path, found, form)
        print(visible(f"{len(found)} codes of {found.bits} bits: {path}"))
    if reference is not None:
        rank_zero_info(flips(found, reference, str(trainer.precision)))
    return path


def trainer_options(options: Mapping[str, Any], model: pl.LightningModule) -> dict[str, Any]:
    """Return nothing: the trainer gets the user's options alone."""
    return {"callbacks": merge_callbacks(options["trainer"], [PassProgress()])}
