"""Targets and anchor sets as the DHTA authors publish them (jiawangbai/DHTA-master, reproduce/)."""

import numpy as np
import pytest
import torch

from lightning_hash.attacks import TargetChoice

LABELS = torch.eye(3, dtype=torch.uint8).repeat_interleave(4, dim=0)  # sorted by class, as theirs
CODES = torch.where(torch.rand(12, 8, generator=torch.Generator().manual_seed(3)) > 0.5, 1, -1)
QUERIES = [31, 7, 12]  # of the query set, not sorted
CLASSES, ANCHORS = [2, 0, 1], [[9, 11, 8], [3, 0, 1], [4, 7, 5]]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The authors' three files, as numpy.savetxt wrote them: 3.100000000000000000e+01."""
    monkeypatch.chdir(tmp_path)
    np.savetxt("attack_query_index.txt", np.array(QUERIES))
    np.savetxt("target_labels.txt", np.eye(3)[CLASSES])
    np.savetxt("anchor_generation_indexes.txt", np.array(ANCHORS))
    return {
        "n_t": 3, "file": "target_labels.txt", "anchors": "anchor_generation_indexes.txt",
        "queries": "attack_query_index.txt",
    }  # fmt: skip


def choose(index=(7, 31), **options):
    labels = torch.tensor([[0, 1, 0]] * len(index))
    return TargetChoice(**options)(labels, torch.tensor(index), CODES, LABELS, torch.arange(12))


def test_each_query_has_its_own_row_in_whatever_order(files):
    targets = choose(**files)
    assert targets.labels.tolist() == [[1, 0, 0], [0, 0, 1]]
    assert targets.anchor_index.tolist() == [ANCHORS[1], ANCHORS[0]]
    assert torch.equal(targets.anchor_codes[0], CODES[ANCHORS[1]].sum(0).sign().to(torch.int8))


@pytest.mark.parametrize("labels", [np.array(CLASSES), np.eye(3, dtype=int)[CLASSES]])
def test_other_files_of_the_same(files, labels):
    np.save("targets.npy", labels)
    np.save("anchors.npy", np.array(ANCHORS))
    same = choose(n_t=3, file="targets.npy", anchors="anchors.npy", queries=QUERIES)
    assert torch.equal(same.anchor_index, choose(**files).anchor_index)


def test_labels_alone_are_of_query_0_1_2(files):
    """As ProS-GAN's target_label_DHTA_*.txt: a row for each query of the set."""
    np.savetxt("target_label.txt", np.eye(3)[CLASSES], fmt="%d")
    targets = choose((2, 0), n_t=3, file="target_label.txt")
    assert targets.labels.tolist() == [[0, 1, 0], [0, 0, 1]]
    assert sorted(LABELS[targets.anchor_index[0]].argmax(dim=1).tolist()) == [1, 1, 1]
    with pytest.raises(ValueError, match=r"no target for query 7; add it, or name the queries of"):
        choose(n_t=3, file="target_label.txt")


def test_settings_follow_the_contents(files):
    before = TargetChoice(**files).settings()
    for name in ("file", "anchors", "queries"):
        text = open(files[name]).read()  # noqa: SIM115
        open(files[name], "w").write(text + text.splitlines()[0] + "\n")  # noqa: SIM115
        after = TargetChoice(**files).settings()
        assert {k for k in after if after[k] != before[k]} == {f"{name}_sha256"}
        before = after


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_t": 9}, r"anchor set of query 7 has 3 items, n_t is 9"),
        ({"queries": [31, 7]}, r"got file 3, queries 2, anchors 3 rows"),
        ({"queries": [31, 7, 7]}, r"queries: index 7 is there 2 times"),
        ({"file": "rows.txt"}, r"target of query 7 has 4 columns, the labels of the database 3"),
        (
            {"anchors": "swapped.txt"},
            r"items of query 31 have other labels than its target",
        ),
        ({"anchors": "one_other.txt"}, r"items of query 31 have other labels than its target"),
        ({"anchors": "column.npy"}, r"anchors column.npy must hold a row of database indices"),
        ({"anchors": "halves.npy"}, r"anchors halves.npy must hold a row of database indices"),
        ({"anchors": "negative.npy"}, r"anchors negative.npy must hold a row of database ind"),
        ({"anchors": "beyond.txt"}, r"names items not in the database"),
        ({"file": None}, r"anchors and queries go with a file of rows of target labels"),
        ({"file": "targets.json"}, r"anchors and queries go with a file of rows"),
        ({"file": "none.txt"}, r"none\.txt does not exist"),
    ],
)
def test_what_does_not_fit_is_refused(files, change, message):
    np.savetxt("rows.txt", np.eye(4)[CLASSES])
    np.savetxt("swapped.txt", np.array(ANCHORS)[::-1])
    np.save("column.npy", np.array(ANCHORS)[:, 0])
    np.save("halves.npy", np.array(ANCHORS) + np.array([0, 0.5, 0]))
    np.save("negative.npy", np.array(ANCHORS) * np.array([1, 1, -1]))
    np.savetxt("one_other.txt", np.array([[9, 11, 3], *ANCHORS[1:]]))
    np.savetxt("beyond.txt", np.array(ANCHORS) + 9)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        choose(**{**files, **change})
