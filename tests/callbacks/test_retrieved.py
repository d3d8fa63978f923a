import csv

import pytest
import torch

from lightning_hash.attacks import AnchorCode, SignStep, TargetChoice
from lightning_hash.engine.callbacks import RunFolder
from lightning_hash.victims import Victim
from tests.conftest import Blobs, TinyNet
from tests.helpers.attacks import attack

HEAD = (
    "victim,query,query_path,label,target,rank,"
    "before_distance,before_split,before_item,before_path,before_relevant,before_relevant_to_target,"
    "after_distance,after_split,after_item,after_path,after_relevant,after_relevant_to_target"
)
STEP = {"step": lambda p: SignStep(p, 0.1), "epsilon": 0.5, "targets": TargetChoice(n_t=5)}


def table(tmp_path, data, retrieved=4, **options):
    """Return an attack's scores and the lines of its table."""
    folder = RunFolder(images=0, retrieved=retrieved)
    scores = attack(tmp_path, data, callbacks=[folder], **{**STEP, **options})
    text = (tmp_path / "retrieved.csv").read_text()
    assert text.splitlines()[0] == HEAD
    return scores, list(csv.DictReader(text.splitlines()))


def slow(code, own, target, items, labels, target_labels, top):
    """Distance, place and relevance of the first items, of which equals stand by their place."""
    distances = [int((code != each).sum()) for each in items]
    first = sorted(range(len(items)), key=lambda place: (distances[place], place))[:top]
    return [
        (distances[i], i, int(bool((own & labels[i]).any())),
         "" if target is None else int(bool((target & target_labels[i]).any())))
        for i in first
    ]  # fmt: skip


def parsed(line, when):
    cells = [line[f"{when}_{name}"] for name in ("distance", "item", "relevant")]
    aimed = line[f"{when}_relevant_to_target"]
    return (*map(int, cells), aimed and int(aimed))


@pytest.mark.parametrize("objective", [None, AnchorCode()])
def test_a_line_for_each_query_and_rank(tmp_path, blobs, objective):
    sizes = {"query": 13, "database": 90}
    blobs.paths_of = lambda split: tuple(f"{split}/{i}.png" for i in range(sizes[split]))
    options = {} if objective is None else {"objective": objective}
    scores, lines = table(tmp_path, blobs, **options)
    tensors, targets = scores.outcome().tensors, scores.outcome().targets
    database = scores.databases.database
    assert len(lines) == 13 * 4
    moved = 0
    for row, index in enumerate(tensors["index"].tolist()):
        own, target = tensors["labels"][row], targets.labels[row]
        mine = [line for line in lines if int(line["query"]) == index]
        assert [int(line["rank"]) for line in mine] == [1, 2, 3, 4]
        names = ["red", "green", "blue"]
        for line in mine:
            assert (line["label"], line["target"]) == (names[own.argmax()], names[target.argmax()])
            assert line["query_path"] == f"query/{index}.png"
            assert line["victim"] == "tests.conftest.TinyNet-8"
            for when in ("before", "after"):
                assert line[f"{when}_path"] == f"database/{line[f'{when}_item']}.png"
                assert line[f"{when}_split"] == "database"
        for when, codes in (("before", "clean_codes"), ("after", "codes_8bit")):
            found = [parsed(line, when) for line in mine]
            labels = database.labels
            code = tensors[codes][row]
            assert found == slow(code, own, target, database.codes, labels, labels, 4)
        moved += [parsed(x, "before") for x in mine] != [parsed(x, "after") for x in mine]
    assert moved > 3


def test_without_targets_paths_or_more_items(tmp_path, blobs):
    blobs.setup("test")
    blobs.setup = lambda stage: None
    blobs.database_set = Blobs(6, 2)
    with pytest.warns(UserWarning, match="t-MAP is not measured"):
        _, lines = table(tmp_path, blobs, retrieved=10, targets=TargetChoice(n_t=40))
    assert len(lines) == 13 * 6
    empty = ("query_path", "target", "before_path", "after_relevant_to_target")
    assert {line[name] for line in lines for name in empty} == {""}


