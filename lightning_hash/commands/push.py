"""Put a checkpoint on the Hugging Face hub: its weights, what builds the network, a card."""

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from lightning_hash._version import __version__
from lightning_hash.results.rows import CEILING, CLEAN, ResultRow, read_results
from lightning_hash.results.runs import RESULTS, latest_version
from lightning_hash.results.tables import format_epsilon, made_on, metric_label
from lightning_hash.utils.escapes import markdown
from lightning_hash.utils.whole_file import write_whole
from lightning_hash.victims.checkpoints import CHECKPOINT_KEY, read_checkpoint
from lightning_hash.victims.hub import CARD, CONFIG, HUB, WEIGHTS, check_repository, need_hub
from lightning_hash.victims.victim import load_victim

OF_STEPS = ("loss", "optimizer")  # unused where the hash layer was computed
CALLED = {CLEAN: "clean", CEILING: "anchor code, the ceiling"}
KEPT = ("kind", "version", "program", "backbone", "bits", "loss", "selected_on")
OF_BACKBONE = ("architecture", "inputs")  # of timm and open_clip alone


def push_to_hub(
    checkpoint: str | Path,
    repository: str,
    run: str | Path | None = None,
    *,
    private: bool = False,
    revision: str | None = None,
    trust: bool = False,
) -> str:
    """Put a checkpoint of ``fit`` on the Hugging Face hub, to be attacked by others.

    Three files are pushed: ``model.safetensors``, ``config.json`` and a model card with the
    settings of the training and the metrics. Paths of this machine are left out. Log in first, with
    ``hf auth login``.

    Args:
        checkpoint: the file.
        repository: ``owner/name``; made if it does not exist.
        run: a run folder of ``attack``, ``transfer`` or ``score`` on this victim, whose numbers go
            into the card; by default there is the validation's alone.
        private: whether a repository that is made here is private.
        revision: the branch; the main one by default.
        trust: let the checkpoint name a class of any module as its network.

    Returns:
        The source of the victim, ``hf-hub:owner/name``, with ``@revision`` if there is one.

    Raises:
        FileNotFoundError: if there is no such checkpoint or run.
        ValueError: if the checkpoint or the run cannot be read, or the run is of another victim;
            the repository's name has another form; huggingface_hub is missing; or the hub refuses.
    """
    check_repository(repository, "push_to_hub")
    hub = need_hub()
    with tempfile.TemporaryDirectory() as folder:
        write_hub_files(checkpoint, Path(folder), repository, run, trust=trust)
        try:
            hub.create_repo(repository, private=private, exist_ok=True)
            hub.upload_folder(
                repo_id=repository, folder_path=folder, revision=revision,
                commit_message=f"{Path(checkpoint).name} by lightning_hash {__version__}",
            )  # fmt: skip
        except Exception as error:  # of the network, of its libraries, of the hub's rules
            lines = str(error).strip().splitlines() or [type(error).__name__]
            msg = (
                f"push_to_hub: {repository} was not pushed ({lines[0].strip()}); log in with "
                "`hf auth login`, as one who may write there"
            )
            raise ValueError(msg) from error
    return f"{HUB}{repository}" + (f"@{revision}" if revision else "")


def write_hub_files(
    checkpoint: str | Path,
    folder: Path,
    repository: str,
    run: str | Path | None = None,
    *,
    trust: bool = False,
) -> None:
    """Write the files that :func:`push_to_hub` pushes; see there.

    Args:
        checkpoint: the file.
        folder: where.
        repository: the name that stands in the card.
        run: a run folder.
        trust: as there.
    """
    path = Path(checkpoint)
    victim = load_victim(path, trust=trust)  # refused here, and not by those who pull it
    content = read_checkpoint(path, "victim", "python -m lightning_hash fit")
    rows = [] if run is None else _rows(Path(run), victim.sha256)
    state = {name: value.contiguous() for name, value in victim.network.state_dict().items()}
    folder.mkdir(parents=True, exist_ok=True)
    save_file(_apart(state), folder / WEIGHTS, {"format": "pt"})
    entry = {name: content[CHECKPOINT_KEY].get(name) for name in KEPT}
    own = content[CHECKPOINT_KEY]
    entry |= {name: own[name] for name in OF_BACKBONE if own.get(name) is not None}
    entry["backbone"] = _without_weights(entry["backbone"])
    config = json.dumps({CHECKPOINT_KEY: entry, "sha256": victim.sha256}, indent=2)
    write_whole(folder / CONFIG, f"{config}\n".encode())
    card = "\n".join(_card(content, victim.sha256, repository, rows))
    write_whole(folder / CARD, f"{card}\n".encode())


