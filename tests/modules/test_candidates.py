"""Attacks on items of the database under the Trainer: rows, runs that go on, what is refused."""

import json

import pytest
import torch
from safetensors.torch import load_file
from torchvision.io import read_image

from lightning_hash.attacks import (
    HAG,
    AnchorCode,
    CandidateAttack,
    MajorityCodes,
    SignStep,
    TargetChoice,
)
from lightning_hash.commands.attack import run_attack
from lightning_hash.engine.callbacks import (
    AttackCheckpoint,
    Curves,
    RetrievalImages,
    RunFolder,
    SummaryTable,
)
from lightning_hash.functional import RankingOptions, sign_code
from lightning_hash.modules.transfer import read_perturbations
from lightning_hash.reports.overview import overview_grids
from lightning_hash.results.rows import read_results
from tests.conftest import TinyNet
from tests.helpers.attacks import StopAt, attack, make, rows_of
from tests.helpers.attacks import trainer as attack_trainer
from tests.helpers.one_for_all import OneForAll
from tests.reference import ranking as reference


def step(parameters):
    return SignStep(parameters, lr=0.02)


SIDE = {
    "side": "candidate", "step": step, "epsilon": 0.1, "n_queries": 12, "evaluate_at": [0, 4],
    "ranking": RankingOptions(precision_n=10), "targets": TargetChoice(n_t=3),
}  # fmt: skip


def codes_of(items):
    return sign_code(TinyNet()(torch.stack([items[i][0] for i in range(len(items))])))


def expected(codes, labels, index, data, k=10):
    """Return mean percentile and mean share in the first k of candidates."""
    database, asking = codes_of(data.database_set).tolist(), codes_of(data.query_set).tolist()
    percentiles, shares = [], []
    for code, label, place in zip(codes.tolist(), labels.tolist(), index.tolist(), strict=True):
        queries = [
            query
            for query, other in zip(asking, data.query_set.labels.tolist(), strict=True)
            if reference.relevant(label, other)
        ]
        percentiles.append(reference.rank_percentile(code, place, queries, database))
        shares.append(reference.in_top_k(code, place, queries, database, k))
    return [float(sum(each) / len(each)) for each in (percentiles, shares)]


def values(scores, name, **wanted):
    return [
        rows_of(scores, attack=name, metric=metric, **wanted)[0]["value"]
        for metric in ("rank_percentile", "in_top_k")
    ]


@pytest.mark.parametrize(
    ("objective", "more"),
    [
        (AnchorCode(), {}),
        (AnchorCode(), {"targets": TargetChoice(3, label=2, own_anchors=True)}),
        (AnchorCode(), {"reference": MajorityCodes(True, "train")}),
        (CandidateAttack(queries=3), {}),
        (CandidateAttack(targeted=False, queries=3), {}),
        (HAG(), {"query_index": [80, 3, 41]}),
    ],
)
def test_rows_are_those_of_the_loop(objective, more, tmp_path, blobs):
    options = {**SIDE, "objective": objective, **more}
    if "query_index" in more:
        del options["n_queries"]
    scores = attack(tmp_path, blobs, iterations=8, **options)
    tensors, name = scores.outcome().tensors, objective.name
    chosen = more.get("query_index")
    index = tensors["index"].tolist()
    assert index == (chosen or sorted(index))
    assert len(set(index)) == (3 if chosen else 12)
    assert torch.equal(tensors["labels"], blobs.database_set.labels[tensors["index"]])
    targeted = name in ("dhta", "ca-plus")
    judged = tensors["target_labels"] if targeted else tensors["labels"]
    for row, codes, fields in (
        ("none", "clean_codes", {"iteration": 0}),
        (name, "clean_codes", {"iteration": 0}),
        (name, "codes", {"iteration": 8, "quantized": False}),
        (name, "codes_8bit", {"iteration": 8, "quantized": True}),
    ):
        wanted = expected(tensors[codes], judged, tensors["index"], blobs)
        assert values(scores, row, **fields) == pytest.approx(wanted, abs=1e-6), row
    before, after = (values(scores, name, iteration=i, quantized=False) for i in (0, 8))
    assert (after[0] < before[0] - 0.05) == targeted
    assert (after[0] > before[0] + 0.05) != targeted
    assert {row["metric"] for row in scores.rows}.isdisjoint({"map", "t_map", "precision_at_n"})
    rows = rows_of(scores, attack=name, iteration=4)  # a milestone
    assert {"rank_percentile", "in_top_k", "hamming_to_clean"} <= {row["metric"] for row in rows}
    assert {row["attack"]["side"] for row in rows} == {"candidate"}
    assert {(row["data"]["n_query"], row["data"]["n_asking"]) for row in scores.rows} == {
        (len(index), 13)
    }
    if targeted:
        wanted = expected(tensors["anchor_codes"], judged, tensors["index"], blobs)
        assert values(scores, "anchor") == pytest.approx(wanted, abs=1e-6)
        drawn = blobs.query_set.labels[scores.outcome().targets.anchor_index]
        assert (drawn * judged[:, None]).any(dim=2).all()  # queries of the target's label
    else:
        assert rows_of(scores, attack="anchor") == []


