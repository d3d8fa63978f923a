"""Where a perturbation begins, if not at the clean query."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from lightning_hash.attacks.inputs import DiverseInputs
from lightning_hash.attacks.objectives import Objective
from lightning_hash.attacks.steps import MomentumSignStep
from lightning_hash.utils.settings import Part, settings_of

PERTURBATIONS = "perturbations.safetensors"


class Start(Part):
    """Base of places where the perturbation of each query begins.

    A search asks about this place first, so that it is counted, and accepts nothing that is worse.
    """


class SurrogateStart(Start):
    """Begin a search where an attack on surrogates ends, which asks the victim nothing.

    Hybrid batch attacks (Suya et al., USENIX Security 2020): what fools a model of one's own is a
    better place to begin than the clean image, also where it does not fool the victim yet. Of
    several surrogates the objective is summed, each on its own code and database, see
    :class:`lightning_hash.attacks.JointObjective`. The slope of the hash activation is 1.

    Args:
        objective: what is minimised; that of the search by default.
        step: a step rule; :class:`MomentumSignStep` by default, whose perturbations transfer better
            than those without momentum (Dong et al., CVPR 2018).
        iterations: gradients that are taken of the surrogates.
        inputs: changes the perturbed inputs at random before the surrogates see them.

    Raises:
        ValueError: if ``iterations`` is below 1.
    """

    def __init__(
        self,
        objective: Objective | None = None,
        step: Callable[[Iterable[Any]], Optimizer] | None = None,
        iterations: int = 100,
        inputs: DiverseInputs | None = None,
    ) -> None:
        if iterations < 1:
            msg = f"iterations must be at least 1, got {iterations}"
            raise ValueError(msg)
        self.objective, self.step = objective, step or MomentumSignStep
        self.iterations, self.inputs = iterations, inputs

    def settings(self) -> dict[str, Any]:
        """Return the settings, with the options of the step."""
        example = self.step([nn.Parameter(torch.zeros(()))])
        return {**super().settings(), "step": settings_of(example)}


class RunStart(Start):
    """Begin where a finished attack on the same queries has ended, whatever it was made on.

    Its perturbations are projected onto the budget.

    Args:
        run: its run folder, ``RUNS/attack/NAME/version_N``.

    Raises:
        FileNotFoundError: if the folder holds no perturbations.
    """

    def __init__(self, run: str) -> None:
        self.file = Path(run) / PERTURBATIONS
        if not self.file.is_file():
            msg = f"run {run}: {PERTURBATIONS} is not in it; give the folder of a finished attack"
            raise FileNotFoundError(msg)
        self.run = run

    def settings(self) -> dict[str, Any]:
        """Return the settings, with the sha256 of the perturbations."""
        digest = hashlib.sha256(self.file.read_bytes()).hexdigest()
        return {**super().settings(), "sha256": digest}
