"""The page and the picture of a card: what is said, what is folded, what names may not do."""

import dataclasses
import io
import re

import numpy as np
import pytest
from PIL import Image

from lightning_hash.reports.audit_card import AuditCard
from lightning_hash.reports.card_chart import HEIGHT, LEFT, RIGHT, TOP, WIDTH, chart_of
from lightning_hash.reports.card_page import render_card, web_address
from lightning_hash.reports.card_png import draw_card
from lightning_hash.reports.page import Picture
from lightning_hash.results.card import Card, Point
from lightning_hash.results.card_files import read_card
from lightning_hash.utils.escapes import visible
from tests.helpers.cards import card, check, estimate, member, queries, threat, untargeted
from tests.reports.test_hostile import NAMES
from tests.reports.test_page import Reader


def png(width=300, height=60, colour=(200, 30, 30)):
    content = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(content, "PNG")
    return content.getvalue()


def strips(count=6, title="query {}"):
    return [
        Picture(title=title.format(n), alt=f"strip of query {n}", caption=f"{n}", content=png())
        for n in range(count)
    ]


def read(page):
    reader = Reader()
    reader.feed(page)
    assert not reader.open
    return reader


DOUBTED = card(
    queries=queries(),
    checks=(check(failed=True), check("noise"), check("train-mode", threat=None)),
    threats=(threat(), threat("l2-0.5", norm="l2", epsilon="0.5", smallest=())),
)


@pytest.fixture(scope="module")
def page():
    return render_card(DOUBTED, strips())


@pytest.fixture(scope="module")
def reader(page):
    return read(page)


class TestPage:
    def test_the_sentence_comes_first_then_numbers_strips_members(self, page):
        body = page[page.index("<main>") :]
        order = [
            DOUBTED.sentence, "Of 100 queries 80 retrieve nothing but items of their targets",
            "Half of the queries lose all", "zero-gradient (linf-8): No gradient reaches 12 %",
            'class="chart"', "<svg", "query 0<", "query 5<", ">apgd-ranking<", "All checks",
            "All queries", "Protocol<",
        ]  # fmt: skip
        places = [body.index(text) for text in order]
        assert places == sorted(places)
        assert body.count("<img") == 6

    def test_warnings_are_not_folded_and_the_protocol_is(self, reader):
        where = dict(reader.texts)
        doubt = next(text for text in where if text.startswith("zero-gradient (linf-8)"))
        assert "details" not in where[doubt]
        assert "details" in where["ranking.normalizer"]
        assert "details" in where["threats.l2-0.5.epsilon"]
        member_doubt = threat(
            untargeted=untargeted(
                members=(member("hag", 0.01, 9, warnings=("hardly any budget",)),)
            )
        )
        assert "linf-8, hag: hardly any budget" in render_card(card(threats=(member_doubt,)))

    def test_bars_are_as_long_as_the_numbers(self, page):
        bars = re.findall(r'<div class="bar([ \w]*)" style="--value: ([\d.]+)">', page)
        assert bars[:6] == [
            ("", "0.91"), (" attacked", "0.004"), (" noise", "0.909"),
            ("", "0.1"), (" attacked", "0.9"), (" noise", "0.1"),
        ]  # fmt: skip
        assert len(bars) == 12

    def test_everybody_can_read_it(self, page, reader):
        images = [attrs["alt"] for attrs, _ in reader.all("img")]
        assert images == [f"strip of query {n}" for n in range(6)]
        charts = [attrs["aria-label"] for attrs, _ in reader.all("svg")]
        assert charts[0].startswith("Worst-case MAP against epsilon, linf-8: 0: 0.910(15); 1/255")
        ids = [attrs["id"] for _, attrs, _ in reader.tags if "id" in attrs]
        assert len(set(ids)) == len(ids)
        wide = [a for _, a, _ in reader.tags if a.get("class") == "wide"]
        assert all(a["tabindex"] == "0" for a in wide)
        assert {a["href"] for a, _ in reader.all("a")} == {"#strips", "#members", "#all"}
        assert "@media (prefers-color-scheme: dark)" in page
        assert not re.search(r"https?:|@import|url\(|src=\"(?!data:)", page)  # no other file

    def test_tables_sort_by_numbers(self, page, reader):
        sortable = [a for a, _ in reader.all("table") if a["class"] == "sortable"]
        assert len(sortable) == 4  # members of two threats, checks, queries
        assert 'data-value="0.012">0.012(2)</td>' in page
        assert 'data-value="412.5">412</td>' in page

    def test_strips_are_a_quarter_as_large(self, page):
        assert page.count("data:image/webp;base64,") == 6

    def test_what_is_not_there_is_not_said(self):
        bare = card(threats=(threat(targeted=None, curve=(), smallest=()),), checks=())
        found = render_card(bare)
        assert "<svg" not in found
        assert "Worst queries" not in found
        assert "Half of the queries" not in found
        assert "t-MAP, linf-8" not in found

    def test_few_queries_with_a_smallest_epsilon_have_no_median(self):
        found = card(threats=(threat(smallest=(0.1, *[None] * 9)),))
        assert "Of 1 of 10 queries a smallest epsilon is known, linf-8." in render_card(found)

    def test_medians_are_of_all_queries(self):
        sizes = tuple(n / 255 for n in range(1, 10))
        found = render_card(card(threats=(threat(smallest=(*sizes, None)),)))
        # Of ten queries one is at most 1/255, five at most 5/255, nine of them at all.
        assert "at an epsilon of 5/255 or less, a tenth at 1/255 or less (linf-8, 9 of" in found

    def test_links_are_of_the_web_alone(self):
        about = {"id": "a", "paper": "javascript:alert(1)", "weights": "https://x.org/w.pt"}
        found = read(render_card(card(about=about), back="../index.html"))
        links = [attrs["href"] for attrs, _ in found.all("a")]
        assert [link for link in links if not link.startswith("#")] == [
            "../index.html", "https://x.org/w.pt",
        ]  # fmt: skip
        assert web_address("https://a\n") == web_address("//a") == web_address("data:x") == ""


