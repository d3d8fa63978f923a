"""Every command and snippet of README and docs, on less data and over fewer iterations."""

import ast
import contextlib
import inspect
import io
import itertools
import re
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from lightning_hash import data
from lightning_hash.__main__ import main
from lightning_hash.commands.help import verb_help
from lightning_hash.commands.score import score
from lightning_hash.commands.table import VERBS
from lightning_hash.functional import RankingOptions
from lightning_hash.reports.published import published
from lightning_hash.results.card_files import write_card
from lightning_hash.sweeps import read_plan
from lightning_hash.victims import load_foreign
from tests.docs.pages import (
    LANGUAGES,
    PAGES,
    REASONS,
    ROOT,
    Block,
    arguments,
    read_blocks,
    without_blocks,
)
from tests.helpers.cards import card, queries
from tests.helpers.clips import write_classes
from tests.helpers.commands import SMALL_DATA

BLOCKS = [block for page in PAGES for block in read_blocks(page)]
OTHERS = (
    "make", "pip", "tensorboard", "torchrun", "bash", "sbatch", "srun", "git", "docker", "python",
    ".venv/bin/python", ".venv/bin/pre-commit",
)  # fmt: skip
# The networks of the examples are large, and their weights a download.
FIT = ["--trainer.max_epochs=1", "--model.backbone=convnet", "--model.weights=null"]
ATTACK = ["--trainer.max_epochs=2", "--model.n_queries=2"]  # each query is drawn as a strip
LIBRARIES, UNTRAINED = ("timm/", "open_clip/"), ("fit/pca", "fit/itq", "fit/lsh")
AUDIT = ["--quick", "--n_queries=2", "--curve"]
ARGPARSED = (
    "demo", "report", "leaderboard", "sweep", "score", "check_data", "transfer", "cli", "run_verb",
)  # fmt: skip
# Of every verb, and of torchrun, sbatch, mypy, the benchmarks and the trials.
FREE = {
    "help", "config", "trust", "node_rank", "signal", "strict", "quick", "alone", "kills",
    "moments",
}  # fmt: skip
# What makes a snippet of Python short.
SHORTER = (
    ("max_epochs=100", "max_epochs=2"),
    ("iterations=100", "iterations=2"),
    ("SamplePhotos()", "SamplePhotos(n_train=100, n_query=20, n_database=200)"),
    ("audit(model, queries, database)", "audit(model, queries, database, quick=True, curve=())"),
    ("AnchorCode(), step", "AnchorCode(), n_queries=2, step"),
)


def shorten(verb: str, words: list[str]) -> list[str]:
    """Return a command that takes seconds, where the page's takes minutes."""
    words = list(words)
    if verb in ("check-data", "score", "sweep", "report", "leaderboard"):
        own = "--data.folder" in words and verb == "check-data"
        return [*words, "--data.train=20 per class from all"] if own else words
    if verb == "transfer":
        return [*words, "--accelerator", "cpu"]
    if verb == "search":  # among what a shortened encode has written
        return [*words, *(SMALL_DATA if "--data" in words else []), "--accelerator=cpu"]
    short = {"fit": FIT, "attack": ATTACK, "robustness": ["--n_queries=3"]}
    short["smallest"] = [*ATTACK, "--levels=2"]
    more, processor = short.get(verb, []), "--trainer.accelerator=cpu"
    if verb == "audit":
        more, processor = AUDIT, "--accelerator=cpu"
    given = {word.partition("=")[0] for word in words}
    small: list[str] = []
    if "--data.folder" in given:  # 40 pictures of each class are fewer than the default draws
        small = ["--data.train=20 per class from all"]
    elif not any(word.startswith("--data") for word in given - {"--data.size"}):
        small = SMALL_DATA
    if verb == "fit" and "configs/fit/demo_video.yaml" in words:  # a network of its own
        more = [option for option in more if not option.startswith("--model")]
    if verb == "fit" and any(word.startswith(LIBRARIES) for word in words):
        more = [option for option in more if not option.startswith("--model.backbone")]
    if verb == "fit" and any(word in UNTRAINED for word in words):
        more = [option for option in more if not option.startswith("--trainer.max_epochs")]
    if "--trust" in given and verb == "fit":
        more = ["--trainer.max_epochs=1"]
    if "--trainer.devices" in words:  # several processes have a test of their own
        words[words.index("--trainer.devices") + 1] = "1"
    return [*words, *small, *more, processor]


