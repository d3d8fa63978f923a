"""What is printed at the end of a run."""

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from rich.table import Table

from lightning_hash.modules.score_module import ScoreModule
from lightning_hash.results.rows import ResultRow
from lightning_hash.results.tables import print_table, summary_line, summary_table
from lightning_hash.utils.escapes import terminal, visible
from lightning_hash.utils.volume import Volume, volume


class SummaryTable(Callback):
    """Print a table of the final numbers, and last the path of what was written.

    Place it behind the progress bar: it prints when that has been closed.
    """

    def __init__(self) -> None:
        self._tested = False

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note that there are numbers."""
        self._tested = trainer.is_global_zero

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Print, on the first process only."""
        if not self._tested:
            return
        self._tested = False
        if isinstance(pl_module, ScoreModule):
            rows = [ResultRow(**row) for row in pl_module.rows]
            for victim in dict.fromkeys(row.get("victim.sha256") for row in rows):  # each, if joint
                own = [row for row in rows if row.get("victim.sha256") == victim]
                if volume() is Volume.QUIET:
                    print(visible(summary_line(own)))
                else:
                    print_table(summary_table(own))
            if pl_module.run_folder is not None:
                print(visible(str(pl_module.run_folder)))
        elif volume() is Volume.QUIET:
            found = trainer.callback_metrics.items()
            said = [f"{name} {float(value):.4f}" for name, value in found if "test/" in name]
            print(visible(", ".join(said)))
        else:
            table = Table(title="retrieval, clean queries", title_justify="left")
            table.add_column("metric")
            table.add_column("value", justify="right")
            for name, value in trainer.callback_metrics.items():
                if name.startswith("test/"):
                    table.add_row(terminal(name), f"{float(value):.4f}")
            print_table(table)
        if not isinstance(pl_module, ScoreModule) and trainer.ckpt_path is not None:
            print(visible(str(trainer.ckpt_path)))
