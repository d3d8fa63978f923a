"""Links between README and docs: files, anchors and pictures are there, and each page is listed."""

import re
from html import unescape

import pytest
import yaml

from tests.docs.notebook import NOTEBOOKS, read
from tests.docs.pages import PAGES, ROOT, without_blocks

DOCS = ROOT / "docs"
LINK = re.compile(r"\]\(([^()\s]+)\)")


def links(page):
    """Return the targets of a page's links, code left out."""
    text = re.sub(r"`[^`\n]*`", "", without_blocks(page))
    return LINK.findall(text)


def slug(heading):
    """Return the anchor of a heading, as Python-Markdown's toc makes it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
    text = re.sub(r"[^\w\s-]", "", unescape(text).encode("ascii", "ignore").decode()).strip()
    return re.sub(r"[-\s]+", "-", text.lower())


def anchors(page):
    found = re.findall(r"^#+ +(.*?)(?: *\{ *#([\w-]+) *\})?$", without_blocks(page), re.M)
    return {own or slug(heading) for heading, own in found}


def broken(page, docs=DOCS):
    """Yield what is wrong with the links of a page."""
    for target in links(page):
        if re.match(r"https?://|mailto:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if target.startswith("/"):
            yield f"{target} works on one server only"
        elif not file.is_file():
            yield f"{target} does not exist"
        elif page.is_relative_to(docs) and not file.is_relative_to(docs):
            yield f"{target} is not in docs, and so not on the site"
        elif anchor and anchor not in anchors(file):
            yield f"{target} has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    assert list(broken(page)) == []


@pytest.mark.parametrize(
    "link",
    [
        "[a](none.md)", "![a](none.png)", "[a](#none)", "[a](page.md#none)", "[a](/page.md)",
        "[a](../outside.md)", "[![a](none.png)](page.md)",
    ],
)  # fmt: skip
def test_a_link_that_leads_nowhere_is_noticed(tmp_path, link):
    docs = tmp_path / "docs"
    docs.mkdir()
    (tmp_path / "outside.md").write_text("# Outside\n")
    page = docs / "page.md"
    page.write_text(f"# What is `a`, b?\n\n[a](page.md#what-is-a-b), `[a](none.md)`\n\n{link}\n")
    assert len(list(broken(page, docs))) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_link_of_a_notebook_leads_somewhere(path):
    cells = read(path)["cells"]
    text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    targets = [t for t in LINK.findall(text) if not t.startswith("http")]
    assert len(targets) >= 3
    assert [t for t in targets if not (path.parent / t).is_file()] == []


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
    there = [p.relative_to(DOCS) for p in DOCS.rglob("*.md")]
    there += [p.relative_to(DOCS).with_name(f"{p.stem}_notebook.md") for p in NOTEBOOKS]
    assert sorted(listed) == sorted(map(str, there))


def test_every_picture_is_shown():
    shown = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in links(page)
        if target.endswith((".png", ".svg"))
    }
    assert set(DOCS.rglob("*.png")) == shown


def test_building_and_reading_the_site_asks_no_other_server():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert config["theme"]["font"] is False
    assert not {"extra_javascript", "repo_url"} & set(config)
    assert all((DOCS / sheet).is_file() for sheet in config["extra_css"])
    assert not any("emoji" in str(extension) for extension in config["markdown_extensions"])
