"""The leaderboard: what shares a table, what stands first, what a stranger's card may not do."""

import dataclasses
import json
import os
import re
from pathlib import Path

import pytest

import lightning_hash
from lightning_hash.__main__ import main
from lightning_hash.reports.leaderboard import (
    COLUMNS,
    boards_of,
    leaderboard_markdown,
    read_entries,
)
from lightning_hash.results.card_files import read_card, write_card
from lightning_hash.utils.escapes import visible
from tests.helpers.cards import card, check, estimate, queries, targeted, threat, untargeted, weaker
from tests.reports.test_hostile import NAMES
from tests.reports.test_page import Reader

ROOT = Path(lightning_hash.__file__).parent.parent


def named(name, **changes):
    return card(about={"id": name, "by": "A. Name"}, **changes)


def put(folder, *cards):
    for each in cards:
        write_card(folder / f"{each.about['id']}.json", each)
    return folder


def boards(folder):
    entries, left_out = read_entries(folder)
    assert left_out == []
    return boards_of(entries)


def lines(board):
    return [entry.name for entry, _ in board.lines]


class TestTables:
    def test_one_protocol_is_one_table(self, tmp_path):
        other = {**card().victim, "backbone": "convnet", "sha256": "f" * 64}
        put(tmp_path, named("a"), named("b", victim=other), named("c", run={"devices": "2 x cuda"}))
        (board,) = boards(tmp_path)
        assert lines(board) == ["a", "b", "c"]
        assert board.heading == "cifar10, linf-8, suite v1: 100 queries, 5,000 database items"
        assert "at most 8/255; the attacker sees gradients." in board.note

    @pytest.mark.parametrize(
        "changes",
        [
            {"suite": "v1-quick"},
            {"threats": (threat(epsilon="4/255"),)},
            {"threats": (threat(sees="codes", questions=1000),)},
            {"threats": (threat(norm="l2"),)},
            {
                "threats": (
                    threat(
                        untargeted=untargeted(worst=estimate(0.004, n=99), broken=97, members=())
                    ),
                )
            },
            {"threats": (threat(targeted=None),)},
            {"threats": (threat(untargeted=untargeted(k=5)),)},
            {"data": {**card().data, "sha256": {**card().data["sha256"], "query": "other"}}},
            {"data": {**card().data, "inputs_sha256": "other"}},
            {"data": {**card().data, "dataset": "nus-wide"}},
            {"data": {**card().data, "n_query": 101}},
            {"ranking": {**card().ranking, "relevance": "clean"}},
            {"ranking": {**card().ranking, "top_k": 100}},
            {"input_shape": (3, 64, 64)},
        ],
        ids=lambda changes: f"{changes}"[:40],
    )
    def test_another_protocol_is_another_table(self, changes, tmp_path):
        put(tmp_path, named("a"), named("b", **changes))
        found = boards(tmp_path)
        assert sorted(map(lines, found)) == [["a"], ["b"]]
        assert found[0].heading != found[1].heading

    def test_codes_of_a_database_are_each_victims_own(self, tmp_path):
        data = {**card().data, "database_codes": "c" * 64}
        put(tmp_path, named("a"), named("b", data=data))
        assert len(boards(tmp_path)) == 1

    def test_each_threat_has_its_table(self, tmp_path):
        both = (threat(), threat("l2-0.5", norm="l2", epsilon="0.5"))
        put(tmp_path, named("a", threats=both), named("b"))
        assert [lines(board) for board in boards(tmp_path)] == [["a", "b"], ["a"]]

    def test_the_most_robust_stands_first_and_what_is_doubted_last(self, tmp_path):
        def of(name, value, **changes):
            return weaker(named(name, **changes), worst=estimate(value, n=100), members=())

        doubt = (check(failed=True),)
        other = (check(failed=True, threat="l2-3"),)
        more = (threat(), threat("l2-3"))
        put(
            tmp_path, of("low", 0.1), of("high", 0.6), of("masked", 0.9, checks=doubt),
            of("middle", 0.3),
        )  # fmt: skip
        (board,) = boards(tmp_path)
        assert lines(board) == ["high", "middle", "low", "masked"]
        put(tmp_path, of("elsewhere", 0.9, checks=other, threats=more))
        linf, l2 = boards(tmp_path)
        assert lines(linf) == ["elsewhere", "high", "middle", "low", "masked"]
        assert lines(l2) == ["elsewhere"]

    def test_targeted_alone_the_lowest_t_map_stands_first(self, tmp_path):
        def of(name, value):
            side = targeted(worst=estimate(value), members=())
            return named(name, threats=(threat(untargeted=None, targeted=side),))

        put(tmp_path, of("a", 0.9), of("b", 0.2))
        (board,) = boards(tmp_path)
        assert lines(board) == ["b", "a"]


