"""Lists, tables, pictures and labels."""

import shutil
from pathlib import Path

import numpy as np

from tests.bad_input import Case
from tests.bad_input.made import spoil

LIST = "check-data --data ListDataModule --data.size 16 --data.root {tmp}/data --data.folder {tmp}"
CSV = "check-data --data CSVDataModule --data.size 16 --data.root {tmp}/data --data.folder {tmp}"
LINE = "images/query0.png 1 0 0\n"
LISTS = {
    "two": "images/query0.png 2 0 0\n",
    "short": f"{LINE}images/query1.png 1 0\n",
    "long": f"{LINE}images/query1.png 1 0 0 0\n",
    "wide": "images/query0.png 1 0 0 0\n",
    "commas": "images/query0.png,1,0,0\n",
    "nan": "images/query0.png nan 0 0\n",
    "huge": f"images/query0.png {'9' * 30}\n",
    "nul": "images/que\0ry0.png 1 0 0\n",
    "absent": f"{LINE}images/absent.png 1 0 0\n",
    "again": LINE + LINE,
    "unlabelled": f"{LINE}images/query1.png 0 0 0\n",
    "place": f"{LINE}images 1 0 0\n",
    "database": f"{LINE}images/database0.png 1 0 0\n",
}
HEAD, ROW = "path,a,b,c\n", "images/query0.png,1,0,0\n"
TABLES = {
    "cell": f'{HEAD}{ROW}"{"x" * 200_000}",1,0,0\n',
    "header": f"path,{'a' * 200_000},b,c\n{ROW}",
    "only": HEAD,
    "blank": "\n",
    "columns": f"path,a,a,c\n{ROW}",
    "nopath": f"file,a,b,c\n{ROW}",
    "row": f"{HEAD}images/query0.png,1\n",
    "quote": f'{HEAD}"images/query0.png,1,0,0\n',
    "label": f"{HEAD}images/query0.png,2,0,0\n",
    "gap": f"{HEAD}images/query0.png,,0,0\n",
    "semicolons": f"{HEAD}{ROW}".replace(",", ";"),
    "order": f"path,c,b,a\n{ROW}",
    "nulls": f"{HEAD}images/que\0ry0.png,1,0,0\n",
}


def prepare(folder: Path) -> None:
    data = folder / "data"

    def with_file(place: str, name: str, content: str | bytes, like: Path = data) -> None:
        shutil.copytree(like, folder / place, ignore=shutil.ignore_patterns("images"))
        written = content if isinstance(content, bytes) else content.encode()
        (folder / place / name).write_bytes(written)

    for name, content in LISTS.items():
        with_file(f"list_{name}", "query.txt", content)
    tables = folder / "tables"
    tables.mkdir()
    for split in ("train", "query", "database"):
        lines = (data / f"{split}.txt").read_text().splitlines()
        rows = [",".join(line.split()) for line in lines]
        (tables / f"{split}.csv").write_text(HEAD + "\n".join(rows) + "\n")
    for name, content in TABLES.items():
        with_file(f"csv_{name}", "query.csv", content, tables)
    for kind in ("empty", "random", "utf16", "latin1"):
        spoil(data / "query.txt", folder / "spoilt", kind)
        with_file(
            f"list_{kind}", "query.txt", (folder / "spoilt" / kind / "query.txt").read_bytes()
        )
        spoil(tables / "query.csv", folder / "spoilt", kind)
        with_file(
            f"csv_{kind}",
            "query.csv",
            (folder / "spoilt" / kind / "query.csv").read_bytes(),
            tables,
        )
    for kind in ("empty", "half", "random", "folder"):
        place = folder / f"picture_{kind}"
        shutil.copytree(data, place)
        (place / "images/query0.png").unlink()
        spoil(data / "images/query0.png", folder / "pictures", kind)
        damaged = folder / "pictures" / kind / "query0.png"
        (shutil.copytree if damaged.is_dir() else shutil.copy)(damaged, place / "images/query0.png")
    pair = folder / "pair"
    pair.mkdir()
    for split in ("train", "query", "database"):
        lines = [line.split(None, 1) for line in (data / f"{split}.txt").read_text().splitlines()]
        (pair / f"{split}_img.txt").write_text("".join(f"{path}\n" for path, _ in lines))
        rows = lines[:-1] if split == "query" else lines
        (pair / f"{split}_label.txt").write_text("".join(f"{label}\n" for _, label in rows))
    np.save(folder / "labels.npy", np.eye(3)[np.arange(4) % 3])


