"""What YAML is read as, and what is said about YAML that is none."""

import pytest

from lightning_hash.utils.yaml_text import load_yaml


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("lr: 1e-3", {"lr": 0.001}),  # YAML 1.1 alone reads a text
        ("lr: 1E3", {"lr": 1000.0}),
        ("lr: .5e-1", {"lr": 0.05}),
        ("lr: .inf", {"lr": float("inf")}),
        ("when: 2024-05-01", {"when": "2024-05-01"}),
        ("time: 00:08:00:00", {"time": "00:08:00:00"}),
        ("rate: 1/255", {"rate": "1/255"}),
        ("a: 12e", {"a": "12e"}),
        ("version: 1.2.3", {"version": "1.2.3"}),
        ("a: [1, 1.5, true, null]", {"a": [1, 1.5, True, None]}),
        ('"on": 3', {"on": 3}),
        ("base: &b {x: 1}\nmore: {<<: *b, y: 2}", {"base": {"x": 1}, "more": {"x": 1, "y": 2}}),
        ("", None),
        ("# nothing", None),
    ],
)
def test_what_is_read(text, content):
    assert load_yaml(text, "config a.yaml") == content


def test_a_mark_and_other_line_ends():
    assert load_yaml(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "a.yaml") == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a: 1\nb:\n\tc: 2\n", r"is no YAML: line 3, found character '\\t'.*replace the tab"),
        (b"a:\n  b: 1\n c: 2\n", "is no YAML: line 3, .*look at the indentation"),
        (b"a: 1\nb: 2\na: 3\n", "is no config: line 3, key a stands in line 1 too"),
        (b"a:\n- {b: 1}\n- {c: 1, c: 2}\n", "line 3, key c stands in line 3 too"),
        (b"yes: 1\n", "line 1, key yes is read as bool, not as a text; put it in quotes"),
        (b"a: {2: 1}\n", "line 1, key 2 is read as int"),
        (b"null: 1\n", "line 1, key null is read as null"),
        (b"? [1]\n: 2\n", "line 1, key that is a list or mapping is no text"),
        (b"a: caf\xe9\n", r"no UTF-8 text \(of Latin-1\?\) in line 1; save it as UTF-8"),
        ("a: 1".encode("utf-16"), r"no UTF-8 text \(it is UTF-16\)"),
        (b"a: \x07\n", r"line 1, a character that is no text \(0x07\)"),
        (b'a: "C:\\data"\n', r"line 1, .*single quotes, or / in paths"),
        (b"a: 1\n---\nb: 2\n", "line 2, .*remove the line ---"),
        (b"a: *b\n", "line 1, .*put the text in quotes"),
        (b"a: !!python/name:os.system x\n", r"line 1, .*tags \(!\) are not read"),
        (b"a: [1, 2\n", "line 2, "),
        (b"[" * 5000, "nested too deep|line 1"),
    ],
)
def test_what_is_no_config(text, message):
    with pytest.raises(ValueError, match=f"config a.yaml .*{message}") as error:
        load_yaml(text, "config a.yaml")
    assert "\n" not in str(error.value)
