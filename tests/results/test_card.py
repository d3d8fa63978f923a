"""A card as data: its sentence, its attributes, its files, and those of strangers."""

import copy
import csv
import dataclasses
import json
import os
import re

import pytest

from lightning_hash.results.card import Card, Estimate
from lightning_hash.results.card_files import read_card, write_card
from tests.helpers.cards import N, card, check, estimate, queries, targeted, threat, untargeted


def of(**changes):
    return card(threats=(threat(**changes),))


class TestSentence:
    def test_it_is_made_from_the_numbers(self):
        assert card().sentence == (
            "Of 100 queries 97 retrieve nothing relevant among the first 10 after a change of at "
            "most 8/255; the worst case takes MAP from 0.910(15) to 0.004(1)."
        )

    @pytest.mark.parametrize(
        ("broken", "n", "begin"),
        [
            (1, 100, "Of 100 queries 1 retrieves nothing relevant among the first 10"),
            (100, 100, "All 100 queries retrieve nothing relevant among the first 10"),
            (1, 1, "The one query retrieves nothing relevant among"),
            (0, 1, "The one query still retrieves something relevant among"),
            (0, 1000, "All 1,000 queries still retrieve something relevant among the first 10 "
             "after any change of at most 8/255 that was tried; "),
        ],
    )  # fmt: skip
    def test_numbers_of_queries(self, broken, n, begin):
        side = untargeted(broken=broken, worst=estimate(0.004, n=n))
        assert of(untargeted=side).sentence.startswith(begin)

    def test_failed_checks_of_this_threat_and_of_the_victim_are_named(self):
        checks = (
            check(failed=True), check("train-mode", failed=True, threat=None), check("noise"),
            check("restarts", failed=True, threat="l2-3"),
        )  # fmt: skip
        found = card(checks=checks, threats=(threat(), threat("l2-3")))
        assert found.sentence.endswith(
            "to 0.004(1), but 2 checks failed: zero-gradient, train-mode."
        )
        assert found.sentence_of("l2-3").endswith("but 2 checks failed: train-mode, restarts.")

    def test_an_attacker_without_gradients_is_described(self):
        said = of(name="codes-1000", sees="codes", questions=1000).sentence
        assert (
            "after a change of at most 8/255, by an attacker who sees codes alone and asks 1,000 "
            "times a query; the worst" in said
        )

    def test_an_l2_length_is_said_with_the_size_of_the_input(self):
        said = of(name="l2-0.5", norm="l2", epsilon="0.5").sentence
        assert "after a change of L2 length at most 0.5 at 3 x 32 x 32 values; the" in said

    def test_without_labels_the_clean_results_are_what_is_lost(self):
        ranking = {**card().ranking, "relevance": "clean"}
        found = card(ranking=ranking)
        assert found.sentence == (
            "Of 100 queries 97 retrieve none of their clean results among the first 10 after a "
            "change of at most 8/255; the worst case takes MAP, judged by clean results for want "
            "of labels, from 0.910(15) to 0.004(1)."
        )

    def test_targeted_alone(self):
        assert of(untargeted=None).sentence == (
            "Of 100 queries 80 retrieve nothing but items of their targets among the first 10 "
            "after a change of at most 8/255; the worst case takes t-MAP from 0.100(20) to "
            "0.900(10); the anchor codes themselves reach 0.950(10)."
        )
        assert of(untargeted=None).sentence == card().sentence_of("linf-8", targeted=True)
        none = of(untargeted=None, targeted=targeted(broken=0)).sentence
        assert none.startswith("All 100 queries still retrieve something besides items of their")

    def test_a_short_suite_is_named_and_no_attack_is_no_verdict(self):
        assert "the worst case of suite v1-quick takes MAP" in card(suite="v1-quick").sentence
        assert of(untargeted=None, targeted=None).sentence == (
            "Under linf-8 no targeted attack was run: there is no verdict."
        )


