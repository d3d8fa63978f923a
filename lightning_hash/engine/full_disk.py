"""Errors of a full disk that do not say where."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning as pl

from lightning_hash.utils.whole_file import FULL


@contextmanager
def names_the_disk(trainer: pl.Trainer) -> Iterator[None]:
    """Give an error of a full disk the folder of the trainer's logger where it names no file.

    TensorBoard writes in a thread of its own, which would print its traceback, and raises the same
    error without a path at the next value that is logged.

    Args:
        trainer: runs what is done meanwhile.

    Raises:
        OSError: the error, with a path.
    """
    before = threading.excepthook

    def told_elsewhere(arguments: threading.ExceptHookArgs) -> None:
        if not _is_full(arguments.exc_value):
            before(arguments)

    threading.excepthook = told_elsewhere
    try:
        yield
    except OSError as error:
        logger = trainer.logger
        if _is_full(error) and error.filename is None and logger is not None:
            raise OSError(error.errno, error.strerror, logger.log_dir) from error
        raise
    finally:
        threading.excepthook = before


def _is_full(error: BaseException | None) -> bool:
    return isinstance(error, OSError) and error.errno in FULL
