"""Warnings and notices on the terminal, without signs of others that it would obey."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lightning_hash.utils.escapes import visible
from lightning_hash.utils.volume import Volume, volume

# Where Lightning's rank_zero_info writes to.
_NOTICES = "pytorch_lightning.utilities.rank_zero"
_LIGHTNING = ("pytorch_lightning", "lightning_fabric")
_NEEDED = "Restoring states from the checkpoint path"  # of Lightning's: what a run goes on from
# Whose warnings are advice to programmers, or about each other.
_LIBRARIES = (
    *_LIGHTNING, "PIL", "jsonargparse", "matplotlib", "multiprocessing", "numpy", "onnx",
    "onnxruntime", "scipy", "skimage", "tensorboard", "torch", "torchmetrics", "torchvision",
)  # fmt: skip


@contextmanager
def fewer_warnings() -> Iterator[None]:
    """Leave out warnings of libraries, unless all are wanted; of all, where only results are."""
    with warnings.catch_warnings():
        if volume() is Volume.QUIET:
            warnings.simplefilter("ignore")
        elif volume() is Volume.USUAL:
            warnings.filterwarnings("ignore", module=rf"({'|'.join(_LIBRARIES)})(\.|$)")
            # Lightning names the caller, which is this program.
            warnings.filterwarnings("ignore", message="LightningCLI's args parameter is intended")
        yield


def show_visibly() -> None:
    """From now on show what is in the texts of warnings and notices as escapes, but line breaks.

    They name files, classes and checkpoints of others. Lightning has a form of warnings of its own,
    from its import on: call it behind that.
    """
    if not isinstance(warnings.formatwarning, _Visible):
        warnings.formatwarning = _Visible()
    notices = logging.getLogger(_NOTICES)
    if _escape not in notices.filters:
        notices.addFilter(_escape)
    for name in _LIGHTNING:
        for handler in logging.getLogger(name).handlers:
            if _is_said not in handler.filters:
                handler.addFilter(_is_said)


class _Visible:
    """Writes a warning as it was written before, its text escaped."""

    def __init__(self) -> None:
        self._before = warnings.formatwarning

    def __call__(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        line: str | None = None,
    ) -> str:
        text = visible(str(message), keep="\n")
        return self._before(text, category, filename, lineno, line)


def _escape(record: logging.LogRecord) -> bool:
    record.msg, record.args = visible(record.getMessage(), keep="\n\t"), ()
    return True


def _is_said(record: logging.LogRecord) -> bool:
    """Return whether a notice is shown: usually this program's and a user's, not Lightning's."""
    if volume() is Volume.VERBOSE:
        return True
    if volume() is Volume.QUIET:
        return record.levelno >= logging.ERROR
    if record.levelno >= logging.WARNING or record.getMessage().startswith(_NEEDED):
        return True
    return not set(_LIGHTNING) & set(record.pathname.split(os.sep))
