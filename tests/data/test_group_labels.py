"""Groups in place of labels: the copies of an image are what is relevant to it."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_hash.__main__ import main
from lightning_hash.codes.code_files import read_codes, write_codes
from lightning_hash.commands.encode import encode
from lightning_hash.commands.score import score
from lightning_hash.data.csv_data import CSVDataModule
from lightning_hash.data.folder_data import FolderDataModule
from lightning_hash.data.group_labels import with_group_labels
from lightning_hash.data.table import Table

PATTERN = r"(\w+)-"
OPTIONS = {"query": "query", "database": "database", "train": "database", "size": 16}


@pytest.fixture
def photos(tmp_path):
    """Queries cat and dog; of the cat there are two copies, of the dog one, of owl and elk two."""
    names = {
        "query": ["cat-0", "dog-0"],
        "database": ["cat-1", "dog-1", "elk-1", "owl-1", "cat-2", "elk-2", "yak-1"],
    }
    for split, own in names.items():
        (tmp_path / split).mkdir()
        for name in own:
            seed = ["cat", "dog", "elk", "owl", "yak"].index(name[:3])
            pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / split / f"{name}.png")
    return tmp_path


def test_labels_are_the_groups_of_two_or_more(photos):
    data = FolderDataModule(str(photos), group=PATTERN, relevance="group", **OPTIONS)
    data.setup("predict")
    assert data.class_names == ["cat", "dog", "elk"]  # owl and yak are alone
    assert data.labels_of("query").tolist() == [[1, 0, 0], [0, 1, 0]]
    of = dict(zip(data.paths_of("database"), data.labels_of("database").tolist(), strict=True))
    assert of == {
        "database/cat-1.png": [1, 0, 0], "database/cat-2.png": [1, 0, 0],
        "database/dog-1.png": [0, 1, 0], "database/elk-1.png": [0, 0, 1],
        "database/elk-2.png": [0, 0, 1], "database/owl-1.png": [0, 0, 0],
        "database/yak-1.png": [0, 0, 0],
    }  # fmt: skip
    assert data.relevance == "same group"


def test_an_item_of_two_splits_is_one():
    """A query that is in the database too is no copy of itself."""

    def table(*names):
        paths = [f"{name}.png" for name in names]
        return Table(paths, np.zeros((len(paths), 0), np.uint8), "x").grouped(PATTERN)

    query, database = table("cat-0", "dog-0"), table("cat-0", "dog-0", "dog-1")
    done, names = with_group_labels({"query": query, "database": database})
    assert names == ["dog"]
    assert done["query"].labels.tolist() == [[0], [1]]
    assert done["database"].labels.tolist() == [[0], [1], [1]]


def test_classes_do_not_count(photos):
    """Of one class folder, and of two groups: not relevant."""
    for split in ("query", "database"):
        (photos / split / "animals").mkdir()
        for path in (photos / split).glob("*.png"):
            path.rename(photos / split / "animals" / path.name)
    labelled, grouped = (
        FolderDataModule(str(photos), group=PATTERN, relevance=by, **OPTIONS)
        for by in ("label", "group")
    )
    for data in (labelled, grouped):
        data.setup("predict")
    assert labelled.class_names == ["animals"]
    assert grouped.class_names == ["cat", "dog", "elk"]
    assert labelled.fingerprints() != grouped.fingerprints()


def test_a_query_of_the_validation_has_its_copies_to_find(photos):
    """One cat of three leaves, and the others stay in training and database."""
    for number in (3, 4):
        Image.new("RGB", (16, 16)).save(photos / "database" / f"cat-{number}.png")
    data = FolderDataModule(str(photos), group=PATTERN, relevance="group", **OPTIONS)
    data.setup("fit")
    (query,) = data.validation().queries
    paths = data.paths_of("train")
    assert paths[query].startswith("database/cat-")
    for rows in (data.validation().train, data.validation().database):
        assert len(rows) == len(paths) - 1
        assert sum(paths[row].startswith("database/cat-") for row in rows) == 3


def test_no_query_for_the_validation_where_groups_are_pairs(photos):
    data = FolderDataModule(str(photos), group=PATTERN, relevance="group", **OPTIONS)
    data.setup("fit")
    with pytest.raises(ValueError, match=r"0 items can leave .* group, keeps 2; give more .* test"):
        data.train_dataloader()
    told = FolderDataModule(
        str(photos), group=PATTERN, relevance="group", selected_on="test", **OPTIONS
    )
    told.setup("fit")
    assert len(told.train_dataloader().dataset) == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"relevance": "copy", "group": PATTERN}, "relevance must be 'label' or 'group', got 'cop"),
        ({"relevance": "group"}, "needs the group of each item of train; give group, a regular"),
        ({"relevance": "group", "group": r".*"}, "each of the 9 groups has one item alone"),
        ({"relevance": "group", "group": r"(\d)x"}, "does not match"),
        ({"relevance": "group", "group": PATTERN, "open_set": "all"}, "no open set of other class"),
    ],
)
def test_wrong_options(photos, options, message):
    with pytest.raises(ValueError, match=message):
        FolderDataModule(str(photos), **options, **OPTIONS).setup("predict")


def write_csv(folder, split, rows, header="path,source"):
    (folder / f"{split}.csv").write_text("\n".join([header, *rows]) + "\n")


def test_a_column_of_groups(photos):
    """A table without labels; the column is none."""
    write_csv(photos, "q", ["query/cat-0.png,7", "query/dog-0.png, d"])
    write_csv(photos, "d", ["database/cat-1.png,7", "database/dog-1.png,d", "database/yak-1.png,y"])
    options = {"query": "q", "database": "d", "train": "d", "size": 16, "group_column": "source"}
    data = CSVDataModule(str(photos), relevance="group", **options)
    data.setup("predict")
    assert data.class_names == ["7", "d"]
    assert data.labels_of("query").tolist() == [[1, 0], [0, 1]]
    assert data.labels_of("database").tolist() == [[1, 0], [0, 1], [0, 0]]
    with pytest.raises(ValueError, match="are two ways; give one"):
        CSVDataModule(str(photos), group="x", **options)


def test_a_column_of_groups_beside_labels(photos):
    rows = ["query/cat-0.png,1,a,0", "query/dog-0.png,0,b,1"]
    write_csv(photos, "q", rows, "path,pet,source,loud")
    data = CSVDataModule(str(photos), "path", query="q", database="q", train="q", size=16,
                         group_column="source")  # fmt: skip
    data.setup("predict")
    assert data.class_names == ["pet", "loud"]
    assert data.labels_of("query").tolist() == [[1, 0], [0, 1]]
    assert data.query_set.table.groups == ["a", "b"]


def test_text_beside_a_column_of_groups(photos):
    """No labels are read that nobody asked for; a draw per class asks."""
    write_csv(photos, "q", ["query/cat-0.png,7,y", "query/dog-0.png,7,n"], "path,source,Klasse")
    options = {"train": "q", "query": "q", "size": 16, "group_column": "source"}
    for more in ({"relevance": "group"}, {"relevance": "group", "label_columns": []}):
        data = CSVDataModule(str(photos), database="q", **options, **more)
        data.setup("predict")
        assert data.class_names == ["7"]
        assert data.labels_of("query").tolist() == [[1], [1]]
    data = CSVDataModule(str(photos), database="q", label_columns=[], **options)
    data.setup("predict")
    assert data.labels_of("query").shape == (2, 0)
    wrong = r"q.csv:2: Klasse must be 0 or 1, got 'y'; if it is no label, label_columns names"
    for more in ({"database": "1 per class from q", "relevance": "group"}, {"database": "q"}):
        with pytest.raises(ValueError, match=wrong):
            CSVDataModule(str(photos), **options, **more).setup("predict")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["query/cat-0.png,"], r"q.csv:2: source is empty; name the group"),
        (["query/cat-0.png"], r"q.csv:2: the row must have as many cells"),
    ],
)
def test_wrong_columns_of_groups(rows, message, photos):
    write_csv(photos, "q", rows)
    options = {"query": "q", "database": "q", "train": "q"}
    with pytest.raises(ValueError, match=message):
        CSVDataModule(str(photos), group_column="source", **options).setup("predict")
    with pytest.raises(ValueError, match="no column 'origin'"):
        CSVDataModule(str(photos), group_column="origin", **options).setup("predict")


def test_rows_of_codes_say_what_is_relevant(photos):
    """The code file says it; one that does not is of shared labels."""
    data = FolderDataModule(str(photos), group=PATTERN, relevance="group", **OPTIONS)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 16 * 16, 8))
    query, database = (photos / f"{split}.safetensors" for split in ("query", "database"))
    encode(model, data, "query", str(query), accelerator="cpu")
    made = encode(model, data, "database", str(database), accelerator="cpu").made_with
    assert made["relevance"] == "same group"
    for keep in ("same group", "shares a label"):
        rows = score(str(query), str(database))
        assert {row.ranking["relevance"] for row in rows} == {keep}
        for path in (query, database):
            codes = read_codes(path)
            codes.made_with.pop("relevance", None)
            write_codes(path, codes)
    data = FolderDataModule(str(photos), group=PATTERN, **OPTIONS)
    found = encode(model, data, "query", accelerator="cpu")
    assert "relevance" not in found.made_with


HASH = """
def mean_hash(images):
    grey = images.mean(axis=3).reshape(len(images), 4, 4, 4, 4).mean(axis=(2, 4)).reshape(-1, 16)
    return grey > grey.mean(axis=1, keepdims=True)
