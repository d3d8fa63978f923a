"""Features of the frames of whole splits, by the Trainer's predict loop."""

import shutil
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor

from lightning_hash.data.base import SPLITS, HashDataModule
from lightning_hash.data.cached_frames import CachedFrames, FrameFile, write_rows
from lightning_hash.data.split_data import SplitData
from lightning_hash.functional import frame_mask
from lightning_hash.models.video import VideoNetwork
from lightning_hash.modules.hash_module import HashModule
from lightning_hash.utils.settings import sha256_of


class FrameEncoder(pl.LightningModule):
    """Write what a video network gives of the frames of some splits, where it is not there yet.

    Args:
        network: the network.
        data: the splits; those that are there are left out of it.
        files: where the features of each split go.
    """

    def __init__(self, network: VideoNetwork, data: SplitData, files: dict[str, FrameFile]) -> None:
        super().__init__()
        self.network, self.data, self.files = network, data, files
        self.places: list[Path] = []

    def setup(self, stage: str) -> None:
        """Make room for what is missing; rank 0 decides for all processes.

        Raises:
            OSError: on all of them, if there is no room.
        """
        missing, places, error = [], [], None
        if self.trainer.is_global_zero:
            missing = [s for s in self.data.splits if not self.files[s].is_finished]
            try:
                for split in missing:
                    places.append(self._begin(split))
            except OSError as caught:
                error = caught
        missing, self.places, error = self.trainer.strategy.broadcast((missing, places, error))
        if error is not None:
            raise error
        self.data.splits = tuple(missing)

    def _begin(self, split: str) -> Path:
        source = self.data.source
        width = self.network.extractor.lstm.input_size
        shape = len(source.labels_of(split)), source.input_shape[0], width
        return self.files[split].begin(shape)

    def predict_step(
        self, batch: tuple[Tensor, ...], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Write the features of a batch of clips."""
        clips, _, index, *lengths = batch
        length = lengths[0] if lengths else torch.full_like(index, clips.shape[1])
        features = self.network.frame_features(clips, frame_mask(length, clips.shape[1]))
        write_rows(self.places[dataloader_idx], index, features, length)

    def on_predict_end(self) -> None:
        """Give the files their names, once all processes have written.

        Raises:
            ValueError: on all of them, if items are missing, which a limit of the Trainer has left
                out.
            OSError: on all of them, if a file cannot be written.
        """
        self.trainer.strategy.barrier()
        error: Exception | None = None
        if self.trainer.is_global_zero:
            try:
                for split, place in zip(self.data.splits, self.places, strict=True):
                    self.files[split].finish(place)
            except (ValueError, OSError) as caught:
                error = caught
        error = self.trainer.strategy.broadcast(error)  # the others would wait for rank 0
        if error is not None:
            raise error

    def discard(self) -> None:
        """Remove the folders that are not finished."""
        for place in self.places:
            shutil.rmtree(place, ignore_errors=True)


def cache_frames(
    model: HashModule, source: HashDataModule, trainer: pl.Trainer
) -> dict[str, CachedFrames]:
    """Return the features of the splits that a training looks at, computed where they are not yet.

    Those are the training set, the database and, where it validates on them, the queries.

    Args:
        model: whose frames, if it has a ``feature_cache``; all processes see that folder.
        source: the data; its clips are not changed in training.
        trainer: computes them, on its devices.

    Returns:
        A data set for each split by its name; nothing where the model has no cache.

    Raises:
        ValueError: if the data change clips in training, or the network's frames are trained.
        OSError: on all processes, if there is no room for a file.
    """
    network, quick = model.network, getattr(trainer, "fast_dev_run", False)
    if model.feature_cache is None or not isinstance(network, VideoNetwork) or quick:
        return {}
    if str(trainer.precision) in ("64-true", "bf16-true", "16-true"):
        msg = (
            f"feature_cache goes with precision 32-true or a mixed one, got {trainer.precision}, "
            "which converts the network's weights"
        )
        raise ValueError(msg)
    source.prepare_data()
    source.setup("fit")
    if network.train_frames or source.train_transform is not None:
        msg = (
            "feature_cache keeps what the network of a frame gives once and for all: it goes with "
            "train_frames: false and with data that training does not change (augment: false)"
        )
        raise ValueError(msg)
    model.cached_sha256 = sha256_of(network.extractor.frames.state_dict())
    files = {}
    splits = [split for split in SPLITS if split != "query" or source.selected_on == "test"]
    for split in splits:
        made_with = {
            "frames_sha256": model.cached_sha256,
            "normalization": f"{network.mean.tolist()} {network.std.tolist()}",
            "split": split,
            "list_sha256": source.fingerprints()[split],
            **source.input_fingerprints(split),
            "precision": str(trainer.precision),
        }
        files[split] = FrameFile(Path(model.feature_cache), made_with)
    data = SplitData(source, splits)
    encoder = FrameEncoder(network, data, files)
    try:
        trainer.predict(encoder, data, return_predictions=False, weights_only=True)
    except BaseException:
        encoder.discard()
        raise
    return {
        split: CachedFrames(file.finished, source.labels_of(split)) for split, file in files.items()
    }