def check_parsed(words: list[str], place: str) -> None:
    """Assert that a command that is not run has a verb and options that exist."""
    verb = words[0]
    assert verb in VERBS, f"{place}: {verb} is no verb"
    if VERBS[verb].model:
        with contextlib.redirect_stdout(io.StringIO()):
            try:
                status = main([*words, "--print_config"])
            except SystemExit as ended:
                status = ended.code
        assert not status, place


def run_command(words: list[str], place: str) -> None:
    """Run a command of a page; assert what it leaves."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        status = main(shorten(words[0], words))
    verb, lines = words[0], output.getvalue().strip().splitlines()
    if verb == "check-data":  # most clips of the test have fewer frames than the pages ask for
        assert lines[-1] == "nothing wrong" or "--data.frames" in words, place
        return
    assert status == 0, place
    if verb == "encode":
        assert Path(words[words.index("--output") + 1]).exists(), place
    elif verb in ("report", "leaderboard"):
        assert Path(lines[-1].split(": ")[-1]).exists(), place
    elif verb == "search":
        assert "--picture" not in words or Path(lines[-1]).exists(), place
    elif verb in ("fit", "attack", "audit", "transfer", "robustness", "smallest"):
        assert Path(lines[-1]).exists(), place


def run_python(block: Block, names: dict[str, object]) -> str:
    """Run a snippet, shortened; return what it prints."""
    code = block.code
    for long, short in SHORTER:
        code = code.replace(long, short)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, block.place, "exec"), names)
    return output.getvalue()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The photographs, clips and card that the pages call one's own."""
    folder = tmp_path_factory.mktemp("own")
    for kind, colour in (("cat", (200, 90, 20)), ("dog", (20, 90, 200)), ("owl", (60, 60, 60))):
        (folder / "photos" / kind).mkdir(parents=True)
        for number in range(40):
            picture = Image.new("RGB", (40, 30), (*colour[:2], colour[2] + number))
            picture.save(folder / "photos" / kind / f"{number}.png")
    write_classes(folder / "videos", per_class=40)
    write_card(folder / "runs" / "audit" / "demo" / "version_0", card(queries=queries()))
    return folder


# What a page needs beside the package, by the name of the page.
EXTRAS = {"onnx": ("onnx", "onnx2torch", "onnxruntime")}


def runnable(page: Path) -> bool:
    return any(b.language in ("python", "shell") for b in BLOCKS if b.page == page)


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [p for p in PAGES if runnable(p)], ids=lambda p: str(p.relative_to(ROOT))
)
def test_page_runs_from_top_to_bottom(page, files, with_victim, monkeypatch):
    for package in EXTRAS.get(page.stem, ()):
        pytest.importorskip(package, reason=f"pip install '.[{page.stem}]'")
    for name in ("photos", "videos", "runs"):
        shutil.copytree(files / name, with_victim / name)
    monkeypatch.syspath_prepend(with_victim)
    if page.name == "backbones.md":
        pytest.importorskip("timm", reason="pip install '.[timm]'")
    names: dict[str, object] = {"__name__": "page"}
    printed = None
    for block in (b for b in BLOCKS if b.page == page):
        if block.language == "text":
            if block.adjacent and printed is not None:
                assert printed == block.code, block.place
            continue
        printed = None
        if block.file:
            Path(block.file).write_text(block.code)
            sys.modules.pop(block.file.removesuffix(".py"), None)
        elif block.reason and block.language == "shell":
            for words in filter(None, map(arguments, block.commands())):
                check_parsed(words, block.place)
        elif block.language == "shell":
            for words in block.commands():
                run_command(arguments(words), block.place)
        elif block.language == "python" and not block.reason:
            printed = run_python(block, names)


def test_short_snippets_print_what_the_page_says():
    """One page in the fast tests: the worked example of MAP."""
    blocks = [b for b in BLOCKS if b.page == ROOT / "docs" / "concepts" / "map.md"]
    names: dict[str, object] = {}
    pairs = [(a, b) for a, b in itertools.pairwise(blocks) if a.language == "python"]
    assert len(pairs) >= 3
    for code, output in pairs:
        assert output.language == "text"
        assert run_python(code, names) == output.code, code.place


@pytest.mark.slow
def test_readme_attacks_a_model_in_six_lines():
    (block,) = [b for b in BLOCKS if b.page.name == "README.md" and b.language == "python"]
    assert len([line for line in block.code.splitlines() if line]) == 6
    names: dict[str, object] = {}
    run_python(block, names)
    assert names["found"].adversarial.shape == (4, 3, 64, 64)
    assert names["found"].adversarial.dtype == torch.uint8
    assert names["found"].codes.shape == (4, 48)


