"""``python -m lightning_hash search``: what does a system retrieve for these images?"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import torch
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from lightning_hash.codes.code_files import open_codes
from lightning_hash.codes.code_set import CodeSet, plain_code_set
from lightning_hash.codes.found import Found
from lightning_hash.codes.indexes import IndexKind, make_index
from lightning_hash.commands.class_paths import checked_class_paths
from lightning_hash.commands.configs import with_data_class
from lightning_hash.commands.flags import add_options, valued
from lightning_hash.commands.given import given_options
from lightning_hash.commands.inputs import WHO, fill_inputs, inputs_of_victim
from lightning_hash.commands.one_line import OneLineParser
from lightning_hash.commands.places import options_named
from lightning_hash.commands.table import VERBS
from lightning_hash.commands.trainer_values import check_trainer_values
from lightning_hash.data.base import HashDataModule
from lightning_hash.data.image_reading import (
    ImageKind,
    ImageReading,
    find_images,
    reading_of_codes,
    reading_of_data,
)
from lightning_hash.engine.trainer import quiet_trainer
from lightning_hash.functional import from_8bit
from lightning_hash.functional.checks import check_choice, check_count
from lightning_hash.modules.encoder import float32_codes
from lightning_hash.reports.search_answer import (
    Items,
    answer_json,
    answer_rows,
    answer_table,
    picture_title,
)
from lightning_hash.reports.search_picture import search_png
from lightning_hash.results.tables import print_table
from lightning_hash.utils.escapes import visible
from lightning_hash.utils.label_values import same_columns
from lightning_hash.utils.whole_file import ready_file, write_whole
from lightning_hash.victims.resolve import as_victim
from lightning_hash.victims.victim import Victim

OPTIONS = VERBS["search"].options
BATCH = 64
TOP_K = 10
FORMATS = ("table", "json")


def search(
    model: Any,
    images: Tensor | str | Path | Sequence[str | Path],
    codes: str | Path | CodeSet | Tensor,
    *,
    top_k: int = TOP_K,
    index: IndexKind = "auto",
    reading: ImageReading | None = None,
    images_are: ImageKind | None = None,
    labels: str | Path | None = None,
    threshold: float | None = None,
    accelerator: str = "auto",
    trust: bool = False,
) -> Found:
    """Search a database of codes with images.

    Args:
        model: what makes the codes: the path of a checkpoint, a model, or what else
            :class:`lightning_hash.AttackModule` takes as its victim.
        images: inputs ``(Q, ...)``, floating in [0, 1] or uint8; or an image file, a folder of
            them, or several of both.
        codes: the database: a file of codes, as in :func:`lightning_hash.score`; a code set; or
            ``(N, K)`` of -1/+1.
        top_k: results per image.
        index: ``"faiss"``, ``"packed"``, or ``"auto"``: faiss where it is installed. The results
            are the same.
        reading: how image files become inputs; by default as the file of codes says, and where it
            does not, as the model was trained with or made for.
        images_are: what image files of the input's size are, ``"file"`` or ``"input"``; see
            :meth:`lightning_hash.data.image_reading.ImageReading.read`.
        labels: a file of labels, for codes of others that stand alone; they may have none.
        threshold: above which a value of codes of others is a bit of +1.
        accelerator: as in Lightning's Trainer.
        trust: let a file or function that stands for the model run code, see
            :func:`lightning_hash.victims.load_foreign`.

    Returns:
        Codes, distances and rows of the database.

    Raises:
        FileNotFoundError: if a file does not exist.
        TypeError: if images or codes are of another type.
        ValueError: if a file cannot be read, codes and model do not go together, or nobody says how
            large an input is.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 8))
        >>> images = torch.rand(5, 3, 4, 4)
        >>> database = torch.where(model(images) > 0, 1, -1)
        >>> found = search(model, images[:2], database, top_k=3, accelerator="cpu")
        >>> found.distances[:, 0].tolist(), found.rows.shape
        ([0, 0], torch.Size([2, 3]))
    """
    victim = as_victim(model, trust=trust)
    check_count("top_k", top_k)
    database = _Database(codes, _own_codes(codes), labels, threshold)
    if isinstance(images, Tensor):
        inputs = _inputs(images)
    else:
        inputs = read_inputs(find_images(_paths(images)), reading, database.own, model, images_are)
    return _find(victim, inputs, database, top_k, index, accelerator)


class _Database(NamedTuple):
    """A database of codes: what it was given as, and the codes where they are our own."""

    source: str | Path | CodeSet | Tensor
    own: CodeSet | None
    labels: str | Path | None
    threshold: float | None


def _find(
    victim: Victim, inputs: Tensor, codes: _Database, top_k: int, index: IndexKind, accelerator: str
) -> Found:
    sent = _encode(victim, inputs, accelerator)
    database = _codes_of_others(codes, sent) if codes.own is None else codes.own
    _check_together(victim, sent, database, codes.source)
    found = make_index(database.codes, index)
    distances, rows = found.nearest(sent, top_k)
    return Found(sent, distances, rows, database, found.name)


def read_inputs(
    files: Sequence[Path],
    reading: ImageReading | None,
    database: CodeSet | None,
    model: Any = None,
    kind: ImageKind | None = None,
) -> Tensor:
    """Read image files as a network's inputs.

    Args:
        files: their paths.
        reading: how; by default as the codes say.
        database: the codes, where they are our own.
        model: the victim, which may say it where the codes do not.
        kind: what those of the input's size are.

    Returns:
        float32 ``(Q, 3, size, size)`` in [0, 1].

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if one cannot be read, or nobody says how.
    """
    made_with = {} if database is None else database.made_with
    said = reading_of_codes(made_with)
    reading = said if reading is None else reading
    reading = _reading_of_victim(model) if reading is None else reading
    if reading is None:
        msg = (
            "size must be given, as neither the codes nor the victim say how images are read: the "
            "side of the network's input in pixels with --size, or the data with --data"
        )
        raise ValueError(msg)
    if said is not None and reading != said and said.text != reading.text:
        msg = (
            f"size, resize and interpolation must be those of the codes, {said}, got {reading}; "
            "leave them out"
        )
        raise ValueError(msg)
    return torch.stack([reading.read(file, kind) for file in files])


def _reading_of_victim(model: Any) -> ImageReading | None:
    wanted = inputs_of_victim(model)
    if not wanted:
        return None
    reading = ImageReading(wanted["size"], interpolation=wanted["interpolation"] or "bilinear")
    said = f"--size {reading.size} --interpolation {reading.interpolation}"
    rank_zero_info(f"images: {said}, {wanted[WHO]}")
    return reading


def _inputs(images: Tensor) -> Tensor:
    if images.dtype == torch.uint8:
        images = from_8bit(images)
    inside = images.is_floating_point() and images.dim() >= 2 and images.numel() > 0
    if not (inside and images.min() >= 0 and images.max() <= 1):
        found = f"{images.dtype} {tuple(images.shape)}"
        msg = f"images must be (Q, ...), floating in [0, 1] or uint8, at least one, got {found}"
        raise ValueError(msg)
    return images.detach().cpu()


def _paths(images: Any) -> list[str | Path]:
    if isinstance(images, str | Path):
        return [images]
    if isinstance(images, Sequence) and all(isinstance(each, str | Path) for each in images):
        return list(images)
    found = type(images).__name__
    if isinstance(images, Sequence):
        found += f" of {' and '.join(sorted({type(each).__name__ for each in images}))}"
    msg = (
        "images must be a tensor (Q, ...), floating in [0, 1] or uint8, or paths of files and "
        f"folders, got {found}; give torch.from_numpy(...) of an array, torch.stack(...) of tensors"
    )
    raise TypeError(msg)


def _own_codes(codes: Any) -> CodeSet | None:
    """Return the codes that need nothing else to be read, before the images are encoded."""
    if isinstance(codes, CodeSet):
        return codes
    if isinstance(codes, Tensor):
        return plain_code_set(codes, torch.zeros(len(codes), 0))
    if not isinstance(codes, str | Path):
        msg = (
            "codes must be the path of a file of codes, a CodeSet or a tensor (N, K) of -1/+1, got "
            f"{type(codes).__name__}; give torch.from_numpy(...) of an array"
        )
        raise TypeError(msg)
    if Path(codes).suffix != ".safetensors":
        return None
    return open_codes(Path(codes)).own


def _codes_of_others(codes: _Database, sent: Tensor) -> CodeSet:
    """Read another program's codes; the victim says how many bits a row of them has."""
    beside = None if codes.labels is None else Path(codes.labels)
    path, bits = Path(str(codes.source)), sent.shape[1]
    file = open_codes(path, beside, bits, codes.threshold, "database", labelled=False)
    return file.code_set(same_columns({file.name: file.labels})[file.name])


