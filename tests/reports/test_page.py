"""The page of a report: what comes first, what is folded, and whether everybody can read it."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imsave

import lightning_hash
from lightning_hash.__main__ import main
from lightning_hash.results.rows import write_results
from tests.reports.rows import row, run
from tests.reports.test_folders import write

REPORTS = Path(lightning_hash.__file__).parent / "reports"


class Reader(HTMLParser):
    """Every tag with its attributes and what it stands in."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.texts = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs), list(self.open)))
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if data.strip():
            self.texts.append((data, list(self.open)))

    def all(self, name):
        return [(attrs, inside) for tag, attrs, inside in self.tags if tag == name]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """HAG with strips and a doubt, DHTA with strips, noise without."""
    root = tmp_path_factory.mktemp("page")
    runs = {
        "hag": [*run("hag", 0.25), row(value=0.6, iteration=50, warnings=["hardly any budget"])],
        "dhta": run("dhta", 0.5),
        "noise": [row(attack="noise", value=0.88), row(attack="noise", value=0.88, quantized=True)],
    }
    for name, rows in runs.items():
        write(root / "runs" / name, rows)
    for name in ("hag", "dhta"):
        for query in range(4):
            path = root / "runs" / name / "strips" / f"{query:06d}.png"
            path.parent.mkdir(exist_ok=True)
            imsave(path, np.full((30, 160, 3), 0.5))
    (root / "runs" / "torn").mkdir()
    (root / "runs" / "torn" / "results.json").write_text("[")
    assert main(["report", str(root / "runs"), "--output", str(root / "out")]) == 0
    return (root / "out" / "index.html").read_text()


@pytest.fixture(scope="module")
def reader(page):
    found = Reader()
    found.feed(page)
    assert not found.open
    return found


def test_answers_come_first_and_known_values_last(page, reader):
    order = [
        'class="headline"', 'class="chart"', "hag on photos, query 0", "dhta on photos, query 0",
        "hag on photos, query 1", 'id="figures"', 'id="overview"', 'id="tables"', 'id="examples"',
        "dhta on photos, query 1", 'id="published"', 'id="left_out"',
    ]  # fmt: skip
    body = page[page.index("<main>") :]
    places = [body.index(f"{text}<" if "query" in text else text) for text in order]
    assert places == sorted(places)
    first = body[: body.index('id="figures"')]
    assert first.count("<img") == 3
    assert "hag weakens retrieval, MAP falls from 0.900 to 0.250, by 72%." in first
    assert body.count("hag on photos, query 0</h3>") == 1
    links = {attrs["href"] for attrs, _ in reader.all("a")}
    assert links == {f"#{attrs['id']}" for attrs, _ in reader.all("h2")}


def test_protocols_and_known_values_are_folded_and_doubts_are_not(reader):
    where = dict(reader.texts)
    protocol = next(text for text in where if text.startswith("hag: 100 iterations"))
    assert "details" in where[protocol]
    known = next(text for text in where if text.startswith("DHTA Table 6"))
    assert "details" in where[known]
    assert "details" not in where["Attacks: photos, convnet, 32 bits"]
    doubts = [text for text in where if text.endswith(": warning: hardly any budget")]
    assert doubts
    assert not any("details" in where[text] for text in doubts)
    own = [i for a, i in reader.all("table") if "details" not in i]
    assert len(own) == 5  # attacks; HAG Table I; DHTA Tables 1, 3 and 5
    assert not [attrs for attrs, _ in reader.all("details") if "open" in attrs]


def test_everybody_can_read_it(page, reader):
    texts = [attrs["alt"] for attrs, _ in reader.all("img")]
    assert all(len(text) > 20 for text in texts)
    assert len(set(texts)) == len(texts)
    assert any("precision against N, items retrieved; lines: 32 bits, 32 bits*" in t for t in texts)
    (chart,) = [a for tag, a, _ in reader.tags if a.get("role") == "img"]
    assert "hag: MAP 0.900 clean, 0.250 attacked" in chart["aria-label"]
    names = {attrs["id"] for attrs, _ in reader.all("h3")}
    assert len(names) == len(reader.all("h3"))
    scrolling = [a for _, a, _ in reader.tags if a.get("class") == "wide"]
    assert all(a["tabindex"] == "0" and a["aria-labelledby"] in names for a in scrolling)
    assert all(attrs["scope"] == "col" for attrs, _ in reader.all("th"))
    assert 'name="viewport" content="width=device-width' in page
    assert "@media (prefers-color-scheme: dark)" in page
    assert ":focus-visible" in page
    assert not re.search(r"https?:|@import|url\(", page)  # no network


def test_tables_can_be_sorted_by_the_numbers_themselves(page, reader):
    assert all(attrs["class"] == "sortable" for attrs, _ in reader.all("table"))
    assert "button" not in {tag for tag, *_ in reader.tags}  # without a script it would do nothing
    assert 'data-value="0.25">0.2500</td>' in page
    assert 'data-value="0.5">50.00</td>' in page  # a table in percent
    rows = re.findall(r"<tr.*?</tr>", page, re.DOTALL)
    for cells in (re.findall(r"<t[dh]", each) for each in rows):
        assert len(cells) > 1
    assert len(reader.all("script")) == 1


def brightness(colour):
    """Return the relative luminance (WCAG 2.2) of #rrggbb."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((brightness(one), brightness(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_in_both_modes():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    css = (REPORTS / "page.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    modes = [dict(re.findall(r"--(\w+): (#\w{6})", text)) for text in (light, dark)]
    assert modes[0].keys() == modes[1].keys()
    for mode in modes:
        for name in ("text", "muted", "link", "published", "doubt"):
            for ground in ("page", "panel"):
                assert contrast(mode[name], mode[ground]) >= 4.5, (name, ground)
        for name in ("clean", "attacked"):  # bars
            assert contrast(mode[name], mode["panel"]) >= 3


def test_strips_are_small_enough_for_a_page_below_2_mb(tmp_path):
    """The demo has four attacks with three strips each, and 0.3 MB of curves."""
    noise = np.random.default_rng(0).normal(0, 0.1, (302, 1669, 3))
    smooth = np.linspace(0, 1, 1669)[None, :, None]
    folder = tmp_path / "hag"
    (folder / "strips").mkdir(parents=True)
    write_results(folder / "results.json", run("hag", 0.25))
    for query in range(3):
        imsave(folder / "strips" / f"{query:06d}.png", np.clip(smooth + noise / 4, 0, 1))
    assert main(["report", str(folder), "--output", str(tmp_path / "out")]) == 0
    png = sum(path.stat().st_size for path in (folder / "strips").iterdir())
    webp = (tmp_path / "out" / "index.html").stat().st_size
    assert webp < png / 3
