"""A stranger's run: what its names and files may do to a report, which is nothing."""

import csv
import io
import json
import re
import struct
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from lightning_hash.__main__ import main
from lightning_hash.reports.grid import Cell, Grid, Line
from lightning_hash.reports.page import Section, render_page
from lightning_hash.results.rows import write_results
from lightning_hash.results.runs import find_runs
from lightning_hash.utils.escapes import LONGEST, csv_text, figure_text, latex, markdown, visible
from tests.reports.rows import run

NAMES = [
    "[old]", "[/]", "[link=file:///etc/passwd]x[/link]", "\x1b[2J\x1b]8;;http://x\x07click\x1b\\",
    "=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "'=1",
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</table></html>",
    r"\input{/etc/passwd}", "$\\frac{$", "_hidden", "100% & #1 ~ ^ {", "a|b`c`", "[x](http://y)",
    "![x](y)", "\u202eevil", "\x9b31m", "two\nlines", ":bomb:", "\ud800", "caf\udce9",
]  # fmt: skip


def page_of(name):
    cell = Cell((-0.5,))
    line = Line(name, (cell,), settings=(name,))
    grid = Grid(
        title=name, about=name, caption=name, corner=name, columns=(name,), lines=(line,),
        notes=(name,), settings=(name,),
    )  # fmt: skip
    return grid, render_page(name, name, [Section(name="a", title=name, text=name, grids=[grid])])


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.texts = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))

    def handle_data(self, data):
        self.texts.append(data)


@pytest.mark.parametrize("name", NAMES)
def test_a_page_shows_a_name_and_obeys_nothing(name):
    usual, hostile = Reader(), Reader()
    usual.feed(page_of("name")[1])
    hostile.feed(page_of(name)[1])
    assert hostile.tags == usual.tags
    shown = [text for text in hostile.texts if text == visible(name, keep="\n")]
    assert len(shown) == usual.texts.count("name") > 8
    page_of(name)[1].encode()


@pytest.mark.parametrize("name", NAMES)
def test_a_table_gives_every_name_back(name):
    content = page_of(name)[0].csv().encode(errors="surrogateescape")
    text = content.decode(errors="surrogateescape")
    head, line = csv.reader(io.StringIO(text, newline=""))
    assert not any(cell.startswith(("=", "+", "@", "\t", "\r")) for cell in (*head, *line))
    head, line = ([cell.removeprefix("'") for cell in row] for row in (head, line))
    found = dict(zip(head, line, strict=True))
    wanted = name.replace("\ud800", r"\ud800")  # half a character is none
    assert (found[wanted], found["line"], found["column"]) == (wanted,) * 3
    assert (found["mean"], found["values"]) == ("-0.5", "-0.5")


def test_numbers_stay_numbers_in_a_spreadsheet():
    rows = [["-0.5", "-1e-3 0.2", "+3", -0.5, "-1_0", "-inf", "-x", "'"]]
    assert csv_text(rows) == "-0.5,-1e-3 0.2,+3,-0.5,'-1_0,'-inf,'-x,''\n"


def test_a_carriage_return_in_a_path_stays_in_its_cell():
    rows = [["a\rb.png", "1"], ["c", "2"], ['"', "\n"], [None, ""]]
    back = list(csv.reader(io.StringIO(csv_text(rows), newline="")))
    assert [[cell.removeprefix("'") for cell in row] for row in back] == [
        ["a\rb.png", "1"], ["c", "2"], ['"', "\n"], ["", ""],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (r"\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("a_b % & # $ ~ ^ { }", r"a\_b \% \& \# \$ \textasciitilde{} \textasciicircum{} \{ \}"),
        ("^^5cinput", r"\textasciicircum{}\textasciicircum{}5cinput"),
        ("[2cm]", "{}[2cm]"),
        ("*", "{}*"),
        ("--a---b", "-{}-a-{}-{}-b"),
        ("`x`", r"\textasciigrave{}x\textasciigrave{}"),
        ("a\n\nb\x1b", r"a b\textbackslash{}x1b"),
    ],
)
def test_latex_of_a_name(text, written):
    assert latex(text) == written


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a|b", r"a\|b"),
        ("`x`", r"\`x\`"),
        ("[x](http://y)", r"\[x](http\://y)"),
        ("![x](y)", r"!\[x](y)"),
        ("<script>&lt;", "&lt;script&gt;&amp;lt;"),
        ("# head", r"\# head"),
        ("- item", r"\- item"),
        ("12. item", r"12\. item"),
        ("~~gone~~ @you www.x.y", r"\~\~gone\~\~ \@you www\.x.y"),
        ("-0.5 of 1.5", "-0.5 of 1.5"),
        ("<!-- /results -->", "&lt;!-- /results --&gt;"),
        ("\x1b[31m\n| a", r"\\x1b\[31m \| a"),
    ],
)
def test_markdown_of_a_name(text, written):
    assert markdown(text) == written


@pytest.mark.filterwarnings("ignore:constrained_layout")
@pytest.mark.parametrize("name", ["$\\frac{$", "_hidden", "\x1b[31m", "\ud800", "x" * 10**6])
def test_figures_draw_a_name(name):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot([0, 1], label=figure_text(name))
    legend = axes.legend()
    figure.suptitle(figure_text(name))
    figure.savefig(io.BytesIO(), format="pdf")
    assert len(legend.get_texts()) == 1
    assert len(figure_text(name)) <= LONGEST + 10


