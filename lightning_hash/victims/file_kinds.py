"""What a file is, for somebody who gave it where a checkpoint is needed."""

from pathlib import Path
from zipfile import BadZipFile, ZipFile, is_zipfile

_TEXTS = {".json": "a JSON file", ".yaml": "a config", ".yml": "a config", ".csv": "a table"}
_MODELS = {
    ".safetensors": "a safetensors file", ".pt2": "an exported program", ".onnx": "an ONNX model",
    ".ts": "a TorchScript file", ".torchscript": "a TorchScript file",
}  # fmt: skip


def other_kind(path: Path) -> str | None:
    """Say what a file is that is no checkpoint; ``None`` where it may be one.

    Args:
        path: a file that exists.

    Example:
        >>> other_kind(Path("results.json"))
        'a JSON file'
    """
    found = _TEXTS.get(path.suffix) or _MODELS.get(path.suffix)
    if found is None and is_zipfile(path):
        try:
            with ZipFile(path) as archive:
                names = archive.namelist()
        except (BadZipFile, OSError):
            return None
        if any(name.endswith("/constants.pkl") for name in names):
            return _MODELS[".ts"]
        if not any(name.endswith("data.pkl") for name in names):
            return "a zip archive"
    return found


def instead_of(path: Path, kind: str, maker: str) -> str:
    """Say what to give in place of a file that is no checkpoint.

    Args:
        path: the file.
        kind: what is needed, as in :func:`lightning_hash.victims.checkpoints.read_checkpoint`.
        maker: the command that makes it.
    """
    model = path.suffix in (*_MODELS, ".pth", ".pt") and kind == "victim"
    own = f"; a model of others is given as --model.victim.source {path}" if model else ""
    return f"make one with: {maker}{own}"
