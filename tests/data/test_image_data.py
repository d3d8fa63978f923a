import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_hash.__main__ import main
from lightning_hash.data import CSVDataModule, FlipShift, FolderDataModule, ListDataModule
from lightning_hash.data.images import image_transform

COLOURS = {"blue": (20, 30, 220), "green": (20, 200, 30), "red": (220, 20, 30)}


def picture(path, colour, size=(20, 12), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    """Two sources of class folders, twelve and four pictures of each class."""
    for source, count in (("train", 12), ("test", 4)):
        for name, colour in COLOURS.items():
            for number in range(count):
                shade = tuple(max(0, value - number) for value in colour)
                picture(tmp_path / "photos" / source / name / f"{number}.png", shade)
    return tmp_path / "photos"


@pytest.fixture
def lists(folder):
    """Labelled lists over the same pictures, with the prefix of another machine."""
    where = folder.parent / "lists"
    where.mkdir()
    for name in ("train", "test"):
        files = sorted((folder / name).glob("*/*.png"))
        lines = [
            f"/data/me/photos/{file.relative_to(folder)} "
            + " ".join(str(int(file.parent.name == c)) for c in COLOURS)
            for file in files
        ]
        (where / f"{name}.txt").write_text("\n".join(lines))
    return where


def listed(lists, **options):
    options = {
        "root": str(lists.parent / "photos"), "strip_prefix": "/data/me/photos/", "size": 8,
        "database": "train", **options,
    }  # fmt: skip
    data = ListDataModule(str(lists), **options)
    data.setup("fit")
    return data


def test_list_items(lists):
    data = listed(lists)
    assert (len(data.train_set), len(data.query_set), len(data.database_set)) == (36, 12, 36)
    image, labels, index = data.query_set[5]
    assert (image.shape, image.dtype) == ((3, 8, 8), torch.float32)
    assert labels.tolist() == [0, 1, 0]
    assert index == 5
    expected = torch.tensor([19, 199, 29]) / 255
    torch.testing.assert_close(image.mean(dim=(1, 2)), expected)
    assert data.name == "lists"
    assert data.class_names == ["0", "1", "2"]
    assert data.n_leaked == 0


def test_queries_in_the_database_are_counted(lists):
    assert listed(lists, query="5 from train").n_leaked == 5
    assert listed(lists, query="5 from train", database="rest of train").n_leaked == 0


def test_fingerprints_follow_paths_and_labels_not_the_machine(lists):
    before = listed(lists).fingerprints()
    assert before["train"] == before["database"]
    assert before["train"] != before["query"]
    for file in lists.glob("*.txt"):
        file.write_text(file.read_text().replace("/data/me/photos/", "/else/"))
    assert listed(lists, strip_prefix="/else/").fingerprints() == before
    text = (lists / "test.txt").read_text()
    (lists / "test.txt").write_text(text.replace("1 0 0", "0 0 1", 1))
    after = listed(lists, strip_prefix="/else/").fingerprints()
    assert after["query"] != before["query"]
    assert after["train"] == before["train"]


def test_one_file_under_several_paths_is_one_item(folder, tmp_path):
    os.symlink(folder, tmp_path / "linked")
    os.symlink(folder / "train/red/3.png", folder / "train/red/again.png")
    paths = ("train/red/0.png", "train/blue/../red/1.png", "train/red/again.png", "test/red/0.png")
    held = ("linked/train/red/0.png", "photos/train/red/1.png", "photos/train/red/3.png")
    for name, lines in (("train", paths), ("query", [f"photos/{path}" for path in paths])):
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    (tmp_path / "train.txt").write_text("\n".join(f"photos/{path}" for path in paths))
    (tmp_path / "database.txt").write_text("\n".join(held))
    data = ListDataModule(str(tmp_path), size=8)
    data.setup("fit")
    assert data.n_leaked == 3  # the fourth is in no database


def test_paths_that_are_no_utf8_name_items(folder, tmp_path):
    (folder / "train/red" / os.fsdecode(b"k\xe4se.png")).write_bytes(
        (folder / "train/red/0.png").read_bytes()
    )
    data = FolderDataModule(str(folder), train="train", query="test", database="train", size=8)
    data.setup("fit")
    odd = [row for row, path in enumerate(data.paths_of("train")) if "k\udce4se" in path]
    assert len(odd) == 1
    assert data.train_set[odd[0]][0].shape == (3, 8, 8)
    assert len(data.fingerprints()["train"]) == 64


def test_class_numbers_have_one_width_over_all_lists(lists):
    numbers = {"blue": 0, "green": 1, "red": 2}
    for name in ("train", "test"):
        files = sorted((lists.parent / "photos" / name).glob("*/*.png"))
        files = [f for f in files if name == "train" or f.parent.name != "red"]
        lines = [
            f"{f.relative_to(lists.parent / 'photos')} {numbers[f.parent.name]}" for f in files
        ]
        (lists / f"{name}.txt").write_text("\n".join(lines))
    data = listed(lists, strip_prefix="")
    assert data.query_set[7][1].tolist() == [0, 1, 0]
    assert data.num_classes == 3
    named = listed(lists, strip_prefix="", class_names=["b", "g", "r", "more"])
    assert named.query_set[7][1].tolist() == [0, 1, 0, 0]


def test_folders_with_sources(folder):
    data = FolderDataModule(str(folder), "train", "2 per class from test", "train", size=8)
    data.setup("fit")
    assert data.class_names == ["blue", "green", "red"]
    assert (len(data.train_set), len(data.query_set)) == (36, 6)
    image, labels, _ = data.query_set[0]
    assert labels.tolist() == [1, 0, 0]
    assert image.mean(dim=(1, 2)).argmax() == 2
    assert data.n_leaked == 0


def test_folders_of_classes_alone(folder):
    data = FolderDataModule(str(folder / "train"), "5 per class from all", "2 per class from all")
    data.setup("fit")
    assert [len(s) for s in (data.train_set, data.query_set, data.database_set)] == [15, 6, 15]
    assert data.train_set[0][0].shape == (3, 224, 224)
    paths = [s.path(i) for s in (data.train_set, data.query_set, data.database_set) for i in
             range(len(s))]  # fmt: skip
    assert len(set(paths)) == 36


def test_csv_columns_and_names(folder):
    head, rows = "path,blue,green,red\n", []
    names = ["path,labels\n"]
    for file in sorted((folder / "test").glob("*/*.png")):
        path, kind = file.relative_to(folder), file.parent.name
        both = kind == "red"
        rows.append(f"{path},{int(kind == 'blue' or both)},{int(kind == 'green')},{int(both)}\n")
        names.append(f"{path},{'red; blue' if both else kind}\n")
    (folder / "columns.csv").write_text(head + "".join(rows))
    (folder / "names.csv").write_text("".join(names))
    common = {"size": 8, "database": "rest of {}", "query": "3 from {}", "train": "4 from {}"}
    sets = []
    for source, options in (
        ("columns", {}),
        ("names", {"names_column": "labels", "class_names": ["blue", "green", "red"]}),
    ):
        chosen = {k: v.format(source) if isinstance(v, str) else v for k, v in common.items()}
        data = CSVDataModule(str(folder), **chosen, **options)
        data.setup("fit")
        assert data.class_names == ["blue", "green", "red"]
        sets.append(data.read(source).labels.tolist())
    assert sets[0] == sets[1]
    assert sets[0][-1] == [1, 0, 1]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("path,a\nx.png,2\n", {}, r"t\.csv:2: a must be 0 or 1, got '2'"),
        ("path,a,b\nx.png,1\n", {}, r"t\.csv:2: the row must have as many cells"),
        ("file,a\nx.png,1\n", {}, r"t\.csv:1: no column 'path'; there is file, a"),
        ("path,a\n", {}, r"t\.csv is empty"),
        ("path,l\nx.png,cat;dog\n", {"names_column": "l", "class_names": ["cat"]},
         r"t\.csv:2: label 'dog' is not in class_names \(cat\)"),
        ("path,a,a\nx.png,1,0\n", {}, r"t\.csv:1: column 'a' is there twice"),
        ("path,a\nx.png,1\ny.png,0\n", {}, "one column of 0/1, 'a', is a label or the class num"),
        ("path,a,b\nx.png,-1,1\n", {}, r"t\.csv:2: a must be 0 or 1, got '-1'"),
        ("path,a,b\nx.png,0.5,1\n", {}, r"t\.csv:2: a must be 0 or 1, got '0\.5'"),
        ("path;a;b\nx.png;1;0\n", {}, r"t\.csv:1: columns are parted by commas, got 'path;a;b'"),
    ],
)  # fmt: skip
def test_bad_tables(tmp_path, text, options, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        CSVDataModule(str(tmp_path), train="t", query="t", database="t", **options).setup("fit")


def test_tables_of_pandas(tmp_path):
    """Its index has no name, or is called Unnamed: 0 when it was read and written again."""
    for header in (",path,a,b", "Unnamed: 0,path,a,b", "Unnamed: 0.1,Unnamed: 0,path,a,b"):
        index = "1," * header.count(",path") + "0," * (header.count("Unnamed") == 2)
        text = f'{header}\n{index}"x, 1.png",1,0\n\n{index}y.png,0,1\n'
        (tmp_path / "t.csv").write_text("\ufeff" + text)
        table = CSVDataModule(str(tmp_path)).read("t")
        assert table.class_names == ["a", "b"]
        assert table.labels.tolist() == [[1, 0], [0, 1]]
        assert table.paths == ["x, 1.png", "y.png"]
    table = CSVDataModule(str(tmp_path), class_names=["b", "a"]).read("t")  # by name, not by place
    assert table.labels.tolist() == [[0, 1], [1, 0]]
    table = CSVDataModule(str(tmp_path), label_columns=["b"]).read("t")
    assert table.labels.tolist() == [[0], [1]]
    (tmp_path / "t.csv").write_text("path\nx.png\n")
    assert CSVDataModule(str(tmp_path)).read("t").labels.shape == (1, 0)


def test_tables_with_columns_in_another_order(tmp_path):
    (tmp_path / "train.csv").write_text("path,a,b\nx.png,1,0\n")
    (tmp_path / "query.csv").write_text("path,b,a\nx.png,1,0\n")
    with pytest.raises(ValueError, match=r"different classes, or in another order: .* give class_"):
        CSVDataModule(str(tmp_path), database="train").setup("fit")
    data = CSVDataModule(str(tmp_path), database="train", class_names=["a", "b"])
    data.setup("fit")
    assert (data.labels_of("train").tolist(), data.labels_of("query").tolist()) == (
        [[1, 0]], [[0, 1]],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("train", "query", "names", "columns"),
    [
        ("012", "02", None, {"0": "0", "1": "1", "2": "2"}),
        ("123", "13", None, {"1": "1", "2": "2", "3": "3"}),  # counted from 1
        ("123", "13", "abc", {"1": "a", "2": "b", "3": "c"}),
        ("12", "1", "abc", {"1": "b", "2": "c"}),  # from 0, where no item is of the first class
        ("13", "3", None, {"1": "1", "3": "3"}),
    ],
)
def test_class_numbers_from_0_and_from_1(tmp_path, train, query, names, columns):
    for name, numbers in (("train", train), ("query", query)):
        (tmp_path / f"{name}.txt").write_text("".join(f"{n}.png {n}\n" for n in numbers))
    names = None if names is None else list(names)
    data = ListDataModule(str(tmp_path), database="train", class_names=names)
    data.setup("fit")
    for split in ("train", "query"):
        for path, label in zip(data.paths_of(split), data.labels_of(split), strict=True):
            assert label.sum() == 1
            assert data.class_names[label.argmax()] == columns[path.removesuffix(".png")]


def test_lists_that_count_from_different_numbers(tmp_path):
    for name, first in (("train", 0), ("query", 1), ("database", 0)):
        lines = [f"{number}.png {first + number}" for number in range(3)]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    message = (
        r"database.txt has the class numbers 0\.\.2, .*query.txt 1\.\.3.*give class_names, 4 if"
    )
    with pytest.raises(ValueError, match=message):
        ListDataModule(str(tmp_path), size=8).setup("fit")
    names = ["none", "a", "b", "c"]
    data = ListDataModule(str(tmp_path), size=8, class_names=names)
    data.setup("fit")
    assert data.query_set.labels.argmax(dim=1).tolist() == [1, 2, 3]


@pytest.mark.parametrize("column", ["index", "id", "fold", "is_train", "Split", "level_0"])
def test_columns_of_bookkeeping_are_no_labels(tmp_path, column):
    for name in ("train", "query", "database"):
        text = f"{column},path,cat,train\n0,a.png,1,0\n1,b.png,0,1\n"
        (tmp_path / f"{name}.csv").write_text(text)
    with pytest.raises(
        ValueError, match=rf"column '{column}' a label.*label_columns: \[cat, train\]"
    ):
        CSVDataModule(str(tmp_path), size=8).setup("fit")
    data = CSVDataModule(str(tmp_path), size=8, label_columns=["cat", "train"])
    data.setup("fit")
    assert data.query_set.labels.tolist() == [[1, 0], [0, 1]]


def test_a_table_that_is_no_utf8_is_named(tmp_path):
    (tmp_path / "train.csv").write_bytes("path,cat,dog\na.png,1,0\nä.png,0,1\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"train\.csv:3: the table is not UTF-8"):
        CSVDataModule(str(tmp_path), size=8).read("train")


def test_hidden_files_are_no_items(folder):
    top = folder / "train"
    for place in (".ipynb_checkpoints", "@eaDir", "__MACOSX"):
        picture(top / "red" / place / "0.png", COLOURS["red"])
        picture(top / place / "0.png", COLOURS["red"])
    picture(top / "red" / "._0.png", COLOURS["red"], format="PNG")
    data = FolderDataModule(str(top), train="8 per class from all", query="2 per class from all")
    data.setup("fit")
    assert data.class_names == sorted(COLOURS)
    assert len(data.train_set) + len(data.query_set) + len(data.database_set) == 3 * 12


@pytest.mark.parametrize(("link", "to"), [("red/loop", ".."), ("rot", "red")])
def test_folders_that_are_there_twice(folder, link, to):
    os.symlink(to, folder / "train" / link)
    with pytest.raises(ValueError, match=r" is .*train/(red|blue) again, by a link, and its it"):
        FolderDataModule(str(folder / "train")).setup("fit")


def test_images_beside_class_folders_are_told(folder):
    picture(folder / "train" / "cover.png", COLOURS["red"])
    data = FolderDataModule(str(folder / "train"))
    with pytest.warns(UserWarning, match=r"1 items beside the class folders, such as cover\.png"):
        data.read("all")
    named = FolderDataModule(str(folder / "train"), class_names=["red", "blue"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        named.read("all")


@pytest.mark.parametrize(
    ("first", "second"),
    [("train_images", "test_images"), ("train2017", "val2017"), ("Training Set", "Test Set")],
)
def test_folders_that_hold_splits_by_longer_names(folder, first, second):
    (folder / "train").rename(folder / first)
    (folder / "test").rename(folder / second)
    with pytest.raises(ValueError, match=f"which are splits, not classes; give train: {first}"):
        FolderDataModule(str(folder)).setup("fit")
    (folder / first).rename(folder / "trainer")  # a class, as a test tube is
    (folder / second).rename(folder / "testtube")
    data = FolderDataModule(str(folder), train="2 per class from all", query="1 per class from all")
    data.setup("fit")
    assert data.class_names == ["testtube", "trainer"]


def test_folders_that_hold_splits(folder):
    message = (
        "holds test, train, which are splits, not classes; give train: train, query: 10 per class "
        r"from test, database: rest of test \(or class_names: \[test, train\], if they are classes"
    )
    with pytest.raises(ValueError, match=message):
        FolderDataModule(str(folder)).setup("fit")
    for name in ("query", "database"):
        (folder / name).mkdir()
    with pytest.raises(ValueError, match="query: query, database: database"):
        FolderDataModule(str(folder)).setup("fit")
    (folder / ".cache").mkdir()  # is no class
    data = FolderDataModule(str(folder / "train"), "5 per class from all", "2 per class from all")
    data.setup("fit")
    assert data.class_names == ["blue", "green", "red"]


def test_a_class_may_be_called_as_a_split_is(tmp_path):
    for name in ("car", "plane", "train"):
        picture(tmp_path / name / "0.png", (1, 2, 3))
    data = FolderDataModule(str(tmp_path), "all", "all", "all", size=8)
    data.setup("fit")
    assert data.class_names == ["car", "plane", "train"]


def test_one_folder_has_no_labels(folder):
    data = FolderDataModule(str(folder / "train" / "red"), size=8)
    data.setup("predict")
    assert [len(data.dataset(split)) for split in data.splits] == [12, 12, 12]
    assert (data.num_classes, data.labels_of("query").shape) == (0, (12, 0))
    assert data.dataset("query")[3][1].shape == (0,)
    data = FolderDataModule(str(folder / "train" / "red"), query="5 from all", size=8)
    data.setup("predict")
    assert [len(data.dataset(split)) for split in data.splits] == [12, 5, 7]
    with pytest.raises(ValueError, match=r"query: 'per class' needs labels, .*red has none"):
        FolderDataModule(str(folder / "train" / "red"), query="5 per class from all").setup("fit")
    (folder / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty has neither class folders nor images \("):
        FolderDataModule(str(folder / "empty")).setup("fit")


def test_widths_that_differ(lists):
    text = (lists / "test.txt").read_text()
    (lists / "test.txt").write_text("\n".join(line + " 0" for line in text.splitlines()))
    with pytest.raises(
        ValueError, match=r"as wide in all splits: .*train\.txt has 3 columns, .*test\.txt has 4"
    ):
        listed(lists)
    with pytest.raises(ValueError, match=r"class_names has 2 names, .* 3 columns"):
        listed(lists, query="train", class_names=["a", "b"])


def test_prefix_that_no_path_has(lists):
    with pytest.raises(
        ValueError, match=r"strip_prefix: no path of .* begins with '/other/'.*/me/"
    ):
        listed(lists, strip_prefix="/other/")


def test_bad_images_stop_or_are_left_out(lists):
    photos = lists.parent / "photos" / "test"
    whole = (photos / "red" / "0.png").read_bytes()
    (photos / "red" / "0.png").write_bytes(whole[: len(whole) // 2])
    (photos / "green" / "1.png").write_text("no image")
    (photos / "blue" / "2.png").unlink()
    data = listed(lists)
    for index, kind, message in (
        (8, ValueError, r"test\.txt:9: image .*red/0\.png cannot be read"),
        (5, ValueError, r"test\.txt:6: image .*green/1\.png cannot be read"),
        (2, FileNotFoundError, r"test\.txt:3: image .*blue/2\.png does not exist"),
    ):
        with pytest.raises(kind, match=message):
            data.query_set[index]
    with pytest.warns(UserWarning, match="query: 3 of 12 items left out"):
        data = listed(lists, on_bad_image="skip")
    assert len(data.query_set) == 9
    assert [m.split(": image")[0].rsplit(":", 1)[1] for m in data.skipped["query"]] == [
        "3", "6", "9",
    ]  # fmt: skip
    assert [data.query_set[i][1].argmax().item() for i in range(9)] == [0] * 3 + [1] * 3 + [2] * 3


def test_pictures_stand_upright_and_are_rgb(tmp_path):
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[:, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    Image.fromarray(pixels).convert("P").save(tmp_path / "palette.png")
    (tmp_path / "a.txt").write_text("turned.png 0 1\ngrey.png 1 0\npalette.png 1 1\n")
    data = ListDataModule(str(tmp_path), train="a", query="a", database="a", size=8)
    data.setup("fit")
    turned = data.query_set.picture(0)
    assert turned.size == (4, 6)
    assert np.asarray(turned)[0].min() == 255
    assert np.asarray(turned)[1:].max() == 0
    assert [data.query_set[i][0].shape for i in range(3)] == [(3, 8, 8)] * 3


@pytest.mark.parametrize(
    ("options", "box"),
    [
        ({"resize": None}, (0, 0, 40, 20)),
        ({"resize": 16}, (10, 5, 30, 15)),
        ({"resize": 16, "keep_aspect": True}, (15, 5, 25, 15)),
    ],
)
def test_transform_shows_the_part_that_it_should(options, box):
    """A ramp along each side: the means tell which part of the picture is left."""
    ramp = np.zeros((20, 40, 3), np.uint8)
    ramp[..., 0] = np.arange(40)[None] * 6
    ramp[..., 1] = np.arange(20)[:, None] * 6
    image = image_transform(size=8, **options)(Image.fromarray(ramp)) * 255
    left, top, right, bottom = box
    assert image[0].mean().item() == pytest.approx(6 * (left + right - 1) / 2, abs=1)
    assert image[0, 0, -1] - image[0, 0, 0] == pytest.approx(6 * (right - left) * 7 / 8, abs=8)
    assert image[1, -1, 0] - image[1, 0, 0] == pytest.approx(6 * (bottom - top) * 7 / 8, abs=8)


@pytest.mark.parametrize(("size", "resize"), [(4, None), (32, 16)])
def test_sizes_out_of_range(size, resize):
    with pytest.raises(ValueError, match="size must be at least 8 and at most resize"):
        image_transform(size, resize)


def test_unknown_words(tmp_path):
    with pytest.raises(ValueError, match="on_bad_image must be 'error' or 'skip'"):
        ListDataModule(str(tmp_path), on_bad_image="ignore")
    with pytest.raises(ValueError, match="format must be"):
        ListDataModule(str(tmp_path), format="F1")
    with pytest.raises(FileNotFoundError, match=r"is no folder; below .* there is none"):
        FolderDataModule(str(tmp_path), "train", "test", "train").setup("fit")


def test_shift_moves_each_image_by_its_own_draw_and_mirrors_the_border():
    images = torch.arange(20.0).expand(200, 3, 5, 20)
    torch.manual_seed(0)
    shifted = FlipShift(shift=0.1, flip=0.0)(images)
    offsets = shifted[:, 0, 0, 10] - 10
    assert set(offsets.tolist()) == {-2.0, -1.0, 0.0, 1.0, 2.0}
    row = shifted[offsets == 2][0, 0, 0]
    assert row[-3:].tolist() == [19.0, 18.0, 17.0]
    flipped = FlipShift(shift=0.0, flip=0.5)(images)[:, 0, 0, 0]
    assert set(flipped.tolist()) == {0.0, 19.0}
    assert 60 < (flipped == 0).sum() < 140


@pytest.mark.slow
def test_fit_and_attack_with_ones_own_folder(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = [
        "--data=FolderDataModule", f"--data.folder={folder}", "--data.train=train",
        "--data.query=test", "--data.database=train", "--data.size=32", "--trainer.accelerator=cpu",
    ]  # fmt: skip
    assert (
        main(
            [
                "fit",
                *data,
                "--data.augment=true",
                "--trainer.max_epochs=2",
                "--name=mine",
                "--model.bits=8",
            ]
        )
        == 0
    )
    attack = ["--model.victim=checkpoints/mine/best.ckpt", "--model.n_queries=6"]
    assert main(["attack", *data, *attack, "--trainer.max_epochs=3", "--name=mine"]) == 0
    rows = json.loads(Path("runs/attack/mine/version_0/results.json").read_text())
    assert {
        (row["data"]["dataset"], row["data"]["n_database"], row["victim"]["bits"]) for row in rows
    } == {("photos", 36, 8)}


def test_class_list_picks_folders_in_its_order(folder, tmp_path):
    (tmp_path / "classes.txt").write_text("red\nblue\n")
    options = {"train": "train", "query": "test", "database": "train", "size": 8}
    data = FolderDataModule(str(folder), class_names=str(tmp_path / "classes.txt"), **options)
    data.setup("fit")
    assert data.class_names == ["red", "blue"]
    assert (len(data.train_set), len(data.query_set)) == (24, 8)
    first, labels, _ = data.query_set[0]
    name = Path(data.query_set.table.paths[0]).parent.name
    assert labels.tolist() == [int(name == c) for c in ("red", "blue")]
    assert first.shape == (3, 8, 8)
    for names, message in (
        (["red", "grey"], r"class 'grey' of the list of classes has no folder in .*train"),
        (["red", "red"], "class_names: 'red' is there twice"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            FolderDataModule(str(folder), class_names=names, **options).setup("fit")
    with pytest.raises(FileNotFoundError, match=r"absent\.txt does not exist"):
        FolderDataModule(str(folder), class_names="absent.txt")


def test_open_set_of_folders(folder):
    options = {
        "train": "train", "query": "test", "database": "train", "size": 8, "open_set": "train",
        "class_names": ["blue", "green"],
    }  # fmt: skip
    data = FolderDataModule(str(folder), open_class_names=["red"], **options)
    data.setup("fit")
    assert data.splits == ("train", "query", "database", "open_set")
    assert (len(data.dataset("open_set")), data.open_class_names) == (12, ["red"])
    assert data.labels_of("open_set").tolist() == [[1]] * 12
    assert all(path.startswith("train/red/") for path in data.paths_of("open_set"))
    prints = data.fingerprints()
    assert len(prints) == len(set(prints.values())) + 1 == 4  # train and database are one
    drawn = FolderDataModule(
        str(folder), open_class_names=["red"], **{**options, "open_set": "5 from train"}
    )
    drawn.setup("fit")
    assert len(drawn.dataset("open_set")) == 5
    with pytest.raises(ValueError, match="has class 'blue', as the other splits have"):
        FolderDataModule(str(folder), open_class_names=["blue"], **options).setup("fit")
    with pytest.raises(ValueError, match="open_set cannot be 'rest of train'"):
        FolderDataModule(str(folder), **{**options, "open_set": "rest of train"})


def test_open_set_of_a_list_has_its_own_width(lists):
    files = sorted((lists.parent / "photos" / "test" / "red").glob("*.png"))
    lines = [f"/data/me/photos/test/red/{file.name} 0 1" for file in files]
    (lists / "unseen.txt").write_text("\n".join(lines))
    data = listed(lists, open_set="unseen", open_class_names=["dark", "light"])
    assert data.labels_of("open_set").tolist() == [[0, 1]] * 4
    assert data.labels_of("query").shape == (12, 3)
    with pytest.raises(ValueError, match=r"class_names has 3 names, .* 2 columns"):
        listed(lists, open_set="unseen", open_class_names=["a", "b", "c"])


def test_open_set_of_a_table(folder):
    for name, classes in (("train", ("blue", "green")), ("open", ("red",))):
        rows = [
            f"{path.relative_to(folder)},{path.parent.name}"
            for path in sorted((folder / "train").glob("*/*.png"))
            if path.parent.name in classes
        ]
        (folder / f"{name}.csv").write_text("path,labels\n" + "\n".join(rows))
    data = CSVDataModule(
        str(folder), names_column="labels", class_names=["blue", "green"], open_set="open",
        open_class_names=["red"], query="2 from train", database="rest of train", train="train",
    )  # fmt: skip
    data.setup("fit")
    assert data.labels_of("open_set").tolist() == [[1]] * 12
    assert data.labels_of("database").shape == (22, 2)


def test_a_replaced_file_changes_what_codes_depend_on(lists):
    data = listed(lists)
    before = data.input_fingerprints("query")
    assert before == listed(lists).input_fingerprints("query")
    assert "Resize(size=[8, 8]" in before["transform"]
    picture(lists.parent / "photos" / "test" / "red" / "0.png", (1, 2, 3), size=(31, 17))
    after = data.input_fingerprints("query")
    assert after["file_sizes_sha256"] != before["file_sizes_sha256"]
    assert after["transform"] == before["transform"]
    assert data.input_fingerprints("database") == listed(lists).input_fingerprints("database")


def test_skipped_items_are_listed_in_the_result(lists, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (lists.parent / "photos" / "test" / "red" / "0.png").write_text("no image")
    data = [
        "--data=ListDataModule", f"--data.folder={lists}", "--data.database=train",
        f"--data.root={lists.parent / 'photos'}", "--data.strip_prefix=/data/me/photos/",
        "--data.size=32", "--data.on_bad_image=skip", "--data.seed=4", "--trainer.accelerator=cpu",
    ]  # fmt: skip
    attack = [
        "--model.victim={source: tests.victims.test_foreign:make_small}",
        "--name=skip",
        "--trust",
    ]
    few = ["--trainer.max_epochs=1", "--model.n_queries=6"]
    with pytest.warns(UserWarning, match="query: 1 of 12 items left out"):
        assert main(["attack", *data, *attack, *few]) == 0
    run = Path("runs/attack/skip/version_0")
    rows = json.loads((run / "results.json").read_text())
    assert {(row["data"]["n_skipped"], row["data"]["seed"]) for row in rows} == {(1, 4)}
    skipped = json.loads((run / "skipped.json").read_text())
    assert list(skipped) == ["query"]
    assert "test.txt:9" in skipped["query"][0]


def test_open_set_attack_with_ones_own_folder(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = [
        "--data=FolderDataModule", f"--data.folder={folder}", "--data.train=train",
        "--data.query=test", "--data.database=train", "--data.size=32", "--data.open_set=train",
        "--data.class_names=[blue,green]", "--data.open_class_names=[red]",
        "--trainer.accelerator=cpu", "--model.targets.n_t=3", "--model.objective=AnchorCode",
    ]  # fmt: skip
    attack = [
        "--model.victim={source: tests.victims.test_foreign:make_small}",
        "--name=open",
        "--trust",
    ]
    few = ["--trainer.max_epochs=2", "--model.n_queries=6"]
    assert main(["attack", *data, *attack, *few]) == 0
    run = Path("runs/attack/open/version_0")
    rows = json.loads((run / "results.json").read_text())
    t_map = [row for row in rows if row["metric"] == "t_map"]
    assert {
        (row["data"]["target_database"], row["data"]["n_target_database"]) for row in t_map
    } == {("open_set", 12)}
    assert {row["value"] for row in t_map} == {1.0}  # all of the open set is the target
    assert len(list((run / "strips").glob("*.png"))) == 6


@pytest.mark.parametrize(
    ("numbers", "names"),
    [
        ([3, 20230101123, 7, 3], ["3", "7", "20230101123"]),
        ([1, 2, 50_000_000, 2], ["1", "2", "50000000"]),
        ([12_000, 12_001, 12_001, 12_000], ["12000", "12001"]),
        ([0, 9, 5, 5], [str(number) for number in range(10)]),
        ([1, 3, 2, 2], ["1", "2", "3"]),
    ],
)
def test_class_numbers_that_are_far_apart_get_a_column_each(tmp_path, numbers, names):
    (tmp_path / "train.txt").write_text("".join(f"{i}.png {n}\n" for i, n in enumerate(numbers)))
    (tmp_path / "test.txt").write_text(f"9.png {numbers[-1]}\n")
    data = ListDataModule(str(tmp_path), database="train")
    data.setup("fit")
    assert data.class_names == names
    for split, wanted in (("train", numbers), ("query", numbers[-1:])):
        labels = data.labels_of(split)
        assert labels.shape == (len(wanted), len(names))
        assert [int(names[row.argmax()]) for row in labels] == wanted
        assert (labels.sum(dim=1) == 1).all()


def test_class_numbers_that_are_none(tmp_path):
    (tmp_path / "train.txt").write_text("a.png 1\nb.png 20230101123\n")
    data = ListDataModule(str(tmp_path), query="train", database="train", class_names=["a", "b"])
    with pytest.raises(ValueError, match=r"train\.txt:2: class number must be in 0\.\.1, got 2023"):
        data.setup("fit")
    (tmp_path / "train.txt").write_text("a.png 1\nb.png 99999999999999999999\n")
    with pytest.raises(ValueError, match=r"train\.txt:2: a class number has at most 18 digits"):
        ListDataModule(str(tmp_path), query="train", database="train").setup("fit")


def test_labels_that_do_not_fit_into_memory(tmp_path, monkeypatch):
    (tmp_path / "train.txt").write_text("a.png 0\nb.png 1\n")

    def full(shape, dtype):
        raise MemoryError

    monkeypatch.setattr("lightning_hash.data.lists.np.zeros", full)
    with pytest.raises(
        ValueError, match=r"train\.txt: labels of 2 items and 2 classes need .* GiB"
    ):
        ListDataModule(str(tmp_path), query="train", database="train").setup("fit")
