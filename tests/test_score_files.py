"""Codes and labels of others, in every form in which they are passed around."""

import json

import numpy as np
import pytest
import torch

from lightning_hash.__main__ import main
from lightning_hash.commands.score import score

# 16 bits, so that packed bytes are whole; 5 items of 3 classes, and two queries.
BITS = (np.random.default_rng(0).random((7, 16)) > 0.5).astype(np.int8) * 2 - 1
CODES, QUERIES = BITS[:5], BITS[5:]
CLASSES, QUERY_CLASSES = np.array([0, 2, 1, 2, 0]), np.array([2, 0])
LABELS, QUERY_LABELS = np.eye(3, dtype=int)[CLASSES], np.eye(3, dtype=int)[QUERY_CLASSES]


def plain(tmp_path):
    """MAP of plain files: the value that every other form must give."""
    folder = tmp_path / "plain"
    folder.mkdir()
    for name, codes, labels in (("q", QUERIES, QUERY_LABELS), ("d", CODES, LABELS)):
        np.save(folder / f"{name}_code.npy", codes)
        np.save(folder / f"{name}_label.npy", labels)
    return score(str(folder / "q_code.npy"), str(folder / "d_code.npy"))[0].value


def tanh(codes):
    random = np.random.default_rng(1).uniform(0.05, 0.99, codes.shape)
    return (codes * random).astype(np.float32)


def written(path, values):
    """Write an array in the form that the suffix says."""
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".npz":
        np.savez(path, values)
    elif path.suffix == ".mat":
        pytest.importorskip("scipy").io.savemat(path, {"B": values})
    elif path.suffix == ".csv":
        np.savetxt(path, np.atleast_2d(values.T).T, fmt="%.6g", delimiter=",")
    elif path.suffix == ".txt":
        np.savetxt(path, np.atleast_2d(values.T).T, fmt="%.6g")
    else:
        torch.save(torch.from_numpy(values), path)
    return path


FORMS = {
    "tanh": (tanh, "signs are taken"),
    "sigmoid": (lambda codes: (tanh(codes) + 1) / 2, "those above 0.5 are"),
    "float16": (lambda codes: tanh(codes).astype(np.float16), "signs are taken"),
    "zero_one": (lambda codes: (codes + 1) // 2, None),
    "bool": (lambda codes: codes > 0, None),
    "packed": (lambda codes: np.packbits(codes > 0, axis=1), "packed bits, 16 a code"),
    "little": (lambda codes: np.packbits(codes > 0, axis=1, bitorder="little"), "packed bits"),
    "zeros": (lambda codes: np.where(codes > 0, 1, -(np.arange(16) % 2)), "0 are -1, as sign"),
    "minus_one": (lambda codes: codes.astype(np.float64), None),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".mat", ".pt", ".pth", "", ".txt", ".csv"])
@pytest.mark.filterwarnings("ignore:codes .*:UserWarning")
def test_every_form_in_every_file_gives_the_same_map(tmp_path, form, suffix):
    make, _ = FORMS[form]
    if suffix in (".txt", ".csv") and form in ("packed", "little"):
        pytest.skip("text holds no bytes")
    files = {}
    for name, codes, labels in (("q", QUERIES, QUERY_CLASSES), ("d", CODES, CLASSES)):
        files[name] = written(tmp_path / f"{name}_code{suffix}", make(codes))
        written(tmp_path / f"{name}_label{suffix}", labels)
    row = score(str(files["q"]), str(files["d"]))[0]
    assert (row.value, row.victim["bits"]) == (plain(tmp_path), 16)


@pytest.mark.parametrize("form", [name for name, (_, said) in FORMS.items() if said])
def test_what_is_done_to_values_is_said_and_stands_in_the_rows(tmp_path, form):
    make, said = FORMS[form]
    for name, codes, labels in (("q", QUERIES, QUERY_LABELS), ("d", CODES, LABELS)):
        np.save(tmp_path / f"{name}_code.npy", make(codes))
        np.save(tmp_path / f"{name}_label.npy", labels)
    with pytest.warns(UserWarning, match=said) as warned:
        row = score(str(tmp_path / "q_code.npy"), str(tmp_path / "d_code.npy"))[0]
    assert len(warned) == 2  # for each file
    assert said in row.data["read_as"]["query"]
    plain_row = {"query": None, "database": None}
    for name, codes in (("q", QUERIES), ("d", CODES)):
        np.save(tmp_path / f"{name}_code.npy", codes)
    row = score(str(tmp_path / "q_code.npy"), str(tmp_path / "d_code.npy"))[0]
    assert row.data["read_as"] == plain_row


