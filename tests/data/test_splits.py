import numpy as np
import pytest

from lightning_hash.data.splits import Choice, choose, parse_choice
from lightning_hash.data.table import Table


def table(count=60, classes=3, source="all.txt"):
    labels = np.eye(classes, dtype=np.uint8)[np.arange(count) % classes]
    return Table([f"{i}.jpg" for i in range(count)], labels, source, np.arange(count) + 1)


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("test", Choice("test")),
        (" 200 from test ", Choice("test", 200)),
        ("10 per class from a/b", Choice("a/b", 10, per_class=True)),
        ("rest of all", Choice("all", rest=True)),
        ("all but query of all", Choice("all", but_query=True)),
        ("6 groups from a", Choice("a", 6, groups=True)),
        ("1 group from a", Choice("a", 1, groups=True)),
        ("6 groups per class from a", Choice("a", 6, per_class=True, groups=True)),
        ("Daten bank", Choice("Daten bank")),
        ("a b/c  d", Choice("a b/c  d")),
        ("200 from Daten bank", Choice("Daten bank", 200)),
        ("10 per class from Training Set", Choice("Training Set", 10, per_class=True)),
        ("6 groups per class from a b", Choice("a b", 6, per_class=True, groups=True)),
        ("rest of Daten bank", Choice("Daten bank", rest=True)),
        ("all but query of all images", Choice("all images", but_query=True)),
        ("all images", Choice("all images")),
        ("2023 Urlaub", Choice("2023 Urlaub")),
        ("from", Choice("from")),
    ],
)
def test_forms(text, choice):
    assert parse_choice("database", text) == choice


@pytest.mark.parametrize(
    "text",
    [
        "", "200 test", "0 from test", "-1 from test", "rest all", "ten from test", "5  from test",
        "5 per clas from all", "5 per class all", "5 groups all", "5 of all", "5 from 6 from all",
        "Rest of all", "all of test", "all but queries of all", "rest of 5 from all", "from all",
        "5 from", "rest of", "200 from rest of all", "a\nb",
    ],
)  # fmt: skip
def test_what_is_no_form(text):
    with pytest.raises(ValueError, match=r"query must be 'SOURCE', .*got"):
        parse_choice("query", text)


def draw(seed=0, **texts):
    choices = {split: parse_choice(split, text) for split, text in texts.items()}
    return choose(choices, {"all": table()}, seed)


def test_draws_and_the_rest_share_nothing_and_leave_nothing():
    splits = draw(train="20 from all", query="7 from all", database="rest of all")
    assert {split: len(t) for split, t in splits.items()} == {
        "train": 20, "query": 7, "database": 33,
    }  # fmt: skip
    paths = [path for t in splits.values() for path in t.paths]
    assert sorted(paths) == sorted(table().paths)
    for t in splits.values():  # the order of the list, and its own labels and lines
        numbers = [int(path.removesuffix(".jpg")) for path in t.paths]
        assert numbers == sorted(numbers)
        assert t.labels.argmax(1).tolist() == [n % 3 for n in numbers]
        assert t.lines.tolist() == [n + 1 for n in numbers]
        assert t.where(0) == f"all.txt:{numbers[0] + 1}"


def test_seed_decides_and_the_other_splits_do_not():
    query = draw(query="7 from all", database="rest of all")["query"].paths
    assert draw(query="7 from all", database="all")["query"].paths == query
    assert draw(seed=1, query="7 from all", database="all")["query"].paths != query


def test_all_of_a_source_takes_what_others_drew_too():
    splits = draw(query="7 from all", database="all")
    assert len(splits["database"]) == 60


def test_all_but_the_queries_holds_the_training_set():
    splits = draw(query="7 from all", train="20 from all", database="all but query of all")
    assert len(splits["database"]) == 53
    assert set(splits["train"].paths) < set(splits["database"].paths)
    assert not set(splits["query"].paths) & set(splits["database"].paths)
    with pytest.raises(ValueError, match="query cannot be 'all but query of all'"):
        parse_choice("query", "all but query of all")


def test_per_class():
    splits = draw(query="2 per class from all", train="5 per class from all", database="all")
    assert splits["query"].labels.sum(0).tolist() == [2, 2, 2]
    assert splits["train"].labels.sum(0).tolist() == [5, 5, 5]
    assert not set(splits["query"].paths) & set(splits["train"].paths)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"query": "61 from all"}, r"query: 61 items asked for, all\.txt has 60"),
        ({"query": "21 per class from all"}, r"21 items asked for, all\.txt, label 0 has 20"),
        ({"query": "60 from all", "train": "1 from all"}, "all.txt has 0 that no other"),
        (
            {"query": "60 from all", "train": "rest of all"},
            "train is empty: the other splits",
        ),
    ],
)
def test_more_than_there_is(texts, message):
    with pytest.raises(ValueError, match=message):
        draw(**texts)


def test_all_that_does_not_fit_is_said_at_once():
    """And what there is: training and queries each, the first classes of many."""
    tables = {"all": table(count=20, classes=5)}
    texts = {"train": "3 per class from all", "query": "2 per class from all"}
    choices = {split: parse_choice(split, text) for split, text in texts.items()}
    message = (
        r"train: 3 items asked for, all\.txt, label 0 has 2 that no other split drew, 3 items "
        r"asked for, all\.txt, label 1 has 2 .* and 2 classes more; ask for as many as there are"
    )
    with pytest.raises(ValueError, match=message):
        choose(choices, tables, 0)
    choices = {"train": Choice("all", 30), "query": Choice("all", 21)}
    with pytest.raises(ValueError, match=r"^query: 21 .* has 20 .*; train: 30 .*has 0 that no"):
        choose(choices, tables, 0)


def test_per_class_of_items_without_labels():
    none = Table(["a", "b"], np.zeros((2, 0), np.uint8), "m.txt")
    with pytest.raises(ValueError, match=r"needs labels, m\.txt has none; give 'N from SOURCE'"):
        choose({"query": Choice("m", 1, per_class=True)}, {"m": none}, 0)


def test_per_class_of_items_with_several_labels():
    several = Table(["a", "b"], np.array([[1, 1], [0, 1]], np.uint8), "m.txt")
    with pytest.raises(ValueError, match=r"'per class' needs one label per item, m\.txt"):
        choose({"query": Choice("m", 1, per_class=True)}, {"m": several}, 0)
