"""Pictures of an attack: what was sent and what came back (HAG Fig. 5, DHTA Fig. 4)."""

import io
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_info
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from lightning_hash.attacks.state import Outcome
from lightning_hash.codes.code_set import CodeSet
from lightning_hash.engine.callbacks.figures import (
    clip_film,
    figure_to_image,
    image_grid,
    retrieval_strip,
)
from lightning_hash.engine.callbacks.run_folder import shared_of
from lightning_hash.functional import from_8bit, hamming_distance, shares_label
from lightning_hash.modules.attack_module import AttackModule
from lightning_hash.modules.databases import Databases
from lightning_hash.modules.score_module import ScoreModule
from lightning_hash.utils.whole_file import write_whole

GRID = "attack/clean_perturbation_adversarial"


class RetrievalImages(Callback):
    """Write retrieval strips into the run folder and, with image grids, to TensorBoard.

    The grids show an attack at each milestone and at its end, as the network sees it; the strips
    show images in their own size, where that is attacked. Of clips the frame in the middle
    stands for the whole, and there are films beside: the clip, its perturbation and the adversarial
    clip.

    Args:
        queries: how many queries to show.
        top: retrieved items to show per query.

    Raises:
        ValueError: if an argument is below 1.
    """

    def __init__(self, queries: int = 6, top: int = 10) -> None:
        if queries < 1 or top < 1:
            msg = f"queries and top must be at least 1, got {queries} and {top}"
            raise ValueError(msg)
        self.queries, self.top = queries, top

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Show queries of the first process at a milestone of the attack."""
        if batch_idx or not isinstance(pl_module, AttackModule):
            return
        step, batches = trainer.current_epoch, pl_module.batches
        if step not in pl_module.evaluate_at or not (trainer.is_global_zero and batches):
            return
        inputs = batches[0].inputs
        if not isinstance(trainer.logger, TensorBoardLogger) or not _are_images(inputs):
            return
        labels = torch.cat([queries.labels for queries in batches])
        places = [(n, row) for n, each in enumerate(batches) for row in range(len(each.labels))]
        clean: list[Tensor] = []
        sent: list[Tensor] = []
        for row in _spread(labels, self.queries):
            number, place = places[row]
            queries = batches[number]
            length = [] if queries.lengths is None else [queries.lengths[place]]
            perturbed = pl_module.perturbed(number)[place]
            for images, each in ((clean, queries.inputs[place]), (sent, perturbed)):
                seen = pl_module.data.view(each[None])[0]
                images.append(still_of((seen, None, None, *length)).float().cpu())
        grid = image_grid(torch.stack(clean), torch.stack(sent))
        trainer.logger.experiment.add_image(GRID, grid, step)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the pictures of a finished attack."""
        if not isinstance(pl_module, ScoreModule) or not pl_module.retrieves:
            return
        if pl_module.victim.members:
            rank_zero_info("no pictures: several victims retrieve different items; see transfer")
            return
        databases = pl_module.databases
        assert databases is not None  # it retrieves
        outcome = pl_module.outcome()
        if not trainer.is_global_zero or pl_module.run_folder is None:
            return
        adversarial = outcome.tensors["adversarial_8bit"]
        if not _are_images(adversarial):
            rank_zero_info(f"no pictures: inputs of shape {tuple(adversarial.shape[1:])}")
            return
        shown = _spread(outcome.tensors["labels"], self.queries)
        items, view = pl_module.data.items, pl_module.data.view
        queries = [items[int(index)] for index in outcome.tensors["index"][shown]]
        clean = [still_of(item) for item in queries]
        sent = [
            still_of((from_8bit(outcome.image(row, adversarial)), *item[1:]))
            for row, item in zip(shown, queries, strict=True)
        ]
        folder = pl_module.run_folder / "strips"
        step = int(pl_module.attack["iterations"])
        board = trainer.logger.experiment if isinstance(trainer.logger, TensorBoardLogger) else None
        if board is not None:
            seen = (torch.cat([view(each[None]) for each in images]) for images in (clean, sent))
            board.add_image(GRID, image_grid(*seen), step)
            shared = shared_of(pl_module)
            picture = None if shared is None else shared.picture()
            if picture is not None:
                board.add_image("attack/perturbation", picture, step)
        for number, row in enumerate(shown):
            figure = self._strip(pl_module, databases, outcome, row, clean[number], sent[number])
            index = int(outcome.tensors["index"][row])
            strip = io.BytesIO()
            figure.savefig(strip, format="png", dpi=110)
            write_whole(folder / f"{index:06d}.png", strip.getvalue())
            if board is not None:
                board.add_image(f"retrieval/{number}", figure_to_image(figure), step)
            if adversarial.dim() == 5:
                whole = from_8bit(outcome.frames(row, adversarial))
                film = clip_film(queries[number][0][: len(whole)], whole)
                write_whole(pl_module.run_folder / "films" / f"{index:06d}.png", film)
                if board is not None:
                    _add_film(board, f"clip/{number}", film, step)

    def _strip(
        self,
        module: ScoreModule,
        databases: Databases,
        outcome: Outcome,
        row: int,
        clean: Tensor,
        sent: Tensor,
    ) -> Any:
        tensors, source = outcome.tensors, module.data.source
        own = tensors["labels"][row : row + 1]
        before = self._first(tensors["clean_codes"][row : row + 1], databases.database)
        ranked, items = databases.database, source.database_set
        names: Sequence[str] = source.class_names
        judged, goal = own, "relevant to the query"
        if module.targeted and outcome.targets is not None:
            ranked, items = databases.ranked, databases.ranked_items(source)
            judged, goal = outcome.targets.labels[row : row + 1], "of the target"
            names = source.class_names if databases.open_set is None else source.open_class_names
        after = self._first(tensors["codes_8bit"][row : row + 1], ranked)
        own_names, judged_names = _names(own[0], source.class_names), _names(judged[0], names)
        return retrieval_strip(
            clean,
            sent,
            stills_of(source.database_set, databases.database.index[before]),
            shares_label(own, databases.database.labels[before])[0].tolist(),
            stills_of(items, ranked.index[after]),
            shares_label(judged, ranked.labels[after])[0].tolist(),
            before_caption=f"clean query: {own_names}",
            after_caption=f"after {module.attack_name}, ticked if {goal}: {judged_names}",
        )

    def _first(self, code: Tensor, ranked: CodeSet) -> Tensor:
        """Return the rows of the items nearest to a code ``(1, K)``."""
        distance = hamming_distance(code, ranked.codes)[0]
        return torch.argsort(distance, stable=True)[: self.top]