@pytest.mark.parametrize(
    ("query", "database"),
    [
        (QUERY_CLASSES, CLASSES),
        (QUERY_CLASSES.astype(np.float32), CLASSES.reshape(-1, 1)),
        (QUERY_CLASSES + 1, CLASSES + 1),
        (QUERY_CLASSES * 10**10 + 7, CLASSES * 10**10 + 7),  # no column for each number there is
        (QUERY_CLASSES, LABELS),
        (QUERY_LABELS, CLASSES),
        (QUERY_LABELS * 2 - 1, LABELS),  # HashNet's test leaves -1 in the labels of the queries
        (QUERY_LABELS.astype(bool), LABELS.astype(np.float64)),
    ],
)
def test_labels_in_every_form(tmp_path, query, database):
    for name, codes, labels in (("q", QUERIES, query), ("d", CODES, database)):
        np.save(tmp_path / f"{name}_code.npy", codes)
        np.save(tmp_path / f"{name}_label.npy", labels)
        np.save(tmp_path / f"{name}_target.npy", labels)
    rows = score(
        str(tmp_path / "q_code.npy"), str(tmp_path / "d_code.npy"),
        target_labels=str(tmp_path / "q_target.npy"),
    )  # fmt: skip
    assert {row.metric: row.value for row in rows}["map"] == plain(tmp_path)
    assert {row.metric: row.value for row in rows}["t_map"] == rows[0].value


@pytest.mark.parametrize(
    ("codes", "labels", "what"),
    [
        (BITS.T, np.arange(7) % 3, "codes"),
        (BITS, np.eye(3)[:, np.arange(7) % 3], "labels"),
        (BITS, (np.arange(7) % 3).reshape(1, 7), "labels"),
        (BITS.T, np.eye(3)[:, np.arange(7) % 3], "codes and labels"),
    ],
)
def test_transposed_codes_and_labels(tmp_path, codes, labels, what):
    many = np.repeat(codes, 3, axis=0 if len(codes) == 7 else 1)  # 21 items of 16 bits
    np.save(tmp_path / "d_code.npy", many)
    np.save(tmp_path / "d_label.npy", np.repeat(labels, 3, axis=labels.ndim - 1))
    np.save(tmp_path / "e_code.npy", np.repeat(BITS, 3, axis=0))
    np.save(tmp_path / "e_label.npy", np.repeat(np.arange(7) % 3, 3))
    with pytest.warns(UserWarning, match=rf"d_code\.npy: {what} are turned over"):
        found = score(str(tmp_path / "d_code.npy"), str(tmp_path / "d_code.npy"))[0]
    expected = score(str(tmp_path / "e_code.npy"), str(tmp_path / "e_code.npy"))[0]
    assert (found.value, found.n) == (expected.value, 21)


def test_few_labels_for_codes_are_not_turned_over(tmp_path):
    np.save(tmp_path / "d_code.npy", BITS)
    np.save(tmp_path / "d_label.npy", np.eye(5, 7))  # labels of five items, of seven classes?
    with pytest.raises(ValueError, match=r"7 rows, but 5 rows of labels; each item must have one"):
        score(str(tmp_path / "d_code.npy"), str(tmp_path / "d_code.npy"))


def test_one_file_of_queries_and_database(tmp_path):
    named = {"qB": QUERIES, "qL": QUERY_LABELS, "rB": CODES, "rL": LABELS}
    state = {name: torch.from_numpy(value) for name, value in named.items()}
    torch.save({**state, "model": {"weight": torch.ones(2, 2)}, "map": torch.tensor(0.7)},
               tmp_path / "best.pt")  # fmt: skip
    np.savez(tmp_path / "best.npz", **named)
    expected = plain(tmp_path)
    for name in ("best.pt", "best.npz"):
        file = str(tmp_path / name)
        assert score(file, file)[0].value == expected
        rows = score(f"{file}:qB", f"{file}:rB", f"{file}:qL", f"{file}:rL")
        assert rows[0].value == expected
    with pytest.raises(ValueError, match=r"best\.npz has no array 'B'; there is qB \(2, 16\), qL"):
        score(f"{tmp_path}/best.npz:B", file)
    np.savez(tmp_path / "two.npz", one=CODES, two=CODES)
    with pytest.raises(ValueError, match=r"which array are the codes\? There is one \(5, 16\)"):
        score(f"{tmp_path}/two.npz", file)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.abs(tanh(CODES)) * 9, {}, r"real values from .* are no codes: threshold says above"),
        (CODES * 3, {}, r"got 3 in row 1, bit \d+; threshold says"),
        (np.where(CODES > 0, np.nan, -1.5), {}, r"codes must be finite, got nan in row 1, bit"),
        (np.packbits(CODES > 0, axis=1), {"bits": 9}, r"9 bits expected, but those behind"),
        (np.packbits(CODES > 0, axis=1), {"bits": 17}, r"got \d+ in row 1, bit 1; threshold says"),
        (np.packbits(CODES > 0, axis=1).view(np.int8), {}, r"bits how many are packed into bytes"),
        (CODES[0], {}, r"must hold a matrix of numbers, got int8 \(16,\)"),
        (CODES * 1j, {}, r"must hold a matrix of numbers, got complex128"),
    ],
)
def test_values_without_one_meaning_are_refused(tmp_path, values, options, message):
    np.save(tmp_path / "d_code.npy", values)
    np.save(tmp_path / "d_label.npy", LABELS)
    with pytest.raises(ValueError, match=message):
        score(str(tmp_path / "d_code.npy"), str(tmp_path / "d_code.npy"), **options)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS * 2, r"labels must be 0 or 1, got 2"),
        (LABELS - 1.5, r"labels must be 0 or 1"),
        (CLASSES - 1, r"class numbers must be whole and not negative, got -1 in row 1"),
        (CLASSES + 0.5, r"class numbers must be whole and not negative, got 0.5 in row 1"),
        (CLASSES[:4], r"5 rows, but 4 rows of labels"),
        (np.array(["cat"] * 5), r"must hold a matrix of numbers, got <U3"),
    ],
)
def test_labels_that_are_none_are_refused(tmp_path, labels, message):
    np.save(tmp_path / "d_code.npy", CODES)
    np.save(tmp_path / "d_label.npy", labels)
    with pytest.raises(ValueError, match=message):
        score(str(tmp_path / "d_code.npy"), str(tmp_path / "d_code.npy"))