class TestChart:
    def test_corners_are_where_the_numbers_are(self):
        chart = chart_of(card(), threat())
        width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - 40
        first, *_, last = chart.marks
        assert (first.x, first.y) == (LEFT, pytest.approx(TOP + 0.09 * height, abs=0.06))
        assert (last.x, last.y) == (LEFT + width, TOP + height)
        assert first.low - first.high == pytest.approx(0.06 * height, abs=0.11)
        half = next(mark for mark in chart.marks if mark.said.startswith("8/255"))
        assert half.x == LEFT + width / 2
        assert chart.broken[0] == (LEFT, TOP + height)
        assert chart.broken[-1] == (LEFT + width, pytest.approx(TOP + 0.03 * height, abs=0.06))

    def test_without_single_queries_the_broken_are_those_of_the_curve(self):
        chart = chart_of(card(), threat(smallest=()))
        height = HEIGHT - TOP - 40
        assert [round((TOP + height - y) / height, 2) for _, y in chart.broken] == [
            0, 0, 0.2, 0.4, 0.6, 0.8,
        ]  # fmt: skip

    def test_names_on_the_axis_do_not_touch_and_the_threat_is_named(self):
        texts = [tick.text for tick in chart_of(card(), threat()).x_ticks]
        assert texts == ["0", "2/255", "4/255", "8/255", "16/255"]
        close = tuple(Point(epsilon=f"0.{n}", worst=estimate(0.1), broken=0) for n in range(11, 60))
        chart = chart_of(card(), threat(epsilon="0.55", curve=close))
        places = [tick.at for tick in chart.x_ticks]
        assert min(np.diff(places)) >= 42
        assert "0.55" in [tick.text for tick in chart.x_ticks]

    def test_nothing_measured_is_no_chart(self):
        assert chart_of(card(), threat(curve=())) is None
        assert chart_of(card(), threat(untargeted=None)) is None


