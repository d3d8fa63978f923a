"""A card with its pictures, which is saved as files and as a page."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from lightning_hash.reports.card_page import render_card
from lightning_hash.reports.card_png import draw_card
from lightning_hash.reports.page import Picture
from lightning_hash.results.card import Card
from lightning_hash.results.card_files import check_card, read_card, write_card
from lightning_hash.utils.text_files import utf8
from lightning_hash.utils.whole_file import write_whole

PAGE, PICTURE = "card.html", "card.png"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuditCard(Card):
    """A card that can be saved, with strips of its worst queries.

    Attributes:
        pictures: strips of the worst queries, as PNG; they stand in the page alone.
    """

    pictures: tuple[Picture, ...] = dataclasses.field(default=(), repr=False)

    @classmethod
    def of(cls, card: Card, pictures: Sequence[Picture] = ()) -> "AuditCard":
        """Add pictures to a card.

        Args:
            card: the card.
            pictures: strips of its worst queries, as PNG.
        """
        fields = {each.name: getattr(card, each.name) for each in dataclasses.fields(Card)}
        return cls(**fields, pictures=tuple(pictures))

    @classmethod
    def load(cls, place: Path | str) -> "AuditCard":
        """Read a card; its pictures stand in its page alone.

        Args:
            place: a folder with a ``card.json``, or a ``.json`` file.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if a file is no card; names file, field and value.
        """
        return cls.of(read_card(place))

    def save(self, folder: Path | str) -> Path:
        """Write ``queries.csv``, ``card.html``, ``card.png`` and, last, ``card.json``.

        Args:
            folder: where; it is made.

        Returns:
            The page.

        Raises:
            ValueError: if the card says what no card can; nothing is written.
            OSError: if a file cannot be written.
        """
        place = Path(folder)
        check_card(self, str(place))
        page, picture = render_card(self, self.pictures), draw_card(self)
        write_whole(place / PAGE, utf8(page))
        write_whole(place / PICTURE, picture)
        write_card(place, self)
        return place / PAGE
