"""Files of data sets and caches whose parts contradict each other."""

import json

import numpy as np
import pytest
import torch

from lightning_hash.data import COCODataModule, NUSWideDataModule
from lightning_hash.data.cached_frames import CachedFrames
from lightning_hash.data.cifar_files import read_cifar10
from lightning_hash.results.curves import read_curves

COCO = {
    "images": [{"id": 1, "file_name": "a.jpg"}],
    "categories": [{"id": 7, "name": "cat"}],
    "annotations": [{"image_id": 1, "category_id": 7}],
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([], "must hold a mapping, got list"),
        ({"images": []}, r"images must be a list of at least one, got \[\]"),
        ({"images": [{"id": 1}]}, r"images\.0 must have id and file_name, got {'id': 1}"),
        ({"categories": [3]}, r"categories\.0 must have id and name, got 3"),
        ({"annotations": None}, "annotations must be a list of at least one, got None"),
        (
            {"annotations": [{"image_id": 2, "category_id": 7}]},
            "an annotation is of image 2 and category 7, which are not both there",
        ),
        (
            {"annotations": [{"image_id": 1, "category_id": [7]}]},
            r"annotations\.0 must have image_id and category_id",
        ),
    ],
)
def test_instances_that_are_none(tmp_path, changes, message):
    folder = tmp_path / "annotations"
    folder.mkdir()
    content = changes if isinstance(changes, list) else {**COCO, **changes}
    for part in ("train2014", "val2014"):
        (folder / f"instances_{part}.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"instances_train2014\.json:? {message}"):
        COCODataModule(str(tmp_path)).read("all")


def test_an_image_of_cifar_has_one_class(tmp_path):
    images = np.zeros((2, 32, 32, 3), np.uint8)
    for labels in ([[1, 1], [0, 1]], [[0, 0], [0, 1]]):
        np.savez(tmp_path / "a.npz", images=images, labels=np.array(labels, np.int64))
        with pytest.raises(ValueError, match=r"a\.npz:labels: each image must have one class"):
            read_cifar10(str(tmp_path / "a.npz"))


def test_a_list_that_is_no_utf8_names_the_line(tmp_path):
    (tmp_path / "ImageList").mkdir()
    (tmp_path / "ImageList/Imagelist.txt").write_bytes(b"a.jpg\ncaf\xe9.jpg\n")
    with pytest.raises(ValueError, match=r"Imagelist\.txt:2: is no UTF-8 text .* save it as UTF-8"):
        NUSWideDataModule(str(tmp_path), labels=1).read("all")


@pytest.mark.parametrize(
    ("features", "lengths", "items"),
    [
        (np.zeros((3, 4, 2), np.float32), np.ones(3, np.int64), 2),
        (np.zeros((3, 4, 2), np.float64), np.ones(3, np.int64), 3),
        (np.zeros((3, 4, 2), np.float32), np.full(3, 5), 3),
        (np.zeros((3, 4, 2), np.float32), np.zeros(3, np.int64), 3),
        (np.zeros((3, 4), np.float32), np.ones(3, np.int64), 3),
    ],
)
def test_features_of_other_items_are_not_trained_on(tmp_path, features, lengths, items):
    np.save(tmp_path / "features.npy", features)
    np.save(tmp_path / "lengths.npy", lengths)
    with pytest.raises(ValueError, match=r"^feature_cache: .* remove it and train again$"):
        CachedFrames(tmp_path, torch.zeros(items, 2, dtype=torch.uint8))


def test_a_torn_cache_says_what_to_do(tmp_path):
    np.save(tmp_path / "features.npy", np.zeros((3, 4, 2), np.float32))
    np.save(tmp_path / "lengths.npy", np.ones(3, np.int64))
    labels = torch.zeros(3, 2, dtype=torch.uint8)
    assert CachedFrames(tmp_path, labels)[2][0].shape == (4, 2)
    whole = (tmp_path / "features.npy").read_bytes()
    for size in (0, 20, len(whole) - 1):
        (tmp_path / "features.npy").write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"is damaged .* remove it and train again"):
            CachedFrames(tmp_path, labels)


@pytest.mark.parametrize(("column", "value"), [("precision", 1.5), ("recall", -0.1)])
def test_curves_hold_shares(tmp_path, column, value):
    curve = {
        "query": "0", "label": "clean", "n": [1], "precision_at_n": [1.0], "recall": [0.5],
        "precision": [1.0],
    }  # fmt: skip
    path = tmp_path / "curves.json"
    path.write_text(json.dumps({"curves": [curve]}))
    assert read_curves(path) == [curve]
    path.write_text(json.dumps({"curves": [{**curve, column: [value]}]}))
    with pytest.raises(ValueError, match="holds no curves of this version"):
        read_curves(path)
