r"""Texts of others, written so that what shows them takes nothing in them for its own commands.

A class name, a label, a path, a run's or a checkpoint's own words may come from a file of somebody
else. Every kind of output has one function here; each shows the text as it is and obeys nothing.
"""

import csv
import io
import math
import os
import re
import shlex
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text


LONGEST = 200  # characters of a figure's text
# Leading signs by which a spreadsheet takes a cell for a formula or hides it, and the mark itself.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {
        "\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
        "<": r"\textless{}", ">": r"\textgreater{}", "`": r"\textasciigrave{}",
        "±": r"$\pm$", "ε": r"$\epsilon$", "α": r"$\alpha$", "×": r"$\times$",  # noqa: RUF001
    }
)  # fmt: skip
_RICH = re.compile(r"[\[\\]|:\S*?:")
_HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # no byte that Python has escaped
# What Markdown takes for markup, within a line and at its start, and for links without brackets; an
# underscore within a word is none.
_MARKDOWN = re.compile(
    r"[\\|*`\[$~@]|(?<!\w)_|_(?!\w)|:(?=//)|(?<=\bwww)\.|^#|^[-+](?=[-+\s]|$)|^\d{1,9}[.)](?=\s|$)"
)


def visible(text: str, keep: str = "") -> str:
    r"""Return a text without signs that a terminal obeys or hides: each is shown as Python does.

    Escape codes, line breaks, signs that turn the direction of writing and bytes that are no UTF-8
    are written as escapes; all else stays.

    Args:
        text: any.
        keep: signs that stay, such as line breaks of the program's own.

    Example:
        >>> print(visible("red \x1b[31m, two\nlines, \u202eback"))
        red \x1b[31m, two\nlines, \u202eback
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in text)


def terminal(text: str, style: str = "", keep: str = "") -> "str | Text":
    """Return a text that rich prints as it is: neither markup nor emoji nor escape codes.

    What rich would take for nothing else stays a plain string.

    Args:
        text: any.
        style: of rich, such as ``table.title``, where it does not take that from the place.
        keep: as in :func:`visible`.

    Example:
        >>> terminal("[old] :bomb:"), terminal("old")
        (<text '[old] :bomb:' [] ''>, 'old')
    """
    shown = visible(text, keep)
    if not _RICH.search(shown):
        return shown
    from rich.text import Text  # help and --version do without

    return Text(shown, style)


def shell(words: Iterable[str]) -> str:
    r"""Return a command in one line, which bash takes apart into these very words.

    Args:
        words: a program and its arguments; bytes that are no UTF-8 as Python escapes them.

    Raises:
        ValueError: if a word holds a NUL, which no command can.

    Example:
        >>> print(shell(["echo", "a b", "two\nlines", "$(id)"]))
        echo 'a b' $'two\nlines' '$(id)'
    """
    return " ".join(map(_word, words))


def _word(word: str) -> str:
    if "\0" in word or _HALF.search(word):
        msg = f"a command can hold no NUL and no half of a character, got {word!r}; leave it out"
        raise ValueError(msg)
    return shlex.quote(word) if word.isprintable() else f"$'{''.join(map(_ansi, word))}'"


def _ansi(character: str) -> str:
    """Write a character between ``$'`` and ``'``, in bytes: these are the same in every locale."""
    if character in "\\'":
        return f"\\{character}"
    if character.isprintable():
        return character
    if character in "\n\r\t":
        return repr(character)[1:-1]
    return "".join(f"\\{byte:03o}" for byte in os.fsencode(character))


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    r"""Write rows as CSV, in which no spreadsheet finds a formula.

    A text that begins with ``= + - @``, a tab, a line break or ``'`` gets a ``'`` in front: whoever
    reads the cells and takes one ``'`` off the front of each has the texts again. Numbers stay
    numbers, also those in a text.

    Args:
        rows: texts, numbers and ``None``, which is an empty cell; bytes of paths that are no UTF-8
            as Python escapes them, which ``encode(errors="surrogateescape")`` undoes.

    Example:
        >>> csv_text([["=cmd()", "-0.5", -1, None], ["a\rb", "'tis"]])
        '\'=cmd(),-0.5,-1,\n"a\rb","\'\'tis"\n'
    """
    file = io.StringIO()
    usual = csv.writer(file, lineterminator="\n")
    quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        cells = [_cell(value) for value in row]
        broken = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (quoted if broken else usual).writerow(cells)  # csv itself puts no quotes around a \r
    return file.getvalue()


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = _HALF.sub(lambda found: visible(found[0]), value)
    return f"'{text}" if text.startswith(_FORMULA) and not _are_numbers(text) else text


def _are_numbers(text: str) -> bool:
    """Return whether a text is a number, or several parted by blanks."""
    try:
        return "_" not in text and all(math.isfinite(float(each)) for each in text.split(" "))
    except ValueError:
        return False


def latex(text: str) -> str:
    r"""Return a text that LaTeX prints as it is, in one line, also where a line of a table begins.

    Example:
        >>> print(latex(r"\input{x} 5% --b"), latex("[a]"))
        \textbackslash{}input\{x\} 5\% -{}-b {}[a]
    """
    plain = visible(" ".join(text.split())).translate(_LATEX)
    plain = re.sub("-(?=-)", "-{}", plain).replace("–", "--")  # noqa: RUF001 - LaTeX's own sign
    return f"{{}}{plain}" if plain.startswith(("[", "*")) else plain  # an option of the line before


def markdown(text: str) -> str:
    r"""Return a text that Markdown shows as it is, in one line.

    Example:
        >>> markdown("a|b, n_t, HAG*, <i>")
        'a\\|b, n_t, HAG\\*, &lt;i&gt;'
    """
    plain = visible(" ".join(text.split()))
    plain = re.sub(r"&(?=#?\w+;)", "&amp;", plain).replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(lambda found: f"{found[0][:-1]}\\{found[0][-1]}", plain)


def figure_text(text: str) -> str:
    r"""Return a text that matplotlib draws as it is: a dollar begins no formula.

    Nor does an underscore in front hide it from a legend. What is far too long for a figure is cut.

    Example:
        >>> print(figure_text("$x$"))
        \$x\$
    """
    plain = visible(text if len(text) <= LONGEST else f"{text[:LONGEST]} ...", keep="\n")
    return f"{' ' * plain.startswith('_')}{plain}".replace("$", r"\$")
