"""The hook of losses that change as the training proceeds."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class FollowsProgress(Protocol):
    """A loss that wants to know how far the training is."""

    def on_progress(self, fraction: float) -> None:
        """Hear how far the training is; called before every step.

        Args:
            fraction: optimizer steps done over those of the whole training, in [0, 1]; 0 in a
                training without an end. It depends on the step alone, so that a training that goes
                on from a checkpoint repeats.
        """
