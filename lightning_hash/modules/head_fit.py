"""The hash layer in closed form, from the features of the training set."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_hash.data.base import HashDataModule
from lightning_hash.data.split_data import SplitData
from lightning_hash.models.network import HashNetwork, as_taken
from lightning_hash.modules.hash_module import HashModule
from lightning_hash.modules.trainer_check import check_pass_trainer
from lightning_hash.utils.distributed import gather_objects
from lightning_hash.victims.borrow import borrowed


class FeatureEncoder(pl.LightningModule):
    """Collect what the hash layer sees of a split, in the predict loop.

    Args:
        network: its features are computed.
    """

    def __init__(self, network: HashNetwork) -> None:
        super().__init__()
        self.network = network
        self.found: list[tuple[Tensor, Tensor]] = []

    def predict_step(
        self, batch: tuple[Tensor, ...], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keep the features ``(B, D)`` and the indices ``(B,)`` of a batch, on the CPU."""
        inputs, _, index, *lengths = batch
        features = self.network.features(as_taken(self.network, inputs), *lengths)
        self.found.append((features.float().cpu(), index.cpu().clone()))


def fit_head(model: HashModule, source: HashDataModule, trainer: pl.Trainer) -> None:
    """Compute a model's hash layer, where it has a ``head``; all processes call it together.

    Items are passed once, as a database is: not augmented, in eval mode. The validation's queries
    leave the training set here too.

    Args:
        model: the model.
        source: the data.
        trainer: passes the items, on its devices.

    Raises:
        ValueError: as :meth:`lightning_hash.models.closed_form.ClosedForm.solve`, or if a limit of
            the Trainer has left items out.
    """
    network = model.network
    if model.head is None or not isinstance(network, HashNetwork):
        return
    check_pass_trainer(trainer, "predict")
    encoder = FeatureEncoder(network)
    with borrowed(network):
        data = SplitData(source, ("train",))
        trainer.predict(encoder, data, return_predictions=False, weights_only=True)
    parts = [part for found in gather_objects(encoder.found) for part in found]
    features = torch.cat([features for features, _ in parts])
    index, order = torch.unique(torch.cat([index for _, index in parts]), return_inverse=True)
    rows = torch.empty(len(index), dtype=torch.int64).scatter_(0, order, torch.arange(len(order)))
    items: Any = source.dataset("train")
    if len(index) != len(items):
        msg = f"head: {len(index)} of {len(items)} training items were passed; pass them all"
        raise ValueError(msg)
    if source.selected_on == "validation":
        rows = rows[torch.tensor(source.validation().train)]
    weight, bias = trainer.strategy.broadcast(model.head.solve(features[rows], model.bits))
    layer = network.hash_layer
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