class TestAttributes:
    def test_the_first_threat_speaks(self):
        found = card(threats=(threat(), threat("l2-3", untargeted=untargeted(broken=3))))
        assert (found.map, found.worst_map, found.worst_t_map, found.broken) == (
            0.91, 0.004, 0.9, 97,
        )  # fmt: skip
        assert found.threat("l2-3").untargeted.broken == 3
        lone = of(untargeted=None)
        assert (lone.map, lone.worst_map, lone.broken, lone.worst_t_map) == (None, None, None, 0.9)

    def test_an_unknown_threat_is_answered_by_the_known(self):
        with pytest.raises(ValueError, match="no 'linf-9'; there are: linf-8"):
            card().threat("linf-9")

    def test_warnings_are_the_failed_checks(self):
        found = card(checks=(check(), check("noise", failed=True)))
        assert found.warnings == (
            "noise (linf-8): No gradient reaches 12 % of the queries. Look for a sign() or a "
            "saturated tanh in the network.",
        )
        assert [each.name for each in found.failed] == ["noise"]

    def test_an_estimate_shows_its_error_and_epsilon_is_a_number(self):
        assert str(Estimate(value=0.5, se=None, n=1)) == "0.500"
        assert threat().size == 8 / 255
        assert [point.size * 255 for point in threat().curve] == pytest.approx([1, 2, 4, 8, 16])

    def test_the_worst_queries_are_of_different_labels_first(self):
        found = card(queries=queries()).worst_queries(6)
        assert [query.index for query in found] == [99, 98, 97, 96, 95, 94]
        assert len({query.label for query in found[:5]}) == 5
        alone = [q for q in queries() if q.label == "cat"] + [queries()[7], queries()[8]]
        first = card(queries=tuple(alone)).worst_queries(3)
        # The lowest AP, of each label one: frog 8, then the cats; the dog of AP 0.4 last.
        assert [query.label for query in first] == ["cat", "frog", "cat"]
        aimed = card(queries=queries(), threats=(threat(untargeted=None),)).worst_queries(3)
        assert all(query.best["linf-8"][0] == pytest.approx(0.95) for query in aimed)


class TestFiles:
    def test_what_is_written_is_read(self, tmp_path):
        written = card(queries=queries(), about={"id": "a-1", "by": "<b> & ünï"})
        path = write_card(tmp_path / "new/folder", written)
        assert path == tmp_path / "new/folder/card.json"
        assert read_card(path) == read_card(path.parent) == written

    def test_paths_come_back_that_a_spreadsheet_would_obey(self, tmp_path):
        first, *others = queries()
        first = dataclasses.replace(first, path="=cmd()|'a'!A0", label="'tis", target='-x\n,"\r')
        written = card(queries=(first, *others))
        write_card(tmp_path, written)
        assert read_card(tmp_path) == written
        with (tmp_path / "queries.csv").open(newline="") as file:
            row = next(iter(csv.DictReader(file)))
        assert row["path"] == "'=cmd()|'a'!A0"
        assert (row["linf-8/hag"], row["linf-8/square"], row["linf-8/worst_by"]) == (
            "0.008", "", "square",
        )  # fmt: skip

    def test_a_file_of_a_leaderboard_has_no_table(self, tmp_path):
        write_card(tmp_path / "a.json", card(queries=queries()))
        assert os.listdir(tmp_path) == ["a.json"]
        assert read_card(tmp_path / "a.json") == card()

    def test_the_table_of_another_card_goes(self, tmp_path):
        write_card(tmp_path, card(queries=queries()))
        write_card(tmp_path, card())
        assert read_card(tmp_path) == card()
        assert os.listdir(tmp_path) == ["card.json"]

    def test_a_card_that_cannot_be_is_not_written(self, tmp_path):
        with pytest.raises(ValueError, match=r"chance must be from 0 to 1, got 1\.5"):
            write_card(tmp_path, card(chance=1.5))
        with pytest.raises(ValueError, match="chance must be finite, got nan"):
            write_card(tmp_path, card(chance=float("nan")))
        with pytest.raises(
            ValueError, match=r"card.json is not written: .*must be JSON, got \{3\}"
        ):
            write_card(tmp_path, card(run={"version": {3}}))
        assert os.listdir(tmp_path) == []

    def test_queries_that_are_not_those_of_the_numbers(self, tmp_path):
        with pytest.raises(ValueError, match="linf-8/worst must be there of 100 queries, got 99"):
            write_card(tmp_path, card(queries=queries()[1:]))
        first, *others = queries()
        wrong = dataclasses.replace(first, worst={"linf-8": (0.9, "hag")})
        with pytest.raises(ValueError, match=r"must have the mean that the card says, 0\.004"):
            write_card(tmp_path, card(queries=(wrong, *others)))
        wrong = dataclasses.replace(first, worst={"linf-8": (0.0, "nobody")})
        with pytest.raises(
            ValueError, match="worst_by must be a member of the card or 'clean', got 'nobody'"
        ):
            write_card(tmp_path, card(queries=(wrong, *others)))
        wrong = dataclasses.replace(first, members={"linf-8/nobody": 0.0})
        with pytest.raises(ValueError, match="members must be of the card, got 'linf-8/nobody'"):
            write_card(tmp_path, card(queries=(wrong, *others)))

    def test_a_card_that_is_not_there(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="audit writes one at its end"):
            read_card(tmp_path)

    def test_what_a_subclass_has_beside_is_not_written(self, tmp_path):
        @dataclasses.dataclass(frozen=True, kw_only=True)
        class More(Card):
            pictures: tuple[bytes, ...] = ()

        fields = {each.name: getattr(card(), each.name) for each in dataclasses.fields(Card)}
        write_card(tmp_path, More(**fields, pictures=(b"png",)))
        assert read_card(tmp_path) == card()


