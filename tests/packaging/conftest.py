import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

import pytest

import lightning_hash

ROOT = Path(lightning_hash.__file__).parent.parent
# What is no part of a build: results, environments, and tests, which are the larger part.
LEFT_OUT = {
    ".git", ".venv", "build", "dist", "runs", "checkpoints", "tests", ".hypothesis",
}  # fmt: skip


def not_carried(folder, names):
    """Say which entries of a folder are not copied, as :func:`shutil.copytree` asks."""
    at_the_top = LEFT_OUT if Path(folder) == ROOT else set()
    made = {name for name in names if re.fullmatch(r"__pycache__|.*\.egg-info|\..*_cache", name)}
    return made | at_the_top & set(names)


class Built(NamedTuple):
    sdist: Path
    wheel: Path


class Installed(NamedTuple):
    """An environment that has the wheel, and the packages that the tests run with."""

    python: Path
    package: Path

    def run(self, *arguments, cwd):
        keep = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        answer = subprocess.run(
            [self.python, *arguments], cwd=cwd, capture_output=True, text=True, check=False,
            env={**keep, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert answer.returncode == 0, answer.stdout[-2000:] + answer.stderr[-3000:]
        return answer.stdout


def build(kind, source, folder):
    """Build as a front end does, without an environment of its own: that would need a network."""
    code = f"from setuptools import build_meta as b; b.build_{kind}({str(folder)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The sdist of the working tree, with results lying about, and the wheel that is made of it."""
    pytest.importorskip("setuptools", minversion="77", reason="builds without a network")
    folder = tmp_path_factory.mktemp("built")
    source, unpacked = folder / "source", folder / "unpacked"
    shutil.copytree(ROOT, source, ignore=not_carried)
    for name in ("checkpoints/demo/best.ckpt", "runs/attack/x/results.json", "tests/test_x.py"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text("lies about")
    build("sdist", source, folder)
    (sdist,) = folder.glob("*.tar.gz")
    shutil.unpack_archive(sdist, unpacked, filter="data")
    (inner,) = unpacked.iterdir()
    build("wheel", inner, folder)
    (wheel,) = folder.glob("*.whl")
    return Built(sdist, wheel)


@pytest.fixture(scope="session")
def installed(built, tmp_path_factory):
    place = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    (site,) = place.glob("lib/python*/site-packages")
    shutil.unpack_archive(built.wheel, site, format="zip")
    # What is installed beside: `import` of this project's checkout is no path of that folder.
    (site / "beside.pth").write_text(sysconfig.get_path("purelib"))
    return Installed(place / "bin" / "python", site / "lightning_hash")
