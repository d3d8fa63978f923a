"""The whole box: a budget that binds nothing but [0, 1]."""

from torch import Tensor

from lightning_hash.attacks.budget import EpsilonSpace, LInf


class Box(LInf):
    """All inputs in [0, 1]: the L-infinity ball of radius 1, for what covers pixels, as a patch.

    Args:
        epsilon: not looked at, it does not bind; rows say 1.
        space: ``"pixel"``.

    Raises:
        ValueError: if the space is normalised, in which the box has other sides for each channel.

    Example:
        >>> Box("8/255").settings()
        {'class': 'lightning_hash.attacks.Box', 'epsilon': 1.0, 'space': 'pixel'}
    """

    def __init__(self, epsilon: float | str = 1.0, space: EpsilonSpace = "pixel") -> None:
        if space != "pixel":
            msg = f"epsilon_space: budget Box is in [0, 1] of pixels; leave it out, got {space!r}"
            raise ValueError(msg)
        super().__init__(1.0, space)

    def used(self, perturbation: Tensor, live: Tensor | None = None) -> None:
        """Return nothing: how far values change says nothing where they may be anything."""
