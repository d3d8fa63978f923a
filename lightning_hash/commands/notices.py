"""Warnings and notices on the terminal, without signs of others that it would obey."""

import logging
import sys
import warnings
from typing import TextIO

from lightning_hash.utils.escapes import visible

# Where Lightning's rank_zero_info writes to.
_NOTICES = "pytorch_lightning.utilities.rank_zero"


def show_visibly() -> None:
    """From now on show what is in the texts of warnings and notices as escapes, but line breaks.

    They name files, classes and checkpoints of others.
    """
    warnings.showwarning = _show
    notices = logging.getLogger(_NOTICES)
    if _escape not in notices.filters:
        notices.addFilter(_escape)


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning, as :func:`warnings.showwarning` does."""
    text = visible(str(message), keep="\n")
    place = sys.stderr if file is None else file
    place.write(warnings.formatwarning(text, category, filename, lineno, line))


def _escape(record: logging.LogRecord) -> bool:
    record.msg, record.args = visible(record.getMessage(), keep="\n\t"), ()
    return True
