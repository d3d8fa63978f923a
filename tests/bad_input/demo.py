"""The demo's folder of runs, and options that it has not."""

from pathlib import Path

from tests.bad_input import Case

LONG = "x" * 300


def prepare(folder: Path) -> None:
    (folder / "fit").mkdir()
    (folder / "fit/demo").write_text("a file")
    (folder / "deeper").mkdir()
    (folder / "deeper/fit").write_text("a file")
    (folder / "link").symlink_to(folder / "link")
    (folder / "dangling").symlink_to("/proc/nothing")


CASES: list[Case] = [
    ("demo --runs {tmp}/data.yaml", 1, ("run folder {tmp}/data.yaml", "is a file", "--runs")),
    ("demo --runs={tmp}/v.ckpt", 1, ("run folder {tmp}/v.ckpt", "is a file", "--runs")),
    ("demo --runs {tmp}/data/query.txt/runs", 1, ("{tmp}/data/query.txt is a file", "--runs")),
    ("demo --runs {tmp}/deeper", 1, ("{tmp}/deeper/fit is a file", "--runs")),
    ("demo --runs {tmp}", 1, ("{tmp}/fit/demo is a file", "--runs")),
    ("demo --runs {tmp}/link", 1, ("{tmp}/link", "cannot be written to", "--runs")),
    ("demo --runs {tmp}/link/below", 1, ("{tmp}/link/below", "cannot be written to", "--runs")),
    ("demo --runs {tmp}/dangling", 1, ("{tmp}/dangling", "cannot be written to", "--runs")),
    ("demo --runs /dev/null", 1, ("/dev/null", "cannot be written to", "--runs")),
    ("demo --runs /dev/null/runs", 1, ("/dev/null/runs", "cannot be written to", "--runs")),
    ("demo --runs /proc/nothing", 1, ("/proc/nothing", "cannot be written to", "--runs")),
    (f"demo --runs {{tmp}}/{LONG}", 1, ("File name too long",)),
    (f"demo --runs {{tmp}}/{'/'.join([LONG] * 20)}", 1, ("File name too long",)),
    ("demo --run", 2, ("--run: there is no such option; there are: --runs",)),
    ("demo --runz x", 2, ("--runz: there is no such option; there are: --runs",)),
    ("demo {tmp}/data.yaml", 2, ("stands behind no option",)),
    ("demo fit", 2, ("'fit' stands behind no option",)),
    ("demo --seed 3", 2, ("--seed is an option of audit and robustness, not of demo",)),
    (
        "demo --name demo",
        2,
        ("--name is an option of fit, test", "not of demo"),
    ),
    ("demo --config absent", 1, ("config absent does not exist",)),
    ("demo --config {tmp}/data.yaml", 2, ("--config: there is no such option",)),
    (
        "demo --trainer.max_epochs 1",
        2,
        ("--trainer.max_epochs is an option of fit", "not of demo"),
    ),
]
