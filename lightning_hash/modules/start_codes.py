"""Where queries stand before an attack: the codes of the images as 8 bits hold them."""

from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_hash.data.queries import QueryData
from lightning_hash.functional import sign_code
from lightning_hash.modules.attack_module import AttackModule
from lightning_hash.modules.doubts import doubts_of_passes
from lightning_hash.utils.distributed import gather_objects


@dataclass(frozen=True)
class Start:
    """Q queries before an attack.

    Attributes:
        index: int64 ``(Q,)``, the queries' own indices, in no order.
        codes: int8 ``(Q, K)`` of -1/+1, of the images rounded to 8 bits.
        goal: ``(Q, K)`` of -1/+1, what success is measured by: of an untargeted attack the codes of
            the images as they are.
        doubts: what makes these codes doubtful.
    """

    index: Tensor
    codes: Tensor
    goal: Tensor
    doubts: tuple[str, ...] = ()

    @property
    def distances(self) -> dict[int, int]:
        """The Hamming distance between code and goal, by the queries' own indices."""
        differ = ((self.codes > 0) != (self.goal > 0)).sum(dim=1)
        return dict(zip(self.index.tolist(), differ.tolist(), strict=True))


class StartCodes(pl.LightningModule):
    """Encodes the queries of an attack, which is set up and not run.

    It runs in the Trainer's test loop, on the batches dealt to this process.

    Args:
        attack: the attack, attached and set up.
    """

    def __init__(self, attack: AttackModule) -> None:
        super().__init__()
        self.attack = attack
        self._parts: list[tuple[Tensor, Tensor, Tensor]] = []
        self._doubts: list[str] = []

    def on_test_start(self) -> None:
        """Compute the goals on the device, and look whether outputs are what they were."""
        roles = self.attack.roles
        roles.know(self.device, self.trainer.precision_plugin.forward_context)
        self._doubts = doubts_of_passes(roles.scored, roles.scoring.logits)
        self._parts = []

    def test_step(self, batch: int, batch_idx: int) -> None:
        """Encode a batch, rounded to 8 bits."""
        queries = self.attack.batches[batch_idx]
        levels = (queries.inputs.double() * 255).round().to(torch.uint8)
        codes = sign_code(self.attack.roles.scoring.file_logits(levels, queries))
        self._parts.append((queries.index.cpu(), codes.cpu(), queries.goal.cpu()))

    def start(self) -> Start:
        """Return all queries, the same on every process; all call it together."""
        parts = [part for parts in gather_objects(self._parts) for part in parts]
        index, codes, goal = (torch.cat(columns) for columns in zip(*parts, strict=True))
        return Start(index, codes, goal, tuple(self._doubts))


def start_of(trainer: pl.Trainer, attack: AttackModule, data: QueryData) -> Start:
    """Encode the queries of an attack.

    Args:
        trainer: runs the pass; its ``max_epochs`` are the iterations of the attack.
        attack: attached; it is set up here.
        data: its queries, set up.

    Returns:
        Where they stand, the same on every process.

    Raises:
        ValueError: if parts of the attack do not go together, or a logit is not finite.
    """
    data.trainer = trainer  # which batches are this process's
    attack.setup("test")
    module = StartCodes(attack)
    trainer.test(module, datamodule=data, verbose=False, weights_only=True)
    return module.start()
