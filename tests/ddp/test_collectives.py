"""Two gloo processes in one call of torch.multiprocessing."""

from datetime import timedelta
from unittest.mock import patch

import pytest
import pytorch_lightning as pl
import torch
import torch.distributed as dist
import torchmetrics
from pytorch_lightning.strategies import DDPStrategy

from lightning_hash.commands.attack import run_attack
from lightning_hash.engine.strategies import QueryParallelStrategy
from lightning_hash.engine.trainer import HashTrainer
from lightning_hash.functional import RankingOptions, mean_average_precision
from lightning_hash.metrics import (
    AttackMetrics,
    HammingMAP,
    HammingMetric,
    HammingPrecision,
    MeanByIndex,
)
from lightning_hash.modules import AttackModule, HashModule
from lightning_hash.utils.distributed import (
    any_process,
    gather_equal_rows,
    gather_objects,
    gather_rows,
    gather_rows_with_grad,
    gather_to_zero,
    sum_over_processes,
)
from lightning_hash.utils.trust import trusting
from tests.conftest import BlobData, TinyNet
from tests.helpers.processes import Plain, in_processes

pytestmark = [
    pytest.mark.ddp,
    pytest.mark.skipif(not dist.is_gloo_available(), reason="torch was built without gloo"),
]


def _collectives(rank):
    rows = torch.arange(3 + 2 * rank).reshape(-1, 1) + 10 * rank
    return {
        "objects": gather_objects({"rank": rank}),
        "zero": gather_to_zero(f"r{rank}"),
        "rows": gather_rows(rows).flatten().tolist(),
        "empty": gather_rows(rows[:0] if rank == 0 else rows).flatten().tolist(),
        "equal": gather_equal_rows(rows[:3]).flatten().tolist(),
        "sum": sum_over_processes(torch.tensor([1.0, rank])).tolist(),
        "any": [any_process(rank == 1), any_process(False)],
    }


def test_collectives():
    first, second = in_processes(_collectives)
    assert (first["zero"], second["zero"]) == (["r0", "r1"], None)
    for found in (first, second):
        assert found["objects"] == [{"rank": 0}, {"rank": 1}]
        assert found["rows"] == [0, 1, 2, 10, 11, 12, 13, 14]
        assert found["empty"] == [10, 11, 12, 13, 14]
        assert found["equal"] == [0, 1, 2, 10, 11, 12]
        assert found["sum"] == [2.0, 1.0]
        assert found["any"] == [True, False]


def _gradient(rank):
    everything = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3)
    own = everything[2 * rank : 2 * rank + 2].clone().requires_grad_()
    joined = gather_rows_with_grad(own)
    (torch.pdist(joined).pow(3).sum() * (rank + 1)).backward()  # the ranks may differ
    return joined.detach(), own.grad


@pytest.mark.slow
def test_gradient_of_gathered_rows_is_summed_over_processes():
    everything = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3).requires_grad_()
    (torch.pdist(everything).pow(3).sum() * 3).backward()
    found = in_processes(_gradient)
    for joined, _ in found:
        assert torch.equal(joined, everything.detach())
    torch.testing.assert_close(torch.cat([grad for _, grad in found]), everything.grad)


def _some(count, seed):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(0, 2, (count, 8), generator=generator) * 2 - 1
    labels = torch.randint(0, 2, (count, 3), generator=generator)
    return codes, labels, torch.arange(count)


def _metrics(rank):
    queries, database = _some(7, 1), _some(40, 2)
    # Uneven shares, in another order, with item 4 and item 20 on both processes.
    mine = [[6, 0, 4], [1, 5, 4, 2, 3]][rank]
    share = [[*range(20, -1, -1)], [*range(20, 40)]][rank]
    found = []
    for whole in (False, True):
        for metric in (HammingMAP(top_k=10), HammingPrecision(n=5)):
            if whole:
                metric.set_database(*database)
            else:
                metric.update_database(*(column[share] for column in database))
            metric.update(*(column[mine] for column in queries))
            found.append(float(metric.compute()))
            metric.reset_queries()
            metric.update(*(column[: 7 * rank] for column in queries))  # one process has none
            found.append(float(metric.compute()))
    mean = MeanByIndex()
    mean.update(torch.tensor(mine).float(), torch.tensor(mine))
    return found, float(mean.compute())


@pytest.mark.slow
def test_metrics_do_not_depend_on_how_items_are_spread():
    (first, mean), (second, other_mean) = in_processes(_metrics)
    queries, database = _some(7, 1), _some(40, 2)
    expected = mean_average_precision(queries[0], database[0], queries[1], database[1], top_k=10)
    metric = HammingPrecision(n=5)
    metric.set_database(*database)
    metric.update(*queries)
    precision = float(metric.compute())
    assert (
        first == [float(expected)] * 2 + [precision] * 2 + [float(expected)] * 2 + [precision] * 2
    )
    assert second == first
    assert mean == other_mean == 3.0


class Recall(HammingMetric):
    name, ranks = "recall", 5

    def values(self, chunk):
        return chunk.hits_at(5) / chunk.n_relevant


