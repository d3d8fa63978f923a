"""Features of frames that are kept for training."""

import errno
import os
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from lightning_hash.commands.fit import run_fit
from lightning_hash.data import FolderDataModule
from lightning_hash.data.cached_frames import CachedFrames, FrameFile
from lightning_hash.engine.trainer import HashTrainer
from lightning_hash.functional import RankingOptions
from lightning_hash.modules import HashModule
from tests.helpers.clips import write_classes

NETWORK = {
    "class_path": "lightning_hash.models.VideoNetwork",
    "init_args": {"frames": "convnet", "hidden": 6},
}


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    top = tmp_path_factory.mktemp("clips")
    write_classes(top, per_class=8)
    return top


def data(top, **options):
    splits = {"train": "4 per class from all", "query": "1 per class from all"}
    return FolderDataModule(
        str(top),
        **splits,
        **{"frames": 6, "size": 24, "batch_size": 6, "selected_on": "test", **options},
    )


LIMITS = ("fast_dev_run", "limit_predict_batches", "precision")


def trained(module, source, tmp_path, epochs=3, **options):
    limits = {name: options.pop(name) for name in LIMITS if name in options}
    trainer = HashTrainer(
        max_epochs=epochs, accelerator="cpu", logger=False, default_root_dir=tmp_path,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, **{"limit_test_batches": 0, **limits},
    )  # fmt: skip
    run_fit(trainer, module, datamodule=source, **options)
    return trainer


def module(cache=None, **options):
    torch.manual_seed(0)
    options = {"backbone": NETWORK, "bits": 8, "ranking": RankingOptions(None), **options}
    return HashModule(feature_cache=None if cache is None else str(cache), **options)


def passes(model):
    """Count the frames that the network of a frame is passed."""
    counts = []
    frames = model.network.extractor.frames
    frames.register_forward_pre_hook(lambda _, given: counts.append(len(given[0])))
    return counts


@pytest.mark.parametrize("selected_on", ["test", "validation"])
def test_training_on_features_is_training_on_pixels(classes, tmp_path, selected_on):
    plain, cached = module(), module(tmp_path / "cache")
    slow, fast = passes(plain), passes(cached)
    first = trained(plain, data(classes, selected_on=selected_on), tmp_path)
    source = data(classes, selected_on=selected_on)
    second = trained(cached, source, tmp_path)
    for (name, own), other in zip(plain.named_parameters(), cached.parameters(), strict=True):
        torch.testing.assert_close(own, other, atol=1e-4, rtol=1e-3, msg=name)
    assert first.callback_metrics["val/map"] == second.callback_metrics["val/map"]
    # Nothing is validated on the test queries where the validation has its own.
    splits = ("train", "database", "query")[: 3 if selected_on == "test" else 2]
    sets = [source.dataset(split) for split in splits]
    frames = sum(items[index][3] for items in sets for index in range(len(items)))
    assert sum(fast) == frames  # each once, not once an epoch
    assert sum(slow) == 3 * frames
    assert source.cached == {}  # an attack with these data sees pixels
    again = module(tmp_path / "cache")
    third = passes(again)
    trained(again, data(classes, selected_on=selected_on), tmp_path, epochs=1)
    assert third == []


def test_files_hold_what_the_network_gives(classes, tmp_path):
    model, source = module(tmp_path / "cache"), data(classes)
    trained(model, source, tmp_path, epochs=1)
    folders = sorted((tmp_path / "cache").iterdir())
    assert [folder.name.split("-")[0] for folder in folders] == ["database", "query", "train"]
    for folder in folders:
        split = folder.name.split("-")[0]
        clip, labels, index, length = source.dataset(split)[2]
        items = pickle.loads(pickle.dumps(CachedFrames(folder, source.labels_of(split))))
        features, *rest = items[2]
        assert [labels.tolist(), index, length] == [rest[0].tolist(), *rest[1:]]
        with torch.no_grad():
            model.eval()
            expected = model.network.frame_features(clip[None, :length])[0]
        torch.testing.assert_close(features[:length], expected, atol=1e-5, rtol=1e-4)
        assert (features[length:] == 0).all()


def test_other_networks_and_clips_have_files_of_their_own(classes, tmp_path):
    trained(module(tmp_path / "cache"), data(classes), tmp_path, epochs=1)
    other = module(tmp_path / "cache")
    next(other.network.extractor.frames.parameters()).data.mul_(2)
    trained(other, data(classes), tmp_path, epochs=1)
    trained(module(tmp_path / "cache"), data(classes, stride=2), tmp_path, epochs=1)
    assert len(list((tmp_path / "cache").iterdir())) == 9


