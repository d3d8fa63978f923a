"""TensorBoard with one event file per run."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from lightning_fabric.utilities.logger import _convert_params, _flatten_dict
from pytorch_lightning.core.saving import save_hparams_to_yaml
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only
from torch.utils.tensorboard.summary import hparams

from lightning_hash.utils.versions import take_version
from lightning_hash.utils.whole_file import whole_file


class RunLogger(TensorBoardLogger):
    """Lightning's TensorBoard logger, in a folder of its own that is open to the end of a run.

    Lightning closes the file after each of predict, fit and test, and an attack is all three:
    TensorBoard then warns of several event files in one folder. And it looks which version is the
    next, which two runs that start at once find the same; here the folder is made at the first look
    at :attr:`version`, by the first process of a run. The others ask the Trainer for it.
    """

    _saved: dict[str, Any] | None = None

    def _get_next_version(self) -> int:
        number: int = super()._get_next_version()
        if getattr(rank_zero_only, "rank", 0) != 0:
            return number
        return int(take_version(Path(self.root_dir), number).name.removeprefix("version_"))

    @rank_zero_only
    def log_hyperparams(
        self,
        params: dict[str, Any] | Namespace,
        metrics: dict[str, Any] | None = None,
        step: int | None = None,
    ) -> None:
        """Log settings and, at the end of a run, its numbers.

        Lightning also writes which settings and numbers there are, of which TensorBoard reads those
        of the first run alone: runs of other parts would lack columns. Without it TensorBoard
        collects them from all runs, and puts those settings first that differ.

        Args:
            params: the settings, nested.
            metrics: the numbers by tag; without any, settings are only kept for hparams.yaml.
            step: of the numbers.
        """
        given = _convert_params(params)
        self.hparams.update(given)
        if not metrics:
            return
        self.log_metrics(metrics, step)
        flat = self._sanitize_params(_flatten_dict(given))
        _, start, end = hparams(flat, metrics)  # type: ignore[no-untyped-call]
        for summary in (start, end):
            self.experiment._get_file_writer().add_summary(summary, step)

    @rank_zero_only
    def save(self) -> None:
        """Write what is pending, and hparams.yaml whole."""
        file = Path(self.log_dir) / self.NAME_HPARAMS_FILE
        if self._experiment is not None:
            self._experiment.flush()
        if file.parent.is_dir() and (self._saved != self.hparams or not file.is_file()):
            self._saved = dict(self.hparams)
            with whole_file(file) as temporary:
                save_hparams_to_yaml(str(temporary), self.hparams)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is pending."""
        if status == "success":
            self.save()
        elif self._experiment is not None:
            self._experiment.flush()
