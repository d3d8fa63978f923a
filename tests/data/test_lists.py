import numpy as np
import pytest

from lightning_hash.data.lists import find_list, one_hot, read_list

LABELS = [[1, 0, 1], [0, 0, 1], [1, 1, 1]]
PATHS = ["a/1.jpg", "b 2.png", "c.jpg"]


def write(path, text):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows(separator=" ", end="\n", tail=""):
    return "".join(
        f"{path}{separator}{separator.join(map(str, labels))}{tail}{end}"
        for path, labels in zip(PATHS, LABELS, strict=True)
    )


@pytest.mark.parametrize(
    "text",
    [
        rows(),
        rows(separator="\t"),
        rows(separator="  "),
        rows(end="\r\n"),
        rows(tail=" \t "),
        rows() + "\n\n  \n",
        "\ufeff" + rows(),
        rows().rstrip(),
        rows().replace(" 1", " 1.0"),
    ],
    ids=["blank", "tab", "two", "crlf", "tail", "empty lines", "bom", "no newline", "floats"],
)
def test_dialects_of_a_labelled_list(tmp_path, text):
    table = read_list((write(tmp_path / "train.txt", text),))
    assert table.paths == PATHS
    assert table.labels.tolist() == LABELS
    assert table.labels.dtype == np.uint8
    assert table.lines.tolist() == [1, 2, 3]


@pytest.mark.parametrize("end", ["_label.txt", "_label_onehot.txt", "_labels.txt"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", " \n"])
def test_pairs(tmp_path, end, newline):
    write(tmp_path / "test_img.txt", newline.join(PATHS))
    text = newline.join(" ".join(map(str, row)) for row in LABELS)
    write(tmp_path / f"test{end}", text + newline)
    table = read_list(find_list(tmp_path, "query"))
    assert table.paths == PATHS
    assert table.labels.tolist() == LABELS


def test_class_numbers_become_columns(tmp_path):
    table = read_list((write(tmp_path / "a.txt", "x.jpg 2\ny.jpg 0\r\n\nz w.jpg\t10\n"),))
    assert table.paths == ["x.jpg", "y.jpg", "z w.jpg"]
    assert table.labels.tolist() == [[2], [0], [10]]
    assert one_hot(table, 11).argmax(1).tolist() == [2, 0, 10]
    assert one_hot(table, 11).sum(1).tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match=r"a\.txt:4: class number must be in 0\.\.9, got 10"):
        one_hot(table, 10)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ("a.jpg\nb.jpg 1\n", r"train\.txt:1: no labels behind the path, line 2 has.*'a\.jpg'"),
        ("path label\na.jpg 1\n", r"train\.txt:1: no labels behind the path.*'path label'"),
        ("5000\na.jpg 1 0\n", r"train\.txt:1: no labels behind the path, line 2 has some"),
        ("a.jpg,1,0\n", r"train\.txt:1: labels are parted by blanks or tabs, got 'a\.jpg,1,0'"),
        ("a.jpg, 1, 0\n", r"train\.txt:1: labels are parted by blanks .* to CSVDataModule"),
        ("a.jpg;1;0\n", r"train\.txt:1: labels are parted by blanks or tabs"),
        ("a.jpg -1 1\n", r"train\.txt:1: labels must be 0 or 1, got 'a\.jpg -1 1'"),
        ("a.jpg 1 0.5 1\n", r"train\.txt:1: labels must be 0 or 1, got 'a\.jpg 1 0\.5 1'"),
        ("a.jpg 1 -1\n", r"train\.txt:1: labels must be 0 or 1, got 'a\.jpg 1 -1'"),
        ("a.jpg 1 0\nb.jpg 0.5 1\n", r"train\.txt:2: labels must be 0 or 1, got '0\.5 1'"),
        ("a.jpg 1 0\n\nb.jpg 1\n", r"train\.txt:3: "),
        ("a.jpg 1 0\nb.jpg 1 0 1\n", r"train\.txt:2: more than 2 labels"),
        ("a.jpg 1 0\nb.jpg\t1 0\t1\n", r"train\.txt:2: more than 2 labels"),
        ("a.jpg 1 0\nb.jpg 1 2\n", r"train\.txt:2: labels must be 0 or 1, got '1 2'"),
        ("a.jpg 1 0\nb.jpg 1 -1\n", r"train\.txt:2: labels must be 0 or 1, got '1 -1'"),
        ("a.jpg 1 0\nb.jpg 1 x\n", r"train\.txt:2: labels must be 0 or 1, got '1 x'"),
        ("a.jpg 10 0\nb.jpg 1 0\n", r"train\.txt:1: labels must be 0 or 1, got '10 0'"),
        ("a.jpg 1\nb.jpg one\n", r"train\.txt:2: a class number expected.*'one'"),
        (b"a.jpg 1 0\nb\xff.jpg 1 0\n", r"train\.txt:2: the path is not UTF-8"),
    ],
)
def test_bad_lists_name_file_and_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read_list((write(tmp_path / "train.txt", text),))


