"""Values, names and paths of somebody else in what a sweep prints and writes for bash."""

import os
import re
import subprocess
import sys
import time

import pytest
import yaml

from lightning_hash.__main__ import main
from lightning_hash.sweeps import read_plan, slurm_script
from lightning_hash.sweeps.command import command_of
from lightning_hash.sweeps.plan import MOST_RUNS
from lightning_hash.utils.escapes import shell

VALUES = [
    "two\nlines", "\ntouch ran", "a\n#SBATCH --wrap='touch ran'", "$(touch ran)", "`touch ran`",
    "; touch ran", "a # b", "a\r\ntouch ran\r", "--config=/etc/passwd", "-x", "it's", '"quoted"',
    "'; touch ran; '", "back\\slash\\", "$HOME ${HOME}", "a\u2028touch ran\u2029b", "\x1b[31mred",
    "\x1b]8;;http://x\x07link", "\u202eback", "*", "~", "{a,b}", "!!", "a&&touch ran",
    "a|touch ran", "<in >ran", "tab\there", "\x85next", "caf\xe9 \u732b", "", "\x7f", "$'\\x41'",
]  # fmt: skip
STAND_IN = """#!/bin/bash
printf '%s\\0' "$@" >> "$SEEN"
printf '\\0' >> "$SEEN"
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A program that notes its arguments, instead of Python."""
    program = tmp_path / "a program"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    return tmp_path


def write(path, values, **more):
    runs = {"fit [old]\n$(touch ran)": {"verb": "fit", "options": {"model.name": "{v}"}, **more}}
    content = {"runs": runs, "full": [{"run": next(iter(runs)), "v": values}]}
    path.write_text(yaml.safe_dump(content))


def calls(folder):
    """Return the argv of each call; an empty argument and the end of a call look alike."""
    return (folder / "seen").read_bytes().decode()


def test_bash_runs_what_a_dry_run_prints(stand_in, capsys):
    write(stand_in / "-x.yaml", VALUES)
    assert main(["sweep", "--runs", "the runs", "--dry-run", "--", "-x.yaml"]) == 0
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) == 2 * len(VALUES)
    assert printed.replace("\n", "").isprintable()
    environment = {**os.environ, "LC_ALL": "C"}
    subprocess.run(["bash"], input=printed, text=True, check=True, env=environment)
    runs = read_plan([stand_in / "-x.yaml"], "full")
    meant = [command_of(run, stand_in.relative_to(stand_in) / "the runs")[1:] for run in runs]
    assert calls(stand_in) == "".join("".join(f"{a}\0" for a in each) + "\0" for each in meant)
    assert {f"--model.name={value}" for value in VALUES} <= {a for each in meant for a in each}
    assert not (stand_in / "ran").exists()