@pytest.mark.parametrize("kind", ["open_set", "both"])
def test_an_open_set_is_named(tmp_path, blobs, kind):
    plain = blobs.setup

    def setup(stage):
        plain(stage)
        blobs.open_set = Blobs(40, 9)
        blobs.open_set.labels = torch.eye(4, dtype=torch.uint8)[torch.arange(40) % 4]
        blobs.open_class_names = ["w", "x", "y", "z"]

    blobs.setup = setup
    blobs.fingerprints = lambda: {"train": "0", "query": "1", "database": "2", "open_set": "3"}
    sizes = {"query": 13, "database": 90, "open_set": 40}
    blobs.paths_of = lambda split: tuple(f"{split}/{i}" for i in range(sizes[split]))
    scores, lines = table(tmp_path, blobs, 40, objective=AnchorCode(), target_database=kind)
    tensors, targets = scores.outcome().tensors, scores.outcome().targets
    ranked, database = scores.databases.ranked, scores.databases.database
    if kind == "both":
        own = torch.cat([database.labels, torch.zeros(40, 3, dtype=torch.uint8)])
    else:
        own = torch.zeros(40, 3, dtype=torch.uint8)
    names = [(split, i) for split, n in (("database", 90), ("open_set", 40)) for i in range(n)]
    names = names if kind == "both" else names[90:]
    for row, index in enumerate(tensors["index"].tolist()):
        mine = [line for line in lines if int(line["query"]) == index]
        label, target = tensors["labels"][row], targets.labels[row]
        assert {line["target"] for line in mine} == {"wxyz"[target.argmax()]}
        nowhere = torch.zeros(90, 4, dtype=torch.uint8)
        code = tensors["clean_codes"][row]
        expected = slow(code, label, target, database.codes, database.labels, nowhere, 40)
        assert [parsed(line, "before") for line in mine] == expected
        code = tensors["codes_8bit"][row]
        expected = slow(code, label, target, ranked.codes, own, ranked.labels, 40)
        found = [parsed(line, "after") for line in mine]
        assert [(d, r, t) for d, _, r, t in found] == [(d, r, t) for d, _, r, t in expected]
        places = [(line["after_split"], int(line["after_item"])) for line in mine]
        assert places == [names[i] for _, i, _, _ in expected]
        assert [line["after_path"] for line in mine] == [f"{split}/{i}" for split, i in places]
    assert any(line["after_relevant_to_target"] == "1" for line in lines)


def test_each_of_several_victims_has_lines_of_its_own(tmp_path, blobs):
    one, other = Victim(TinyNet(), bits=8), Victim(TinyNet(bits=5), bits=5)
    scores, lines = table(tmp_path, blobs, victim=[one, other])
    by_victim = {}
    for line in lines:
        by_victim.setdefault(line["victim"], []).append(line)
    assert {name: len(found) for name, found in by_victim.items()} == {
        "tests.conftest.TinyNet-8": 52, "tests.conftest.TinyNet-5": 52,
    }  # fmt: skip
    tensors, database = scores.outcome().tensors, scores.databases.database
    targets = scores.outcome().targets
    for name, part in zip(by_victim, (slice(0, 8), slice(8, 13)), strict=True):
        mine = [line for line in by_victim[name] if int(line["query"]) == 2]
        code, own, target = tensors["clean_codes"][2, part], tensors["labels"][2], targets.labels[2]
        labels = database.labels
        expected = slow(code, own, target, database.codes[:, part], labels, labels, 4)
        assert [parsed(line, "before") for line in mine] == expected


def test_none_is_written_where_there_is_none(tmp_path, blobs):
    attack(tmp_path, blobs, callbacks=[RunFolder(images=0, retrieved=None)], **STEP)
    assert not (tmp_path / "retrieved.csv").exists()
    with pytest.raises(ValueError, match="retrieved must be at least 1 or null, got 0"):
        RunFolder(retrieved=0)


def test_the_choice_of_kernels_stands_in_the_config(tmp_path, blobs):
    config = "model:\n  kernels: auto\n  name: null\nother:\n    kernels: auto\n"
    (tmp_path / "config.yaml").write_text(config)
    attack(tmp_path, blobs, callbacks=[RunFolder(images=0)], kernels="auto")
    text = (tmp_path / "config.yaml").read_text()
    chosen = "kernels: float32 channels_last  # auto, as chosen"
    assert text == config.replace("kernels: auto", chosen, 1)
