"""Trainers of one verb that runs several."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl


@dataclass(frozen=True)
class TrainerMaker:
    """Makes Trainers of the user's options.

    Attributes:
        options: the user's, of the Trainer.
        make: makes one, with more options over these.
        config: all options of the verb, as the text of a config.yaml.
    """

    options: Mapping[str, Any]
    make: Callable[..., pl.Trainer]
    config: str

    def __call__(self, **more: Any) -> pl.Trainer:
        """Make one; ``more`` goes over the user's options."""
        return self.make(**more)
