"""Lists whose files have names of their own, and lines of other forms."""

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_hash.__main__ import main
from lightning_hash.data import ListDataModule
from lightning_hash.data.lists import read_list, read_names

PATHS = [f"images/{number}.png" for number in range(12)]
CLASSES = [number % 3 for number in range(12)]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(12):
        Image.new("RGB", (8, 8), (20 * number, 9, 9)).save(tmp_path / "images" / f"{number}.png")
    return tmp_path


def write(file, rows):
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(f"{row}\n" for row in rows))


def hot(number):
    return " ".join(str(int(column == number)) for column in range(3))


LABELLED = [f"{path} {hot(number)}" for path, number in zip(PATHS, CLASSES, strict=True)]


def data(folder, sources, source="all", **options):
    splits = {"train": f"rest of {source}", "query": f"3 from {source}", "database": source}
    made = ListDataModule(str(folder), sources=sources, **{**splits, "size": 8, **options})
    made.setup("fit")
    return made


def test_parts_of_a_list_are_joined_in_the_order_of_their_numbers(folder):
    """As HashNet's caffe/data/coco/test/test0.txt to test7.txt; there may be more than ten."""
    for part in range(12):
        write(folder / "test" / f"test{part}.txt", LABELLED[part : part + 1])
    made = data(folder, {"test": "test/test*.txt"}, "test")
    assert made.database_set.table.paths == PATHS
    assert made.database_set.labels.argmax(dim=1).tolist() == CLASSES
    assert made.database_set.table.where(10) == f"{folder}/test/test10.txt:1"
    some = data(folder, {"some": ["test/test7.txt", "test/test[01].txt"]}, "some", query="some",
                train="some")  # fmt: skip
    assert some.database_set.table.paths == [PATHS[7], PATHS[0], PATHS[1]]


def test_class_numbers_and_names_are_those_of_all_parts(folder):
    for part, low in enumerate((0, 6)):
        rows = list(zip(PATHS, CLASSES, strict=True))[low : low + 6 - 5 * part]
        write(folder / f"n{part}.txt", [f"{path} {number}" for path, number in rows])
        write(folder / f"c{part}.txt", [f"{path} {'zca'[number]}" for path, number in rows])
    numbered = data(folder, {"all": "n*.txt"})
    assert numbered.database_set.labels.argmax(dim=1).tolist() == CLASSES[:7]
    named = data(folder, {"all": "c*.txt"})
    assert named.class_names == ["a", "c", "z"]
    assert [named.class_names[n] for n in named.database_set.labels.argmax(dim=1)] == [
        "zca"[number] for number in CLASSES[:7]
    ]


def test_images_beside_labels_of_any_names(folder):
    """As DSDH_PyTorch's img_tc10.txt and targets_onehot_tc10.txt; test_img_50 and its labels."""
    write(folder / "img_tc10.txt", PATHS)
    write(folder / "targets_onehot_tc10.txt", [hot(number) for number in CLASSES])
    write(folder / "targets_tc10.txt", CLASSES)
    for labels in ("targets_onehot_tc10.txt", "targets_tc10.txt"):
        made = data(folder, {"all": {"images": "img_tc10.txt", "labels": labels}})
        assert made.database_set.labels.argmax(dim=1).tolist() == CLASSES
        assert made.database_set.table.paths == PATHS


@pytest.mark.parametrize(
    "labels", [np.array(CLASSES, np.float32), np.eye(3, dtype=np.int64)[CLASSES]]
)
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat", ".pt"])
def test_arrays_of_paths_and_labels(folder, labels, suffix):
    """As CSQ's database_path.npy and database_label.npy, and mirflickr25k-fall.mat and -lall."""
    images, rows = folder / "database_path.npy", folder / f"label{suffix}"
    np.save(images, np.array(PATHS))
    if suffix == ".npy":
        np.save(rows, labels)
    elif suffix == ".npz":
        np.savez(rows, labels)
    elif suffix == ".pt":
        torch.save(torch.from_numpy(labels), rows)
    else:
        scipy = pytest.importorskip("scipy.io")
        images, cells = folder / "fall.mat", np.empty((12, 1), object)
        cells[:, 0] = PATHS
        scipy.savemat(images, {"FAll": cells})
        scipy.savemat(rows, {"LAll": labels})
    made = data(folder, {"all": {"images": images.name, "labels": rows.name}})
    assert made.database_set.table.paths == PATHS
    assert made.database_set.labels.argmax(dim=1).tolist() == CLASSES


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({"all": 3}, r"sources: all must be a file, a list of files, or \{images: FILE"),
        ({"all": {"images": "a.txt"}}, r"sources: all must be .* got \{'images': 'a.txt'\}"),
        ({"all": []}, r"sources: all must be a file"),
        ({"all": "b*.txt"}, r"sources: all has no file .*b\*\.txt; there is a.txt"),
        ({"all": {"images": "a.txt", "labels": ["a.txt", "a.txt"]}}, r"1 files of images and 2 of"),
        ({"all": ["a.txt", "wide.txt"]}, r"cannot be joined: .* 3 columns and 2 columns"),
        ({"all": ["a.txt", "numbers.txt"]}, r"cannot be joined: .* 3 columns and class numbers"),
        ({"other": "a.txt"}, r"no list for 'all': .* sources: \{all: FILE\} or \{all: \{images"),
    ],
)
def test_sources_that_are_none(folder, sources, message):
    write(folder / "a.txt", LABELLED)
    write(folder / "wide.txt", [f"{path} 1 0" for path in PATHS])
    write(folder / "numbers.txt", [f"{path} 2" for path in PATHS])
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        data(folder, sources)