def _apart(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of which no two share memory, which safetensors refuses."""
    return {name: value.clone() for name, value in state.items()}


def _without_weights(backbone: Any) -> Any:
    """Return a description of the network without the file that its training began with."""
    if not isinstance(backbone, dict) or "weights" not in (backbone.get("init_args") or {}):
        return backbone
    return {**backbone, "init_args": {**backbone["init_args"], "weights": None}}


def _rows(run: Path, sha256: str) -> list[ResultRow]:
    place = latest_version(run) / RESULTS
    found = read_results(place)
    rows = [row for row in found if row.get("victim.sha256") == sha256]
    if not rows:
        others = sorted({str(row.get("victim.name")) for row in found})
        msg = f"push_to_hub: {place} is of {', '.join(others) or 'nothing'}; give a run on this one"
        raise ValueError(msg)
    return rows


def _card(
    content: Mapping[str, Any], sha256: str, repository: str, rows: list[ResultRow]
) -> Iterator[str]:
    entry = content[CHECKPOINT_KEY]
    backbone = entry["backbone"]
    named = backbone if isinstance(backbone, str) else str(backbone.get("class_path"))
    settings = _used(_portable(entry.get("settings") or {}), entry["loss"])
    model, dataset = settings.get("model") or {}, (settings.get("data") or {}).get("dataset")
    yield from (
        "---", "library_name: lightning_hash",
        "tags: [deep-hashing, image-retrieval, adversarial-robustness]", "---", "",
        f"# {markdown(repository)}", "",
        f"{markdown(named)} with a hash layer of {entry['bits']} bits, trained by lightning_hash "
        f"{markdown(str(entry.get('program', 'of an unknown version')))}.", "",
        "```shell", "pip install 'lightning-hash[hub]'",
        "python -m lightning_hash attack --model.victim "
        f"\"{{source: '{HUB}{repository}'}}\"", "```", "",
        "| | |", "| --- | --- |",
    )  # fmt: skip
    facts = {
        "backbone": named,
        "bits": entry["bits"],
        "loss" if "loss" in model or not settings else "head": entry["loss"],
        "data": dataset,
        "epochs": (settings.get("trainer") or {}).get("max_epochs"),
        "seed": settings.get("seed"),
        "weights selected on": entry.get("selected_on"),
        "sha256 of the weights": sha256,
    }
    for name, value in facts.items():
        if value is not None:
            yield f"| {name} | {markdown(str(value))} |"
    yield from (
        "", "## Metrics", "", "| queries | data | n | metric | value |",
        "| --- | --- | --- | --- | --- |",
    )  # fmt: skip
    for name, value in _validated(content):
        yield f"| validation | {markdown(str(dataset or ''))} | | {markdown(name)} | {value:.4f} |"
    for row in _last(rows):
        cells = (_queries(row), str(row.get("data.dataset")), str(row.n), metric_label(row))
        yield f"| {' | '.join(map(markdown, cells))} | {row.value:.4f} |"
    if settings:
        text = json.dumps(settings, indent=1, default=str).replace("```", "'''")
        yield from ("", "## Settings of the training", "", "```json", text, "```")


def _used(settings: dict[str, Any], loss: str | None) -> dict[str, Any]:
    """Return the settings of a training without what no step used, where a head was all."""
    model = settings.get("model") or {}
    head = (model.get("head") or {}).get("class", "")
    if not head or head.rpartition(".")[2] != loss:
        return settings
    return {**settings, "model": {name: model[name] for name in model if name not in OF_STEPS}}


def _last(rows: list[ResultRow]) -> list[ResultRow]:
    """Return of each attack, and of the clean queries, the rows of the last iteration."""
    last: dict[Any, int] = {}
    for row in rows:
        key = row.key("attack", "transfer")
        last[key] = max(row.iteration, last.get(key, row.iteration))
    return [row for row in rows if row.iteration == last[row.key("attack", "transfer")]]


def _queries(row: ResultRow) -> str:
    """Say what queries a row is of: the clean ones, or those of which attack, and how saved."""
    budget = row.get("attack.budget") or {}
    said = CALLED.get(row.name, row.name) + made_on(row)
    if budget.get("epsilon") is not None:
        said += f", epsilon {format_epsilon(budget['epsilon'], budget.get('space'))}"
    said += ", 8-bit" if row.quantized and row.is_attack else ""
    return said if row.jpeg is None else f"{said} JPEG {row.jpeg}"


def _validated(content: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield what the callbacks that keep the best checkpoint have watched, and its value now."""
    callbacks = content.get("callbacks")
    for state in (callbacks if isinstance(callbacks, dict) else {}).values():
        if isinstance(state, dict) and isinstance(state.get("monitor"), str):
            score = state.get("current_score")
            if isinstance(score, Tensor) and score.numel() == 1:
                yield state["monitor"], float(score)


def _portable(value: Any) -> Any:
    """Return settings in which paths are file names: others have no use for the rest."""
    if isinstance(value, dict):
        return {name: _portable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(inner) for inner in value]
    if isinstance(value, str) and Path(value).is_absolute():
        return Path(value).name
    return value
