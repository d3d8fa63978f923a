"""An attack in two lines of Python."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from lightning_hash.codes.code_set import CodeSet, plain_code_set
from lightning_hash.data.base import HashDataModule
from lightning_hash.engine.attack_run import attack_encoded
from lightning_hash.engine.trainer import quiet_trainer
from lightning_hash.functional.checks import check_codes, check_labels, check_tensor, check_whole
from lightning_hash.functional.frames import frame_mask, per_frame
from lightning_hash.modules.attack_module import AttackModule
from lightning_hash.utils.settings import sha256_of
from lightning_hash.victims.resolve import as_victim


@dataclass(frozen=True)
class Attacked:
    """What :func:`attack` returns, a row per query in their order.

    Attributes:
        adversarial: uint8 ``(Q, ...)``: what an adversary can send, within epsilon.
        perturbation: ``(Q, ...)``, before rounding, in the declared space.
        clean_codes: int8 ``(Q, K)`` of -1/+1.
        codes: int8 ``(Q, K)``, codes of ``adversarial``.
        rows: result rows: every number with its whole protocol.
    """

    adversarial: Tensor
    perturbation: Tensor
    clean_codes: Tensor
    codes: Tensor
    rows: list[dict[str, Any]]


class _TensorData(HashDataModule):
    """Queries that are in memory, beside a database that is encoded already."""

    name = "tensors"

    def __init__(
        self, images: Tensor, labels: Tensor, *lengths: Tensor, database: CodeSet | None
    ) -> None:
        super().__init__()
        self.tensors, self.database = (images, labels, *lengths), database
        items: Any = TensorDataset(images, labels, torch.arange(len(images)), *lengths)
        self.query_set = self.database_set = items  # and no training split
        self.class_names = [str(column) for column in range(labels.shape[1])]

    @property
    def input_shape(self) -> tuple[int, ...]:
        return tuple(self.tensors[0].shape[1:])

    def fingerprints(self) -> dict[str, str]:
        named = {str(number): tensor for number, tensor in enumerate(self.tensors)}
        ranked = {}
        if self.database is not None:
            ranked = {"codes": self.database.codes, "labels": self.database.labels}
        return {"train": "", "query": sha256_of(named), "database": sha256_of(ranked)}


def attack(
    model: nn.Module,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    database_codes: Tensor | None = None,
    database_labels: Tensor | None = None,
    lengths: Tensor | None = None,
    iterations: int = 100,
    accelerator: str = "auto",
    trust: bool = False,
    **options: Any,
) -> Attacked:
    """Attack a batch of queries: the AttackModule under a quiet Trainer.

    Args:
        model: turns images in [0, 1] into ``(B, K)`` logits. It is frozen, in eval mode, while it
            is attacked, and given back as it came. See
            :class:`lightning_hash.victims.ForeignNetwork` for one that wants normalised inputs.
        images: ``(Q, ...)`` floating in [0, 1]; clips are ``(Q, T, 3, H, W)``.
        labels: ``(Q, C)`` of 0/1; needed with a database.
        database_codes: ``(N, K)`` of -1/+1. Without a database there are no MAP and no targets:
            the rows hold the distance to the clean code and the size of the change.
        database_labels: ``(N, C)`` of 0/1.
        lengths: ``(Q,)`` int in [1, T], how many of the T frames of each clip there are; the model
            is then called with clips and lengths.
        iterations: iterations of the attack.
        accelerator: as in Lightning's Trainer.
        trust: let a file or function that stands for the model run code, see
            :func:`lightning_hash.victims.load_foreign`; a model given as such needs none.
        options: as in :class:`lightning_hash.modules.AttackModule`: objective, step, epsilon, ...

    Returns:
        Adversarial images, codes and result rows.

    Raises:
        TypeError: if images, labels or codes are no tensors.
        ValueError: if images are not in [0, 1], or only some of labels, codes and labels of the
            database are given, or they do not go together.

    Example:
        >>> import torchvision
        >>> model = torchvision.models.resnet18(num_classes=16)  # 16 bits
        >>> found = attack(model, torch.rand(2, 3, 32, 32), iterations=3, accelerator="cpu")
        >>> found.adversarial.shape, found.codes.shape
        (torch.Size([2, 3, 32, 32]), torch.Size([2, 16]))
    """
    check_tensor("images", images)
    check_whole("iterations", iterations)
    if not images.is_floating_point() or len(images) == 0:
        msg = f"images must be floating and at least one, got {images.dtype} {tuple(images.shape)}"
        raise ValueError(msg)
    if not (images.min() >= 0 and images.max() <= 1):
        msg = f"images must be in [0, 1], got [{images.min():.4g}, {images.max():.4g}]"
        raise ValueError(msg)
    if lengths is not None:
        lengths = torch.as_tensor(lengths)
        fits = lengths.shape == images.shape[:1] and images.dim() == 5
        fits &= not (lengths.is_floating_point() or lengths.dtype == torch.bool)
        if not (fits and lengths.min() >= 1 and lengths.max() <= images.shape[1]):
            msg = (
                "lengths must be (Q,) whole numbers in [1, T] for clips (Q, T, 3, H, W), got "
                f"{lengths.tolist()} for {tuple(images.shape)}"
            )
            raise ValueError(msg)
        live = frame_mask(lengths.cpu(), images.shape[1])
        images = images * per_frame(live, images).to(images)
    given = [value is not None for value in (labels, database_codes, database_labels)]
    if any(given) and not all(given):
        msg = "labels, database_codes and database_labels go together: give all three or none"
        raise ValueError(msg)
    if labels is None or database_codes is None or database_labels is None:
        labels, database = torch.zeros(len(images), 1, dtype=torch.uint8), None
    else:
        check_codes("database_codes", database_codes)
        check_labels("labels", labels)
        check_labels("database_labels", database_labels)
        sizes = len(labels) == len(images), len(database_labels) == len(database_codes)
        if not all(sizes) or labels.shape[1] != database_labels.shape[1]:
            msg = (
                "labels must be (Q, C) and database_labels (N, C) for Q images and N codes, got "
                f"{tuple(labels.shape)} and {tuple(database_labels.shape)} for {len(images)} and "
                f"{len(database_codes)}"
            )
            raise ValueError(msg)
        database = plain_code_set(database_codes.cpu(), database_labels.cpu())
    victim = as_victim(model, trust=trust)
    module = AttackModule(victim, **{"n_queries": None, **options})
    with quiet_trainer(max_epochs=iterations, accelerator=accelerator) as trainer:
        clips = () if lengths is None else (lengths.long().cpu(),)
        labels = labels.to(torch.uint8).cpu()
        data = _TensorData(images.detach().cpu(), labels, *clips, database=database)
        scores = attack_encoded(trainer, module, data, database)
    tensors = scores.outcome().tensors
    return Attacked(
        tensors["adversarial_8bit"], tensors["perturbation"], tensors["clean_codes"],
        tensors["codes_8bit"], scores.rows,
    )  # fmt: skip
