"""The whole life of a metric by torchmetrics' interface: a fresh one that saw the same agrees."""

import contextlib
import copy
import os
import pickle

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torchmetrics import MetricCollection
from torchmetrics.utilities.exceptions import TorchMetricsUserError

from lightning_hash.functional import RankingOptions
from lightning_hash.metrics import (
    AttackMetrics,
    BitFlipRate,
    DetectionRate,
    HammingMAP,
    HammingPrecision,
    MeanByIndex,
    RecallAtOne,
    TargetedHammingMAP,
)
from lightning_hash.metrics.per_query import (
    HammingToAnchor,
    HammingToClean,
    Linf,
    Perceptibility,
)
from lightning_hash.metrics.rows import alike_everywhere

RANKED = {
    "map": lambda **kw: HammingMAP(top_k=9, **kw),
    "map-stable": lambda **kw: HammingMAP(4, "relevant", "skip", "stable", **kw),
    "t-map": lambda **kw: TargetedHammingMAP(**kw),
    "precision": lambda **kw: HammingPrecision(n=7, **kw),
    "detection": lambda **kw: DetectionRate(1, **kw),
    "recall-at-1": RecallAtOne,
}
PER_QUERY = {
    "mean": MeanByIndex,
    "max": lambda **kw: MeanByIndex("max", **kw),
    "to-clean": HammingToClean,
    "to-anchor": HammingToAnchor,
    "perceptibility": Perceptibility,
    "linf": Linf,
    "bit-flips": BitFlipRate,
}
KINDS = {**RANKED, **PER_QUERY}
ranked = pytest.mark.parametrize("kind", RANKED)
every = pytest.mark.parametrize("kind", KINDS)
QUERIES, ITEMS = 12, 40
FIRST = 4096  # from there on float16 and bfloat16 cannot tell two indices apart


def rows(count, seed):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.where(torch.rand(count, 6, generator=generator) < 0.5, -1, 1)
    labels = (torch.rand(count, 4, generator=generator) < 0.3).long()
    return codes, labels, torch.arange(FIRST, FIRST + count)


def database(metric, seed=1, whole=False):
    if hasattr(metric, "known_codes"):
        (metric.set_database if whole else metric.update_database)(*rows(ITEMS, seed))
    return metric


def arguments(metric, part):
    """Return what a metric is updated with of some queries."""
    codes, labels, index = (column[part] for column in rows(QUERIES, 0))
    if hasattr(metric, "known_codes"):
        return {("target_labels" if metric.judged_by == "target" else "labels"): labels,
                "codes": codes, "index": index}  # fmt: skip
    generator = torch.Generator().manual_seed(2)
    clean, change = (torch.rand(QUERIES, 3, 2, 2, generator=generator)[part] for _ in range(2))
    if isinstance(metric, MeanByIndex):
        return {"values": change[:, 0, 0, 0], "index": index}
    others = rows(QUERIES, 3)[0][part]
    return {
        "index": index, "codes": codes, "clean_codes": others, "anchor_codes": others,
        "clean": clean, "adversarial": clean + 0.1 * change,
    }  # fmt: skip


def fresh(kind, part=slice(None), seed=1):
    """A metric that was made just now and saw some queries: the right value."""
    metric = database(KINDS[kind](), seed)
    metric.update(**arguments(metric, part))
    return metric.compute()


def same(found, kind, part=slice(None), seed=1):
    expected = fresh(kind, part, seed)
    assert torch.equal(found, expected), (found, expected)


HALVES = slice(0, 5), slice(5, QUERIES)


def test_the_cases_tell_apart():
    for kind in KINDS:
        values = {fresh(kind, part).item() for part in (slice(None), *HALVES)}
        assert len(values) > 1, kind
    for kind in RANKED:
        assert fresh(kind) != fresh(kind, seed=4)