def test_videos_of_csq(tmp_path):
    """``id<TAB>class<TAB>path``; names hold brackets and exclamation marks."""
    names = ["brush_hair/Her_Hair__[_NEW_AUDIO_]_UPDATED!!!!_goo_0.avi", "wave/two words 1 0.avi"]
    write(tmp_path / "test.txt", [f"{row}\t{row * 50}\t{name}" for row, name in enumerate(names)])
    table = read_list((tmp_path / "test.txt",))
    assert table.paths == names
    assert table.labels.tolist() == [[0], [50]]
    assert table.where(1).endswith("test.txt:2")


@pytest.mark.parametrize("lines", [["0\tbrush_hair", "1\tcart wheel"], ["1 ApplyEye", "2 Archery"]])
def test_class_names_with_numbers(tmp_path, lines):
    write(tmp_path / "mapping_table.txt", lines)
    names = read_names("class_names", str(tmp_path / "mapping_table.txt"))
    assert names == [line.split(maxsplit=1)[1] for line in lines]
    write(tmp_path / "odd.txt", ["7 samurai", "12 monkeys"])
    assert read_names("class_names", str(tmp_path / "odd.txt")) == ["7 samurai", "12 monkeys"]


@pytest.mark.parametrize(
    ("lines", "paths", "names"),
    [
        (["a.jpg cat", "b c.PNG dog"], ["a.jpg", "b c.PNG"], ["cat", "dog"]),
        (["a.jpg\tpolar bear", "b.avi\tdr.who"], ["a.jpg", "b.avi"], ["polar bear", "dr.who"]),
        (["v1.0 walk/a.jpg", "my photos/b.jpg"], ["v1.0 walk/a.jpg", "my photos/b.jpg"], None),
        (["v1.0 walk", "v1.0 run"], ["v1.0 walk", "v1.0 run"], None),  # folders of frames
    ],
)
def test_lines_of_path_and_class_name(tmp_path, lines, paths, names):
    write(tmp_path / "a.txt", lines)
    table = read_list((tmp_path / "a.txt",))
    assert table.paths == paths
    if names is None:
        assert table.labels.shape == (2, 0)
    else:
        assert [table.class_names[number] for number in table.labels[:, 0]] == names


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a.jpg cat", "b.jpg"], r"a\.txt:2: one class name behind a path expected, as in line 1"),
        (["a.jpg", "b.jpg dog"], r"a\.txt:1: one class name behind a path expected, as in line 2"),
        (["a.jpg cat dog", "b.jpg dog"], r"a\.txt:1: one class name .* several labels as \.csv"),
        (["a.jpg cat", "b.jpg 3"], r"a\.txt:1: no labels behind the path, line 2 has some"),
    ],
)
def test_lines_of_some_class_names(tmp_path, lines, message):
    write(tmp_path / "a.txt", lines)
    with pytest.raises(ValueError, match=message):
        read_list((tmp_path / "a.txt",))


def test_class_names_of_several_lists(folder):
    named = [f"{path} {['cat', 'dog', 'owl'][n]}" for path, n in zip(PATHS, CLASSES, strict=True)]
    write(folder / "train.txt", named[:6])
    write(folder / "query.txt", named[6:7])  # one class alone
    write(folder / "database.txt", named[:6])
    made = ListDataModule(str(folder), size=8)
    made.setup("fit")
    assert made.class_names == ["cat", "dog", "owl"]
    assert made.query_set.labels.tolist() == [[1, 0, 0]]
    ordered = ListDataModule(str(folder), class_names=["owl", "cat", "dog"], size=8)
    ordered.setup("fit")
    assert ordered.query_set.labels.tolist() == [[0, 1, 0]]
    with pytest.raises(ValueError, match=r"train\.txt:3: class 'owl' is none of class_names"):
        ListDataModule(str(folder), class_names=["cat", "dog"]).setup("fit")


def test_command(folder, capsys):
    for part in range(4):
        write(folder / f"test{part}.txt", LABELLED[3 * part : 3 * part + 3])
    line = ["check-data", "--data=ListDataModule", f"--data.folder={folder}", "--data.size=8",
            "--data.train=2 per class from test", "--data.query=1 per class from test",
            "--data.database=rest of test"]  # fmt: skip
    assert main([*line, "--data.sources.test=test?.txt"]) == 0
    assert main([*line, "--data.sources={test: [test0.txt, test1.txt, 'test[23].txt']}"]) == 0
    assert capsys.readouterr().out.count("nothing wrong") == 2
    assert main(line) == 1
    said = capsys.readouterr().err
    assert "no list for 'test'" in said
    assert "sources: {test: FILE}" in said