def png(width, height):
    """Return a PNG whose header declares a size, with few bytes of pixels."""

    def chunk(kind, content):
        sums = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + sums

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def write_run(folder, **changes):
    folder.mkdir(parents=True)
    write_results(folder / "results.json", run("hag", 0.2, **changes))
    return folder


def test_report_of_a_strangers_names(tmp_path, capsys):
    name = "[old] \x1b[2J <script> =1 $\\frac{$ \\input{x} :bomb:\r\n_a"
    for number, key in enumerate(("dataset", "backbone", "victim.name", "victim_sha256", "loss")):
        write_run(tmp_path / "runs" / f"=run[{number}]\x1b[31m\n", **{key: name})
    write_run(tmp_path / "runs" / "metric")
    rows = json.loads((tmp_path / "runs" / "metric" / "results.json").read_text())
    rows[-1]["metric"] = rows[-1]["data"][name] = name
    rows[-1]["warnings"] = [name]
    (tmp_path / "runs" / "metric" / "results.json").write_text(json.dumps(rows))
    (tmp_path / "runs" / "bad\n\x1b[31m").mkdir()
    (tmp_path / "runs" / "bad\n\x1b[31m" / "results.json").write_text("[")
    assert main(["report", str(tmp_path / "runs"), "--output", str(tmp_path / "o\x1b[31m")]) == 0
    said = capsys.readouterr()
    assert visible(said.out + said.err, keep="\n") == said.out + said.err
    assert r"[old] \x1b[2J <script> =1 $\frac{$ \input{x} :bomb:\r\n_a" in said.out
    assert len(said.err.splitlines()) == 1
    assert r"left out: " in said.err
    assert r"bad\n\x1b[31m" in said.err
    out = tmp_path / "o\x1b[31m"
    page = (out / "index.html").read_text()
    assert page.count("<script") == 1  # the page's own
    assert "\x1b" not in page
    for file in out.glob("tables/*"):
        text = file.read_text()
        assert "\x1b" not in text or file.suffix == ".csv"
        assert r"\input{" not in text or file.suffix != ".tex"
    with (out / "rows.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["data.dataset"].removeprefix("'") for line in lines} == {"photos", name}
    assert {Path(line["folder"].removeprefix("'")).name for line in lines} == {
        "metric", *(f"=run[{number}]\x1b[31m\n" for number in range(5)),
    }  # fmt: skip


def test_a_report_reads_nothing_outside_of_a_run(tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    Image.new("RGB", (64, 64), "red").save(secret / "own.png")
    (secret / "curves.json").write_text("{}")
    save_file({"clean_logits": np.zeros((4, 8))}, secret / "codes.safetensors")
    folder = write_run(tmp_path / "runs" / "a")
    (folder / "strips").mkdir()
    (folder / "strips" / "000001.png").symlink_to(secret / "own.png")
    (folder / "curves.json").symlink_to("../../secret/curves.json")
    (folder / "codes.safetensors").symlink_to(secret / "codes.safetensors")
    linked = write_run(secret / "b", seed=4)
    (tmp_path / "runs" / "b").mkdir()
    (tmp_path / "runs" / "b" / "results.json").symlink_to(linked / "results.json")
    assert main(["report", str(tmp_path / "runs"), "--output", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "index.html").read_text()
    assert "query 1" not in page
    with (tmp_path / "out" / "left_out.csv").open(newline="") as file:
        said = {Path(each["path"]).name: each["reason"] for each in csv.DictReader(file)}
    assert set(said) == {"000001.png", "curves.json", "codes.safetensors", "results.json"}
    assert all("is a link that leads out of" in reason for reason in said.values())


def test_a_run_folder_that_is_a_link_is_the_users_own(tmp_path):
    write_run(tmp_path / "disk" / "a")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "a").symlink_to(tmp_path / "disk" / "a")
    assert len(find_runs([tmp_path / "runs" / "a"])) == 1


@pytest.mark.parametrize("link", ["report", "report/tables", "report/figures"])
def test_a_report_is_written_nowhere_else(tmp_path, capsys, link):
    folder = write_run(tmp_path / "runs" / "a")
    (tmp_path / "elsewhere").mkdir()
    (folder / link).parent.mkdir(exist_ok=True)
    (folder / link).symlink_to(tmp_path / "elsewhere")
    assert main(["report", str(folder)]) == 1
    assert re.search(
        r"^error: .* is a link that leads out of .* --output$", capsys.readouterr().err
    )
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (png(10**5, 10**5), "exceeds limit|pixels, at most"),
        (png(10**4, 10**4), r"it has 10000 x 10000 pixels, at most 89,478,485 are read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "cannot identify image file"),
    ],
)
def test_pictures_that_would_fill_the_memory_or_run_ghostscript(tmp_path, content, reason):
    folder = write_run(tmp_path / "a")
    (folder / "strips").mkdir()
    (folder / "strips" / "000001.png").write_bytes(content)
    assert main(["report", str(folder), "--output", str(tmp_path / "out")]) == 0
    with (tmp_path / "out" / "left_out.csv").open(newline="") as file:
        (said,) = csv.DictReader(file)
    assert re.search(reason, said["reason"])