def test_submit_script_runs_no_word_of_a_sweep(stand_in, capsys):
    write(stand_in / "a\nb $(touch ran).yaml", VALUES)
    script = "-sub $(touch ran)\n.sh"
    folder = "runs\ntouch ran"
    given = ["a\nb $(touch ran).yaml", "--runs", folder, f"--slurm={script}"]
    assert main(["sweep", *given]) == 0
    said = capsys.readouterr().out
    assert said == (
        rf"{len(VALUES)} runs: bash $'./-sub $(touch ran)\n.sh' [options of sbatch]" "\n"
    )
    (stand_in / "srun").write_text(STAND_IN)
    (stand_in / "sbatch").write_text("#!/bin/bash\necho 7\n")
    for name in ("srun", "sbatch"):
        (stand_in / name).chmod(0o755)
    path = f"{stand_in}:{os.environ['PATH']}"
    line = re.sub(r".*(bash .*) \[options.*\n", r"\1", said)
    done = subprocess.run(
        ["bash", "-c", line], env={**os.environ, "PATH": path}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert done.stdout == f"array 0: 7, {len(VALUES)} tasks\n"
    task = {**os.environ, "PATH": path, "SLURM_ARRAY_TASK_ID": "1"}
    subprocess.run(["bash", f"./{script}", "0"], env=task, check=True)
    runs = read_plan([stand_in / "a\nb $(touch ran).yaml"], "full")
    meant = [
        sys.executable, "-m", "lightning_hash", "sweep", "a\nb $(touch ran).yaml", "--scale",
        "full", "--runs", folder, "--only", runs[1].digest,
    ]  # fmt: skip
    assert calls(stand_in) == "".join(f"{word}\0" for word in meant) + "\0"
    assert not (stand_in / "ran").exists()


def test_only_the_head_speaks_to_slurm(tmp_path):
    write(tmp_path / "a.yaml", ["\n#SBATCH --wrap=x", "\r#SBATCH -J y", "\u2028#SBATCH z"])
    script = slurm_script(read_plan([tmp_path / "a.yaml"], "full"), ["sweep", "x\n#SBATCH w"])
    directives = [line for line in script.splitlines() if line.startswith("#SBATCH")]
    assert directives == ["#SBATCH --signal=SIGUSR1@120", "#SBATCH --requeue"]


def test_bytes_of_a_path_reach_the_program(stand_in):
    words = [os.fsdecode(b"caf\xe9"), "\udcff", "\u2028"]
    subprocess.run(["bash", "-c", shell([sys.executable, *words])], check=True)
    assert (stand_in / "seen").read_bytes() == b"caf\xe9\0\xff\0\xe2\x80\xa8\0\0"


@pytest.mark.parametrize("word", ["a\0b", "\ud800"])
def test_a_word_that_no_command_can_hold(word):
    with pytest.raises(ValueError, match="a command can hold no NUL and no half of a character"):
        shell(["echo", word])


def test_combinations_are_counted_before_they_are_made(tmp_path, capsys):
    runs = {"a": {"verb": "fit", "options": {f"o.{n}": f"{{v{n}}}" for n in range(7)}}}
    entry = {"run": "a", **{f"v{n}": list(range(10)) for n in range(7)}}
    (tmp_path / "s.yaml").write_text(yaml.safe_dump({"runs": runs, "full": [entry]}))
    started = time.monotonic()
    assert main(["sweep", str(tmp_path / "s.yaml"), "--dry-run"]) == 1
    assert time.monotonic() - started < 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "asks for 10,000,000 combinations" in said
    assert f"a sweep has at most {MOST_RUNS:,}" in said


def test_entries_of_all_files_are_counted_together(tmp_path, monkeypatch):
    monkeypatch.setattr("lightning_hash.sweeps.plan.MOST_RUNS", 5)
    for name in ("a", "b"):
        write(tmp_path / f"{name}.yaml", [f"{name}{n}" for n in range(3)])
    with pytest.raises(ValueError, match=r"b\.yaml, full, entry 1: .* 3 .* before 6 runs; .* 5"):
        read_plan([tmp_path / "a.yaml", tmp_path / "b.yaml"], "full")


def test_runs_that_need_each_other_without_end(tmp_path):
    double = {
        f"r{n}": {"verb": "transfer", "options": {"p": [f"@r{n + 1}", f"@r{n + 1}"]}}
        for n in range(30)
    }
    last = {"r30": {"verb": "fit"}}
    (tmp_path / "s.yaml").write_text(
        yaml.safe_dump({"runs": {**double, **last}, "full": [{"run": "r0"}]})
    )
    with pytest.raises(ValueError, match="its runs need more than 20,000 runs, each counted"):
        read_plan([tmp_path / "s.yaml"], "full")
    row = {f"r{n}": {"verb": "attack", "options": {"p": f"@r{n + 1}"}} for n in range(90)}
    (tmp_path / "s.yaml").write_text(
        yaml.safe_dump({"runs": {**row, "r90": {"verb": "fit"}}, "full": [{"run": "r0"}]})
    )
    with pytest.raises(ValueError, match="run r51 is needed by 51 runs in a row; at most 50"):
        read_plan([tmp_path / "s.yaml"], "full")