@every
@pytest.mark.parametrize("whole", [False, True])
def test_a_call_scores_its_queries_and_keeps_them(kind, whole):
    metric = database(KINDS[kind](), whole=whole)
    for part in HALVES:
        same(metric(**arguments(metric, part)), kind, part)
    same(metric.compute(), kind)
    same(metric(**arguments(metric, HALVES[0])), kind, HALVES[0])
    same(metric.compute(), kind)  # those were there already


@every
def test_a_call_that_fails_loses_nothing(kind):
    metric = database(KINDS[kind]())
    metric.update(**arguments(metric, slice(None)))
    wrong = {**arguments(metric, HALVES[0]), "index": torch.zeros(3)}
    with pytest.raises(ValueError, match=r"index must|row per index"):
        metric(**wrong)
    same(metric.compute(), kind)


@every
def test_computed_twice_and_on(kind):
    metric = database(KINDS[kind]())
    metric.update(**arguments(metric, HALVES[0]))
    same(metric.compute(), kind, HALVES[0])
    same(metric.compute(), kind, HALVES[0])
    metric.update(**arguments(metric, HALVES[1]))
    same(metric.compute(), kind)
    assert metric.score().value == fresh(kind).item()
    metric.reset()
    database(metric).update(**arguments(metric, HALVES[1]))
    same(metric.compute(), kind, HALVES[1])


@ranked
@pytest.mark.parametrize("copied", [lambda m: m, copy.deepcopy, lambda m: m.clone()])
def test_another_database_is_ranked(kind, copied):
    metric = database(KINDS[kind](), whole=True)
    metric.update(**arguments(metric, slice(None)))
    same(metric.compute(), kind)
    metric = copied(metric)
    database(metric, seed=4, whole=True)
    same(metric.compute(), kind, seed=4)
    with pytest.raises(ValueError, match="update_database would add nothing; call set_database"):
        metric.update_database(*rows(3, 9))
    added = database(KINDS[kind]())
    added.update(**arguments(added, slice(None)))
    added.compute()
    database(added, seed=4, whole=True)  # in the place of what was added
    same(added.compute(), kind, seed=4)


def test_options_that_change_after_a_value_count():
    metric = database(HammingMAP())
    metric.update(**arguments(metric, slice(None)))
    metric.compute()
    metric.ranks, metric.ties, metric.empty, metric.normalizer = 4, "stable", "skip", "relevant"
    same(metric.compute(), "map-stable")
    with pytest.raises(ValueError, match="compute_with_cache must be False"):
        HammingMAP(compute_with_cache=True)


@every
@pytest.mark.parametrize("whole", [False, True])
def test_copies_and_pickles_are_on_their_own(kind, whole):
    metric = database(KINDS[kind](), whole=whole)
    metric.update(**arguments(metric, HALVES[0]))
    metric.compute()
    for other in (copy.deepcopy(metric), metric.clone(), pickle.loads(pickle.dumps(metric))):
        other.update(**arguments(other, HALVES[1]))
        same(other.compute(), kind)
    same(metric.compute(), kind, HALVES[0])


@every
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(
    "cast",
    [
        lambda m: m.half(), lambda m: m.double(), lambda m: m.type(torch.float16),
        lambda m: m.set_dtype(torch.float16), lambda m: m.to(torch.bfloat16),
        lambda m: torch.nn.ModuleList([m]).half()[0],
        lambda m: torch.nn.ModuleList([m]).to(dtype=torch.bfloat16, device="cpu")[0],
    ],
)  # fmt: skip
def test_a_cast_takes_no_bits(kind, whole, cast):
    metric = database(KINDS[kind](), whole=whole)
    metric.update(**arguments(metric, HALVES[0]))
    metric.compute()
    metric = cast(metric)
    metric.update(**arguments(metric, HALVES[1]))
    same(metric.compute(), kind)
    assert metric.compute().dtype == torch.float64


