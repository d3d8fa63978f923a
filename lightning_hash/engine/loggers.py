"""TensorBoard with one event file per run."""

from pathlib import Path

from pytorch_lightning.core.saving import save_hparams_to_yaml
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from lightning_hash.utils.versions import take_version
from lightning_hash.utils.whole_file import whole_file


class RunLogger(TensorBoardLogger):
    """Lightning's TensorBoard logger, in a folder of its own that is open to the end of a run.

    Lightning closes the file after each of predict, fit and test, and an attack is all three:
    TensorBoard then warns of several event files in one folder. And it looks which version is the
    next, which two runs that start at once find the same; here the folder is made at the first look
    at :attr:`version`, by the first process of a run. The others ask the Trainer for it.
    """

    def _get_next_version(self) -> int:
        number: int = super()._get_next_version()
        if getattr(rank_zero_only, "rank", 0) != 0:
            return number
        return int(take_version(Path(self.root_dir), number).name.removeprefix("version_"))

    @rank_zero_only
    def save(self) -> None:
        """Write what is pending, and hparams.yaml whole."""
        file = Path(self.log_dir) / self.NAME_HPARAMS_FILE
        if self._experiment is not None:
            self._experiment.flush()
        if file.parent.is_dir() and not file.is_file():
            with whole_file(file) as temporary:
                save_hparams_to_yaml(str(temporary), self.hparams)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is pending."""
        if status == "success":
            self.save()
        elif self._experiment is not None:
            self._experiment.flush()
