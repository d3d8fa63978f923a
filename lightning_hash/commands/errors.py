"""What a person is told where a run ends in an error: one line."""

import sys
from pathlib import Path

from lightning_hash.utils.trust import untrusted
from lightning_hash.utils.whole_file import FULL, free_space, megabytes


def explained(error: Exception) -> str | None:
    """Say in one line what was wrong with the input, the place or the machine.

    Args:
        error: what ended the run.

    Returns:
        The line; ``None`` for an error of the program, whose traceback is wanted.
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
