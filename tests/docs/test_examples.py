"""Each example runs as it stands, and its two forms give the same number."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from lightning_hash.results.card_files import read_card
from tests.docs.pages import ROOT

EXAMPLES = ROOT / "examples"
SHELL = sorted(EXAMPLES.glob("[0-9]*.sh"))
OWN = "02_own_images"
# What the shell form writes, and which metric its number is.
NUMBERS = {
    "01_first_attack": ("attack/01", "map"),
    "02_own_images": ("attack/02", "map"),
    "03_own_model": ("attack/03", "map"),
    "04_targeted_attack": ("attack/04", "t_map"),
    "05_clips": ("attack/05", "t_map"),
    "06_sweep_and_transfer": ("06/transfer", "map"),
    "07_perceptual_hash": ("attack/07", "ssim"),
    "08_audit": ("audit/08/version_0", "worst_map"),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder for each form, with photographs of one's own: 125 of each class."""
    top = tmp_path_factory.mktemp("examples")
    for kind, colour in (("cat", (200, 90, 20)), ("dog", (20, 90, 200)), ("owl", (60, 60, 60))):
        (top / "photos" / kind).mkdir(parents=True)
        for number in range(125):
            picture = Image.new("RGB", (40, 30), colour)
            picture.putpixel((number % 40, number // 40), (255, 255, 255))
            picture.save(top / "photos" / kind / f"{number}.png")
    for form in ("sh", "py"):
        (top / form).mkdir()
    return top


def run(top, name, form):
    """Run an example in the folder of its form; return what it prints."""
    program = "bash" if form == "sh" else sys.executable
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    answer = subprocess.run(
        [program, EXAMPLES / f"{name}.{form}", *([top / "photos"] if name == OWN else [])],
        cwd=top / form, capture_output=True, text=True, check=False,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert answer.returncode == 0, answer.stdout[-2000:] + answer.stderr[-3000:]
    return answer.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", NUMBERS)
def test_both_forms_give_the_same_number(name, folders):
    if name == "04_targeted_attack" and not (folders / "sh" / "checkpoints").exists():
        pytest.skip("attacks the victim of 01_first_attack, which was not run")
    if name == "07_perceptual_hash":
        for package in ("pdqhash", "imagehash"):
            pytest.importorskip(package, reason="pip install '.[perceptual]'")
    run(folders, name, "sh")
    printed = re.findall(r": (\d\.\d{4})$", run(folders, name, "py"), re.MULTILINE)
    place, metric = NUMBERS[name]
    if metric == "worst_map":
        card = read_card(folders / "sh" / "runs" / place)
        assert printed == [f"{card.worst_map:.4f}"]
        assert card.worst_map < card.map, "the attacks did not get anywhere"
        assert (folders / "py" / "card" / "card.html").is_file()
        return
    found = list((folders / "sh" / "runs" / place).rglob("results.json"))
    assert len(found) == 1
    rows = [r for r in json.loads(found[0].read_text()) if r["metric"] == metric]
    values = [r["value"] for r in rows if r["quantized"] and r["attack"]]
    assert len(values) == (2 if name == "06_sweep_and_transfer" else 1)
    assert printed == [f"{value:.4f}" for value in values]
    if metric == "ssim":  # of nothing that was changed there is none
        assert [row["n_finished"] for row in rows[-1:]] > [0], "the attack did not get anywhere"
        return
    clean = [r["value"] for r in rows if r["attack"] is None]
    assert clean, "no number of the clean queries"
    assert (values[0] > clean[0]) == (metric == "t_map"), "the attack did not get anywhere"


def test_examples_are_numbered_listed_and_tested():
    assert [path.stem for path in SHELL] == list(NUMBERS)
    assert [name[:2] for name in NUMBERS] == [f"{n:02d}" for n in range(1, len(NUMBERS) + 1)]
    assert all(path.with_suffix(".py").is_file() for path in SHELL)
    listed = set(re.findall(r"\]\((?!\.\.)(\S+?)\)", (EXAMPLES / "README.md").read_text()))
    assert listed == {
        path.name for path in EXAMPLES.iterdir() if path.suffix in (".sh", ".py", ".yaml")
    }


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.[sp][hy]")), ids=lambda path: path.name)
def test_an_example_is_short(path):
    lines = path.read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 45
    assert all(len(line) <= 130 for line in lines)
