"""Which frames of each clip an attack on some of them may change."""

from typing import TYPE_CHECKING

import torch

from lightning_hash.functional import largest_frames

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