class TestMarkdown:
    def test_a_line_has_the_numbers_in_their_columns(self, tmp_path):
        doubt = (check(failed=True), check("noise", failed=True, threat=None))
        put(tmp_path, named("a-1", checks=doubt))
        text = leaderboard_markdown(boards(tmp_path), {"a-1": "cards/a-1.html"})
        head, rule, line = [each.split(" | ") for each in text.splitlines() if each[:1] == "|"]
        found = dict(zip(COLUMNS, [cell.strip("| ") for cell in line], strict=True))
        assert len(head) == len(rule) == len(line)
        assert found == {
            "id": "[a-1](cards/a-1.html)", "clean MAP": "0.910(15)", "worst-case MAP": "0.004(1)",
            "worst-case t-MAP": "0.900(10)", "broken": "97",
            "failed checks": "2: zero-gradient, noise", "backbone": "resnet18", "bits": "32",
            "loss": "CSQLoss", "data": "cifar10", "by": "A. Name", "weights": "01234567",
        }  # fmt: skip


class TestVerb:
    def test_a_page_a_table_and_a_page_for_each_card(self, tmp_path, capsys):
        put(tmp_path, named("a"), named("b"))
        assert main(["leaderboard", str(tmp_path)]) == 0
        page = tmp_path / "site/index.html"
        assert capsys.readouterr().out == f"2 cards: {page}\n"
        reader = Reader()
        reader.feed(page.read_text())
        assert not reader.open
        links = [attrs["href"] for attrs, _ in reader.all("a")]
        assert links == ["cards/a.html", "cards/b.html"]
        for link in links:
            own = (page.parent / link).read_text()
            assert card().sentence in own
            assert '<a href="../index.html">Leaderboard</a>' in own
        assert "[a](cards/a.html)" in (tmp_path / "site/leaderboard.md").read_text()
        assert 'data-value="0.004">0.004(1)</td>' in page.read_text()
        assert not re.search(r"https?:|@import|url\(|src=", page.read_text())

    def test_a_bad_file_is_named_and_blocks_nothing(self, tmp_path, capsys):
        put(tmp_path, named("a"))
        (tmp_path / "torn.json").write_text("[1,")
        (tmp_path / "deep.json").write_text("[" * 100_000)
        (tmp_path / "other.json").write_text((tmp_path / "a.json").read_text())
        (tmp_path / "folder.json").mkdir()
        os.mkfifo(tmp_path / "pipe.json")
        write_card(tmp_path / "nobody.json", card(about={"id": "nobody"}))
        (tmp_path / "secret").mkdir()
        outside = tmp_path.parent / "outside.json"
        write_card(outside, named("link"))
        (tmp_path / "link.json").symlink_to(outside)
        assert main(["leaderboard", str(tmp_path), "--output", str(tmp_path / "out")]) == 0
        printed = capsys.readouterr()
        assert printed.out.startswith("1 card: ")
        page = (tmp_path / "out/index.html").read_text()
        for name, words in {
            "torn": "is no JSON", "deep": "nested too deeply", "other": "about.id must be the file",
            "folder": "card.json does not exist", "pipe": "is a named pipe",
            "nobody": "about.by must say who", "link": "is a link that leads out of",
        }.items():  # fmt: skip
            (line,) = [each for each in printed.err.splitlines() if f"/{name}.json: " in each]
            assert words in line
            assert f"{name}.json</code>" in page
        assert "cards/a.html" in page

    def test_no_readable_card_is_a_page_that_says_so(self, tmp_path):
        (tmp_path / "torn.json").write_text("[1,")
        assert main(["leaderboard", str(tmp_path)]) == 0
        assert "No card could be read." in (tmp_path / "site/index.html").read_text()
        assert "torn.json" in (tmp_path / "site/index.html").read_text()

    def test_it_does_not_write_through_a_link_out_of_its_folder(self, tmp_path, capsys):
        board = put(tmp_path / "board", named("a"))
        (tmp_path / "outside").mkdir()
        (board / "site").symlink_to(tmp_path / "outside")
        assert main(["leaderboard", str(board)]) == 1
        assert "is a link that leads out of" in capsys.readouterr().err
        (board / "site").unlink()
        (board / "site").mkdir()
        (board / "site/cards").symlink_to(tmp_path / "outside")
        assert main(["leaderboard", str(board)]) == 1
        assert not list((tmp_path / "outside").iterdir())