@every
def test_a_device_takes_everything_along(kind):
    metric = database(KINDS[kind](), whole=True)
    metric.update(**arguments(metric, slice(None)))
    metric.to("meta")
    held = [row for column in metric.columns for row in getattr(metric, column)]
    held += list(metric.buffers())
    assert {tensor.device.type for tensor in held} == {"meta"}
    assert metric.device.type == "meta"


@every
def test_states_go_through_a_state_dict(kind):
    metric = database(KINDS[kind]())
    metric.persistent(mode=True)
    metric.update(**arguments(metric, HALVES[0]))
    state = metric.state_dict()
    for _ in range(2):  # what one metric adds and forgets is not taken from the other
        other = KINDS[kind]()
        other.load_state_dict(state)
        other.update(**arguments(other, HALVES[1]))
        same(other.compute(), kind)
        other.reset()
    assert KINDS[kind]().state_dict() == {}


@every
@pytest.mark.parametrize("as_state", [False, True])
def test_merged_states(kind, as_state):
    one, other = (database(KINDS[kind]()) for _ in range(2))
    for metric, part in zip((one, other), HALVES, strict=True):
        metric.update(**arguments(metric, part))
        metric.compute()
    one.merge_state(other.metric_state if as_state else other)
    same(one.compute(), kind)
    same(other.compute(), kind, HALVES[1])
    empty = KINDS[kind]()
    empty.merge_state(other)
    same(empty.compute(), kind, HALVES[1])


@ranked
def test_merged_states_have_one_database(kind):
    one, other = database(KINDS[kind](), whole=True), database(KINDS[kind](), 4, whole=True)
    with pytest.raises(ValueError, match=r"another database; call set_database with the same"):
        one.merge_state(other)
    with pytest.raises(ValueError, match=r"another database"):
        one.merge_state(database(KINDS[kind]()))
    one.update(**arguments(one, HALVES[0]))
    like = database(KINDS[kind](), whole=True)  # equal, and not the same tensors
    like.update(**arguments(like, HALVES[1]))
    one.merge_state(like)
    same(one.compute(), kind)


@every
def test_rows_of_all_processes_are_gathered(kind):
    """As torchmetrics gathers them: here from two that saw the same, which count once."""
    metric = database(KINDS[kind]())
    metric.update(**arguments(metric, slice(None)))
    metric._sync_dist(dist_sync_fn=lambda rows, group: [rows, rows])
    columns = [getattr(metric, column) for column in metric.columns]
    once = database(KINDS[kind]())
    once.update(**arguments(once, slice(None)))
    for found, column in zip(columns, metric.columns, strict=True):
        found = torch.cat(found) if isinstance(found, list) else found
        assert torch.equal(found, torch.cat(2 * getattr(once, column)))
    same(metric.compute(), kind)


@pytest.mark.parametrize("mine", [[], [torch.ones(2, 3, dtype=torch.int8)]])
def test_a_process_without_rows_has_empty_ones_of_the_others_kind(monkeypatch, mine):
    kinds, said = [None, (torch.int8, torch.Size([3]))], []
    monkeypatch.setattr(
        "lightning_hash.metrics.rows.gather_objects", lambda first: [said.append(first), kinds][1]
    )
    (part,) = alike_everywhere(mine, torch.device("cpu"))
    assert said == [kinds[len(mine)]]
    assert (part.dtype, part.shape) == (torch.int8, (len(mine) * 2, 3))
    monkeypatch.setattr("lightning_hash.metrics.rows.gather_objects", lambda first: [None, None])
    assert alike_everywhere([], torch.device("cpu")) == []