HUGE = 10**400
DEEP = json.loads("[" * 300 + "]" * 300)
SIDE = "threats.0.untargeted"
BAD = [
    ("schema", 2, "schema must be 1, got 2"),
    ("schema", True, "schema must be 1, got True"),
    ("extra", 1, "extra is no field; known are schema, suite"),
    ("suite", "../v1", "suite must be at most 100 letters"),
    ("suite", None, "suite must be str, got None"),
    ("chance", "0.1", "chance must be float or int, got '0.1'"),
    ("chance", float("nan"), "chance must be finite, got nan"),
    ("chance", float("inf"), "chance must be finite, got inf"),
    ("chance", HUGE, "chance must be at least -1e+100, got 1000"),
    ("threats", [], "threats must not be empty, got []"),
    ("threats", [{}] * 101, "threats must have at most 100 entries, got 101"),
    ("threats.0.smallest", [0] * 100_001, "smallest must have at most 100,000 entries"),
    ("threats", {}, "threats must be a list, got {}"),
    ("threats.0", 3, "threats.0 must be a mapping, got 3"),
    ("threats.0.name", "a/../b", "threats.0.name must be at most 100 letters"),
    ("threats.0.norm", "l1", "threats.0.norm must be linf or l2, got 'l1'"),
    ("threats.0.sees", ["ids"], "threats.0.sees must be gradients or logits"),
    ("threats.0.epsilon", "8/0", "threats.0.epsilon must be a positive number such as 8/255"),
    ("threats.0.epsilon", "1e999999999", "threats.0.epsilon must be a positive number"),
    ("threats.0.epsilon", "0", "threats.0.epsilon must be a positive number"),
    ("threats.0.questions", -1, "threats.0.questions must be at least 0, got -1"),
    ("threats.0.curve.0.epsilon", "8/255", "threats.0.curve must have the smallest epsilon first"),
    ("threats.0.curve.0.broken", 101, "threats.0.curve.0.broken must be from 0 to 100, got 101"),
    ("threats.0.smallest.0", -0.1, "threats.0.smallest.0 must be at least 0, got -0.1"),
    ("threats.0.smallest.0", True, "threats.0.smallest.0 must be float or int, got True"),
    (f"{SIDE}.broken", 101, f"{SIDE}.broken must be from 0 to 100, got 101"),
    (f"{SIDE}.broken", 1.5, f"{SIDE}.broken must be int, got 1.5"),
    (f"{SIDE}.worst.n", 0, f"{SIDE}.worst.n must be at least 1, got 0"),
    (f"{SIDE}.worst.se", -1.0, f"{SIDE}.worst.se must be at least 0, got -1.0"),
    (f"{SIDE}.worst.value", 0.5, f"{SIDE}.worst.value must be at most that of hag, 0.012, got 0.5"),
    ("threats.0.targeted.worst.value", 0.5, "value must be at least that of apgd-anchor, 0.7"),
    (f"{SIDE}.members.0.won", 90, f"{SIDE}.members: together they must have won at most 100"),
    (
        f"{SIDE}.members.0.name", "worst",
        "name must not be one of clean, worst, worst_by, best, best_by",
    ),
    (f"{SIDE}.members.0.name", "square", "members must have different names, got 'square' twice"),
    (f"{SIDE}.members.0.warnings", [1], f"{SIDE}.members.0.warnings.0 must be str, got 1"),
    (f"{SIDE}.members.0.attack", {"a": DEEP}, "is nested too deeply"),
    (f"{SIDE}.members.0.budget_used", 1.5, "budget_used must be from 0 to 1, got 1.5"),
    ("checks.0.threat", "linf-4", "checks.0.threat must be one of threats, got 'linf-4'"),
    ("checks.0.failed", 1, "checks.0.failed must be bool, got 1"),
    ("checks.0.said", "x" * 10_001, "checks.0.said must have at most 10,000 characters"),
    ("victim.bits", "32", "victim.bits must be int or null, got '32'"),
    ("victim.name", "x" * 10_001, "victim.name must have at most 10,000 characters"),
    ("run.version", {"a": 1}, "run.version must be str or null"),
    ("input_shape", [3, 0], "input_shape must hold positive whole numbers, got (3, 0)"),
    ("input_shape", [], "input_shape must hold positive whole numbers"),
    ("about", {"id": "../../etc/passwd"}, "about.id must be at most 100 letters"),
    ("about", {"id": "a" * 101}, "about.id must be at most 100 letters"),
    ("about", {"<script>": "x"}, "about.<script> is no field; known are id, paper"),
    ("about", {"paper": 3}, "about.paper must be str, got 3"),
]  # fmt: skip


