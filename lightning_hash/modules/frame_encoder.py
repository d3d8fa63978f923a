"""Features of the frames of whole splits, by the Trainer's predict loop."""

from pathlib import Path

import pytorch_lightning as pl
import torch

from lightning_hash.data.base import HashDataModule
from lightning_hash.data.cached_frames import CachedFrames, FrameFile, write_rows
from lightning_hash.data.split_data import SplitData
from lightning_hash.models.victim import weights_sha256
from lightning_hash.models.video import VideoNetwork
from lightning_hash.modules.hash_module import HashModule


class FrameEncoder(pl.LightningModule):
    """Write what a video network's frames give into files, a split each.

    Args:
        network: the network; its frames must not be trained.
        places: folders to fill, in the order of the loaders.
    """

    def __init__(self, network: VideoNetwork, places: list[Path]) -> None:
        super().__init__()
        self.network, self.places = network, places

    def predict_step(
        self, batch: tuple[torch.Tensor, ...], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Write the features of a batch of clips."""
        clips, _, index, *lengths = batch
        features = self.network.frame_features(clips, *lengths)
        whole = torch.full_like(index, clips.shape[1])
        write_rows(self.places[dataloader_idx], index, features, *(lengths or [whole]))


def cache_frames(
    model: HashModule, source: HashDataModule, trainer: pl.Trainer
) -> dict[str, CachedFrames]:
    """Return the features of all splits that a training looks at, computed where they are not yet.

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
    network = model.network
    if model.feature_cache is None or not isinstance(network, VideoNetwork):
        return {}
    source.prepare_data()
    source.setup("fit")
    if network.train_frames or source.train_transform is not None:
        msg = (
            "feature_cache keeps what the network of a frame gives once and for all: it goes with "
            "train_frames: false and with data that training does not change (augment: false)"
        )
        raise ValueError(msg)
    model.cached_sha256 = weights_sha256(network.extractor.frames)
    files = {}
    for split in ("train", "query", "database"):
        made_with = {
            "frames_sha256": model.cached_sha256,
            "normalization": f"{network.mean.tolist()} {network.std.tolist()}",
            "split": split,
            "list_sha256": source.fingerprints()[split],
            **source.input_fingerprints(split),
            "precision": str(trainer.precision),
        }
        files[split] = FrameFile(Path(model.feature_cache), made_with)
    missing = [split for split, file in files.items() if not file.is_finished]
    missing = trainer.strategy.broadcast(missing)
    if missing:
        width = network.extractor.lstm.input_size
        places: list[Path] = []
        error: OSError | None = None
        if trainer.is_global_zero:
            try:
                for split in missing:
                    shape = len(source.labels_of(split)), source.input_shape[0], width
                    places.append(files[split].begin(shape))
            except OSError as caught:
                error = caught
        places, error = trainer.strategy.broadcast((places, error))
        if error is not None:
            raise error
        trainer.predict(
            FrameEncoder(network, places), SplitData(source, missing), return_predictions=False
        )
        trainer.strategy.barrier()
        if trainer.is_global_zero:
            for split, place in zip(missing, places, strict=True):
                files[split].finish(place)
        trainer.strategy.barrier()
    return {
        split: CachedFrames(file.finished, source.labels_of(split)) for split, file in files.items()
    }