class TestAdd:
    def add(self, folder, source, *options):
        return main(["leaderboard", str(folder), "--add", str(source), *options])

    def test_a_card_gets_what_its_maker_says(self, tmp_path, capsys):
        write_card(tmp_path / "run", card(queries=queries()))
        about = {"id": "mine", "by": "me", "paper": "https://x.org", "venue": "V", "weights": "w"}
        options = [f"--{name}={text}" for name, text in about.items()]
        assert self.add(tmp_path / "board", tmp_path / "run", *options) == 0
        added = tmp_path / "board/mine.json"
        assert capsys.readouterr().out.splitlines()[0] == str(added)
        assert read_card(added) == dataclasses.replace(card(), about=about)
        assert (tmp_path / "board/site/cards/mine.html").exists()

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--id=a"], "--by is missing: who ran the audit"),
            (["--by=me"], "--id is missing: the name of the card"),
            (["--id=../../a", "--by=me"], "--id must be at most 100 letters, digits"),
            (["--id=.hidden", "--by=me"], "--id must be at most 100 letters, digits"),
            (["--id=there", "--by=me"], "there.json is there already; give another --id"),
            (["--id=dangling", "--by=me"], "dangling.json is there already"),
        ],
    )
    def test_what_cannot_be_added(self, options, said, tmp_path, capsys):
        board = put(tmp_path / "board", named("there"))
        (board / "dangling.json").symlink_to(tmp_path / "absent.json")
        write_card(tmp_path / "run", card())
        assert self.add(board, tmp_path / "run", *options) == 1
        assert said in capsys.readouterr().err
        assert sorted(path.name for path in board.iterdir()) == ["dangling.json", "there.json"]
        assert not (tmp_path / "absent.json").exists()


def test_the_cards_of_this_repository_can_be_read():
    entries, left_out = read_entries(ROOT / "leaderboard")
    assert left_out == []
    assert len(entries) == len(list((ROOT / "leaderboard").glob("*.json")))


@pytest.mark.parametrize("name", [name for name in NAMES if name.isprintable()] + ["\u202eevil"])
def test_a_strangers_names_are_shown_and_obeyed_nowhere(name, tmp_path, capsys):
    def page_of(text):
        victim = {"backbone": text, "bits": 32, "loss": text, "sha256": text, text: text}
        data = {**card().data, "dataset": text, text: text}
        given = card(victim=victim, data=data, about={"id": "a", "by": text or "x"})
        folder = tmp_path / str(len(text))
        put(folder, given)
        bad = json.loads((folder / "a.json").read_text())
        (folder / "b.json").write_text(json.dumps({**bad, "suite": text}))
        assert main(["leaderboard", str(folder)]) == 0
        return folder / "site"

    usual, hostile = page_of("name"), page_of(f"{name} {name}")
    for file in ("index.html", "cards/a.html"):
        tags = []
        for page in (usual, hostile):
            reader = Reader()
            reader.feed((page / file).read_text())
            tags.append([(tag, sorted(attrs)) for tag, attrs, _ in reader.tags])
            said = " ".join(text for text, _ in reader.texts)
        assert tags[0][: len(tags[1])] == tags[1]
        assert visible(f"{name} {name}") in said
    text = (hostile / "leaderboard.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == len(COLUMNS) + 1 for row in rows)
    assert "<script" not in text
    said = capsys.readouterr().err
    assert all(line.isprintable() for line in said.splitlines())
