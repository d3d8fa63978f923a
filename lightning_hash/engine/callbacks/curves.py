"""Precision at N and precision-recall curves of an attack (HAG Figs. 3 and 4, DHTA Fig. 3)."""

import json
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from lightning_hash.codes.code_set import CodeSet
from lightning_hash.functional import retrieval_curves
from lightning_hash.functional.options import Ties
from lightning_hash.modules.score_module import ScoreModule
from lightning_hash.utils.whole_file import write_whole

GRID = (1, 2, 5, 10, 20, 50, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000)


class Curves(Callback):
    """Write ``curves.json`` into the run folder.

    It holds the protocol and ``curves``: a list of ``query`` (clean or adversarial, before rounding
    to 8 bits), ``label`` (own: relevant is what shares a label of the query; target), ``n`` and
    ``precision_at_n``, and ``precision`` and ``recall`` within the Hamming radius 0, 1, ..., K;
    ``null`` where nothing is.

    Args:
        ns: numbers of ranks; those above the database's size are left out.
    """

    def __init__(self, ns: tuple[int, ...] = GRID) -> None:
        self.ns = ns

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compute the curves of a finished attack."""
        if not isinstance(pl_module, ScoreModule) or not pl_module.retrieves:
            return
        if pl_module.victim.members:  # their codes stand in one another's databases
            return
        outcome = pl_module.outcome()
        if not trainer.is_global_zero or pl_module.run_folder is None:
            return
        tensors, databases = outcome.tensors, pl_module.databases
        assert databases is not None  # it retrieves
        ties: Ties = pl_module.evaluation.ranking.ties
        judged = [("own", tensors["labels"], databases.database)]
        if outcome.targets is not None:
            judged.append(("target", outcome.targets.labels, databases.ranked))
        curves = [
            {"query": query, "label": label, **self._curve(tensors[codes], labels, ranked, ties)}
            for query, codes in (("clean", "clean_codes"), ("adversarial", "codes"))
            for label, labels, ranked in judged
        ]
        content = {"protocol": pl_module.protocol(), "curves": curves}
        text = json.dumps(content, indent=1, allow_nan=False)
        write_whole(pl_module.run_folder / "curves.json", f"{text}\n".encode())

    def _curve(self, codes: Tensor, labels: Tensor, ranked: CodeSet, ties: Ties) -> dict[str, Any]:
        ns = [n for n in self.ns if n <= len(ranked.codes)]
        given = (codes, ranked.codes.cpu(), labels, ranked.labels.cpu())
        at_n, precision, recall = retrieval_curves(*given, ns, ties=ties)
        return {
            "n": ns,
            "precision_at_n": at_n.tolist(),
            "precision": _numbers(precision),
            "recall": _numbers(recall),
        }


def _numbers(values: Tensor) -> list[float | None]:
    return [None if value != value else value for value in values.tolist()]
