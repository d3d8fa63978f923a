"""What an iteration passes the perturbed queries of one batch through."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from lightning_hash.attacks import Perturbation, Queries
from lightning_hash.attacks.layers import LayerConsistency
from lightning_hash.attacks.queries import ALL, Rows
from lightning_hash.attacks.recipe import Recipe
from lightning_hash.data.views import View
from lightning_hash.functional.frames import frame_mask, places_of
from lightning_hash.functional.gradients import input_gradients
from lightning_hash.models.network import as_taken
from lightning_hash.models.video import VideoNetwork
from lightning_hash.victims.victim import Victim

Context = Callable[[], AbstractContextManager[None]]


class VictimPass:
    """The victim on its kernels, with what an attack puts before it.

    Args:
        victim: the victim, on the kernels that were chosen.
        queries: the batch.
        recipe: the parts of the attack.
        context: the precision's forward context.
        view: what the victim sees of queries.
        perturbation: what is optimised, for an objective that looks at it alone.

    Attributes:
        iteration: its number, which random changes depend on.
        logits: ``(B, K)``, of each query those of its last pass; ``None`` before any.
    """

    logits: Tensor | None

    def __init__(
        self,
        victim: Victim,
        queries: Queries,
        recipe: Recipe,
        context: Context,
        view: View,
        perturbation: Perturbation | None = None,
    ) -> None:
        self.victim, self.queries, self.context, self.view = victim, queries, context, view
        self.layers, self.perturbation = None, perturbation
        if recipe.objective.compares_layers:
            self.layers = LayerConsistency(victim.network, victim.backbone)
        self.inputs, self.features = recipe.inputs, recipe.sees_features
        self.iteration, self.logits = 0, None
        # Frames of clips that are passed; their places in whole batches, found once, since the host
        # waits for the device there; features of the others.
        self._live: Tensor | None = None
        self._places: Tensor | None = None
        self._known: Tensor | None = None
        if queries.lengths is not None:
            self._live = frame_mask(queries.lengths, queries.inputs.shape[1])

    def __call__(self, perturbed: Tensor, rows: Rows) -> Tensor | tuple[Tensor, Tensor]:
        """Return logits ``(n, K)``, or logits and what the objective sees, of rows of the batch."""
        perturbed = self.view(perturbed)
        if self.inputs is not None:
            perturbed = self.inputs(perturbed, self._index_of(rows), self.iteration)
        with self.context():
            network, lengths = self.victim.network, self.queries.lengths_of(rows)
            if self.layers is not None and self.perturbation is not None:
                alone = self.perturbation.alone(perturbed)
                both = self.layers(self.victim, perturbed, alone)
                self._keep(both[0], rows)
                return both
            if isinstance(network, VideoNetwork) and self._live is not None:
                known = None if self._known is None else self._known[rows]
                clips = as_taken(network, perturbed)
                perturbed = network.frame_features(clips, self._frames_of(rows), known)
            if self.features:
                both = self.victim.with_features(perturbed, *lengths)
                self._keep(both[0], rows)
                return both
            logits: Tensor = self.victim(perturbed, *lengths)
        self._keep(logits, rows)
        return logits

    def _index_of(self, rows: Rows) -> list[int]:
        if isinstance(rows, Tensor):
            found: list[int] = self.queries.index[rows].tolist()
            return found
        return self.queries.numbers[rows]

    def _frames_of(self, rows: Rows) -> Tensor:
        assert self._live is not None
        if isinstance(rows, Tensor) or rows != ALL:
            return places_of(self._live[rows])
        if self._places is None:
            self._places = places_of(self._live)
        return self._places

    def _keep(self, logits: Tensor, rows: Rows) -> None:
        if self.logits is None:
            self.logits = logits.new_zeros(len(self.queries.index), logits.shape[1])
        self.logits[rows] = logits.detach()

    @torch.no_grad()
    def pass_only(self, live: Tensor) -> None:
        """Pass some frames of the clips alone, where the features of the others can be known.

        Args:
            live: bool ``(B, T)``, the frames that may change.
        """
        network, clean = self.victim.network, self.queries.inputs
        if not isinstance(network, VideoNetwork) or self.inputs is not None:
            return
        rows = []
        with self.context():
            for row in range(len(clean)):  # one at a time: memory holds a pass of one clip
                one = slice(row, row + 1)
                masks = (frame_mask(each, clean.shape[1]) for each in self.queries.lengths_of(one))
                rows.append(network.frame_features(as_taken(network, clean[one]), *masks))
        width = network.extractor.lstm.input_size
        self._places = None
        self._known = torch.cat(rows) if rows else clean.new_empty(0, clean.shape[1], width)
        self._live = live

    def gradient(self, loss: Callable[[Tensor], Tensor], rows: slice) -> Tensor:
        """Return the gradient ``(n, ...)`` of a loss in some clean inputs.

        Args:
            loss: what the objective sees of the inputs to a scalar.
            rows: which inputs.
        """
        clean = self.queries.inputs[rows].clone().requires_grad_()
        with torch.enable_grad():
            outputs = self(clean, rows)
            seen = outputs[1] if isinstance(outputs, tuple) else outputs
            (gradient,) = input_gradients(loss(seen), [clean])
        return gradient
