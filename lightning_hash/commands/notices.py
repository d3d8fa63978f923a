"""Warnings and notices on the terminal, without signs of others that it would obey."""

import logging
import warnings

from lightning_hash.utils.escapes import visible

# Where Lightning's rank_zero_info writes to.
_NOTICES = "pytorch_lightning.utilities.rank_zero"


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