@pytest.mark.parametrize("room", [0, 1, 2])
def test_a_full_disk_leaves_nothing_behind(room, classes, tmp_path, monkeypatch):
    """The disk fills at the first, second or third of three files."""
    asked = []

    def full(*_):
        asked.append(None)
        if len(asked) > room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        trained(module(tmp_path / "cache"), data(classes), tmp_path)
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_is_not_whole_is_not_kept(classes, tmp_path, monkeypatch):
    """A limit of the Trainer, or a clip that cannot be read, must not leave zeros for features."""
    with pytest.raises(ValueError, match="items were not passed; train without limit_predict"):
        trained(module(tmp_path / "cache"), data(classes, eval_batch_size=2), tmp_path,
                limit_predict_batches=1)  # fmt: skip
    assert list((tmp_path / "cache").iterdir()) == []

    def broken(*_):
        raise ValueError("torn clip")

    source = data(classes)
    source.setup("fit")
    monkeypatch.setattr(type(source.train_set), "clip", broken)
    with pytest.raises(ValueError, match="torn clip"):
        trained(module(tmp_path / "cache"), source, tmp_path)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_quick_run_keeps_nothing(classes, tmp_path):
    trained(module(tmp_path / "cache"), data(classes), tmp_path, fast_dev_run=True)
    assert not (tmp_path / "cache").exists()


def test_loaders_of_ones_own_are_not_cached(classes, tmp_path):
    source = data(classes)
    source.setup("fit")
    trainer = HashTrainer(max_epochs=1, accelerator="cpu", logger=False, limit_val_batches=0,
                          enable_checkpointing=False, default_root_dir=tmp_path)  # fmt: skip
    with pytest.warns(
        UserWarning, match="feature_cache is not used: it needs commands.fit.run_fit"
    ):
        trainer.fit(module(tmp_path / "cache"), source.train_dataloader())


def test_a_run_that_was_faster_wins(classes, tmp_path, monkeypatch):
    """Two runs make the same file: the second finds it finished and leaves it."""
    trained(module(tmp_path / "cache"), data(classes), tmp_path, epochs=1)
    folders = sorted((tmp_path / "cache").iterdir())
    before = [np.load(folder / "features.npy") for folder in folders]
    monkeypatch.setattr(FrameFile, "is_finished", property(lambda _: False))
    trained(module(tmp_path / "cache"), data(classes), tmp_path, epochs=1)
    assert sorted((tmp_path / "cache").iterdir()) == folders
    for folder, features in zip(folders, before, strict=True):
        np.testing.assert_array_equal(np.load(folder / "features.npy"), features)


def test_wrong_use(classes, tmp_path):
    with pytest.raises(ValueError, match="feature_cache goes with VideoNetwork, got convnet"):
        HashModule("convnet", 8, feature_cache="cache")
    with pytest.raises(ValueError, match=r"train_frames: false and .*augment: false"):
        trained(module(tmp_path / "cache"), data(classes, augment=True), tmp_path)
    with pytest.raises(ValueError, match="32-true or a mixed one, got 64-true"):
        trained(module(tmp_path / "cache"), data(classes), tmp_path, precision="64-true")
    whole = {**NETWORK, "init_args": {**NETWORK["init_args"], "train_frames": True}}
    with pytest.raises(ValueError, match="train_frames: false"):
        trained(module(tmp_path / "cache", backbone=whole), data(classes), tmp_path)


def test_a_checkpoint_of_other_frames_is_refused(classes, tmp_path):
    first = module(tmp_path / "cache")
    run = trained(first, data(classes), tmp_path, epochs=1)
    run.save_checkpoint(tmp_path / "last.ckpt")
    trained(module(tmp_path / "cache"), data(classes), tmp_path, epochs=2,
            ckpt_path=tmp_path / "last.ckpt")  # fmt: skip
    other = module(tmp_path / "cache")
    for parameter in other.network.extractor.frames.parameters():
        nn.init.normal_(parameter)
    with pytest.raises(ValueError, match="is not the one that the features were made with"):
        trained(other, data(classes), tmp_path, epochs=2, ckpt_path=tmp_path / "last.ckpt")
