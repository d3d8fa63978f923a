"""Codes and labels in files."""

from pathlib import Path

import numpy as np
import torch
from scipy.io import savemat

from tests.bad_input import Case
from tests.bad_input.made import retensor, spoil

Q, D = "score --query {tmp}/query.safetensors", "--database {tmp}/database.safetensors"
A = "score --query {tmp}/q.npy --database"
HEADERS = {
    "64": {"metadata": {"bits": "64"}},
    "7": {"metadata": {"bits": "1"}},
    "0": {"metadata": {"bits": "0"}},
    "none": {"metadata": {"bits": None}},
    "wide": {"codes": lambda codes: torch.cat([codes, codes], dim=1)},
    "float": {"codes": lambda codes: codes.float()},
    "made": {"metadata": {"made_with": "[]"}},
    "other": {"metadata": {"made_with": '{"victim_sha256": "f"}'}},
    "version": {"metadata": {"version": "9"}},
    "twice": {"index": lambda index: index * 0},
    "negative": {"index": lambda index: -index - 1},
    "short": {"labels": lambda labels: labels[:-1]},
    "two": {"labels": lambda labels: labels * 2},
    "columns": {"labels": lambda labels: torch.cat([labels, labels], dim=1)},
    "lost": {"codes": None},
}


def prepare(folder: Path) -> None:
    for name, change in HEADERS.items():
        retensor(folder / "database.safetensors", folder / f"{name}.safetensors", **change)
    spoil(folder / "database.safetensors", folder / "own")
    signs = np.where(np.random.default_rng(0).random((20, 8)) > 0.5, 1, -1).astype(np.int8)
    labels = np.eye(3, dtype=np.uint8)[np.arange(20) % 3]
    np.save(folder / "q.npy", signs[:6])
    np.save(folder / "q_label.npy", labels[:6])
    np.savez(folder / "d.npz", rB=signs, rL=labels)
    savemat(folder / "d.mat", {"rB": signs, "rL": labels})
    torch.save({"rB": torch.tensor(signs), "rL": torch.tensor(labels)}, folder / "d.pt")
    rows = [" ".join(map(str, row)) for row in np.hstack([labels.astype(int), signs])]
    (folder / "d.txt").write_text("\n".join(rows) + "\n")
    for name in ("d.npz", "d.mat", "d.pt", "d.txt"):
        spoil(folder / name, folder, "empty half random nul folder text latin1 utf16")
    real = signs * 0.5
    real[3, 2] = np.nan
    for name, codes, own in (
        ("nan", real, labels),
        ("inf", np.where(signs > 0, np.inf, -1.0), labels),
        ("two", np.where(signs > 0, 2, -1), labels),
        ("cube", signs[None], labels),
        ("flat", signs[:, 0], labels),
        ("none", signs[:0], labels[:0]),
        ("words", signs.astype("U2"), labels),
        ("fewer", signs, labels[:10]),
        ("label2", signs, labels * 2),
        ("nolabel", signs, labels * 0),
        ("classes", signs, np.arange(20)),
        ("half", signs, np.full(20, 0.5)),
        ("wider", np.hstack([signs, signs]), labels),
        ("columns", signs, np.hstack([labels, labels])),
        ("objects", signs.astype(object), labels),
        ("complex", signs.astype(complex), labels),
    ):
        np.save(folder / f"{name}_code.npy", codes, allow_pickle=True)
        np.save(folder / f"{name}_label.npy", own)
    torch.save(torch.ones(2, 2, device="meta"), folder / "meta.pt")
    torch.save(torch.nn.Linear(2, 2), folder / "module.pt")
    for name, text in {
        "word": "1 0 0 1 -1\n0 1 x -1 1\n",
        "ragged": "1 0 0 1 -1\n1 0\n",
        "blank": "\n\n",
        "nulls": "1 0 0 1\0 -1\n",
        "cell": f"1 0 0 {'1' * 200_000} -1\n",
    }.items():
        (folder / f"{name}.txt").write_text(text)
    for name, lines in {
        "no.hex": "# none\n\n", "odd.hex": "0f\n0f0\n", "letter.hex": "0f\n0g\n",
        "ragged.hex": "0f\n0f0f\n", "ascii.hex": "\u00e4f\n", "bad.b64": "AA==\nA*==\n",
        "nothing.b64": "====\n", "alone.hex": "0f\n" * 20,
    }.items():  # fmt: skip
        (folder / name).write_text(lines)
    (folder / "utf16.hex").write_bytes("0f".encode("utf-16"))