def test_pairs_of_class_numbers(tmp_path):
    """One number a line is a class, also where all of them are 0 and 1."""
    images = write(tmp_path / "train_img.txt", "a\nb\nc\n")
    for numbers in ([0, 1, 2], [0, 1, 1]):
        labels = write(tmp_path / "train_label.txt", "".join(f"{n}\n" for n in numbers))
        table = read_list((images, labels))
        assert table.labels.tolist() == [[n] for n in numbers]
        assert one_hot(table, 3).argmax(1).tolist() == numbers
        assert (one_hot(table, 3).sum(1) == 1).all()
    write(labels, "-1\n1\n1\n")
    with pytest.raises(ValueError, match=r"train_label\.txt:1: a class number expected"):
        read_list((images, labels))
    for text in ("0 1 2\n" * 3, "-1 1\n1 -1\n1 1\n", "0 0.5\n1 0\n0 1\n", "1-0\n1 0\n1 0\n"):
        write(labels, text)
        with pytest.raises(ValueError, match=r"train_label\.txt:1: "):
            read_list((images, labels))


def test_rows_as_numpy_writes_them(tmp_path):
    images = write(tmp_path / "train_img.txt", "\n".join(PATHS))
    np.savetxt(tmp_path / "train_label.txt", np.array(LABELS))
    assert "1.000000000000000000e+00" in (tmp_path / "train_label.txt").read_text()
    table = read_list((images, tmp_path / "train_label.txt"))
    assert table.labels.tolist() == LABELS


def test_a_blank_line_shifts_no_pair(tmp_path):
    images = write(tmp_path / "train_img.txt", "a\n\nb\nc\n\n\n")
    labels = write(tmp_path / "train_label.txt", "1 0\n\n0 1\n1 1\n")
    assert read_list((images, labels)).lines.tolist() == [1, 3, 4]
    write(labels, "1 0\n0 1\n\n1 1\n")
    with pytest.raises(
        ValueError, match=r"train_img\.txt:3 has 'b', whose labels are in line 2 of"
    ):
        read_list((images, labels))


def test_paths_alone_have_no_labels(tmp_path):
    table = read_list((write(tmp_path / "a.txt", "x 1.jpg\n\ny.jpg\r\n"),))
    assert table.paths == ["x 1.jpg", "y.jpg"]
    assert table.labels.shape == (2, 0)
    assert table.lines.tolist() == [1, 3]


def test_pairs_of_different_length_and_ragged_rows(tmp_path):
    images = write(tmp_path / "train_img.txt", "a\nb\nc\n")
    labels = write(tmp_path / "train_label.txt", "1 0\n0 1\n")
    with pytest.raises(ValueError, match=r"has 3 items and .* has 2 rows"):
        read_list((images, labels))
    write(labels, "1 0\n0 1 1\n1 1\n")
    with pytest.raises(ValueError, match=r"train_label\.txt:2: 2 labels expected.*got 3"):
        read_list((images, labels))


def test_which_list_is_meant(tmp_path):
    write(tmp_path / "test.txt", rows())
    assert find_list(tmp_path, "query") == (tmp_path / "test.txt",)
    with pytest.raises(FileNotFoundError, match=r"no list for 'database'.*there is test\.txt"):
        find_list(tmp_path, "database")
    write(tmp_path / "query.txt", rows())
    assert find_list(tmp_path, "query") == (tmp_path / "query.txt",)
    pair = (tmp_path / "query_img.txt", tmp_path / "query_label.txt")
    for path in pair:
        write(path, "1\n")
    with pytest.raises(ValueError, match=r"query\.txt and query_img\.txt are both there"):
        find_list(tmp_path, "query")
    assert find_list(tmp_path, "query", "pair") == pair
    assert find_list(tmp_path, "query", "labelled") == (tmp_path / "query.txt",)
    with pytest.raises(FileNotFoundError, match=r"there is no \.txt file"):
        find_list(tmp_path / "absent", "train")
