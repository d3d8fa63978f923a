"""TensorBoard with one event file per run."""

from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only


class RunLogger(TensorBoardLogger):
    """Lightning's TensorBoard logger, kept open between the stages of a run.

    Lightning closes the file after each of predict, fit and test, and an attack is all three:
    TensorBoard then warns of several event files in one folder.
    """

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write what is pending."""
        if self._experiment is not None:
            self._experiment.flush()
        if status == "success":
            self.save()
