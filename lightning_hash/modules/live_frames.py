"""Which frames of each clip an attack on some of them may change."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lightning_hash.attacks.batch import QueryBatch
from lightning_hash.functional import frame_mask, largest_frames
from lightning_hash.models.video import VideoNetwork

if TYPE_CHECKING:
    from lightning_hash.modules.attack_loop import AttackLoop


def choose_frames(module: "AttackLoop", count: int) -> None:
    """Choose the frames in which the loss of the clean query has the largest gradient.

    The choice is made anew where an attack goes on: it does not depend on what was reached, on
    batches or on processes.

    Args:
        module: the attack, whose references are computed and whose kernels are chosen.
        count: frames of each clip.
    """
    for number, batch in enumerate(module.batches):
        clean = module.clean(number)
        if batch.live is None:
            batch.live = torch.ones(clean.shape[:2], dtype=torch.bool, device=clean.device)
        for row in range(len(clean)):  # one at a time: memory holds a pass of one clip
            gradient = module.clean_gradient(number, slice(row, row + 1))
            live = batch.live[row : row + 1]
            batch.live[row : row + 1] = largest_frames(gradient, count, live)
        perturbation = module.perturbations[number].data
        perturbation.copy_(batch.confine(perturbation))  # of a random start
        network = module.runner.network
        if isinstance(network, VideoNetwork) and module.inputs is None:
            batch.known = _features(module, network, number)


def pass_live_frames(
    network: nn.Module, clips: Tensor, batch: QueryBatch, rows: slice | Tensor
) -> Tensor:
    """Put features in the place of clips where only some frames of these change.

    Args:
        network: what the clips are passed through.
        clips: ``(n, T, 3, H, W)`` in [0, 1].
        batch: the queries that they belong to.
        rows: which of the batch they are.

    Returns:
        ``(n, T, D)``, of which the network's frames were passed the live ones alone; the clips
        themselves where nothing is known of the others.
    """
    if batch.known is None or batch.live is None or not isinstance(network, VideoNetwork):
        return clips
    return network.frame_features(clips, batch.live[rows], batch.known[rows])


def _features(module: "AttackLoop", network: VideoNetwork, number: int) -> Tensor:
    clean, batch = module.clean(number), module.batches[number]
    rows = []
    with torch.no_grad(), module.trainer.precision_plugin.forward_context():
        for row in range(len(clean)):
            one = slice(row, row + 1)
            masks = (frame_mask(each, clean.shape[1]) for each in batch.lengths_of(one))
            rows.append(network.frame_features(clean[one], *masks))
    width = network.extractor.lstm.input_size
    return torch.cat(rows) if rows else clean.new_empty(0, clean.shape[1], width)