def test_what_torchmetrics_may_merge_into_a_group():
    """One update of a collection lets metrics whose states look alike share them from then on."""
    metrics = MetricCollection(
        {
            "map": HammingMAP(9), "t_map": TargetedHammingMAP(), "precision": HammingPrecision(7),
            "to_clean": HammingToClean(), "to_anchor": HammingToAnchor(),
            "perceptibility": Perceptibility(), "linf": Linf(),
        }
    )  # fmt: skip
    for name in ("map", "t_map", "precision"):
        database(metrics[name], whole=True)
    codes, labels, index = rows(QUERIES, 0)
    images = torch.rand(QUERIES, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    first = HALVES[0]  # nothing is changed, and the targets are the queries' own labels
    same_codes = {"clean_codes": codes[first], "anchor_codes": codes[first]}
    metrics.update(
        codes=codes[first], labels=labels[first], target_labels=labels[first], index=index[first],
        clean=images[first], adversarial=images[first], **same_codes,
    )  # fmt: skip
    part = HALVES[1]
    second = {
        "codes": codes[part], "labels": labels[part], "target_labels": labels[part].flip(0),
        "index": index[part], "clean": images[part], "adversarial": images[part] * 0.9,
        "clean_codes": -codes[part], "anchor_codes": codes[part],
    }  # fmt: skip
    metrics.update(**second)
    values = {name: value.item() for name, value in metrics.compute().items()}
    assert values["to_clean"] == pytest.approx(6 * 7 / QUERIES)
    assert values["to_anchor"] == 0
    assert values["linf"] == pytest.approx(0.1 * images[part].max().item())
    assert 0 < values["perceptibility"] < values["linf"]
    for name, kind, wanted in (
        ("map", "map", labels), ("precision", "precision", labels),
        ("t_map", "t-map", torch.cat([labels[first], labels[part].flip(0)])),
    ):  # fmt: skip
        metric = database(KINDS[kind](), whole=True)
        metric.update(codes, wanted, index)
        assert values[name] == metric.compute().item(), name


@every
def test_without_queries_a_metric_says_so(kind):
    metric = database(KINDS[kind]())
    with pytest.raises(ValueError, match="has no query items; call update before compute"):
        metric.compute()
    metric.update(**arguments(metric, slice(0, 0)))  # a batch of none
    for call in (metric.compute, metric.score):
        with pytest.raises(ValueError, match="has no query items"):
            call()


@every
def test_rows_on_the_cpu(kind):
    metric = database(KINDS[kind](compute_on_cpu=True), whole=True)
    for part in HALVES:
        metric.update(**arguments(metric, part))
    same(metric.compute(), kind)


def everything(metrics, part=slice(None)):
    codes, labels, index = (column[part] for column in rows(QUERIES, 0))
    clean = torch.linspace(0, 1, QUERIES * 12).view(QUERIES, 3, 2, 2)[part]
    metrics.update(
        codes, labels, index, target_labels=labels.roll(1, dims=1), clean_codes=-codes,
        anchor_codes=codes, clean=clean, adversarial=clean * 0.9,
    )  # fmt: skip
    return metrics


def collection(seed=1):
    metrics = AttackMetrics(RankingOptions(top_k=9))
    metrics.set_database(*rows(ITEMS, seed))
    metrics.set_target_database(*rows(ITEMS, seed))
    return metrics


NAMES = [
    "map", "precision_at_n", "t_map", "hamming_to_clean", "hamming_to_anchor", "perceptibility",
    "linf",
]  # fmt: skip


def test_the_life_of_all_of_them():
    expected = everything(collection()).compute(NAMES)
    metrics = everything(collection(4))
    metrics.compute(NAMES)
    metrics.set_database(*rows(ITEMS, 1))
    metrics.set_target_database(*rows(ITEMS, 1))
    assert metrics.compute(NAMES) == expected
    for other in (metrics.clone(), pickle.loads(pickle.dumps(metrics)), metrics.half()):
        assert other.compute(NAMES) == expected
    named = metrics.clone(prefix="val/").compute(NAMES)
    assert named == {f"val/{name}": score for name, score in expected.items()}
    metrics.reset()
    everything(everything(metrics, HALVES[0]), HALVES[1])
    assert metrics.compute(NAMES) == expected
    with pytest.raises(TypeError, match="AttackMetrics cannot be called; use update"):
        metrics(*rows(QUERIES, 0))
    assert metrics.compute(NAMES) == expected


def test_a_metric_that_is_added_begins_anew():
    class Bits(HammingToClean):
        name = "bits"

    used = Bits()
    used.update(torch.arange(2), codes=torch.ones(2, 3), clean_codes=-torch.ones(2, 3))
    metrics = AttackMetrics(extra=[used])
    code = torch.ones(1, 3)
    metrics.update(code, torch.ones(1, 2), torch.tensor([7]), clean_codes=code)
    assert metrics.compute(["bits"])["bits"].value == 0
    assert used.compute() == 3


def _one_of_two(rank, path, results):
    """Rank 0 has all queries, rank 1 the database; then each has its share."""
    os.environ["OMP_NUM_THREADS"] = "1"
    dist.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=2)
    values = {}
    for kind, make in KINDS.items():
        metric = make()
        if rank == 1:
            database(metric)
        else:
            metric.update(**arguments(metric, slice(None)))
        metric.sync()
        with pytest.raises(TorchMetricsUserError, match="call unsync"):
            metric(**arguments(metric, HALVES[0]))
        metric.unsync()
        values[kind] = metric.compute().item(), metric.score().value
        on_step = database(make(dist_sync_on_step=True))
        step = on_step(**arguments(on_step, HALVES[rank]))
        values[f"{kind} on step"] = step.item(), on_step.compute().item()
        empty = database(make())
        with pytest.raises(ValueError, match="has no query items"):
            empty.compute()
        empty.update(**arguments(empty, HALVES[rank]))  # the rows of this process alone are there
        values[f"{kind} after an error"] = empty.compute().item()
    results[rank] = values
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.ddp
def test_processes_without_rows_and_steps_of_all(tmp_path):
    if not (dist.is_available() and dist.is_gloo_available()):
        pytest.skip("torch was built without gloo")
    with mp.Manager() as manager:
        results = manager.dict()
        mp.spawn(_one_of_two, (tmp_path / "store", results), nprocs=2)
        for kind in KINDS:
            expected = fresh(kind).item()
            for rank in range(2):
                assert results[rank][kind] == (expected, expected), kind
                assert results[rank][f"{kind} on step"] == (expected, expected), kind
                assert results[rank][f"{kind} after an error"] == expected, kind


