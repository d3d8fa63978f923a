"""What convolutions see of perturbed images, and of the perturbation alone."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from lightning_hash.victims.victim import as_float32


class LayerConsistency:
    """How unlike a network's Conv2d outputs are for perturbed images and for delta alone.

    Called for a pass it returns the logits and, in a column behind them, per image the mean over
    all Conv2d outputs of 1 - cos(f(x'), f(delta)) (SS-TUAA, Zhu et al., ICASSP 2024).

    Args:
        network: whose layers are looked at; a layer that is called several times counts each time.
        name: of the network, for the message.

    Raises:
        ValueError: if it has no Conv2d that can be looked at.
    """

    def __init__(self, network: nn.Module, name: str) -> None:
        self.layers = [each for each in network.modules() if isinstance(each, nn.Conv2d)]
        if not self.layers:
            msg = (
                f"objective: it compares Conv2d outputs, and {name} has none that can be looked "
                "at; give weight 0"
            )
            raise ValueError(msg)

    def __call__(
        self, run: Callable[[Tensor], Tensor], perturbed: Tensor, alone: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Pass images.

        Args:
            run: the network, ``(n, 3, H, W)`` to logits ``(n, K)``.
            perturbed: ``(B, 3, H, W)`` in [0, 1].
            alone: ``(1, 3, H, W)``, delta as an image.

        Returns:
            Logits ``(B, K)``, and ``(B, K + 1)`` with the inconsistency behind them.
        """
        with self._seen() as of_delta:
            run(alone)
        with self._seen() as of_images:
            logits = run(perturbed)
        terms = [
            1 - cosine_similarity(image.flatten(1), delta.flatten(1), dim=1)
            for image, delta in zip(of_images, of_delta, strict=True)
        ]
        return logits, torch.cat([logits, torch.stack(terms).mean(dim=0)[:, None]], dim=1)

    @contextlib.contextmanager
    def _seen(self) -> Iterator[list[Tensor]]:
        outputs: list[Tensor] = []

        def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
            outputs.append(as_float32(output).clone())  # an activation may change it in place

        hooks = [layer.register_forward_hook(keep) for layer in self.layers]
        try:
            yield outputs
        finally:
            for hook in hooks:
                hook.remove()
