"""A report as one HTML page that needs no other file and no network."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

from jinja2 import Environment, PackageLoader, StrictUndefined

from lightning_hash.reports.grid import Grid
from lightning_hash.utils.escapes import visible


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of the page.

    Attributes:
        title: its heading.
        caption: what is said below it.
        content: a PNG.
    """

    title: str
    caption: str
    content: bytes

    @property
    def png(self) -> str:
        """The PNG in base64."""
        return base64.b64encode(self.content).decode()


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page.

    Attributes:
        name: its anchor.
        title: its heading.
        text: what is said first.
        grids: its tables.
        pictures: its pictures, behind the tables.
        items: names and what is said of each, last.
    """

    name: str
    title: str
    text: str = ""
    grids: Sequence[Grid] = field(default=())
    pictures: Sequence[Picture] = field(default=())
    items: Sequence[tuple[str, str]] = field(default=())


def render_page(title: str, made: str, sections: Sequence[Section]) -> str:
    """Write the page.

    Args:
        title: of the page.
        made: of what and by what it was made.
        sections: its parts; those without content are left out.

    Returns:
        HTML.
    """
    environment = Environment(
        loader=PackageLoader("lightning_hash.reports", "."), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True,
        finalize=lambda value: visible(value, keep="\n") if isinstance(value, str) else value,
    )  # fmt: skip
    environment.filters["zip"] = zip
    shown = [each for each in sections if each.grids or each.pictures or each.items]
    return environment.get_template("page.html.j2").render(title=title, made=made, sections=shown)
