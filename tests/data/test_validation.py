"""The queries of the validation: where they come from, and what they leave."""

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning.callbacks import ModelCheckpoint
from torch.utils.data import Dataset
from torchvision import datasets

from lightning_hash.data import CIFAR10DataModule, HashDataModule, ListDataModule
from lightning_hash.data.queries import QueryData
from lightning_hash.data.validation import draw_validation
from lightning_hash.functional import mean_average_precision, sign_code
from lightning_hash.modules import HashModule
from lightning_hash.modules.protocol import victim_settings
from lightning_hash.victims import load_victim
from tests.data.test_cifar10 import Small
from tests.helpers.training import TINY, module, trainer


def classes(*counts):
    return np.repeat(np.eye(len(counts), dtype=np.uint8), counts, axis=0)


@pytest.mark.parametrize(
    ("items", "count"), [(20, 1), (100, 5), (101, 6), (4000, 200), (9000, 200)]
)
def test_five_percent_and_at_most_200(items, count):
    chosen = draw_validation(classes(items // 2, items - items // 2))
    assert len(chosen) == len(set(chosen)) == count
    assert (np.diff(chosen) > 0).all()


def test_seed_and_index_decide():
    labels = classes(200, 200)
    first = draw_validation(labels, 40, seed=3)
    assert (first == draw_validation(labels, 40, seed=3)).all()
    assert set(draw_validation(labels, 20, seed=3)) < set(first)  # the order is one
    assert set(first) != set(draw_validation(labels, 40, seed=4))
    # Which item an index stands for does not matter, nor do the items behind.
    more = draw_validation(classes(200, 300), 50, seed=3)
    assert set(more[more < 400]) <= set(draw_validation(labels, 50, seed=3))


def test_rare_labels_stay_in_training():
    labels = classes(500, 3, 2, 1)
    chosen = draw_validation(labels, 200)
    left = labels.sum(axis=0) - labels[chosen].sum(axis=0)
    assert (left >= [2, 2, 2, 1]).all()
    labels = np.zeros((60, 2), np.uint8)
    labels[:40, 0] = 1
    assert draw_validation(labels, 38).max() < 40  # an item without a label is no query
    with pytest.raises(ValueError, match=r"n_validation: 39 of 60 .*, 38 items can leave so that"):
        draw_validation(labels, 39)
    with pytest.raises(ValueError, match=r"0 items can leave .* or selected_on: test, which valid"):
        draw_validation(classes(2, 2, 2))


def test_without_labels_there_is_no_query():
    labels = np.zeros((60, 0), np.uint8)
    assert len(draw_validation(labels)) == 0
    with pytest.raises(ValueError, match=r"n_validation: 3 .* data without labels; leave it out"):
        draw_validation(labels, 3)


def test_an_item_that_is_there_twice_stays_on_one_side():
    labels = classes(60, 60)
    names = [f"{row % 40}.png" for row in range(120)]  # each thrice
    chosen = draw_validation(labels, 10, seed=1, names=names)
    queries = {names[row] for row in chosen}
    assert len(chosen) == 12
    assert len(queries) == 4
    assert not queries & {names[row] for row in set(range(120)) - set(chosen.tolist())}
    # What files are called does not decide which are drawn: paths are others on other machines.
    moved = draw_validation(labels, 10, seed=1, names=[f"/data/{name}" for name in names])
    assert chosen.tolist() == moved.tolist()


def test_recordings_stay_on_one_side():
    labels = classes(50, 50)
    groups = [f"r{row // 5}" for row in range(100)]
    chosen = draw_validation(labels, 12, groups=groups)
    names = {groups[row] for row in chosen}
    assert len(chosen) == 15  # three whole recordings
    assert sorted(row for row in range(100) if groups[row] in names) == chosen.tolist()
    with pytest.raises(ValueError, match="items of whole recordings can leave"):
        draw_validation(labels, groups=["one"] * 100)


@pytest.fixture
def lists(tmp_path):
    """Twenty training images, which are in the database too."""
    for number in range(40):
        Image.new("RGB", (9, 7), (number, 0, 0)).save(tmp_path / f"{number:02}.png")
    rows = [f"{number:02}.png {number % 2} {(number + 1) % 2}" for number in range(40)]
    for name, part in (("train", rows[:20]), ("query", rows[20:24]), ("database", rows)):
        (tmp_path / f"{name}.txt").write_text("\n".join(part))
    return tmp_path


def index(loader):
    return torch.cat([batch[2] for batch in loader]).tolist()


def test_queries_leave_training_and_the_database(lists):
    data = ListDataModule(str(lists), size=8, n_validation=4, batch_size=4)
    data.setup("fit")
    queries, database = data.val_dataloader()
    chosen = index(queries)
    assert len(chosen) == 4
    assert sorted(index(data.train_dataloader()) + chosen) == list(range(20))
    assert index(database) == [row for row in range(40) if row not in chosen]
    tested = data.test_dataloader()
    assert [len(index(loader)) for loader in tested] == [4, 40]
    for row in chosen:  # an index is the item's place in the whole set
        assert data.train_set.table.paths[row] == f"{row:02}.png"


def test_queries_leave_the_training_under_all_their_rows(lists):
    text = (lists / "train.txt").read_text()
    (lists / "train.txt").write_text(f"{text}\n{text}")
    data = ListDataModule(str(lists), size=8, n_validation=4)
    data.setup("fit")
    names, rows = data.names_of("train"), data.validation()
    assert not {names[row] for row in rows.queries} & {names[row] for row in rows.train}


def test_recordings_leave_the_database_too(lists):
    options = {"size": 8, "group": r"(\d)\d\.png"}  # 00 to 09, 10 to 19, ...
    data = ListDataModule(str(lists), n_validation=20, **options)
    data.setup("fit")
    with pytest.raises(ValueError, match=r"n_validation: 20 .* 10 items of whole recordings"):
        data.val_dataloader()
    data = ListDataModule(str(lists), n_validation=1, **options)
    data.setup("fit")
    queries, database = data.val_dataloader()
    tens = {row // 10 for row in index(queries)}
    assert len(tens) == 1
    assert len(index(queries)) == 10
    assert not tens & {row // 10 for row in index(database)}
    assert len(index(database)) == 30


def test_validating_on_the_test_queries(lists):
    data = ListDataModule(str(lists), size=8, selected_on="test")
    data.setup("fit")
    queries, database = data.val_dataloader()
    assert [index(queries), index(database)] == [list(range(4)), list(range(40))]
    assert sorted(index(data.train_dataloader())) == list(range(20))
    with pytest.raises(ValueError, match="selected_on must be 'validation' or 'test', got 'train'"):
        ListDataModule(str(lists), selected_on="train")
    with pytest.raises(ValueError, match="n_validation goes with selected_on: validation, got 3"):
        ListDataModule(str(lists), selected_on="test", n_validation=3)
    with pytest.raises(ValueError, match="n_validation must be at least 1, got 0"):
        ListDataModule(str(lists), n_validation=0)


@pytest.mark.parametrize(("protocol", "leaving"), [("cifar10", 0), ("cifar10-1", 200)])
def test_cifar10_knows_its_images_in_the_database(monkeypatch, protocol, leaving):
    monkeypatch.setattr(datasets, "CIFAR10", Small)
    data = CIFAR10DataModule("x", protocol, size=8)
    data.setup("fit")
    rows = data.validation()
    assert len(rows.queries) == 200
    assert len(rows.database) == len(data.database_set) - leaving
    kept = set(np.array(data.names_of("database"))[rows.database])
    assert not kept & set(np.array(data.names_of("train"))[rows.queries])


def test_a_universal_perturbation_learns_on_all_training_items(lists):
    data = ListDataModule(str(lists), size=8, batch_size=4)
    queries = QueryData(data)
    queries.setup("fit")
    queries.learns = True
    assert sorted(index(queries.train_dataloader())) == list(range(20))


def test_map_is_that_of_the_validation(tmp_path, blobs):
    model, run = module(), trainer(tmp_path, 2)
    run.fit(model, datamodule=blobs)
    rows = blobs.validation()
    assert len(rows.queries) == 3
    model.eval()
    queries, database = blobs.train_set.images[rows.queries], blobs.database_set.images
    expected = mean_average_precision(
        sign_code(model(queries.float() / 255)), sign_code(model(database.float() / 255)),
        blobs.train_set.labels[rows.queries], blobs.database_set.labels, top_k=20,
    )  # fmt: skip
    assert run.callback_metrics["val/map"].item() == pytest.approx(expected.item(), rel=1e-6)
    (tested,) = run.test(model, datamodule=blobs, verbose=False)[:1]
    expected = mean_average_precision(
        sign_code(model(blobs.query_set.images.float() / 255)),
        sign_code(model(database.float() / 255)),
        blobs.query_set.labels, blobs.database_set.labels, top_k=20,
    )  # fmt: skip
    assert tested["test/map"] == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("monitor", "selected_on", "expected"),
    [
        ("val/map", "validation", "validation"),
        ("val/map", "test", "test"),
        ("train/loss", "test", "train"),
        (None, "validation", None),
    ],
)
def test_checkpoints_say_what_picked_them(tmp_path, blobs, monitor, selected_on, expected):
    blobs.selected_on = selected_on
    mode = "max" if monitor == "val/map" else "min"
    keep = ModelCheckpoint(tmp_path, "best", monitor=monitor, mode=mode)
    options = {"enable_checkpointing": True, "callbacks": [keep], "log_every_n_steps": 1}
    trainer(tmp_path, 1, **options).fit(module(), datamodule=blobs)
    victim = load_victim(tmp_path / "best.ckpt")
    assert victim_settings(victim)["selected_on"] == expected
    loaded = HashModule.load_from_checkpoint(tmp_path / "best.ckpt", weights_only=True)
    assert loaded.as_victim().selected_on == expected


@pytest.mark.usefixtures("trusted")
def test_the_last_weights_were_picked_by_nobody(tmp_path, blobs):
    class Worse(HashModule):
        def on_validation_epoch_end(self):
            self.retrieval.take()
            self.log("val/map", 1.0 - 0.1 * self.current_epoch)

    keep = ModelCheckpoint(tmp_path, "best", monitor="val/map", mode="max")
    options = {"enable_checkpointing": True, "callbacks": [keep]}
    run = trainer(tmp_path, 3, **options)
    run.fit(Worse(TINY, 8), datamodule=blobs)
    run.save_checkpoint(tmp_path / "end.ckpt")
    assert load_victim(tmp_path / "best.ckpt").selected_on == "validation"
    assert load_victim(tmp_path / "end.ckpt").selected_on is None
    # Weights that have moved on since the best validation, which is still the latest.
    keep = ModelCheckpoint(tmp_path, "first", monitor="val/map", mode="max")
    options["callbacks"] = [keep]
    run = trainer(tmp_path, 3, check_val_every_n_epoch=2, **options)
    run.fit(Worse(TINY, 8), datamodule=blobs)
    run.save_checkpoint(tmp_path / "moved.ckpt")
    assert load_victim(tmp_path / "first.ckpt").selected_on == "validation"
    assert load_victim(tmp_path / "moved.ckpt").selected_on is None


class Given(Dataset):
    def __init__(self, inputs, labels):
        self.inputs, self.labels_ = inputs, labels

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, row):
        return self.inputs[row], self.labels_[row], row


class GivenData(HashDataModule):
    name = "given"

    def __init__(self, inputs, labels):
        super().__init__()
        self.class_names = ["a", "b"]
        self.train_set = self.query_set = self.database_set = Given(inputs, labels)

    def fingerprints(self):
        return {}


GOOD, LABELS = torch.rand(4, 3, 8, 8), torch.tensor([[1, 0], [0, 1]] * 2)


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (GOOD * 255, LABELS, r"item 0: an input must be floating, in \[0, 1\]"),
        ((GOOD * 255).to(torch.uint8), LABELS, "got torch.uint8 from"),
        ((GOOD * 65535).to(torch.int64), LABELS, "got torch.int64 from"),
        ((GOOD * 65535).to(torch.uint16), LABELS, "got torch.uint16 from"),
        (GOOD * 2 - 1, LABELS, "got torch.float32 from -"),
        (GOOD / 0 * 0, LABELS, "from nan to nan"),
        (GOOD, LABELS * 2 - 1, r"labels must be \(C,\) of 0 and 1 .* values \[-1, 1\]"),
        (GOOD, LABELS.float() * 0.5, r"values \[0\.0, 0\.5\]"),
        (GOOD, torch.arange(4), r"labels must be \(C,\) of 0 and 1 for each item"),
    ],
)
def test_items_of_ones_own_are_looked_at(inputs, labels, message):
    data = GivenData(inputs, labels)
    for loader in data.test_dataloader():
        with pytest.raises(ValueError, match=message):
            list(loader)
    queries = QueryData(data)
    queries.setup("predict")
    with pytest.raises(ValueError, match=message):
        queries.load_batch(0)


def test_items_in_range_pass():
    assert len(index(GivenData(GOOD, LABELS).test_dataloader()[0])) == 4
