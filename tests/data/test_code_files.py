import json
import multiprocessing
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lightning_hash.codes.code_files import label_path, read_codes, write_codes
from lightning_hash.codes.code_set import CodeSet

CODES = [[1, -1, 1, 1, -1, -1, 1, -1, -1, 1], [-1, -1, -1, 1, 1, 1, 1, 1, -1, 1], [1] * 10]
LABELS = [[1, 0, 0], [0, 1, 1], [0, 0, 1]]


def some(**options):
    codes, labels = torch.tensor(CODES, dtype=torch.int8), torch.tensor(LABELS, dtype=torch.uint8)
    return CodeSet(codes, labels, torch.tensor([0, 1, 2]), **options)


def same(found, codes=CODES, labels=LABELS):
    assert found.codes.tolist() == codes
    assert found.labels.tolist() == labels
    assert found.index.tolist() == list(range(len(codes)))
    assert (found.codes.dtype, found.labels.dtype) == (torch.int8, torch.uint8)


def test_our_own_file_comes_back_whole(tmp_path):
    paths, made_with = (
        ("a/ä.jpg", "b\nc.jpg", "d\udce4.jpg"),
        {"victim_sha256": "1f", "split": "query"},
    )
    write_codes(tmp_path / "new" / "a.safetensors", some(paths=paths, made_with=made_with))
    found = read_codes(tmp_path / "new" / "a.safetensors")
    same(found)
    assert (found.paths, found.made_with, found.foreign) == (paths, made_with, None)
    with safe_open(tmp_path / "new" / "a.safetensors", framework="pt") as file:
        # 10 bits in 2 bytes, the first bit highest: 1011 0010 01 and six zeros.
        assert file.get_tensor("codes")[0].tolist() == [0b10110010, 0b01000000]
        assert file.metadata()["bits"] == "10"


def test_paths_of_files_with_one_a_line(tmp_path):
    write_codes(tmp_path / "a.safetensors", some(paths=("a.jpg", "b.jpg", "c.jpg")))
    with safe_open(tmp_path / "a.safetensors", framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no mapping
        metadata = file.metadata()
    tensors["paths"] = torch.tensor(list(b"a.jpg\nb.jpg\nc.jpg"), dtype=torch.uint8)
    save_file(tensors, tmp_path / "a.safetensors", metadata)
    assert read_codes(tmp_path / "a.safetensors").paths == ("a.jpg", "b.jpg", "c.jpg")


@pytest.mark.parametrize("end", [" \r\n", "\n", "\t\n"])
def test_rows_of_labels_and_code(tmp_path, end):
    rows = [" ".join(map(str, (*label, *code))) for label, code in zip(LABELS, CODES, strict=True)]
    (tmp_path / "database_hash.txt").write_bytes("".join(f"{row}{end}" for row in rows).encode())
    found = read_codes(tmp_path / "database_hash.txt")
    same(found)
    assert found.foreign == "database_hash.txt"
    assert found.made_with == {}


def test_where_labels_end_must_be_known(tmp_path):
    # Column 3 is 1 in every row: the last label or the first bit.
    (tmp_path / "a.txt").write_text("1 0 1 -1 1\n0 1 1 1 -1\n")
    message = r"labels end behind column 2 or later, the code begins at or before column 4; say how"
    with pytest.raises(ValueError, match=message):
        read_codes(tmp_path / "a.txt")
    assert read_codes(tmp_path / "a.txt", bits=3).codes.tolist() == [[1, -1, 1], [1, 1, -1]]
    assert read_codes(tmp_path / "a.txt", bits=2).labels.tolist() == [[1, 0, 1], [0, 1, 1]]


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("database_code_NUS_32.txt", "database_label_NUS_32.txt"),
        ("database_hashcode.npy", "database_label.npy"),
        ("trn_binary.npy", "trn_label.npy"),
        ("database_codes.npy", "database_labels.npy"),
        ("database.npy", "database_label.npy"),
    ],
)
@pytest.mark.parametrize("as_bits", [False, True])
def test_codes_alone_with_labels_beside_them(tmp_path, name, labels, as_bits):
    codes = (np.array(CODES) + 1) // 2 if as_bits else np.array(CODES, np.float32)
    if name.endswith(".npy"):
        np.save(tmp_path / name, codes)
        np.save(tmp_path / labels, np.array(LABELS, np.float32))
    else:
        np.savetxt(tmp_path / name, codes, fmt="%d")
        np.savetxt(tmp_path / labels, np.array(LABELS), fmt="%d")
    assert label_path(tmp_path / name) == tmp_path / labels
    same(read_codes(tmp_path / name))