@ranked
def test_one_other_part_of_a_database_is_another_database(kind):
    """Equal codes of other labels."""
    codes, labels, index = rows(ITEMS, 1)
    one, other = KINDS[kind](), KINDS[kind]()
    one.set_database(codes, labels, index)
    other.set_database(codes, 1 - labels, index)
    with pytest.raises(ValueError, match=r"another database"):
        one.merge_state(other)


@every
@pytest.mark.parametrize("fails", [False, True])
def test_rows_of_this_process_come_back(kind, fails):
    """After a score of all processes, and after one that failed."""
    metric = database(KINDS[kind]())
    metric.update(**arguments(metric, slice(None)))
    before = {column: list(getattr(metric, column)) for column in metric.columns}
    both = {"dist_sync_fn": lambda rows, group: [rows, rows], "distributed_available": lambda: True}
    with contextlib.suppress(KeyError), metric.sync_context(**both):
        assert metric._is_synced
        if fails:
            raise KeyError
    assert not metric._is_synced
    for column, parts in before.items():
        assert all(map(torch.equal, getattr(metric, column), parts))


def test_which_way_a_metric_is_better():
    """Far from the clean code and near the anchor is what attacks want; more found is better."""
    for metric in (HammingMAP, TargetedHammingMAP, HammingPrecision):
        assert metric.higher_is_better is True
    ways = {name: make().higher_is_better for name, make in PER_QUERY.items()}
    assert ways == {
        "mean": None, "max": None, "to-clean": True, "to-anchor": False,
        "perceptibility": False, "linf": False, "bit-flips": True,
    }  # fmt: skip
