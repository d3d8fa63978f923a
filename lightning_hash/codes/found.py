"""What a search returns."""

from dataclasses import dataclass

from torch import Tensor

from lightning_hash.codes.code_set import CodeSet


@dataclass(frozen=True)
class Found:
    """The nearest items of a database, a row per image.

    Attributes:
        codes: int8 ``(Q, K)`` of -1/+1, of the images.
        distances: int64 ``(Q, k)`` in [0, K], nearest first.
        rows: int64 ``(Q, k)``, rows of the database; at one distance in their order.
        database: what was searched.
        index: what searched.
    """

    codes: Tensor
    distances: Tensor
    rows: Tensor
    database: CodeSet
    index: str

    def pairs(self, number: int) -> list[tuple[int, int]]:
        """Return distance and row of each result of an image, nearest first."""
        distances, rows = (part[number].tolist() for part in (self.distances, self.rows))
        return list(zip(distances, rows, strict=True))

    def from_first(self, number: int) -> int:
        """Return the distance between an image's code and the first image's."""
        return int((self.codes[number] != self.codes[0]).sum())
