"""What a person is told where a run ends in an error: one line."""

import os
import sys
import tempfile
import traceback
from pathlib import Path
from types import TracebackType

from lightning_hash.utils.escapes import visible
from lightning_hash.utils.trust import untrusted
from lightning_hash.utils.volume import VERBOSE
from lightning_hash.utils.whole_file import FULL, free_space, megabytes


def explained(error: Exception) -> str | None:
    """Say in one line what was wrong with the input, the place or the machine.

    Args:
        error: what ended the run.

    Returns:
        The line; ``None`` for an error of the program, see :func:`show_fault`.
    """
    if isinstance(error, OSError) and error.errno in FULL:
        where = Path(error.filename or ".")
        return (
            f"no space left on the disk of {error.filename or 'the run folder'} "
            f"({megabytes(free_space(where))} free); what was written is whole: make room and run "
            "it again (fit and attack go on from their newest checkpoint with --ckpt_path), or "
            "write elsewhere"
        )
    distrust = untrusted(error)
    if distrust is not None:
        return str(distrust)
    if isinstance(error, ValueError | TypeError | OSError):
        return str(error)
    if _is_of_the_trainer(error):
        return _of_the_trainer(" ".join(str(error).split()))
    if "torch" in sys.modules:
        from lightning_hash.utils.memory import is_out_of_memory

        if is_out_of_memory(error):
            first = str(error).split(". ")[0]
            return (
                f"the device's memory does not hold this ({first}); give a smaller "
                "--data.batch_size (fit), --data.eval_batch_size or --model.batch_size (attack), "
                "or smaller inputs"
            )
    return None


def _is_of_the_trainer(error: Exception) -> bool:
    return any(each.__name__ == "MisconfigurationException" for each in type(error).__mro__)


def _of_the_trainer(text: str) -> str:
    if "No supported gpu backend" in text:
        return (
            "trainer.accelerator: torch sees no GPU on this machine; give --trainer.accelerator "
            "cpu, or auto, or look at nvidia-smi and torch.version.cuda"
        )
    return f"trainer: {text}"


def show_fault(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Tell of an error of the program in one line; its traceback goes to a file that this names.

    It is the ``sys.excepthook`` of the command line, which ends with status 1.

    Args:
        kind: of the error.
        error: what ended the run.
        trace: where.
    """
    if VERBOSE in sys.argv or not issubclass(kind, Exception):
        sys.__excepthook__(kind, error, trace)
        return
    place = traceback.extract_tb(trace)[-1:]
    where = f", {place[0].filename}:{place[0].lineno}" if place else ""
    text = "".join(traceback.format_exception(kind, error, trace))
    try:
        number, name = tempfile.mkstemp(prefix=f"lightning_hash-{os.getpid()}-", suffix=".log")
        with open(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        kept = f"its traceback is in {name}"
    except OSError:
        kept = f"{VERBOSE} shows its traceback"
    said = " ".join(str(error).split())
    print(
        visible(f"error: a fault of the program ({kind.__name__}: {said}{where}); {kept}"),
        file=sys.stderr,
    )