CASES: list[Case] = [
    (f"{LIST}/list_two", 1, ("list_two/query.txt:1", "0 or 1", "2 0 0")),
    (f"{LIST}/list_short", 1, ("query.txt:2", "3 labels behind a path")),
    (f"{LIST}/list_long", 1, ("query.txt:2", "more than 3 labels")),
    (f"{LIST}/list_wide", 1, ("as wide in all splits", "query.txt has 4")),
    (f"{LIST}/list_commas", 1, ("query.txt:1", "parted by blanks", "CSVDataModule")),
    (f"{LIST}/list_nan", 1, ("query.txt:1", "0 or 1", "nan 0 0")),
    (f"{LIST}/list_huge", 1, ("query.txt:1", "at most 18 digits")),
    (f"{LIST}/list_nul", 1, ("query.txt:1", "NUL byte")),
    (f"{LIST}/list_empty", 1, ("query.txt is empty", "at least one item")),
    (f"{LIST}/list_random", 1, ("query.txt:1", "not UTF-8")),
    (f"{LIST}/list_utf16", 1, ("query.txt:1", "not UTF-8", "save the file as UTF-8")),
    (f"{LIST}/list_latin1", 1, ("query.txt:1", "not UTF-8", "save the file as UTF-8")),
    (
        f"{LIST}/list_absent",
        1,
        ("query: 1 item cannot be read", "query.txt:2", "absent.png does not"),
    ),
    (f"{LIST}/list_again", 1, ("query: 1 item path twice", "query.txt:2")),
    (f"{LIST}/list_unlabelled", 1, ("query: 1 item without a label", "query.txt:2")),
    (f"{LIST}/list_place", 1, ("query: 1 item cannot be read", "query.txt:2", "it is a folder")),
    (f"{LIST}/list_database", 1, ("query: 1 item in the database set too", "query.txt:2")),
    (f"{LIST}/absent", 1, ("absent: no list for 'train'", "no .txt file")),
    (f"{LIST}/data.yaml", 1, ("data.yaml: no list for 'train'",)),
    (f"{LIST}/pair", 1, ("query_img.txt has 6 items", "5 rows of labels")),
    (f"{LIST}/data --data.query '9 from query'", 1, ("9 items asked for", "has 6")),
    (f"{LIST}/data --data.strip_prefix zz", 1, ("strip_prefix", "'zz'", "images/train0.png")),
    (
        f"{LIST}/data --data.sources.query absent.txt",
        1,
        ("sources: query has no file", "absent.txt"),
    ),
    (f"{LIST}/data --data.group zz", 1, ("train.txt:1: group 'zz' does not match",)),
    *(
        (
            "check-data --data ListDataModule --data.size 16 --data.folder {tmp}/picture_" + kind,
            1,
            (f"picture_{kind}/query.txt:1", "query0.png cannot be read"),
        )
        for kind in ("empty", "half", "random", "folder")
    ),
    (f"{CSV}/csv_cell", 1, ("query.csv:3", "field larger than", "quotation mark")),
    (f"{CSV}/csv_header", 1, ("query.csv:1", "field larger than")),
    (f"{CSV}/csv_only", 1, ("query.csv is empty", "at least one item")),
    (f"{CSV}/csv_blank", 1, ("query.csv is empty", "header")),
    (f"{CSV}/csv_columns", 1, ("query.csv:1", "'a' is there twice")),
    (f"{CSV}/csv_nopath", 1, ("query.csv:1", "no column 'path'", "file, a, b, c")),
    (f"{CSV}/csv_row", 1, ("query.csv:2", "as many cells as the header")),
    (f"{CSV}/csv_quote", 1, ("query.csv:2", "as many cells as the header")),
    (f"{CSV}/csv_label", 1, ("query.csv:2", "a must be 0 or 1, got '2'")),
    (f"{CSV}/csv_gap", 1, ("query.csv:2", "a must be 0 or 1, got ''")),
    (f"{CSV}/csv_semicolons", 1, ("query.csv:1", "parted by commas", "path;a;b;c")),
    (f"{CSV}/csv_order", 1, ("name different classes", "query.csv", "give class_names")),
    (f"{CSV}/csv_nulls", 1, ("query.csv:2", "NUL byte")),
    (f"{CSV}/csv_empty", 1, ("query.csv is empty",)),
    (f"{CSV}/csv_random", 1, ("query.csv:", "not UTF-8", "save it as UTF-8")),
    (f"{CSV}/csv_utf16", 1, ("query.csv:1", "not UTF-8", "save it as UTF-8")),
    (f"{CSV}/csv_latin1", 1, ("query.csv:1", "not UTF-8", "save it as UTF-8")),
    (f"{CSV}/data", 1, ("train.csv does not exist", "no .csv file")),
    (f"{CSV}/tables --data.path_column zz", 1, ("train.csv:1: no column 'zz'",)),
    (f"{CSV}/tables --data.label_columns [zz]", 1, ("train.csv:1: no column 'zz'",)),
    (f"{CSV}/tables --data.class_names [a,b,c,d]", 1, ("class_names has 4 names", "3 columns")),
]
