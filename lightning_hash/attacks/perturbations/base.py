"""What is optimised: it turns inputs into perturbed inputs and keeps itself inside its budget."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from lightning_hash.attacks.budget import Budget
from lightning_hash.attacks.queries import ALL, Rows
from lightning_hash.functional.frames import frame_mask
from lightning_hash.utils.settings import Part


class Perturbation(Part, nn.Module, ABC):
    """Base of perturbations, made for a batch of inputs or for all there are.

    Args:
        inputs: ``(B, ...)``, the batch; of a shared perturbation any batch, whose shape counts.
        budget: the set it must stay in.
        lengths: ``(B,)`` int64, the frames of each clip, where these have several.

    Attributes:
        shared: whether there is one for all inputs: it learns on the training split by ordinary
            DDP, the mean loss of the global batch is minimised, and the queries are scored with it.
            Otherwise the first dimension of every parameter is the batch, and nothing is averaged.
        passes_live_frames: whether the frames that may change are few: the features of the others
            are then computed once.
        live: bool ``(B, T)``, the frames of clips that may change; ``None`` where all may.
    """

    context = frozenset({"inputs", "budget", "lengths"})
    shared: ClassVar[bool] = False
    passes_live_frames: ClassVar[bool] = False
    live: Tensor | None

    def __init__(self, inputs: Tensor, budget: Budget, lengths: Tensor | None = None) -> None:
        super().__init__()
        self.budget = budget
        live = None if lengths is None else frame_mask(lengths, inputs.shape[1])
        self.register_buffer("live", live, persistent=False)

    @abstractmethod
    def forward(self, inputs: Tensor, rows: Rows = ALL) -> Tensor:
        """Return perturbed inputs.

        Args:
            inputs: ``(B, ...)``, clean, in [0, 1].
            rows: which of them are asked for, n.

        Returns:
            ``(n, ...)``, differentiable in the parameters; in [0, 1] after :meth:`project`.
        """

    @abstractmethod
    def project(self, inputs: Tensor) -> None:
        """Project the parameters in place onto the budget, and ``inputs`` plus them onto [0, 1]."""

    @abstractmethod
    def values(self, inputs: Tensor) -> Tensor:
        """Return what is added to ``inputs``, ``(B, ...)`` as they are, in the budget's space."""

    def draw(self, inputs: Tensor, index: Tensor, seed: int) -> None:
        """Begin at a random place in the budget.

        Args:
            inputs: ``(B, ...)``, clean.
            index: ``(B,)`` int, the queries' own indices.
            seed: seed of the draws.

        Raises:
            ValueError: if this kind has no random start.
        """
        msg = f"start_seed: {type(self).__name__} has no random start; leave start_seed out"
        raise ValueError(msg)

    def expect(self, index: Tensor, iteration: int) -> None:
        """Hear whose inputs come next; for draws that depend on it.

        Args:
            index: ``(B,)`` int64, the inputs' own indices.
            iteration: its number; after the last one the number of all.
        """

    def alone(self, inputs: Tensor) -> Tensor:
        """Return what is added to each of ``inputs`` as an image of its own.

        Args:
            inputs: ``(B, ...)``, whose size counts.

        Returns:
            ``(1, ...)`` in [0, 1] units, neither shifted nor clamped; differentiable.

        Raises:
            ValueError: if this kind does not add the same to all.
        """
        msg = f"{type(self).__name__} does not add the same to all images; give Universal"
        raise ValueError(msg)

    def picture(self) -> Tensor | None:
        """Return a picture ``(C, H, W)`` in [0, 1] of a shared perturbation, where there is one."""
        return None

    def prepare(self, inputs: Tensor, gradient: Callable[[slice], Tensor]) -> None:
        """Look at the clean inputs before the first iteration, also of one that goes on.

        Args:
            inputs: ``(B, ...)``, clean, on the device and in the layout of the iterations.
            gradient: the gradient ``(n, ...)`` of the first iteration's loss in some clean inputs.
        """
