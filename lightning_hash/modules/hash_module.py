"""The hash model under training."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import Subset

from lightning_hash.data.base import HashDataModule
from lightning_hash.functional.options import RankingOptions
from lightning_hash.losses import ClassLoss, FollowsProgress, PairwiseLoss
from lightning_hash.metrics import QueryMetric
from lightning_hash.models.build import backbone_name, build_network, fits_memory
from lightning_hash.models.closed_form import ClosedForm
from lightning_hash.models.network import HashNetwork, call_network
from lightning_hash.models.outputs import read_logits
from lightning_hash.modules.code_bank import CodeBank
from lightning_hash.modules.encoder import database_codes, made_with
from lightning_hash.modules.resumption import check_resumption
from lightning_hash.modules.retrieval_pass import RetrievalPass
from lightning_hash.modules.trainer_check import check_fit_trainer, check_pass_trainer
from lightning_hash.modules.training_checkpoint import network_alone, save_training
from lightning_hash.modules.training_parts import check_cache, check_parts
from lightning_hash.modules.training_settings import (
    check_length,
    check_training,
    length_of,
    model_settings,
    run_settings,
    scheduler_settings,
    selected_on,
)
from lightning_hash.utils.checkpoint_places import forget_strange_places
from lightning_hash.utils.distributed import (
    gather_equal_rows,
    gather_rows_with_grad,
)
from lightning_hash.utils.numbers import check_weight
from lightning_hash.victims.checkpoints import CHECKPOINT_KEY, check_shapes
from lightning_hash.victims.victim import Victim

Batch = tuple[Tensor, ...]  # inputs, labels, index and, of clips of several lengths, lengths


class HashModule(pl.LightningModule):
    """Train a hash model and measure its retrieval (HAG III-C).

    Batches are ``(inputs (B, ...) in [0, 1], labels (B, C) of 0/1, index (B,) int)``, with the
    lengths ``(B,)`` of clips behind where these have several. Validation and test take two loaders,
    the queries and the database; whose queries the validation ranks is the data's ``selected_on``,
    which stands in the checkpoint that was picked by it.

    Args:
        backbone: a name (convnet, alexnet, vgg11 ... vgg19_bn, resnet18 ... resnet101, timm/NAME,
            open_clip/NAME) or ``{class_path: package.Class, init_args: {...}}`` for an nn.Module
            that turns inputs in [0, 1] into ``(B, bits)`` logits; one of another package needs
            ``--trust``.
        bits: code length K.
        weights: pretrained weights of a named backbone, or of a class that takes them: ``DEFAULT``
            or a torchvision name (downloaded), or the path of a .pth or .safetensors file; nothing
            by default.
        loss: ``(logits (B, K), labels (B, C)) -> scalar``; PairwiseLoss by default. Its parameters
            are trained along.
        code_bank: pair each item of a batch with the latest logits of all training items that were
            seen so far, without their gradient, in place of those of the batch; for losses over
            pairs.
        feature_cache: folder in which the features of frames of a
            :class:`lightning_hash.models.VideoNetwork` are kept, computed once for all epochs and
            all trainings on the same clips. The test goes through pixels.
        optimizer: called with the parameters; ``torch.optim.AdamW`` with a rate of 3e-3 by default.
        lr_scheduler: called with the optimizer and the number of steps of the whole training;
            stepped after every batch; ``None`` keeps the rate fixed, as both papers do.
        pretrained_lr_scale: learning rate of the layers before the hash layer, as a fraction of the
            hash layer's (and the loss's own parameters'); 0 freezes them and keeps them in eval
            mode.
        head: computes the hash layer from the features of the training set before the training: a
            :class:`lightning_hash.models.closed_form.ClosedForm`. With ``max_epochs: 0`` that is
            the whole training.
        ranking: how MAP, precision at N and every other ranked metric are computed.
        metrics: further metrics, logged under their names: subclasses of
            :class:`lightning_hash.metrics.HammingMetric` that are judged by the query's own label,
            and of :class:`lightning_hash.metrics.PerQueryMetric` that look at codes and labels.
        architecture: of a backbone on the Hugging Face hub, what a checkpoint has kept of its
            description, so that nothing is downloaded.

    Raises:
        ValueError: if an argument is out of its range.
    """

    def __init__(
        self,
        backbone: str | dict[str, Any] = "convnet",
        bits: int = 32,
        weights: str | None = None,
        loss: nn.Module | None = None,
        code_bank: bool = False,
        feature_cache: str | None = None,
        optimizer: Callable[[Iterable[Any]], Optimizer] | None = None,
        lr_scheduler: Callable[[Optimizer, int], LRScheduler] | None = None,
        pretrained_lr_scale: float = 1.0,
        head: ClosedForm | None = None,
        ranking: RankingOptions = RankingOptions(),
        metrics: Sequence[QueryMetric] = (),
        architecture: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        check_weight("pretrained_lr_scale", pretrained_lr_scale)
        self.backbone, self.bits = backbone, bits
        with fits_memory(bits):
            self.network = build_network(backbone, bits, weights, architecture)
        self.loss = PairwiseLoss() if loss is None else loss
        check_parts(
            self.network, backbone_name(backbone), bits, self.loss, code_bank=code_bank,
            feature_cache=feature_cache, pretrained_lr_scale=pretrained_lr_scale, head=head,
        )  # fmt: skip
        self.code_bank, self.feature_cache = code_bank, feature_cache
        self.cached_sha256: str | None = None
        self.optimizer = optimizer or partial(torch.optim.AdamW, lr=3e-3)
        self.lr_scheduler = lr_scheduler
        self.pretrained_lr_scale, self.head = pretrained_lr_scale, head
        if isinstance(self.network, HashNetwork) and pretrained_lr_scale == 0:
            self.network.freeze()
        self._settings = {
            "model": model_settings(
                backbone, bits, weights, self.loss, self.optimizer,
                code_bank=code_bank, pretrained_lr_scale=pretrained_lr_scale, ranking=ranking,
                metrics=list(metrics), **({} if head is None else {"head": head}),
            )
        }  # fmt: skip
        self.retrieval = RetrievalPass(ranking, metrics)
        self.database_file: Path | None = None
        self.selected_on: str | None = None  # of the weights as they are now
        self._seed: int | None = None
        self._validated = -1  # the step at which the last validation looked
        self._bank: CodeBank | None = None
        self._bank_state: dict[str, Tensor] = {}
        self._before: dict[str, Any] | None = None  # settings of the run that goes on

    def forward(self, inputs: Tensor, *lengths: Tensor) -> Tensor:
        """Return the logits ``(B, K)`` of inputs ``(B, ...)`` in [0, 1].

        Args:
            inputs: the inputs.
            lengths: of clips; see :func:`lightning_hash.models.network.call_network`.

        Raises:
            ValueError: if the network returns another shape, or takes no lengths.
        """
        name = backbone_name(self.backbone)
        logits = read_logits(
            call_network(self.network, inputs, *lengths), len(inputs), self.bits, name
        )
        if logits.shape != (len(inputs), self.bits):
            msg = (
                f"bits = {self.bits}: the network {name!r} must return "
                f"logits of shape {(len(inputs), self.bits)}, got {tuple(logits.shape)}"
            )
            raise ValueError(msg)
        return logits

    def as_victim(self) -> Victim:
        """Return the network as the victim of an attack."""
        return Victim(
            self.network,
            backbone_name(self.backbone, self.network),
            self.bits,
            self._loss_name(),
            selected_on=self.selected_on,
        )

    def _loss_name(self) -> str:
        """Return the loss's name; that of the head where nothing was trained after it."""
        trained = self._trainer is None or self._trainer.max_epochs != 0
        return type(self.loss if self.head is None or trained else self.head).__name__

    def setup(self, stage: str) -> None:
        """Make what the loss keeps for each class, before a checkpoint is loaded into it.

        Raises:
            ValueError: if an option of the Trainer would leave a part of the database out, or the
                data have no labels, which all but a ``head`` alone needs.
        """
        if stage == "test":
            check_pass_trainer(self.trainer, stage)
        elif stage == "fit":
            check_fit_trainer(self.trainer, computes=self.head is not None)
            self._settings |= run_settings(self.trainer)
            self._before = None
        given: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        source = getattr(given, "source", given)
        computed = stage == "fit" and self.head is not None and self.trainer.max_epochs == 0
        if not computed and isinstance(source, HashDataModule) and not source.has_labels:
            msg = (
                f"{source.name} has no labels, which training and MAP need; give class folders or "
                "label columns (encode, attack and fit --config fit/pca, itq or lsh work without)"
            )
            raise ValueError(msg)
        if stage == "fit" and isinstance(self.loss, ClassLoss):
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            classes = data.num_classes if isinstance(data, HashDataModule) else None
            # With several processes Lightning has seeded the generators anew by now.
            torch.manual_seed(torch.initial_seed())
            self.loss.build(self.bits, classes)

    def on_fit_start(self) -> None:
        """Forget what an earlier run saw."""
        self.selected_on = None
        self._bad_step = torch.full((), -1, device=self.device)
        if self._seed is None:
            self._seed = torch.initial_seed()

    def on_train_start(self) -> None:
        """Seed the first epoch: after a resume Lightning may leave out on_train_epoch_start."""
        check_cache(self.network, self.cached_sha256)
        quick = getattr(self.trainer, "fast_dev_run", False)
        if self.feature_cache is not None and self.cached_sha256 is None and not quick:
            rank_zero_warn("feature_cache is not used: it needs commands.fit.run_fit")
        if isinstance(self.loss, FollowsProgress):
            loss = f"loss {type(self.loss).__name__}"
            self._steps = length_of(self.trainer, loss, "another loss")
        if self.code_bank:
            loader: Any = self.trainer.train_dataloader
            items: Any = loader.dataset
            if isinstance(items, Subset):  # an index is the item's place in the whole training set
                items = items.dataset
            self._bank = CodeBank(len(items))
            self._bank.load(self._bank_state)
            self._bank_state = {}
        self.on_train_epoch_start()

    def on_train_epoch_start(self) -> None:
        """Make augmentation and dropout functions of seed and epoch, so that a resumed run repeats.

        Lightning's checkpoints do not hold the state of the random generators.
        """
        epoch = 1 + self.current_epoch * self.trainer.world_size + self.trainer.global_rank
        torch.manual_seed(((self._seed or 0) + epoch) % 2**63)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss over the global batch; it is computed in float32 under mixed precision.

        Every process computes the loss of all its items; the gradients that come back through the
        gathered logits, averaged by DDP, are those of one process with the whole batch.
        """
        inputs, labels, index, *lengths = batch
        logits = self(inputs, *lengths)
        if torch.is_autocast_enabled(self.device.type):  # products of logits overflow float16
            logits = logits.float()
        logits, labels = gather_rows_with_grad(logits), gather_equal_rows(labels)
        if isinstance(self.loss, FollowsProgress):
            self.loss.on_progress(min(self.global_step / self._steps, 1.0))
        others: tuple[Tensor, ...] = ()
        if self._bank is not None:
            self._bank.update(gather_equal_rows(index), logits, labels)
            others = self._bank.rows()
        with torch.autocast(self.device.type, enabled=False):
            loss: Tensor = self.loss(logits, labels, *others)
        self.log("train/loss", loss, batch_size=len(inputs))
        first = (self._bad_step < 0) & ~torch.isfinite(loss.detach())
        self._bad_step = torch.where(first, self.global_step, self._bad_step)
        return loss

    def on_train_epoch_end(self) -> None:
        """Stop if a loss of this epoch was not finite."""
        self._check_finite()

    def on_validation_start(self) -> None:
        """Stop before weights that are not finite are validated and saved."""
        self._validated = self.global_step
        if self.trainer.training or self.trainer.state.fn == "fit":
            self._check_finite()

    def _check_finite(self) -> None:
        if int(self._bad_step) >= 0:
            msg = (
                f"the loss was not finite at step {int(self._bad_step)} (epoch "
                f"{self.current_epoch}); lower the learning rate. Checkpoints of earlier epochs "
                "are kept"
            )
            raise ValueError(msg)

    def configure_optimizers(self) -> Any:
        """Make the optimizer, with a lower rate for pretrained layers, and the scheduler."""
        network, own = self.network, self.loss.parameters()
        if self.pretrained_lr_scale == 1.0 or not isinstance(network, HashNetwork):
            optimizer = self.optimizer([*network.parameters(), *own])
        elif self.pretrained_lr_scale == 0:
            optimizer = self.optimizer([*network.new_parameters(), *own])
        else:
            groups = [network.pretrained_parameters(), [*network.new_parameters(), *own]]
            optimizer = self.optimizer([{"params": group} for group in groups])
            optimizer.param_groups[0]["lr"] *= self.pretrained_lr_scale
        scheduler = None
        if self.lr_scheduler is not None:
            steps = length_of(self.trainer, "lr_scheduler", "--model.lr_scheduler=null")
            scheduler = self.lr_scheduler(optimizer, steps)
        self._settings["lr_scheduler"] = said = scheduler_settings(scheduler)
        if self._before is not None:
            saved = {"lr_scheduler": self._before["lr_scheduler"]}
            check_resumption(saved, {"lr_scheduler": said}, "training")
        if scheduler is None:
            return optimizer
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Collect the codes of the queries (loader 0) or the database (loader 1)."""
        inputs, labels, index, *lengths = batch
        logits = self(inputs, *lengths)
        self.retrieval.add(logits, labels, index, to_database=dataloader_idx == 1)

    def on_test_start(self) -> None:
        """Take the database from ``database_file``, where there is one.

        Raises:
            ValueError: if its codes are not this model's of this database.
        """
        if self.database_file is None:
            return
        source = self.trainer.datamodule.source  # type: ignore[attr-defined]
        made = made_with(self.as_victim(), source, "database", self.trainer)
        database = database_codes(self.database_file, source, made)
        if database.bits != self.bits:
            msg = f"codes {self.database_file}: {database.bits} bits, the model has {self.bits}"
            raise ValueError(msg)
        self.retrieval.metrics.set_database(database.codes, database.labels, database.index)

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Collect codes as :meth:`validation_step` does."""
        self.validation_step(batch, batch_idx, dataloader_idx)

    def on_validation_epoch_end(self) -> None:
        """Log MAP, precision at N and what the codes look like."""
        self._score("val")

    def on_test_epoch_end(self) -> None:
        """Log MAP and precision at N."""
        self._score("test")

    def _score(self, stage: str) -> None:
        values, logits = self.retrieval.take()
        self.log_dict(
            {f"{stage}/{name}": value for name, value in values.items()},
            prog_bar=stage == "val",
            sync_dist=True,
            rank_zero_only=True,  # the same on every process: there is nothing to average
        )
        if isinstance(self.logger, TensorBoardLogger) and not self.trainer.sanity_checking:
            self.logger.experiment.add_histogram(f"{stage}/logits", logits, self.global_step)

    def settings(self) -> dict[str, Any]:
        """Return what the training depends on; before it begins, the model alone."""
        return dict(self._settings)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what it takes to build the network again, and to go on with its training."""
        save_training(
            checkpoint, self.network, self.backbone, self.bits, self._trainer,
            loss=self._loss_name(),
            settings=self._settings if "trainer" in self._settings else None,
            selected_on=self._trainer and selected_on(self.trainer, self._validated),
        )  # fmt: skip
        checkpoint["seed"] = self._seed
        if self._bank is not None:
            checkpoint["code_bank"] = self._bank.state()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the seed and the code bank of the training; a test needs the network alone.

        Raises:
            ValueError: if the training that goes on has other settings, names both values; or the
                weights are of another network.
        """
        if self._trainer is not None and self._trainer.state.fn == "fit":
            forget_strange_places(checkpoint, self.trainer.checkpoint_callbacks)
            follows = "lr_scheduler" if self.lr_scheduler is not None else None
            if follows is None and isinstance(self.loss, FollowsProgress):
                follows = f"loss {type(self.loss).__name__}"
            entry = checkpoint[CHECKPOINT_KEY]
            self._before = check_training(entry, self._settings, follows)
            check_length(checkpoint["epoch"], self.trainer.max_epochs)
        self._seed = checkpoint.get("seed")
        self.selected_on = checkpoint.get(CHECKPOINT_KEY, {}).get("selected_on")
        self._bank_state = checkpoint.get("code_bank", {})
        if self._trainer is None or self._trainer.state.fn != "fit":
            checkpoint["state_dict"] = network_alone(checkpoint["state_dict"], self.state_dict())
        called = f"ckpt_path: its weights do not fit {self.backbone} of {self.bits} bits"
        check_shapes(checkpoint["state_dict"], self.state_dict(), called)