NAMES = ("map", "precision_at_n", "recall", "hamming_to_clean", "linf", "t_map")


def _together(rows):
    queries, database = _some(7, 1), _some(40, 2)
    metrics = AttackMetrics(RankingOptions(10, ties="stable", precision_n=5), [Recall()])
    metrics.set_database(*database)
    metrics.set_target_database(*database)
    codes, labels, index = (column[rows] for column in queries)
    images = torch.rand(7, 2, 3, generator=torch.Generator().manual_seed(0))[rows]
    metrics.update(
        codes, labels, index, clean_codes=codes.flip(1), target_labels=1 - labels,
        clean=images, adversarial=images / 2,
    )  # fmt: skip
    return metrics


def _shared(rank):
    gathered, gather = [], torchmetrics.metric.gather_all_tensors
    torchmetrics.metric.gather_all_tensors = lambda rows, group=None: (
        gathered.append(tuple(rows.shape)) or gather(rows, group)
    )
    metrics = _together([[6, 0, 4], [1, 5, 4, 2, 3]][rank])
    ranked = metrics.compute(NAMES[:3])
    count = len([shape for shape in gathered if shape[1:] == (8,)])
    return ranked | metrics.compute(NAMES[3:]), count


def test_metrics_together_do_not_depend_on_how_items_are_spread():
    expected = _together(list(range(7))).compute(NAMES)
    assert len({score.value for score in expected.values()}) == len(NAMES)
    assert all(score.n == 7 for score in expected.values())
    for scores, gathered_codes in in_processes(_shared):
        assert scores == expected
        assert gathered_codes == 1  # for MAP, precision and recall


def test_ddp_would_average_the_gradients_of_different_queries():
    runner = HashTrainer(accelerator="cpu", devices=2, strategy="ddp", logger=False)
    with pytest.raises(ValueError, match=r"DDPStrategy averages .* need strategy='query_parallel'"):
        run_attack(runner, AttackModule(TinyNet(), n_queries=None), BlobData())


@pytest.mark.parametrize("strategy", ["ddp", "query_parallel"])
def test_who_waits_for_a_process_that_is_gone_ends_after_ten_minutes(strategy):
    runner = HashTrainer(accelerator="cpu", devices=2, strategy=strategy, logger=False)
    assert runner.strategy._timeout == timedelta(minutes=10)
    own = type(runner.strategy)(timeout=timedelta(minutes=45))
    runner = HashTrainer(accelerator="cpu", devices=2, strategy=own, logger=False)
    assert runner.strategy._timeout == timedelta(minutes=45)


def test_an_attacks_process_group_is_ended_with_the_program():
    """Lightning ends groups of nccl alone; an attack's is of gloo and nccl."""
    with (
        patch.object(DDPStrategy, "setup_distributed"),
        patch("atexit.register") as registered,
    ):
        QueryParallelStrategy().setup_distributed()
    ((end,), _) = registered.call_args
    with (
        patch("torch.distributed.is_initialized", return_value=True),
        patch("torch.distributed.destroy_process_group") as ended,
    ):
        end()
    ended.assert_called_once_with()


def _fit(rank=0, world=1):
    pl.seed_everything(0, verbose=False)
    backbone = {"class_path": "tests.ddp.test_collectives.Plain"}
    with trusting():
        module = HashModule(
            backbone,
            bits=8,
            optimizer=lambda p: torch.optim.SGD(p, lr=0.5, momentum=0.9),
            ranking=RankingOptions(20),
        )
    losses = []
    module.on_before_zero_grad = lambda optimizer: losses.append(
        float(module.trainer.callback_metrics.get("train/loss", 0))
    )
    trainer = HashTrainer(
        accelerator="cpu", devices=world, strategy="ddp" if world > 1 else "auto", max_steps=3,
        max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, limit_val_batches=0,
    )  # fmt: skip
    data = BlobData(batch_size=24 // world, eval_batch_size=7, selected_on="test")
    trainer.fit(module, datamodule=data)
    weights = {key: value.clone() for key, value in module.network.state_dict().items()}
    scores = trainer.test(module, datamodule=data, verbose=False)[0]
    return weights, {k: float(v) for k, v in scores.items()}


def _fit_in_process(rank):
    import os

    os.environ |= {
        "LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": "2", "RANK": str(rank),
        "GROUP_RANK": "0", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "test",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1",
    }  # fmt: skip
    return _fit(rank, 2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_training_by_two_processes_is_that_of_one_with_the_global_batch():
    start = Plain().state_dict()
    weights, scores = _fit()
    for rank_weights, rank_scores in in_processes(_fit_in_process):
        for name, value in rank_weights.items():
            torch.testing.assert_close(value, weights[name], rtol=0, atol=1e-5)
        assert rank_scores["test/map"] == scores["test/map"]
        assert rank_scores == pytest.approx(scores, abs=1e-5)
    assert max((weights[name] - start[name]).abs().max() for name in weights) > 1e-2
