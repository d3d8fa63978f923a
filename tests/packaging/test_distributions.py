"""What sdist and wheel hold, and that the wheel runs in an empty environment and folder."""

import json
import re
import tarfile
import zipfile
from email import message_from_string
from pathlib import Path

import pytest
import yaml

from tests.packaging.conftest import ROOT

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent


def below(folder, *patterns):
    """Return the files of the working tree that should be carried."""
    found = {path for each in patterns for path in (ROOT / folder).rglob(each)}
    return {str(path.relative_to(ROOT)) for path in found if "__pycache__" not in path.parts}


PACKAGE = below("lightning_hash", "*.py", "*.csv", "*.j2", "*.css", "*.js", "py.typed")
PRESETS = below("configs", "*.yaml")
TOP = {
    "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "MANIFEST.in", "README.md",
    "SECURITY.md", "pyproject.toml", "setup.py",
}  # fmt: skip
MADE = {"PKG-INFO", "setup.cfg"}


def test_the_sdist_holds_what_is_needed_to_build_and_use_it(built):
    with tarfile.open(built.sdist) as archive:
        names = {m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()}
    names = {name for name in names if ".egg-info/" not in name}
    assert names == TOP | MADE | PACKAGE | PRESETS
    assert built.sdist.stat().st_size < 1_000_000


def test_the_wheel_holds_package_presets_licence_and_citation(built):
    with zipfile.ZipFile(built.wheel) as archive:
        names = set(archive.namelist())
    inside = {name for name in names if name.startswith("lightning_hash/")}
    assert inside == PACKAGE | {f"lightning_hash/{name}" for name in PRESETS}
    beside = {name.partition(".dist-info/")[2] for name in names - inside}
    assert beside == {
        "METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt", "licenses/LICENSE",
        "licenses/CITATION.cff",
    }  # fmt: skip
    assert {"lightning_hash/py.typed", "lightning_hash/configs/attack/hag.yaml"} <= inside


def test_the_metadata_are_complete(built):
    with zipfile.ZipFile(built.wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("METADATA"))
        said = message_from_string(archive.read(name).decode())
        (points,) = (n for n in archive.namelist() if n.endswith("entry_points.txt"))
        commands = re.findall(r"^([\w-]+) = (\S+)$", archive.read(points).decode(), re.MULTILINE)
    assert said["License-Expression"] == "Apache-2.0"
    assert said["Description-Content-Type"] == "text/markdown"
    assert said["Requires-Python"] == ">=3.11"
    assert set(said.get_all("Provides-Extra")) == {
        "video", "perceptual", "faiss", "timm", "open-clip", "dev", "docs"
    }  # fmt: skip
    assert dict(commands) == dict.fromkeys(
        ("lightning_hash", "lightning-hash"), "lightning_hash.__main__:command"
    )
    # No default requirement is a tool of those who write the package.
    plain = {r.split(";")[0] for r in said.get_all("Requires-Dist") if "extra ==" not in r}
    assert not [r for r in plain if re.match(r"pytest|ruff|mypy|mkdocs|build|twine", r)]


def test_every_preset_that_help_lists_runs_from_the_wheel(installed, tmp_path):
    found = json.loads(installed.run(HERE / "presets.py", cwd=tmp_path).splitlines()[-1])
    assert Path(found["file"]).parent == installed.package
    names = {name.removeprefix("configs/").removesuffix(".yaml") for name in PRESETS}
    listed = {*found["fit"], *found["attack"], *found["sweep"]}
    assert listed == {name for name in names if "/runs/" not in name}
    assert "max_epochs: 2000" in found["attack"]["attack/dhta"]
    assert re.search(r"loss:\n +class_path: \S*CSQLoss", found["fit"]["fit/csq"])
    assert found["papers"] > 200  # two lines for each run of both papers
    assert min(found["sweep"].values()) >= 2
    assert set(found["hag"]) == {found["attack"]["attack/hag"]}
    step = yaml.safe_load(found["hag"][0])["model"]["step"]["init_args"]
    assert (step["lr"], step["momentum"]) == (500 / 255**2, 0.9)
    assert list(tmp_path.iterdir()) == []


def test_demo_sweep_and_report_run_from_the_wheel_in_an_empty_folder(installed, tmp_path):
    installed.run(HERE / "walk.py", cwd=tmp_path)
    said = json.loads((tmp_path / "said.json").read_text())
    assert Path(said["file"]).parent == installed.package
    assert said["status"] == {"demo": 0, "sweep": 0, "report": 0}
    assert (tmp_path / "runs" / "report" / "demo" / "index.html").is_file()
    page = (tmp_path / "page" / "rows.csv").read_text()
    attacks = {"noise", "hag", "p2p", "dhta"}
    assert attacks <= set(re.findall(r"[\w-]+", page))
    assert len(list((tmp_path / "swept" / "sweep").glob("*.json"))) == 2