def _check_together(victim: Victim, sent: Tensor, database: CodeSet, source: Any) -> None:
    name = f"codes {source}" if isinstance(source, str | Path) else "codes"
    if database.bits != sent.shape[1]:
        msg = (
            f"{name} have {database.bits} bits, the victim makes {sent.shape[1]}; both must come "
            "from one model"
        )
        raise ValueError(msg)
    if "victim_sha256" in database.made_with:
        database.check_made_with({"victim_sha256": victim.sha256}, str(source))


def _encode(victim: Victim, inputs: Tensor, accelerator: str) -> Tensor:
    items: Any = [(each, torch.zeros(0), number) for number, each in enumerate(inputs)]
    with quiet_trainer(accelerator=accelerator) as trainer:
        codes = float32_codes(victim, items, BATCH, trainer.strategy.root_device)
    bad = (codes == 0).any(dim=1).nonzero().flatten().tolist()
    if bad:
        msg = (
            f"victim: its logits are not finite for {len(bad)} images, first image {bad[0] + 1}; "
            "look at the weights and at these images"
        )
        raise ValueError(msg)
    return codes


def main(arguments: list[str]) -> int:
    """Search with images, print what comes back, and draw it.

    Args:
        arguments: what stands behind ``search``.

    Returns:
        0.

    Raises:
        ValueError: if victim, codes, images or options are wrong.
        OSError: if a file cannot be read or written.
    """
    parser, arguments = make_parser(), valued(arguments, OPTIONS)
    with checked_class_paths():
        line = with_data_class(arguments)
        options = parser.parse_args(line)
        given = given_options(parser.parse_args(line, defaults=False).as_dict())
        with options_named(parser, arguments):
            return _search(parser, options, given)