@pytest.fixture
def written(tmp_path):
    path = write_card(tmp_path, card(queries=queries()))
    return path, json.loads(path.read_text())


@pytest.mark.parametrize(("place", "value", "said"), BAD)
def test_a_strangers_card_is_refused_by_the_field(place, value, said, written):
    path, content = written
    part = content = copy.deepcopy(content)
    *keys, last = [int(key) if key.isdigit() else key for key in place.split(".")]
    for key in keys:
        part = part[key]
    part[last] = value
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        read_card(path)
    line = str(error.value)
    assert line.startswith(f"{path}: ")
    assert line.endswith("run the audit again, or remove the file")
    assert "\n" not in line
    assert len(line) < 600


def test_a_field_that_is_missing(written):
    path, content = written
    del content["threats"][0]["untargeted"]["k"]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"threats\.0\.untargeted\.k is missing"):
        read_card(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"), (b"[]", "must be a mapping, got []"), (b"\xff\xfe{", "no UTF-8 text"),
        (b"[" * 200_000, "nested too deeply"), (b'{"schema": 1, "schema": 1}', "stands twice"),
        (b'{"schema": ' + b"1" * 5000 + b"}", "is no JSON"),
        (b" " * (16 * 2**20 + 1), "at most 16"),
        (b'{"schema": 1', "is no JSON: line 1"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_card(content, said, tmp_path):
    path = tmp_path / "card.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        read_card(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("name", ["card.json", "queries.csv"])
def test_a_link_that_leads_out_of_the_folder_is_not_followed(name, written, tmp_path):
    path, _ = written
    inside, outside = path.with_name(name), tmp_path.parent / f"secret-{name}"
    inside.rename(outside)
    inside.symlink_to(outside)
    with pytest.raises(ValueError, match=f"{name} is a link that leads out of"):
        read_card(path.parent)


def test_a_pipe_keeps_nobody_waiting(tmp_path):
    os.mkfifo(tmp_path / "card.json")
    with pytest.raises(ValueError, match="is a named pipe"):
        read_card(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("linf-8/hag,", "linf-8/huh,", "its columns must be those of the card beside it, got no "),
        ("best_by\n", "best_by,x\n", "a column 'x' too many"),
        ("\n0,test", "\nzero,test", "row 1: index must be a whole number, got 'zero'"),
        ("\n0,test", "\n-1,test", "row 1: index must be at least 0, got -1"),
        ("\n1,test", "\n1,2,test", "row 2 must have 19 cells, got 20"),
        (",0.9,0.008,", ",nan,0.008,", "row 1: clean must be finite, got nan"),
        (",0.9,0.008,", ",1.1,0.008,", "row 1: clean must be from 0 to 1, got 1.1"),
        (",0.9,0.008,", ",0.9,x,", "row 1: linf-8/hag must be a number, got 'x'"),
        ("\n0,", '\n"0', "unexpected end of data"),
    ],
)  # fmt: skip
def test_a_strangers_table(old, new, said, written):
    path, _ = written
    table = path.with_name("queries.csv")
    text = table.read_text()
    assert text.count("\n") == N + 1
    assert old in text
    table.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        read_card(path)
    assert str(table) in str(error.value)