def test_what_a_run_leaves(tmp_path, blobs, capsys):
    run = attack_trainer(
        tmp_path, 3, callbacks=[RunFolder(), Curves(), RetrievalImages(), SummaryTable()]
    )
    scores = run_attack(run, make(objective=AnchorCode(), **SIDE), blobs)
    place = scores.run_folder
    there = {path.name for path in place.iterdir()}
    assert there.isdisjoint({"strips", "curves.json", "retrieved.csv"})  # nothing is retrieved
    tensors = scores.outcome().tensors
    kept = load_file(place / "perturbations.safetensors")
    assert torch.equal(kept["index"], tensors["index"])
    for row, index in enumerate(tensors["index"].tolist()):
        image = read_image(str(place / "images" / f"{index:06d}.png"))
        assert torch.equal(image, tensors["adversarial_8bit"][row])
        item = blobs.database_set.images[index].int()
        assert (image.int() - item).abs().max() <= 0.1 * 255
    # The score of the images as they were saved.
    saved = [place / "images" / f"{index:06d}.png" for index in tensors["index"].tolist()]
    images = torch.stack([read_image(str(path)).float() / 255 for path in saved])
    wanted = expected(
        sign_code(TinyNet()(images)), tensors["target_labels"], tensors["index"], blobs
    )
    assert values(scores, "dhta", quantized=True) == pytest.approx(wanted, abs=1e-6)
    targets = json.loads((place / "targets.json").read_text())
    assert sorted(map(int, targets)) == tensors["index"].tolist()
    printed = capsys.readouterr().out
    assert "12 candidates, 13 queries, 90 database items" in " ".join(printed.split())
    assert "in top 10" in printed
    (grid,) = overview_grids(read_results(place / "results.json"))
    assert {"rank_percentile", "rank_percentile 8-bit", "in top 10"} <= set(grid.columns)
    with pytest.raises(
        ValueError, match="holds perturbations of candidates, items of the database"
    ):
        read_perturbations(place)


@pytest.mark.parametrize(
    "objective",
    [AnchorCode(), pytest.param(CandidateAttack(queries=3), marks=pytest.mark.slow)],
)
def test_a_run_goes_on(objective, tmp_path, blobs):
    options = {**SIDE, "objective": objective}
    whole = attack(tmp_path / "whole", blobs, 6, **options)
    callbacks = [AttackCheckpoint(2), StopAt(3, batch=1)]
    run = attack_trainer(tmp_path / "part", 6, callbacks=callbacks, enable_checkpointing=True)
    with pytest.raises(KeyError, match="killed"):
        run_attack(run, make(**options), blobs)
    path = tmp_path / "part" / "checkpoints" / "last.ckpt"
    found = attack(tmp_path / "on", blobs, 6, ckpt_path=path, **options)
    for name in ("perturbation", "codes", "index"):
        assert torch.equal(found.outcome().tensors[name], whole.outcome().tensors[name])
    for one, other in zip(found.rows, whole.rows, strict=True):
        assert (one["metric"], one["value"]) == (other["metric"], other["value"])
    if objective.name == "dhta":
        with pytest.raises(ValueError, match=r"its attack\.side is 'candidate', this run's is "):
            attack(tmp_path / "other", blobs, 6, ckpt_path=path, **{**options, "side": "query"})


def test_candidates_that_no_query_is_to_miss(tmp_path, blobs):
    plain = blobs.setup

    def setup(stage):
        plain(stage)
        blobs.query_set.labels[blobs.query_set.labels[:, 1] > 0] = torch.tensor([1, 0, 0]).byte()

    blobs.setup = setup
    options = {**SIDE, "objective": HAG(), "query_index": [0, 4], "n_queries": None}
    with pytest.raises(ValueError, match="no query has a label of candidate 4, so that none is to"):
        attack(tmp_path, blobs, 2, **options)
    options["query_index"] = [0, 3]
    assert attack(tmp_path, blobs, 2, **options).rows


def test_what_does_not_go_with_candidates(tmp_path, blobs):
    with pytest.raises(ValueError, match="side must be one of 'query', 'candidate', got 'item'"):
        make(side="item")
    with pytest.raises(ValueError, match="each has a perturbation of its own; leave perturbation"):
        attack(tmp_path, blobs, 2, objective=AnchorCode(), **{**SIDE, "perturbation": OneForAll})
    plain = blobs.setup

    def setup(stage):
        plain(stage)
        blobs.class_names = []

    blobs.setup = setup
    with pytest.raises(ValueError, match="blobs has no labels, so that no query has a class"):
        attack(tmp_path, blobs, 2, objective=HAG(), **SIDE)


def test_tensors_have_no_database_of_items():
    import lightning_hash

    with pytest.raises(ValueError, match="candidates are items of a data module's database"):
        lightning_hash.attack(TinyNet(), torch.rand(2, 3, 8, 8), side="candidate", iterations=1)


def test_a_target_that_is_the_candidates_own_label_is_doubted(tmp_path, blobs):
    options = {
        **SIDE,
        "objective": AnchorCode(),
        "targets": TargetChoice(3, label=0, own_anchors=True),
    }
    scores = attack(tmp_path, blobs, 1, **options)
    own = int((scores.outcome().tensors["labels"][:, 0] > 0).sum())
    doubts = scores.rows[-1]["warnings"] or rows_of(scores, iteration=1)[0]["warnings"]
    assert any(f"target of {own} of 12 candidates is their own label" in d for d in doubts)
    assert not any("one target" in doubt for doubt in doubts)