def make_parser() -> OneLineParser:
    """Return the parser of the verb's options."""
    parser = OneLineParser(prog="lightning_hash search", description=__doc__)
    parser.add_argument("--config", action="config", help="YAML with these options.")
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="image files, or folders of them"
    )
    parser.optional = ["data"]
    parser.add_subclass_arguments(HashDataModule, "data", required=False)
    add_options(parser, {name: option for name, option in OPTIONS.items() if name != "data"})
    return parser


def _search(parser: OneLineParser, options: Any, given: Mapping[str, Any]) -> int:
    check_trainer_values({"accelerator": options.accelerator}, "")
    check_choice("format", options.format, FORMATS)
    check_count("top_k", options.top_k)
    picture = None if options.picture is None else Path(options.picture)
    if picture is not None:
        if picture.suffix != ".png":
            msg = f"picture must be the path of a .png, got {options.picture}"
            raise ValueError(msg)
        ready_file(picture, "picture", "give another with --picture FILE")
    files = find_images(options.images)
    victim = as_victim(options.model.victim)
    own = _own_codes(options.codes)
    if options.data is not None:
        said = None if own is None else reading_of_codes(own.made_with)
        wanted = inputs_of_victim(options.model.victim) if said is None else _wanted(said)
        fill_inputs(options.data, given, wanted)
    data: HashDataModule | None = parser.instantiate_classes(options).get("data")
    if data is not None:
        data.prepare_data()
        data.setup("predict")
    if options.images_are is not None:
        check_choice("images_are", options.images_are, get_args(ImageKind))
    inputs = read_inputs(
        files, _reading(options, data), own, options.model.victim, options.images_are
    )
    database = _Database(options.codes, own, options.labels, options.threshold)
    found = _find(victim, inputs, database, options.top_k, options.index, options.accelerator)
    items = Items(found.database, data, None if options.root is None else Path(options.root))
    if options.format == "json":
        print(json.dumps(answer_json(files, found, items, options.codes), indent=1))
    else:
        print_table(answer_table(files, found, items, options.codes))
    if picture is not None:
        rows = answer_rows(files, found, items)
        write_whole(picture, search_png(rows, picture_title(found, options.codes)))
        if options.format == "table":
            more = f" (the first {len(rows)} of {len(files)} images)" if files[len(rows) :] else ""
            print(visible(f"{picture}{more}"))
    return 0


def _wanted(said: ImageReading) -> dict[str, Any]:
    """Return what the data take from the codes; nothing where images are resized and cropped."""
    if said.keep_aspect or said.resize not in (None, said.size):
        return {}
    return {"size": said.size, "interpolation": said.interpolation, WHO: "as the codes say"}


def _reading(options: Any, data: HashDataModule | None) -> ImageReading | None:
    own = {name: options[name] for name in ("resize", "interpolation") if options[name] is not None}
    if options.keep_aspect:
        own["keep_aspect"] = True
    if options.size is not None:
        return ImageReading(options.size, **own)
    if own:
        name = next(iter(own))
        msg = f"{name} goes with size, the side of the network's input; give --size as well"
        raise ValueError(msg)
    return None if data is None else reading_of_data(data)
