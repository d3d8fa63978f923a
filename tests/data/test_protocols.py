"""The original releases, as small files in their own layout."""

import json
from pathlib import Path

import pytest
import yaml

import lightning_hash
from lightning_hash import data as modules
from lightning_hash.data import COCODataModule, Flickr25KDataModule, NUSWideDataModule
from lightning_hash.data.splits import parse_choice

CONFIGS = sorted((Path(lightning_hash.__file__).parent.parent / "configs" / "data").glob("*.yaml"))


def coco(folder):
    categories = [{"id": i, "name": n} for i, n in ((90, "brush"), (1, "person"), (3, "car"))]
    parts = {
        "train2014": ([7, 5, 9], [(5, 3), (5, 3), (7, 90), (7, 1)]),
        "val2014": ([4, 2], [(2, 1)]),
    }
    (folder / "annotations").mkdir(parents=True)
    for part, (images, annotations) in parts.items():
        content = {
            "categories": categories,
            "images": [{"id": i, "file_name": f"COCO_{part}_{i:012d}.jpg"} for i in images],
            "annotations": [{"image_id": i, "category_id": c} for i, c in annotations],
        }
        (folder / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))
    return folder


def test_coco(tmp_path):
    table = COCODataModule(str(coco(tmp_path))).read("all")
    assert table.class_names == ["person", "car", "brush"]
    assert table.paths == [
        "train2014/COCO_train2014_000000000007.jpg",
        "train2014/COCO_train2014_000000000005.jpg",
        "val2014/COCO_val2014_000000000002.jpg",
    ]
    assert table.labels.tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 0]]


