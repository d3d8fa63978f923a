"""Detection and false matches at every threshold, as a table or a figure."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from lightning_hash.functional.matching import MatchCurve
from lightning_hash.reports.figure import COLOURS, make_axes
from lightning_hash.utils.text_files import utf8
from lightning_hash.utils.whole_file import ready_file, write_whole

SUFFIXES = (".csv", ".png")
HEADER = ("threshold", "detection", "false_matches", "random_false_matches")
LEAST = 1e-12  # of the logarithmic axis


def check_curve(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Refuse a path that a curve cannot be written to, before anything is ranked.

    Args:
        path: as :func:`write_curve` takes it.
        inputs: files that are read, which no curve may replace.

    Raises:
        ValueError: if it ends neither in ``.csv`` nor in ``.png``, or is one of the inputs.
        FileNotFoundError: if its folder does not exist.
        OSError: if it cannot be written.
    """
    if path.suffix not in SUFFIXES:
        msg = f"match_curve {path}: must end in {' or '.join(SUFFIXES)}, got {path.suffix!r}"
        raise ValueError(msg)
    if not path.parent.is_dir():
        msg = f"match_curve {path}: the folder {path.parent} does not exist; make it first"
        raise FileNotFoundError(msg)
    read = {file.resolve() for file in inputs}
    for file in _files(path):
        if file.resolve() in read:
            msg = f"match_curve {path}: would replace {file}, which is read; give another name"
            raise ValueError(msg)
        ready_file(file, "match_curve", "give another with --match_curve FILE")


def write_curve(path: Path, curve: MatchCurve) -> None:
    """Write a curve; each file whole or not at all.

    Args:
        path: ``.csv`` with a row per threshold, or ``.png``, which gets the ``.csv`` of its name
            beside it.
        curve: what each threshold finds.

    Raises:
        ValueError: see :func:`check_curve`.
        OSError: if a file cannot be written.
    """
    check_curve(path)
    for file in _files(path):
        write_whole(file, _table(curve) if file.suffix == ".csv" else _figure(curve))


def _files(path: Path) -> list[Path]:
    """Return what is written: the table always."""
    return list(dict.fromkeys((path.with_suffix(".csv"), path)))


def _table(curve: MatchCurve) -> bytes:
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(HEADER)
    columns = (each.tolist() for each in (curve.detection, curve.false_matches, curve.random))
    rows.writerows([at, *values] for at, values in enumerate(zip(*columns, strict=True)))
    return utf8(text.getvalue())


def _figure(curve: MatchCurve) -> bytes:
    figure, (left, right) = make_axes(2)
    thresholds = range(len(curve.random))
    left.step(thresholds, curve.detection, color=COLOURS[0], where="post")
    left.set_ylabel(f"detection rate of {curve.queries} queries")
    left.set_ylim(-0.02, 1.02)
    right.step(
        thresholds, curve.false_matches, color=COLOURS[1], where="post", label="items measured"
    )
    right.plot(thresholds, curve.random, "--", color=COLOURS[6], label="random codes")
    right.set_yscale("log")
    right.set_ylim(LEAST, 2)
    right.set_ylabel("false matches")
    right.legend(fontsize=8, frameon=False, loc="lower right")
    for axes in (left, right):
        axes.set_xlabel("threshold on the Hamming distance, bits")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    return picture.getvalue()
