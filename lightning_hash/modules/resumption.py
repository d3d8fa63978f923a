"""What a run that goes on from a checkpoint must agree in."""

from collections.abc import Mapping
from typing import Any

from lightning_hash.results.settings import differences


def check_resumption(
    saved: Mapping[str, Any],
    here: Mapping[str, Any],
    what: str,
    depends: Mapping[str, str | None] | None = None,
) -> None:
    """Refuse to go on with other settings.

    Args:
        saved: settings of the run that wrote the checkpoint.
        here: settings of the run that goes on.
        what: ``"attack"`` or ``"training"``.
        depends: dotted paths of settings that may differ, and what forbids it where something
            depends on them.

    Raises:
        ValueError: naming the first setting that differs and both values.
    """
    for path, before, now in differences(saved, here):
        reason = (depends or {}).get(path, "")
        if reason is None:
            continue
        msg = (
            f"ckpt_path: the checkpoint belongs to another {what}: its {path} is {before!r}, this "
            f"run's is {now!r}{reason and f', and {reason} depends on it'}; give the options of "
            "the run that wrote it, or start anew without ckpt_path"
        )
        raise ValueError(msg)