class TestSave:
    def test_a_card_is_saved_whole(self, tmp_path):
        given = AuditCard.of(card(queries=queries()), strips(2))
        page = given.save(tmp_path / "out")
        assert page == tmp_path / "out/card.html"
        assert sorted(path.name for path in page.parent.iterdir()) == [
            "card.html", "card.json", "card.png", "queries.csv",
        ]  # fmt: skip
        assert read_card(page.parent) == card(queries=queries())
        assert AuditCard.load(page.parent) == AuditCard.of(card(queries=queries()))
        assert page.read_text().count("<img") == 2
        with Image.open(page.with_name("card.png")) as picture:
            assert (picture.format, picture.size) == ("PNG", (1200, 630))

    def test_a_card_that_cannot_be_leaves_nothing(self, tmp_path):
        with pytest.raises(ValueError, match="out is not written: chance must be from 0 to 1"):
            AuditCard.of(card(chance=2.0)).save(tmp_path / "out")
        assert not list(tmp_path.iterdir())

    def test_a_card_with_pictures_is_a_card(self):
        given = AuditCard.of(card(), strips(1))
        assert isinstance(given, Card)
        assert (given.map, given.worst_map, given.sentence) == (0.91, 0.004, card().sentence)
        assert "pictures" not in repr(given)


def pixels(content):
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def share_of(image, colour):
    return float((np.abs(image - np.array(colour)).sum(-1) < 30).mean())


class TestPicture:
    def test_bars_are_as_long_as_the_numbers(self):
        blue, orange = (0, 114, 178), (213, 94, 0)
        bare = {"curve": (), "smallest": (), "targeted": None}
        some = pixels(draw_card(card(threats=(threat(**bare),))))
        half = untargeted(worst=estimate(0.455), members=())
        more = pixels(draw_card(card(threats=(threat(**bare, untargeted=half),))))
        assert share_of(some, blue) == share_of(more, blue) > 0.02
        assert share_of(some, orange) < share_of(more, orange)
        assert share_of(more, orange) == pytest.approx(share_of(more, blue) / 2, rel=0.1)

    def test_every_card_is_drawn_without_a_cut(self):
        long = tuple(check(f"check-number-{n}", failed=True) for n in range(20))
        for each in (
            card(checks=long),
            card(threats=tuple(threat(f"linf-{n}") for n in range(9)), checks=()),
            card(threats=(threat(untargeted=None, targeted=None, curve=()),)),
            card(victim={}, data={}, run={}, ranking={}), DOUBTED,
        ):  # fmt: skip
            image = pixels(draw_card(each))
            assert image.shape == (630, 1200, 3)
            edges = (image[:8], image[-8:], image[:, :8], image[:, -8:])
            assert min(edge.min() for edge in edges) == 255


def hostile(name):
    """Return a card in which every text is a stranger's."""
    named = check(said=name, remedy=name, failed=True)
    side = untargeted(members=(member("hag", 0.01, 9, warnings=(name,), attack={name: name}),))
    query = dataclasses.replace(queries()[0], path=name, label=name, target=name)
    parts = {part: {"loss": name, name: name} for part in ("victim", "data", "ranking", "run")}
    return card(
        threats=(threat(untargeted=side),), checks=(named,), queries=(query,),
        about=dict.fromkeys(("id", "paper", "venue", "weights", "by"), name), **parts,
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_page_shows_a_name_and_obeys_nothing(name):
    picture = [Picture(title=name, alt=name, caption=name, content=png())]
    usual = read(render_card(hostile("name"), [dataclasses.replace(strips(1)[0], title="name")]))
    found = render_card(hostile(name), picture)
    reader = read(found)
    shape = [(tag, sorted(attrs)) for tag, attrs, _ in reader.tags]
    assert shape == [(tag, sorted(attrs)) for tag, attrs, _ in usual.tags]
    said = " ".join(text for text, _ in reader.texts)
    assert said.count(visible(name, keep="\n")) >= 12
    assert not [a for a, _ in reader.all("a") if not a["href"].startswith(("#", "http"))]
    found.encode()


@pytest.mark.parametrize("name", [*NAMES, "x" * 5000])
def test_a_picture_draws_any_name(name):
    assert draw_card(hostile(name)).startswith(b"\x89PNG")