def test_coco_that_is_not_there_or_not_whole(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"instances_train2014\.json does not exist"):
        COCODataModule(str(tmp_path)).read("all")
    file = coco(tmp_path) / "annotations" / "instances_val2014.json"
    text = file.read_text()
    file.write_text(text[: len(text) // 2])
    with pytest.raises(ValueError, match=r"instances_val2014\.json is no JSON: .*truncated"):
        COCODataModule(str(tmp_path)).read("all")
    file.write_text('{"images": []}')
    with pytest.raises(ValueError, match="has no annotations, categories"):
        COCODataModule(str(tmp_path)).read("all")
    with pytest.raises(ValueError, match="COCODataModule has one source, all; got 'train'"):
        COCODataModule(str(tmp_path)).read("train")


def flickr(folder):
    (folder / "annotations").mkdir()
    names = [f"label{i:02d}" for i in range(24)]
    for place, name in enumerate(names):
        (folder / "annotations" / f"{name}.txt").write_text(f"{place % 5 + 1}\r\n5\n")
    for name in names[:14]:
        (folder / "annotations" / f"{name}_r1.txt").write_text("2\n")
    (folder / "annotations" / "README.txt").write_text("not a label\n")
    return Flickr25KDataModule(str(folder), n_images=7)


def test_flickr(tmp_path):
    few = flickr(tmp_path)
    table = few.read("all")
    assert table.paths == [f"im{i}.jpg" for i in range(1, 8)]
    assert table.labels.shape == (7, 24)
    assert table.labels[0].nonzero()[0].tolist() == [0, 5, 10, 15, 20]
    assert table.labels[4].all()
    assert not table.labels[5:].any()
    many = Flickr25KDataModule(str(tmp_path), labels=38, n_images=7, drop_unlabelled=True)
    table = many.read("all")
    assert table.labels.shape == (5, 38)
    assert table.class_names[:3] == ["label00", "label00_r1", "label01"]
    assert table.labels[1, 1] == 1
    assert table.labels[0, 1] == 0


def test_flickr_files_that_are_wrong(tmp_path):
    few = flickr(tmp_path)
    (tmp_path / "annotations" / "label03.txt").write_text("1\n0\n")
    with pytest.raises(ValueError, match=r"label03\.txt:2: must be an image number in 1\.\.7"):
        few.read("all")
    (tmp_path / "annotations" / "label03.txt").unlink()
    with pytest.raises(FileNotFoundError, match="has 23 label files, 24 are wanted"):
        few.read("all")
    with pytest.raises(ValueError, match="labels must be 24 or 38, got 25"):
        Flickr25KDataModule(str(tmp_path), labels=25)


def nuswide(folder):
    (folder / "ImageList").mkdir()
    (folder / "Groundtruth" / "AllLabels").mkdir(parents=True)
    (folder / "ImageList" / "Imagelist.txt").write_text(
        "".join(f"actor\\{i:04d}_9.jpg\r\n" for i in range(6))
    )
    columns = {"sky": "110010", "cat": "000001", "dog": "001010", "sun": "111000"}
    for name, column in columns.items():
        path = folder / "Groundtruth" / "AllLabels" / f"Labels_{name}.txt"
        path.write_text("\n".join(column) + "\n")
    return folder


def test_nuswide_keeps_the_most_frequent_labels(tmp_path):
    data = NUSWideDataModule(str(nuswide(tmp_path)), labels=3)
    table = data.read("all")
    assert table.class_names == ["dog", "sky", "sun"]
    assert table.paths == [f"actor/{i:04d}_9.jpg" for i in (0, 1, 2, 4)]
    assert table.labels.tolist() == [[0, 1, 1], [0, 1, 1], [1, 0, 1], [1, 1, 0]]
    assert table.where(3) == f"{tmp_path}/ImageList/Imagelist.txt:5"
    assert NUSWideDataModule(str(tmp_path), labels=2).read("all").class_names == ["sky", "sun"]
    assert data.root == tmp_path / "Flickr"


def test_nuswide_files_that_are_wrong(tmp_path):
    nuswide(tmp_path)
    with pytest.raises(FileNotFoundError, match="has 4 label files, 21 are wanted"):
        NUSWideDataModule(str(tmp_path)).read("all")
    file = tmp_path / "Groundtruth" / "AllLabels" / "Labels_sky.txt"
    for text, message in (
        ("1\n0\n2\n0\n0\n0\n", "line 3 is '2'"),
        ("1\n0\n", "of 6 images, got 2"),
    ):
        file.write_text(text)
        with pytest.raises(ValueError, match=message):
            NUSWideDataModule(str(tmp_path), labels=3).read("all")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_configs(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lists = Path("data/imagenet")
    lists.mkdir(parents=True)
    (lists / "classes.txt").write_text("n1\nn2\n")
    (lists / "open_classes.txt").write_text("n3\n")
    entry = yaml.safe_load(config.read_text())["data"]
    data = getattr(modules, entry["class_path"].rpartition(".")[2])(**entry["init_args"])
    if config.stem == "sample_clips":
        assert (data.size, data.train_transform) == (64, None)
        return
    if config.stem.startswith("cifar10"):
        assert data.name == config.stem
        return
    splits = tuple(data.choices[split] for split in ("train", "query", "database"))
    assert splits == tuple(
        parse_choice(split, text)
        for split, text in zip(
            ("train", "query", "database"), SPLITS_OF_PAPERS[config.stem], strict=True
        )
    )
    if config.stem == "imagenet100_open":
        assert (data.given_names, data.given_open_names) == (["n1", "n2"], ["n3"])
        assert data.open_choice.source == "train"


QUERIES_LEAVE = "all but query of all"
SPLITS_OF_PAPERS = {
    "coco_hag": ("10000 from all", "200 from all", QUERIES_LEAVE),  # HAG IV-A
    "flickr25k_hag": ("5000 from all", "200 from all", QUERIES_LEAVE),
    "flickr25k_38": ("5000 from all", "200 from all", QUERIES_LEAVE),
    "nuswide_hag": ("5000 from all", "200 from all", QUERIES_LEAVE),
    "nuswide_dhta": ("10000 from all", "5000 from all", QUERIES_LEAVE),  # DHTA, appendix C
    "nuswide_21": ("10500 from all", "2100 from all", QUERIES_LEAVE),
    "imagenet100_dhta": ("100 per class from train", "val", "train"),
    "imagenet100_open": ("100 per class from train", "val", "train"),
    "jhmdb": ("10 per class from all", "10 per class from all", "rest of all"),
    "ucf101": ("30 per class from all", "30 per class from all", "rest of all"),
    "jhmdb_recordings": ("5 groups per class from all",) * 2 + ("rest of all",),
    "ucf101_recordings": ("6 groups per class from all",) * 2 + ("rest of all",),
    "lists_hashnet": ("train", "query", "database"),
    "lists_deephash": ("train", "test", "database"),
}
# Side, resize, aspect kept, filter, augmented; frames and stride of clips.
PIXELS = {
    "coco_hag": (224, None, False, "bilinear", False, None),
    "flickr25k_hag": (224, None, False, "bilinear", False, None),
    "flickr25k_38": (224, None, False, "bilinear", False, None),
    "nuswide_hag": (224, None, False, "bilinear", False, None),
    "nuswide_dhta": (224, 256, False, "bicubic", True, None),
    "nuswide_21": (224, None, False, "bilinear", True, None),
    "imagenet100_dhta": (224, 256, False, "bicubic", True, None),
    "imagenet100_open": (224, 256, False, "bicubic", True, None),
    "jhmdb": (224, None, False, "bilinear", False, (40, 1)),
    "jhmdb_recordings": (224, None, False, "bilinear", False, (40, 1)),
    "ucf101": (224, None, False, "bilinear", False, (40, 3)),
    "ucf101_recordings": (224, None, False, "bilinear", False, (40, 3)),
    "lists_hashnet": (224, 256, False, "bicubic", True, None),
    "lists_deephash": (224, 256, True, "bilinear", True, None),
}
PAPERS = ("_hag", "_dhta", "_open", "_38", "jhmdb", "ucf101", "lists_")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_pixels_and_selection_of_configs(config):
    """What the paper or the public code does with an image, and what picks the checkpoint."""
    given = yaml.safe_load(config.read_text())["data"]["init_args"]
    assert "batch_size" not in given  # a recipe's, see tests/test_configs.py
    paper = any(part in config.stem for part in PAPERS) and "recordings" not in config.stem
    assert given.get("selected_on", "validation") == ("test" if paper else "validation")
    if config.stem in PIXELS:
        clips = (given["frames"], given.get("stride", 1)) if "frames" in given else None
        assert PIXELS[config.stem] == (
            given["size"], given.get("resize"), given.get("keep_aspect", False),
            given.get("interpolation", "bilinear"), given.get("augment", False), clips,
        )  # fmt: skip


def test_labels_of_papers():
    counts = {
        config.stem: yaml.safe_load(config.read_text())["data"]["init_args"].get("labels")
        for config in CONFIGS
    }
    assert {name: count for name, count in counts.items() if count} == {
        "flickr25k_hag": 24, "flickr25k_38": 38, "nuswide_hag": 10, "nuswide_dhta": 20,
        "nuswide_21": 21,
    }  # fmt: skip