def problem(block: Block) -> str | None:
    """Say what keeps a block from being run, or from saying why it is not; ``None`` if nothing."""
    if block.language not in LANGUAGES:
        return f"language {block.language!r} is none of {LANGUAGES}"
    if block.marker is not None:
        if not block.marker.startswith("not run: ") or block.reason not in REASONS:
            return f"marker {block.marker!r} is no 'not run: ' with one of {REASONS}"
        if block.language in ("python", "text"):
            return f"{block.language} needs no marker: Python is run, text is not"
    if block.language == "yaml":
        known = isinstance(yaml.safe_load(block.code), dict) and (block.file or block.reason)
        return None if known else "no file has this YAML and no marker says why"
    if block.language == "text":  # no way around the tests
        hidden = re.search(r"^\s*(\$ |python |make |pip |lightning_hash )", block.code, re.M)
        return f"{hidden[0]!r} is a command" if hidden else None
    if block.language == "shell":
        for words in block.commands():
            ours = arguments(words)
            other = words[0] in OTHERS or words[0].startswith("-")
            if not ours and not (block.reason and other):
                return f"{words[0]} needs a marker, or is not known"
    return None


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_each_block_is_run_or_says_why_not(block):
    assert problem(block) is None, f"{block.place}: {problem(block)}"
    if block.language == "python":
        ast.parse(block.code)


@pytest.mark.parametrize(
    ("above", "language", "code"),
    [
        ("", "", "x = 1\n"),
        ("", "bash", "python -m lightning_hash fit\n"),
        ("", "shell", "make demo\n"),
        ("", "shell", "curl example.org\n"),
        ("<!-- not run: needs SLURM -->", "shell", "curl example.org\n"),
        ("<!-- not run: no time -->", "shell", "make demo\n"),
        ("<!-- skip -->", "shell", "make demo\n"),
        ("<!-- not run: a fragment -->", "python", "x = 1\n"),
        ("", "text", "python -m lightning_hash fit\n"),
        ("", "text", "$ make demo\n"),
        ("", "yaml", "model: {bits: 3}\n"),
        ("`a.yaml`:", "yaml", "- 1\n"),
    ],
)
def test_what_a_page_may_not_have_is_noticed(tmp_path, above, language, code):
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\n{above}\n\n```{language}\n{code}```\n")
    (block,) = read_blocks(page)
    assert problem(block) is not None


def test_a_page_is_taken_apart_as_it_is_read(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "`part.py`:\n\n```python\nx = 1\n```\n\nText.\n\n"
        "<!-- not run: needs SLURM -->\n```shell\nsrun python -m lightning_hash attack \\\n"
        "    --name a  # one\nbash b.sh\n```\n\n```text\nout\n```\n"
    )
    code, command, output = read_blocks(page)
    assert (code.file, code.reason, code.code) == ("part.py", None, "x = 1\n")
    assert command.reason == "needs SLURM"
    assert [arguments(words) for words in command.commands()] == [["attack", "--name", "a"], None]
    assert (output.adjacent, command.adjacent) == (True, False)
    page.write_text("```python\nx = 1\n")
    with pytest.raises(AssertionError, match="has no end"):
        read_blocks(page)


def test_every_option_that_a_page_names_exists():
    sources = [(ROOT / "lightning_hash" / "commands" / f"{v}.py").read_text() for v in ARGPARSED]
    words = "\n".join([*(verb_help(v) for v in VERBS if VERBS[v].model), *sources])
    known = set(re.findall(r"--([a-z][\w-]*(?:\.\w+)?)", words)) | FREE
    known |= {option for verb in VERBS.values() for option in verb.options}
    known |= {f"ranking.{name}" for name in inspect.signature(RankingOptions).parameters}
    known |= {name for verb in ("score",) for name in inspect.signature(score).parameters}
    of_data = {
        name
        for kind in (getattr(data, name) for name in data.__all__)
        if inspect.isclass(kind)
        for name in inspect.signature(kind).parameters
    }
    unknown = set()
    for page in PAGES:
        for option in re.findall(r"(?<!\w)--([a-z][\w-]*(?:\.\w+)*)", without_blocks(page)):
            first, _, rest = option.partition(".")
            names = of_data if first == "data" else known
            name = rest.partition(".")[0] if first == "data" else ".".join(option.split(".")[:2])
            if option != "data" and name not in names:
                unknown.add((str(page.relative_to(ROOT)), option))
    assert unknown == set()


