"""Pictures of an attack: what was sent and what came back (HAG Fig. 5)."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lightning_hash.attacks.state import Outcome
from lightning_hash.functional import hamming_distance, shares_label, sign_code
from lightning_hash.modules.attack_module import AttackModule
from lightning_hash.modules.encoder import Encoding
from lightning_hash.reports.figures import figure_to_image, image_grid, retrieval_strip


class RetrievalImages(Callback):
    """Write retrieval strips into the run folder and, with image grids, to TensorBoard.

    Args:
        queries: how many queries to show.
        top: retrieved items to show per query.

    Raises:
        ValueError: if an argument is below 1.
    """

    def __init__(self, queries: int = 6, top: int = 6) -> None:
        if queries < 1 or top < 1:
            msg = f"queries and top must be at least 1, got {queries} and {top}"
            raise ValueError(msg)
        self.queries, self.top = queries, top

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the pictures of a finished attack."""
        if not isinstance(pl_module, AttackModule) or pl_module.database is None:
            return
        database = pl_module.database
        outcome = pl_module.outcome()
        if not trainer.is_global_zero or trainer.log_dir is None:
            return
        adversarial = outcome.tensors["adversarial_8bit"]
        if adversarial.dim() != 4 or adversarial.shape[1] != 3:
            rank_zero_warn(f"no pictures: inputs of shape {tuple(adversarial.shape[1:])}")
            return
        shown = self._spread(outcome)
        clean = torch.stack(
            [self._query(pl_module, int(i)) for i in outcome.tensors["index"][shown]]
        )
        sent = adversarial[shown].float() / 255
        folder = Path(trainer.log_dir) / "strips"
        folder.mkdir(exist_ok=True)
        step = (trainer.max_epochs or 0) if pl_module.objective.iterative else 0
        board = trainer.logger.experiment if isinstance(trainer.logger, TensorBoardLogger) else None
        if board is not None:
            board.add_image("attack/clean_perturbation_adversarial", image_grid(clean, sent), step)
        for number, row in enumerate(shown):
            figure = self._strip(pl_module, database, outcome, row, clean[number], sent[number])
            index = int(outcome.tensors["index"][row])
            figure.savefig(folder / f"{index:06d}.png", dpi=110)
            if board is not None:
                board.add_image(f"retrieval/{number}", figure_to_image(figure), step)

    def _spread(self, outcome: Outcome) -> list[int]:
        """Take queries of different labels first."""
        _, group = torch.unique(outcome.tensors["labels"], dim=0, return_inverse=True)
        seen: dict[int, int] = {}
        ranks = []
        for label in group.tolist():
            ranks.append(seen.get(label, 0))
            seen[label] = ranks[-1] + 1
        return sorted(range(len(ranks)), key=lambda i: (ranks[i], i))[: self.queries]

    def _query(self, module: AttackModule, index: int) -> Tensor:
        queries: Any = module.queries.queries
        for item, _, number in queries:
            if int(number) == index:
                return torch.as_tensor(item)
        msg = f"query {index} is not in the query set"
        raise LookupError(msg)

    def _strip(
        self,
        module: AttackModule,
        database: Encoding,
        outcome: Outcome,
        row: int,
        clean: Tensor,
        sent: Tensor,
    ) -> Any:
        tensors = outcome.tensors
        codes = sign_code(database.logits)
        own = tensors["labels"][row : row + 1]
        judged, goal = own, "relevant to the query"
        if module.objective.targeted and outcome.targets is not None:
            judged, goal = outcome.targets.labels[row : row + 1], "of the target"
        before, after = (
            torch.argsort(hamming_distance(tensors[key][row : row + 1], codes)[0], stable=True)[
                : self.top
            ]
            for key in ("clean_codes", "codes_8bit")
        )
        names = module.queries.source.class_names
        return retrieval_strip(
            clean,
            sent,
            self._items(module, database.index[before]),
            shares_label(own, database.labels[before])[0].tolist(),
            self._items(module, database.index[after]),
            shares_label(judged, database.labels[after])[0].tolist(),
            before_caption=f"clean query: {_names(own[0], names)}",
            after_caption=f"after {module.attack_name}, ticked if {goal}: "
            + _names(judged[0], names),
        )

    def _items(self, module: AttackModule, indices: Tensor) -> Tensor:
        database_set: Any = module.queries.source.database_set
        return torch.stack([database_set[int(index)][0] for index in indices])


def _names(label: Tensor, names: list[str]) -> str:
    return ", ".join(names[i] for i in torch.nonzero(label).flatten().tolist())