def test_class_numbers_beyond_the_columns_are_refused(tmp_path):
    for name, codes, labels in (("q", QUERIES, QUERY_CLASSES + 1), ("d", CODES, LABELS)):
        np.save(tmp_path / f"{name}_code.npy", codes)
        np.save(tmp_path / f"{name}_label.npy", labels)
    with pytest.raises(ValueError, match=r"q_code\.npy: class number 3 in row 1, .* 0 to 2"):
        score(str(tmp_path / "q_code.npy"), str(tmp_path / "d_code.npy"))


def test_threshold_of_ones_own_and_one_for_all(tmp_path):
    for name, codes, labels in (("q", QUERIES, QUERY_LABELS), ("d", CODES, LABELS)):
        np.save(tmp_path / f"{name}_code.npy", tanh(codes) * 3 + 7)
        np.save(tmp_path / f"{name}_label.npy", labels)
    with pytest.warns(UserWarning, match=r"values above 7 are \+1"):
        rows = score(str(tmp_path / "q_code.npy"), str(tmp_path / "d_code.npy"), threshold=7)
    assert rows[0].value == plain(tmp_path)
    np.save(tmp_path / "q_code.npy", np.abs(tanh(QUERIES)))  # all positive by chance
    np.save(tmp_path / "d_code.npy", tanh(CODES))
    message = r"\+1 in query above 0.5, database above 0; threshold says which"
    with pytest.warns(UserWarning), pytest.raises(ValueError, match=message):  # noqa: PT030
        score(str(tmp_path / "q_code.npy"), str(tmp_path / "d_code.npy"))


def test_text_of_zeros_with_labels_given_or_beside(tmp_path):
    """A 0 among -1 and 1 is a bit of -1, where rows cannot begin with labels."""
    zeros = np.where(np.arange(16) % 3 == 0, np.maximum(CODES, 0), CODES)
    np.savetxt(tmp_path / "d_code.txt", zeros, fmt="%d")
    np.savetxt(tmp_path / "d_label.txt", LABELS, fmt="%d")
    np.savetxt(tmp_path / "q.txt", np.hstack([QUERY_LABELS, QUERIES]), fmt="%d")
    expected = plain(tmp_path)
    for options in ({}, {"database_labels": str(tmp_path / "d_label.txt")}):
        with pytest.warns(UserWarning, match=r"bits of 0 are -1"):
            rows = score(str(tmp_path / "q.txt"), str(tmp_path / "d_code.txt"), bits=16, **options)
        assert rows[0].value == expected
    (tmp_path / "d_label.txt").rename(tmp_path / "labels.txt")
    with pytest.raises((ValueError, FileNotFoundError), match=r"say how many bits|name the file"):
        score(str(tmp_path / "q.txt"), str(tmp_path / "d_code.txt"))


def test_nothing_is_unpickled(tmp_path):
    torch.save({"codes": object()}, tmp_path / "a.pt")
    np.save(tmp_path / "a.npy", np.array({"dataset_codes": CODES}, dtype=object))  # as HAG's code
    for name, message in (("a.pt", "Python objects"), ("a.npy", "write its arrays as .npz")):
        with pytest.raises(ValueError, match=message):
            score(str(tmp_path / name), str(tmp_path / name))


def test_command(tmp_path, capsys):
    for name, codes, labels in (("q", QUERIES, QUERY_CLASSES), ("d", CODES, CLASSES)):
        np.save(tmp_path / f"{name}_hash.npy", tanh(codes))
        np.save(tmp_path / f"{name}_label.npy", labels.astype(np.float32))
    arguments = ["score", f"--query={tmp_path}/q_hash.npy", f"--database={tmp_path}/d_hash.npy"]
    with pytest.warns(UserWarning, match=r"[qd]_hash\.npy: real values from .* the signs are"):
        assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["value"] == plain(tmp_path)