def test_every_preset_that_a_page_names_exists():
    named = {
        (path, page)
        for page in PAGES
        for path in re.findall(r"\b(configs/[\w./-]+\.yaml)", page.read_text())
    }
    assert len(named) >= 40
    assert {(path, page) for path, page in named if not (ROOT / path).is_file()} == set()


def test_every_target_of_make_that_a_page_names_exists():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = {
        target
        for page in PAGES
        for target in re.findall(r"`make ([\w-]+)|^make ([\w-]+)", page.read_text(), re.M)
    }
    assert {a or b for a, b in named} <= targets


def test_every_program_of_this_checkout_that_a_page_runs_exists():
    named = set()
    for block in (b for b in BLOCKS if b.language == "shell"):
        for words in block.commands():
            if words[0].endswith("python") and words[1] == "-m" and not arguments(words):
                named.add((words[2], find_spec(words[2]) is not None))
            if words[0] in ("bash", "python") and words[1].startswith("examples/"):
                named.add((words[1], (ROOT / words[1]).is_file()))
    assert {name for name, there in named if not there} == set()
    assert {"tests.trials", "pytest", "examples/01_first_attack.sh"} <= {n for n, _ in named}


def test_contributing_says_what_every_target_of_make_does():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    listed = set(re.findall(r"^\| `make ([\w-]+)` \| \S.* \|.*\|$", text, re.M))
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert listed == targets


def test_readme_is_a_front_page():
    text = (ROOT / "README.md").read_bytes()
    assert len(text) <= 8_000
    assert text.count(b"![") == 1


def test_readme_copies_its_numbers_from_the_table_that_a_report_fills():
    readme = (ROOT / "README.md").read_text()
    results = (ROOT / "docs" / "papers" / "results.md").read_text()
    lines = [x.strip("|").split("|") for x in readme.splitlines() if re.match(r"\| t?-?MAP", x)]
    assert len(lines) == 5
    for name, *cells in lines:
        (row,) = [x for x in results.splitlines() if x.startswith(f"|{name.rstrip()} (")]
        theirs = [cell.strip() for cell in row.strip("|").split("|")[1:]]
        assert [cell.strip() for cell in cells] == theirs, name


def test_the_page_of_the_papers_has_their_numbers_and_ours():
    docs = ROOT / "docs"
    measured = "".join(
        (docs / name).read_text() for name in ("papers/results.md", "tutorials/first_attack.md")
    )
    ours = {(float(v), e) for v, e in re.findall(r"(\d+\.\d+)\((\d+)\)", measured)}
    same = {
        "dhta_table2": "dhta_table1",
        "dhta_table7": "dhta_table1",
        "dhta_table4": "dhta_table3",
    }
    name, seen = "", 0
    for line in (docs / "papers" / "index.md").read_text().splitlines():
        cells = line.split("|")
        if len(cells) != 7:
            continue
        _, experiment, config, theirs, *obtained, _ = cells
        named = re.search(r"configs/papers/(\w+)\.yaml", config)
        name = named[1] if named else name
        if "perceptibility" in experiment and "4.4" in experiment:
            name = "dhta_perceptibility"
        values = {v for d in published(same.get(name, name)).values() for v in d.values()}
        for value in re.findall(r"\d+\.\d+", theirs):
            seen += 1
            assert float(value) in values, (experiment, value)
        for value, error in re.findall(r"(\d+\.\d+)\((\d+)\)", "".join(obtained)):
            seen += 1
            scaled = [(round(float(value) / by, 6), error) for by in (1, 100, 1000)]
            assert ours & set(scaled), (experiment, value)
    assert seen > 60


def test_yaml_of_ones_own_lists_sweep_and_victim(tmp_path, monkeypatch):
    blocks = [yaml.safe_load(block.code) for block in BLOCKS if block.language == "yaml"]
    own = [b["data"] for b in blocks if "folder" in b.get("data", {}).get("init_args", {})]
    (lists,) = (each for each in own if each["class_path"].endswith("ListDataModule"))
    for each in own:
        getattr(data, each["class_path"])(**each["init_args"])
    module = getattr(data, lists["class_path"])(**lists["init_args"])
    assert module.choices["query"].count == 2100
    sweep = next(block for block in blocks if "dhta" in block.get("runs", {}))
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    monkeypatch.chdir(tmp_path)
    assert len(read_plan([Path("sweep.yaml")], "full")) == 2 * 3 + 2 * 2 * 3
    victims = [block["model"]["victim"] for block in blocks if "victim" in block.get("model", {})]
    assert victims
    for victim in victims:
        assert set(victim) <= set(inspect.signature(load_foreign).parameters)