"""


@pytest.mark.slow
def test_a_hash_without_labels_from_folder_to_score(photos, monkeypatch, capsys):
    """Copies are equal here, so that each is found at distance 0, and nothing else is."""
    monkeypatch.chdir(photos)
    monkeypatch.syspath_prepend(photos)
    (photos / "mean.py").write_text(HASH)
    data = [f"--data.{name}={value}" for name, value in OPTIONS.items()]
    common = [
        "--trust", "--data=FolderDataModule", f"--data.folder={photos}", *data,
        f"--data.group={PATTERN}", "--data.relevance=group", "--trainer.accelerator=cpu",
        "--model.victim={source: 'mean:mean_hash', output: codes}",
    ]  # fmt: skip
    for split in ("query", "database"):
        line = ["encode", *common, f"--split={split}", f"--output={split}.safetensors"]
        assert main(line) == 0
    capsys.readouterr()
    line = ["score", "--query=query.safetensors", "--database=database.safetensors"]
    assert main([*line, "--match_at=0", "--json"]) == 0
    rows = {row["metric"]: row["value"] for row in json.loads(capsys.readouterr().out)}
    assert (rows["map"], rows["detection_at_0"], rows["recall_at_1"]) == (1, 1, 1)
    assert (rows["false_match_at_0"], rows["collision_rate"]) == (0, 0)
    attack = [
        "attack", *common, "--config=attack/square.yaml", "--trainer.max_epochs=3",
        "--model.metrics+=DetectionRate", "--model.metrics.threshold=0",
        "--model.metrics+=BitFlipRate", "--name=square", "--model.oracle.shows=codes",
    ]  # fmt: skip
    assert main(attack) == 0
    (file,) = (photos / "runs" / "attack" / "square").glob("version_*/results.json")
    found = json.loads(file.read_text())
    assert {row["ranking"]["relevance"] for row in found} == {"same group"}
    clean = {r["metric"]: r["value"] for r in found if r["attack"] is None}
    assert clean["detection_at_0"] == 1.0
    assert "bit_flip_rate" in {row["metric"] for row in found}
