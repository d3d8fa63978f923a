"""Checkpoints of this project on the Hugging Face hub: a config and safetensors, never a pickle."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

from pytorch_lightning.utilities import rank_zero_info
from safetensors.torch import load_file

from lightning_hash.utils.escapes import visible
from lightning_hash.utils.foreign_files import check_file
from lightning_hash.utils.json_text import brief, read_json
from lightning_hash.victims.checkpoints import CHECKPOINT_KEY, check_entry, check_finite
from lightning_hash.victims.victim import Victim, build_victim

HUB = "hf-hub:"
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
REPOSITORY = re.compile(r"(?a:[\w-][\w.-]*/[\w-][\w.-]*)")
REVISION = re.compile(r"(?a:[\w-][\w./-]*)")
COMMIT = re.compile(r"[0-9a-f]{40}")
PUSH = "lightning_hash.push_to_hub(checkpoint, 'owner/name')"


def need_hub() -> Any:
    """Import huggingface_hub.

    Raises:
        ValueError: if it is missing; names the command that installs it.
    """
    try:
        return import_module("huggingface_hub")
    except ImportError as error:
        msg = f"{HUB} needs huggingface_hub: pip install 'lightning-hash[hub]' ({error})"
        raise ValueError(msg) from error


def load_from_hub(source: str) -> Victim:
    """Load a checkpoint that :func:`lightning_hash.push_to_hub` has put on the hub.

    Files that are in the hub's cache are not downloaded again; without a network the cached ones
    are taken. Nothing is unpickled, and a class that the config names as the network is one of this
    package's, torch's or torchvision's, or needs trust.

    Args:
        source: ``hf-hub:owner/name``, or with ``@revision``: a branch, a tag or a commit.

    Returns:
        The victim, on the CPU, frozen. Its name has the commit.

    Raises:
        FileNotFoundError: if there is no such repository, revision or file, or neither a network
            nor a cached copy.
        ValueError: if the source is written otherwise, huggingface_hub is missing, or a file is not
            what it should be.
    """
    repository, revision = _repository_of(source)
    called = f"victim {source}"
    config = _download(repository, CONFIG, revision, called)
    # Both files are of one commit, whatever is pushed meanwhile.
    commit = config.parent.name if COMMIT.fullmatch(config.parent.name) else None
    weights = _download(repository, WEIGHTS, commit or revision, called)
    if commit is not None:
        rank_zero_info(f"{called}: commit {commit}")
    entry = _read_entry(config, called)
    remedy = f"push it again: {PUSH}"
    check_file(weights, f"{called}: {WEIGHTS}")
    try:
        state = load_file(weights)
    except Exception as error:  # of the format's own type, and of files that are cut off
        msg = f"{called}: {WEIGHTS} is no safetensors file, or truncated ({error}); {remedy}"
        raise ValueError(msg) from error
    check_finite(state, f"{called}: {WEIGHTS}", PUSH)
    name = f"{HUB}{repository}@{commit}" if commit else source
    return build_victim(entry, state, called, name, trust=False)


def entry_of_hub(source: str) -> dict[str, Any]:
    """Return what describes a checkpoint on the hub, without its weights.

    Args:
        source: as :func:`load_from_hub` takes it.

    Raises:
        FileNotFoundError: as :func:`load_from_hub`.
        ValueError: likewise.
    """
    repository, revision = _repository_of(source)
    called = f"victim {source}"
    return _read_entry(_download(repository, CONFIG, revision, called), called)


def check_repository(repository: Any, called: str) -> None:
    """Refuse what is no name of a repository.

    Raises:
        ValueError: naming the form.
    """
    if (
        not isinstance(repository, str)
        or not REPOSITORY.fullmatch(repository)
        or ".." in repository
    ):
        msg = f"{called}: a repository of the hub is owner/name, got {brief(repository)}"
        raise ValueError(msg)


def _repository_of(source: str) -> tuple[str, str | None]:
    """Return repository and revision of a source; no revision is the main branch."""
    repository, _, revision = source.removeprefix(HUB).partition("@")
    check_repository(repository, f"victim {visible(source)}")
    if "@" in source and not REVISION.fullmatch(revision):
        msg = f"victim {visible(source)}: behind @ stands a branch, a tag or a commit"
        raise ValueError(msg)
    return repository, revision or None


def _read_entry(config: Path, called: str) -> dict[str, Any]:
    """Return our entry in a config of the hub, checked."""
    remedy = f"push it again: {PUSH}"
    content = read_json(config, f"{called}: {CONFIG}", remedy)
    entry = content.get(CHECKPOINT_KEY) if isinstance(content, dict) else None
    if not isinstance(entry, dict):
        msg = f"{called}: {CONFIG} is not one of lightning_hash; {remedy}"
        raise ValueError(msg)
    check_entry(entry, "victim", f"{called}: {CONFIG}", PUSH)
    return entry


def _download(repository: str, file: str, revision: str | None, called: str) -> Path:
    """Return the place of a file of a repository in the hub's cache."""
    hub = need_hub()
    errors = import_module("huggingface_hub.errors")  # no attribute until somebody imports it
    try:
        return Path(hub.hf_hub_download(repository, file, revision=revision))
    except errors.LocalEntryNotFoundError as error:
        msg = (
            f"{called}: {file} is not in the cache, and the hub cannot be reached "
            f"({_first_line(error)}); is there a network, and HF_HUB_OFFLINE unset?"
        )
        raise FileNotFoundError(msg) from error
    except errors.RevisionNotFoundError as error:
        msg = f"{called}: the repository has no revision {revision}; see its page on the hub"
        raise FileNotFoundError(msg) from error
    except errors.RepositoryNotFoundError as error:
        msg = (
            f"{called}: there is no such repository, or a private one, for which `hf auth login` "
            "is needed"
        )
        raise FileNotFoundError(msg) from error
    except errors.EntryNotFoundError as error:
        msg = (
            f"{called}: the repository has no {file}, so that it is no model of lightning_hash; "
            f"push one: {PUSH}"
        )
        raise FileNotFoundError(msg) from error
    except Exception as error:  # of the network, of its libraries, of the disk
        msg = f"{called}: {file} cannot be downloaded ({_first_line(error)}); try again"
        raise ValueError(msg) from error


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return visible(lines[0]) if lines else type(error).__name__