CASES: list[Case] = [
    (f"{A} {{tmp}}/no.hex", 1, ("no.hex holds no hash", "one a line")),
    (f"{A} {{tmp}}/odd.hex", 1, ("odd.hex:2: '0f0' is no hexadecimal hash", "one a line")),
    (f"{A} {{tmp}}/letter.hex", 1, ("letter.hex:2: '0g' is no hexadecimal hash",)),
    (f"{A} {{tmp}}/ascii.hex", 1, ("ascii.hex:1:", "is no hexadecimal hash")),
    (f"{A} {{tmp}}/ragged.hex", 1, ("ragged.hex:2: 16 bits, the first hash has 8",)),
    (f"{A} {{tmp}}/bad.b64", 1, ("bad.b64:2: 'A*==' is no base64 hash",)),
    (f"{A} {{tmp}}/nothing.b64", 1, ("nothing.b64:1:", "'===='")),
    (f"{A} {{tmp}}/utf16.hex", 1, ("utf16.hex is no UTF-8 text",)),
    (f"{A} {{tmp}}/alone.hex", 1, ("hold no labels", "alone_label.txt does not exist")),
    (f"{Q} {D} --match_at 9", 1, ("match_at must be different distances from 0 to 8", "got 9")),
    (f"{Q} {D} --match_at=-1", 1, ("match_at must be different distances", "got -1")),
    (f"{Q} {D} --match_at [2,2]", 1, ("match_at must be different distances", "got 2")),
    (f"{Q} {D} --match_curve {{tmp}}/c.pdf", 1, ("c.pdf: must end in .csv or .png",)),
    (f"{Q} {D} --match_curve {{tmp}}/absent/c.csv", 1, ("absent does not exist; make it",)),
    (f"{Q} {D} --match_curve /proc/c.csv", 1, ("/proc/c.csv", "cannot be written to", "another")),
    (
        f"{Q} --database {{tmp}}/64.safetensors",
        1,
        ("64.safetensors", "header says 64 bits", "encode"),
    ),
    (f"{Q} --database {{tmp}}/7.safetensors", 1, ("7.safetensors", "says 1 bits", "are set")),
    (f"{Q} --database {{tmp}}/0.safetensors", 1, ("0.safetensors", "'bits'", "got '0'")),
    (f"{Q} --database {{tmp}}/none.safetensors", 1, ("none.safetensors", "'bits'", "None")),
    (f"{Q} --database {{tmp}}/wide.safetensors", 1, ("says 8 bits", "shape (36, 2)")),
    (f"{Q} --database {{tmp}}/float.safetensors", 1, ("codes must be torch.uint8", "float32")),
    (f"{Q} --database {{tmp}}/made.safetensors", 1, ("made_with", "mapping of texts", "[]")),
    (f"{Q} --database {{tmp}}/other.safetensors", 1, ("different victims", "by f...")),
    (f"{Q} --database {{tmp}}/version.safetensors", 1, ("version 1 is needed", "'9'")),
    (f"{Q} --database {{tmp}}/twice.safetensors", 1, ("index must hold different numbers",)),
    (f"{Q} --database {{tmp}}/negative.safetensors", 1, ("index must hold", "[-1, -2")),
    (f"{Q} --database {{tmp}}/short.safetensors", 1, ("must be as many", "36, 35, 36")),
    (f"{Q} --database {{tmp}}/two.safetensors", 1, ("labels must be 0 or 1, got 2",)),
    (
        f"{Q} --database {{tmp}}/columns.safetensors",
        1,
        ("columns.safetensors have 6 columns", "3;"),
    ),
    (f"{Q} --database {{tmp}}/lost.safetensors", 1, ("no tensor 'codes'",)),
    *(
        (
            f"{Q} --database {{tmp}}/own/{kind}/database.safetensors",
            1,
            (f"{kind}/database", "is a folder" if kind == "folder" else "encode"),
        )
        for kind in ("empty", "half", "last", "random", "nul", "folder")
    ),
    (f"{Q} {D} --bits 4", 1, ("8 bits, 4 expected",)),
    (f"{Q} {D} --bits 0", 1, ("bits must be at least 1, got 0",)),
    (f"{Q} {D} --query_labels {{tmp}}/fewer_label.npy", 1, ("labels of their own", "leave")),
    (f"{Q} {D} --database_labels {{tmp}}/absent.npy", 1, ("absent.npy does not exist",)),
    (f"{Q} {D} --clean {{tmp}}/database.safetensors", 1, ("clean: 36 rows for 6 queries",)),
    (
        f"{Q} {D} --clean {{tmp}}/q.npy --bits 8 --target_labels {{tmp}}/word.txt",
        1,
        ("word.txt:2",),
    ),
    (f"{Q} {D} --ranking.top_k 0", 1, ("top_k must be a positive whole number", "0")),
    (f"{Q} {D} --ranking.precision_n=-1", 1, ("precision_n must be", "-1")),
    (f"{A} {{tmp}}/nan_code.npy", 1, ("nan_code.npy", "finite, got nan in row 4, bit 3")),
    (f"{A} {{tmp}}/nan_code.npy --threshold 0", 1, ("finite, got nan in row 4, bit 3",)),
    (f"{A} {{tmp}}/inf_code.npy", 1, ("inf_code.npy", "finite, got inf")),
    (f"{A} {{tmp}}/two_code.npy", 1, ("bits must be -1 and 1", "threshold")),
    (f"{A} {{tmp}}/cube_code.npy", 1, ("must hold a matrix of numbers", "(1, 20, 8)")),
    (f"{A} {{tmp}}/flat_code.npy", 1, ("must hold a matrix of numbers", "(20,)")),
    (f"{A} {{tmp}}/none_code.npy", 1, ("must hold a matrix of numbers", "(0, 8)")),
    (f"{A} {{tmp}}/words_code.npy", 1, ("must hold a matrix of numbers", "<U2")),
    (f"{A} {{tmp}}/complex_code.npy", 1, ("must hold a matrix of numbers", "complex128")),
    (f"{A} {{tmp}}/objects_code.npy", 1, ("Python objects", "not unpickled")),
    (f"{A} {{tmp}}/fewer_code.npy", 1, ("20 rows, but 10 rows of labels",)),
    (f"{A} {{tmp}}/wider_code.npy", 1, ("16 bits", "8;", "one model")),
    (f"{A} {{tmp}}/label2_code.npy", 1, ("labels must be 0 or 1, got 2 in row 1",)),
    (f"{A} {{tmp}}/nolabel_code.npy", 1, ("no item has a label",)),
    (f"{A} {{tmp}}/classes_code.npy", 1, ("class number 3 in row 4", "0 to 2")),
    (f"{A} {{tmp}}/half_code.npy", 1, ("class numbers must be whole", "0.5")),
    (f"{A} {{tmp}}/columns_code.npy", 1, ("have 6 columns", "same labels")),
    (f"{A} {{tmp}}/meta.pt", 1, ("meta.pt is no plain tensor", "meta")),
    (f"{A} {{tmp}}/module.pt", 1, ("module.pt holds Python objects",)),
    (f"{A} {{tmp}}/word.txt", 1, ("word.txt:2: a row must hold numbers, got 'x'",)),
    (f"{A} {{tmp}}/ragged.txt", 1, ("ragged.txt:2: 5 numbers expected", "got 2")),
    (f"{A} {{tmp}}/blank.txt", 1, ("blank.txt holds no rows",)),
    (f"{A} {{tmp}}/nulls.txt", 1, ("nulls.txt:1: a row must hold numbers",)),
    (f"{A} {{tmp}}/cell.txt", 1, ("cell.txt", "got inf in row 1")),
    (f"{A} {{tmp}}/d.npz:zz", 1, ("no array 'zz'", "rB (20, 8)")),
    (f"{A} {{tmp}}/data", 1, ("data is a folder",)),
    (f"{A} {{tmp}}/data.yaml", 1, ("a code file ends in", "'.yaml'")),
    *(
        (f"{A} {{tmp}}/{kind}/{name}", 1, (f"{kind}/{name}", word))
        for name, kinds in {
            "d.npz": {
                "empty": "is empty",
                "half": "truncated",
                "random": "no .npz",
                "text": "no .npz",
            },
            "d.mat": {"empty": "is empty", "half": "truncated", "random": "no MATLAB"},
            "d.pt": {
                "empty": "is empty",
                "half": "truncated",
                "nul": "truncated",
                "text": "no file of torch",
            },
            "d.txt": {
                "empty": "is empty",
                "half": "d.txt:",
                "latin1": "d.txt:1: is no UTF-8",
                "utf16": "d.txt:1: is no UTF-8",
                "folder": "is a folder",
            },
        }.items()
        for kind, word in kinds.items()
    ),
]
