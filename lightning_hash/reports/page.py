"""A report as one HTML page that needs no other file and no network."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from lightning_hash.reports.grid import Grid
from lightning_hash.reports.verdict import Verdict
from lightning_hash.utils.escapes import visible

BROAD = 2.5  # width over height


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of the page.

    Attributes:
        title: its heading.
        alt: what it shows, for those who do not see it.
        caption: what is said below it, folded.
        content: the file.
        kind: of the file, png or webp.
    """

    title: str
    alt: str
    caption: str
    content: bytes
    kind: str = "png"

    @property
    def base64(self) -> str:
        """The file in base64."""
        return base64.b64encode(self.content).decode()

    @property
    def broad(self) -> bool:
        """Whether it is so broad that it scrolls on a narrow screen."""
        with Image.open(io.BytesIO(self.content)) as picture:
            return picture.width > BROAD * picture.height


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
        folded: what to open it by, where all but the text is folded; empty shows it.
    """

    name: str
    title: str
    text: str = ""
    grids: Sequence[Grid] = field(default=())
    pictures: Sequence[Picture] = field(default=())
    items: Sequence[tuple[str, str]] = field(default=())
    folded: str = ""


def render_page(
    title: str,
    made: str,
    sections: Sequence[Section],
    verdict: Verdict | None = None,
    first: Sequence[Picture] = (),
) -> str:
    """Write the page.

    Args:
        title: of the page.
        made: of what and by what it was made, said last.
        sections: its parts; those without content are left out.
        verdict: what is said before them.
        first: pictures beside the verdict.

    Returns:
        HTML. Tables are sorted by a click on a heading where the browser runs scripts; all else is
        there without.
    """
    shown = [each for each in sections if each.grids or each.pictures or each.items]
    return render(
        "page.html.j2", title=title, made=made, sections=shown, verdict=verdict, first=first
    )


def render(template: str, **values: object) -> str:
    """Fill a template of this package.

    Args:
        template: its file.
        values: what it is filled with; a text is shown as it is, whatever it holds.

    Returns:
        HTML.
    """
    environment = Environment(
        loader=PackageLoader("lightning_hash.reports", "."), autoescape=True,
        undefined=StrictUndefined, trim_blocks=True,
        finalize=_shown,
    )  # fmt: skip
    environment.filters["zip"] = zip
    return environment.get_template(template).render(**values)


def _shown(value: object) -> object:
    """Return what the page shows of a value; the template's own parts stay as they are."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value, keep="\n")
    return value
