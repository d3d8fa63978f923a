"""The answer to a search: as a table, as JSON, and as the rows of a picture."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from lightning_hash.codes.code_set import CodeSet
from lightning_hash.codes.found import Found
from lightning_hash.data.base import OPEN_SET, HashDataModule
from lightning_hash.data.pictures import read_picture
from lightning_hash.engine.callbacks.retrieval_images import still_of
from lightning_hash.reports.search_picture import Tile, short
from lightning_hash.utils.escapes import terminal, visible

DRAWN = 20  # images of a picture
PIXELS = 224  # longer side of an item's image in a picture


class Items:
    """What is known of the items of a database beside their codes.

    Args:
        codes: the items.
        data: the data that they are of, set up, where given.
        root: folder that their paths are relative to.

    Raises:
        ValueError: if the codes were made of other data.
    """

    def __init__(
        self, codes: CodeSet, data: HashDataModule | None = None, root: Path | None = None
    ) -> None:
        self.codes, self.root, self._data = codes, root, None
        self.names: Sequence[str] = ()
        self.paths: Sequence[str] = codes.paths
        if data is None:
            return
        split = codes.made_with.get("split", "database")
        self._data = items = data.dataset(split)
        if "list_sha256" in codes.made_with:
            codes.check_made_with({"list_sha256": data.fingerprints()[split]}, f"of the {split}")
        most = int(codes.index.max())
        if most >= len(items):  # type: ignore[arg-type]
            msg = (
                f"data has {len(items)} items in its {split}, "  # type: ignore[arg-type]
                f"the codes go up to item {most}; give the data that was encoded"
            )
            raise ValueError(msg)
        names = data.open_class_names if split == OPEN_SET else data.class_names
        self.names = names if len(names) == codes.labels.shape[1] else ()
        listed = data.paths_of(split)
        if listed and not self.paths:
            self.paths = [listed[index] for index in codes.index.tolist()]

    def number(self, row: int) -> int:
        """Return an item's own number."""
        return int(self.codes.index[row])

    def path(self, row: int) -> str | None:
        """Return the path of an item, as its list has it."""
        return self.paths[row] if self.paths else None

    def labels(self, row: int) -> list[str]:
        """Return the names of an item's labels, or the numbers of their columns."""
        columns = self.codes.labels[row].nonzero().flatten().tolist()
        return [self.names[c] if self.names else str(c) for c in columns]

    def image(self, row: int) -> NDArray[Any] | None:
        """Return the image of an item, ``(H, W, 3)``; ``None`` where it is not known."""
        if self._data is not None:
            image = still_of(self._data[self.number(row)])
            return image.movedim(0, -1).numpy() if len(image) == 3 else None
        path = self.path(row)
        if path is None:
            return None
        try:
            picture = read_picture(Path(path) if self.root is None else self.root / path)
        except (OSError, ValueError):  # the tile says that there is none
            return None
        picture.thumbnail((PIXELS, PIXELS))
        return np.array(picture)

    def caption(self, row: int) -> str:
        """Return what is said of an item below its image: its labels, its path or its number."""
        if self.names and self.labels(row):
            return short(", ".join(self.labels(row)))
        path = self.path(row)
        return f"item {self.number(row)}" if path is None else short(path)


def answer_json(files: Sequence[Path], found: Found, items: Items, codes: str) -> dict[str, Any]:
    """Return the answer as JSON.

    Args:
        files: the images.
        found: what they retrieve.
        items: the database.
        codes: its file.
    """
    images = []
    for number, file in enumerate(files):
        results = [
            {
                "rank": rank,
                "distance": distance,
                "item": items.number(row),
                "path": items.path(row),
                "labels": items.labels(row),
            }
            for rank, (distance, row) in enumerate(found.pairs(number), 1)
        ]
        images.append(
            {
                "image": str(file),
                "code": np.packbits(found.codes[number].numpy() > 0).tobytes().hex(),
                "distance_to_first_image": found.from_first(number),
                "results": results,
            }
        )
    return {
        "codes": codes,
        "items": len(found.database),
        "bits": found.database.bits,
        "index": found.index,
        "images": images,
    }


def answer_table(files: Sequence[Path], found: Found, items: Items, codes: str) -> Table:
    """Return the answer as a table; see :func:`answer_json`."""
    bits = found.database.bits
    title = f"{codes}: {len(found.database):,} codes of {bits} bits, {found.index}"
    table = Table(title=terminal(title, "table.title"), title_justify="left")
    with_labels = found.database.labels.shape[1] > 0
    for header in ("image", "rank", "distance", "item"):
        table.add_column(header, justify="left" if header == "image" else "right")
    for header, known in (("path", bool(items.paths)), ("labels", with_labels)):
        if known:
            table.add_column(header)
    for number, file in enumerate(files):
        said = [str(file)]
        if number:
            said.append(f"{found.from_first(number)} of {bits} bits from the first")
        pairs = found.pairs(number)
        for rank in range(max(len(pairs), len(said))):
            cells = [said[rank] if rank < len(said) else ""]
            if rank < len(pairs):
                distance, row = pairs[rank]
                cells += [str(rank + 1), str(distance), str(items.number(row))]
                cells += [items.path(row) or ""] if items.paths else []
                cells += [", ".join(items.labels(row))] if with_labels else []
            table.add_row(*map(terminal, cells))
        table.add_section()
    return table


def answer_rows(
    files: Sequence[Path], found: Found, items: Items
) -> list[tuple[Tile, Sequence[Tile]]]:
    """Return the rows of a picture of the first images, see :data:`DRAWN`."""
    first = {row for _, row in found.pairs(0)}
    drawn: dict[int, Tile] = {}
    rows: list[tuple[Tile, Sequence[Tile]]] = []
    for number, file in enumerate(files[:DRAWN]):
        picture = read_picture(file)
        picture.thumbnail((2 * PIXELS, 2 * PIXELS))
        apart = f"\n{found.from_first(number)} bits from the first" if number else ""
        results = []
        for distance, row in found.pairs(number):
            if row not in drawn:
                drawn[row] = Tile(items.image(row), items.caption(row))
            kept = row in first if number else None
            caption = f"d = {distance}\n{drawn[row].caption}"
            results.append(replace(drawn[row], caption=caption, kept=kept))
        rows.append((Tile(np.array(picture), f"{short(file.name)}{apart}"), results))
    return rows


def picture_title(found: Found, codes: str) -> str:
    """Return what stands above a picture: what was searched."""
    bits = found.database.bits
    return visible(f"{Path(codes).name}: {len(found.database):,} codes of {bits} bits")