def test_labels_given_by_hand(tmp_path):
    np.savetxt(tmp_path / "a.txt", np.array(CODES), fmt="%d")
    np.savetxt(tmp_path / "b.txt", np.array(LABELS), fmt="%d")
    same(read_codes(tmp_path / "a.txt", tmp_path / "b.txt"))
    same(read_codes(tmp_path / "a.txt", torch.tensor(LABELS)))
    with pytest.raises(FileNotFoundError, match=r"a_label\.txt does not exist; name the file"):
        read_codes(tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("name", "form"), [("a.txt", "auto"), ("a_code.txt", "signs"), ("a_code.npy", "auto")]
)
def test_what_others_read_comes_back(tmp_path, name, form):
    write_codes(tmp_path / name, some(), form)
    same(read_codes(tmp_path / name, torch.tensor(LABELS)))
    if form == "signs":
        first = (tmp_path / name).read_text().split("\n")[0]
        assert first == "1 -1 1 1 -1 -1 1 -1 -1 1"
    elif name.endswith(".txt"):
        assert (tmp_path / name).read_text().split("\n")[1] == "0 1 1 -1 -1 -1 1 1 1 1 1 -1 1"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.txt",
            "1 0 2 1 -1\n0 1 1 -1 1\n",
            r"labels of 0/1 and bits of -1/1, got 2.* in row 1, column 3",
        ),
        ("a.txt", "1 0 -1 1\n0 1 1 0.5\n", r"bits of -1/1, got 0.5 in row 2, column 4"),
        ("a.txt", "1 -1 1\n1 1 3\n", r"bits must be -1 and 1, .*got 3.* in row 2, bit 3"),
        ("a.txt", "1 0 -1 1\n0 1 1\n", r"a\.txt:2: 4 numbers expected, .* got 3"),
        ("a.txt", "im1.jpg 0 1\n", r"a\.txt:1: a row must hold numbers, got 'im1\.jpg'"),
        ("a.txt", "", r"a\.txt is empty"),
        ("a.npy", "no array", r"a\.npy is no \.npy file"),
        ("a.safetensors", "no tensors at all", r"is truncated or no safetensors file"),
    ],
)
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_bad_files(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_codes(tmp_path / name)


def test_bad_names_and_counts(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"does not exist; make it with: .* encode"):
        read_codes(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"ends in \.safetensors, \.txt, \.npy, .*, got '\.jpg'"):
        read_codes(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match=r"got '\.pt'"):
        write_codes(tmp_path / "a.pt", some())
    np.save(tmp_path / "a.npy", np.array(CODES))
    with pytest.raises(ValueError, match="3 rows, but 2 rows of labels"):
        read_codes(tmp_path / "a.npy", torch.tensor(LABELS[:2]))
    with pytest.raises(ValueError, match="10 bits, 12 expected"):
        read_codes(tmp_path / "a.npy", torch.tensor(LABELS), bits=12)
    np.save(tmp_path / "b.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"b\.npy holds Python objects, which are not"):
        read_codes(tmp_path / "b.npy")


def test_files_of_another_version(tmp_path):
    write_codes(tmp_path / "a.safetensors", some())
    content = (tmp_path / "a.safetensors").read_bytes()
    old = b'"version":"1"'
    assert content.count(old) == 1
    (tmp_path / "a.safetensors").write_bytes(content.replace(old, b'"version":"9"'))
    with pytest.raises(ValueError, match=r"codes version 1 is needed, this is \('lightning_hash c"):
        read_codes(tmp_path / "a.safetensors")


def test_what_differs_is_named():
    found = some(made_with={"victim_sha256": "a" * 64, "transform": "Resize(8)", "split": "query"})
    wanted = {"victim_sha256": "b" * 64, "transform": "Resize(8)", "precision": "32-true"}
    message = re.escape(
        "codes f were made with something else: victim_sha256 is aaaaaaaaaaaa..., this run's "
        "bbbbbbbbbbbb...; precision is unknown, this run's 32-true. Make them anew"
    )
    with pytest.raises(ValueError, match=message):
        found.check_made_with(wanted, "f")
    found.check_made_with({"transform": "Resize(8)"}, "f")


def _write_often(path, bit):
    codes = torch.full((4000, 64), bit, dtype=torch.int8)
    labels = torch.ones(4000, 3, dtype=torch.uint8)
    for number in range(30):
        made = {"writer": str(bit), "number": str(number)}
        write_codes(path, CodeSet(codes, labels, torch.arange(4000), made_with=made))


@pytest.mark.slow
def test_two_processes_never_leave_a_torn_file(tmp_path):
    path, context = tmp_path / "a.safetensors", multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_often, args=(path, bit)) for bit in (-1, 1)]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        if path.exists():
            found = read_codes(path)
            assert set(found.codes.unique().tolist()) == {int(found.made_with["writer"])}
            seen.add(tuple(found.made_with.values()))
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len(seen) > 1
    assert [file.name for file in Path(tmp_path).iterdir()] == ["a.safetensors"]
    assert json.loads(json.dumps(read_codes(path).made_with))["number"] == "29"


def test_every_torn_file_of_ours_is_one_line(tmp_path):
    path = tmp_path / "a.safetensors"
    write_codes(path, some())
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"^codes .*a\.safetensors is truncated or no safe"):
            read_codes(path)


@pytest.mark.parametrize("missing", ["codes", "labels", "index", "paths", "bits", "made_with"])
def test_a_file_of_ours_that_lacks_something(tmp_path, missing):
    path = tmp_path / "a.safetensors"
    write_codes(path, some())
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors.pop(missing, None)
    metadata.pop(missing, None)
    save_file(tensors, path, metadata)
    with pytest.raises(ValueError, match=rf"^codes .*: it is no whole file of .*'{missing}'"):
        read_codes(path)
