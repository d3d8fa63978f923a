"""Links between README and docs: files, anchors and pictures are there, and each page is listed."""

import re
from html import unescape

import pytest
import yaml

from tests.docs.pages import PAGES, ROOT, without_blocks

DOCS = ROOT / "docs"
LINK = re.compile(r"(!?)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")


def links(page):
    """Return the targets of a page's links, code left out."""
    text = re.sub(r"`[^`\n]*`", "", without_blocks(page))
    return [target for _, target in LINK.findall(text)]


def slug(heading):
    """Return the anchor of a heading, as Python-Markdown's toc makes it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
    text = re.sub(r"[^\w\s-]", "", unescape(text).encode("ascii", "ignore").decode()).strip()
    return re.sub(r"[-\s]+", "-", text.lower())


def anchors(page):
    found = re.findall(r"^#+ +(.*?)(?: *\{ *#([\w-]+) *\})?$", without_blocks(page), re.M)
    return {own or slug(heading) for heading, own in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for target in links(page):
        if re.match(r"https?://|mailto:", target):
            continue
        assert not target.startswith("/"), f"{page}: {target} works on one server only"
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), f"{page}: no {target}"
        if page != ROOT / "README.md":  # the site has nothing of what is outside docs
            assert file.is_relative_to(DOCS), f"{page}: {target} is not in docs"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{page}: {target} has no such heading"


def test_links_are_seen():
    assert sum(len(links(page)) for page in PAGES) > 100


def test_headings_of_a_page_differ():
    for page in PAGES:
        heads = [slug(h) for h in re.findall(r"^#+ +(.*)$", without_blocks(page), re.M)]
        assert len(heads) == len(set(heads)), page


def test_every_page_is_in_the_navigation():
    def pages(entry):
        if isinstance(entry, str):
            return [entry]
        inner = entry.values() if isinstance(entry, dict) else entry
        return [page for each in inner for page in pages(each)]

    listed = pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert sorted(listed) == sorted(str(p.relative_to(DOCS)) for p in DOCS.rglob("*.md"))


def test_every_picture_is_shown():
    shown = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in links(page)
        if target.endswith((".png", ".svg"))
    }
    assert {p for p in DOCS.rglob("*.png")} == shown


def test_building_and_reading_the_site_asks_no_other_server():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert config["theme"]["font"] is False
    assert not {"extra_javascript", "extra_css", "repo_url"} & set(config)
    assert not any("emoji" in str(extension) for extension in config["markdown_extensions"])
