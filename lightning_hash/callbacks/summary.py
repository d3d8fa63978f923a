"""What is printed at the end of a run."""

from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from rich.console import Console

from lightning_hash.modules.attack_module import AttackModule
from lightning_hash.reports.results import ResultRow
from lightning_hash.reports.tables import summary_table


class SummaryTable(Callback):
    """Print the table of before and after, and last the path of the run folder."""

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print, on the first process only."""
        if isinstance(pl_module, AttackModule) and trainer.is_global_zero:
            rows = [ResultRow(**row) for row in pl_module.rows]
            Console().print(summary_table(rows))
            if trainer.log_dir is not None:
                print(Path(trainer.log_dir))
