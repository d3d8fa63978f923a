"""Where an audit lies: the folder of one that was stopped, or a new one."""

import fcntl
import json
from pathlib import Path
from typing import Any

from lightning_hash.audits.member_run import CONFIG
from lightning_hash.results.card_files import CARD
from lightning_hash.utils.json_text import read_json
from lightning_hash.utils.places import check_no_way_out
from lightning_hash.utils.text_files import utf8
from lightning_hash.utils.versions import take_version, version_of
from lightning_hash.utils.whole_file import write_whole

SETTINGS, LOCK = "audit.json", ".lock"


def take_folder(
    root: Path,
    settings: dict[str, Any],
    config: str | None,
    *,
    asked: str = SETTINGS,
    end: str = CARD,
) -> Path:
    """Return the newest folder of an unfinished audit with these settings, or a new one.

    One process at a time looks, so that the tasks of an array that start at once share one.

    Args:
        root: folder of all audits of this name; made where it is missing.
        settings: what the numbers depend on, as JSON gives it back; kept in ``asked``.
        config: text of ``config.yaml`` of a new folder; ``None`` writes none.
        asked: name of the file of the settings.
        end: name of the file that is written last.

    Raises:
        OSError: if a file cannot be read or written.
        ValueError: if a file of settings is damaged, or a link leads out of the folder.
    """
    root.mkdir(parents=True, exist_ok=True)
    check_no_way_out(root)
    with (root / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        versions = sorted(root.glob("version_*"), key=version_of, reverse=True)
        for place in versions:
            file = place / asked
            if not file.is_file() or (place / end).is_file():
                continue
            if read_json(file, "what was asked", "remove the folder") == settings:
                return place
        found = take_version(root, 1 + max(map(version_of, versions), default=-1))
        if config is not None:
            write_whole(found / CONFIG, utf8(config))
        write_whole(found / asked, json.dumps(settings, indent=1).encode())
        return found