def _spread(labels: Tensor, count: int) -> list[int]:
    """Take rows of different labels first."""
    # Of items without labels none differ.
    columns = labels if labels.shape[1] else labels.new_zeros(len(labels), 1)
    _, group = torch.unique(columns, dim=0, return_inverse=True)
    seen: dict[int, int] = {}
    ranks = []
    for label in group.tolist():
        ranks.append(seen.get(label, 0))
        seen[label] = ranks[-1] + 1
    return sorted(range(len(ranks)), key=lambda i: (ranks[i], i))[:count]


def stills_of(items: Any, indices: Tensor) -> Tensor:
    """Return the images ``(n, 3, H, W)`` of some items of a data set; see :func:`still_of`."""
    return torch.stack([still_of(items[int(index)]) for index in indices])


def _are_images(inputs: Tensor) -> bool:
    """Return whether a batch is of images or clips in colour."""
    return inputs.dim() in (4, 5) and inputs.shape[-3] == 3


def still_of(item: Any) -> Tensor:
    """Return the image ``(3, H, W)`` of an item; of a clip the frame in the middle."""
    inputs, _, _, *length = item
    if inputs.dim() == 3:
        return torch.as_tensor(inputs)
    last = int(length[0]) if length else len(inputs)
    return torch.as_tensor(inputs[(last - 1) // 2])


def _add_film(board: SummaryWriter, tag: str, film: bytes, step: int) -> None:
    """Add an animated PNG; the writer's add_video makes GIFs, by an old release of moviepy."""
    width, height = Image.open(io.BytesIO(film)).size
    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=film)
    summary = Summary(value=[Summary.Value(tag=tag, image=image)])
    board._get_file_writer().add_summary(summary, step)  # type: ignore[no-untyped-call]


def _names(label: Tensor, names: Sequence[str]) -> str:
    return ", ".join(names[i] for i in torch.nonzero(label).flatten().tolist())
