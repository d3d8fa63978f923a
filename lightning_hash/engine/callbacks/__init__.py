"""What the Trainer needs beside: progress, the run folder, pictures and the closing table."""

from lightning_hash.engine.callbacks.attack_checkpoint import AttackCheckpoint
from lightning_hash.engine.callbacks.board import Board
from lightning_hash.engine.callbacks.curves import Curves
from lightning_hash.engine.callbacks.keep_earlier import KeepEarlier
from lightning_hash.engine.callbacks.last_epoch import LastEpoch
from lightning_hash.engine.callbacks.places import Places
from lightning_hash.engine.callbacks.progress import IterationProgress, PassProgress
from lightning_hash.engine.callbacks.retrieval_images import RetrievalImages
from lightning_hash.engine.callbacks.run_folder import RunFolder
from lightning_hash.engine.callbacks.stop_training import StopTraining
from lightning_hash.engine.callbacks.summary import SummaryTable
from lightning_hash.engine.callbacks.training_progress import TrainingProgress

__all__ = [
    "AttackCheckpoint",
    "Board",
    "Curves",
    "IterationProgress",
    "KeepEarlier",
    "LastEpoch",
    "PassProgress",
    "Places",
    "RetrievalImages",
    "RunFolder",
    "StopTraining",
    "SummaryTable",
    "TrainingProgress",
]
