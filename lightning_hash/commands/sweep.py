"""``python -m lightning_hash sweep``: many runs from lists of values."""

import sys
from collections.abc import Sequence
from pathlib import Path

from lightning_hash.commands.plain_parser import PlainParser
from lightning_hash.sweeps import Run, Sweep, read_plan, slurm_script
from lightning_hash.sweeps.command import command_of, no_option
from lightning_hash.sweeps.plan import SCALES
from lightning_hash.sweeps.record import finished_runs
from lightning_hash.utils.configs import find_config, find_configs, preset_names
from lightning_hash.utils.escapes import shell, visible
from lightning_hash.utils.trust import OPTION
from lightning_hash.utils.whole_file import ready_file, ready_folder, write_whole


def main(arguments: list[str]) -> int:
    """Run what sweep files ask for, or say or submit it.

    Args:
        arguments: what stands behind ``sweep``.

    Returns:
        0, 1 if a run failed, or 128 + the signal that stopped the sweep.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if a file is not as a sweep file must be, or ``--only`` names no run of it.
    """
    options = make_parser().parse_args(arguments)
    paths = [path for name in options.configs for path in find_configs(name, "sweep file")]
    if options.trainer is not None:
        find_config(options.trainer, "trainer: config")
    runs = read_plan(paths, options.scale)
    if options.only is not None:
        runs = _one(runs, options.only)
    if options.dry_run:
        _print_commands(runs, options.runs, options.trainer, trust=options.trust)
        return 0
    if options.slurm is not None:
        ready_file(options.slurm, "--slurm", "give another file")
        done = finished_runs(runs, options.runs)
        waiting = [run for run in runs if run.digest not in done]
        again = [sys.executable, "-m", "lightning_hash", "sweep"]
        again += map(no_option, options.configs)
        again += ["--scale", options.scale, "--runs", no_option(str(options.runs))]
        if options.trainer is not None:
            again += ["--trainer", no_option(str(options.trainer))]
        again += [OPTION] if options.trust else []
        text = slurm_script(waiting, again).encode(errors="surrogateescape")
        write_whole(options.slurm, text)
        script = shell(["bash", no_option(str(options.slurm))])
        print(f"{len(waiting)} runs: {script} [options of sbatch]")
        return 0
    from lightning_hash.engine.launched import launched  # Lightning: not for a dry run

    started = launched()
    if started is not None:
        msg = (
            f"sweep: {started.by} has started {started.world} processes, and a sweep is one; give "
            "its runs several by --trainer, or by --jobs"
        )
        raise ValueError(msg)
    ready_folder(options.runs, "--runs", "give another folder")
    sweep = Sweep(options.runs, options.jobs, options.trainer, trust=options.trust)
    return sweep.run(runs)


def make_parser() -> PlainParser:
    """Return the parser of the options."""
    parser = PlainParser(prog="lightning_hash sweep", description=__doc__)
    names = ", ".join(preset_names("papers/*", "studies/*"))
    parser.add_argument(
        "configs", nargs="+", help=f"sweep files, folders of them or patterns; presets: {names}"
    )
    parser.add_argument("--scale", choices=SCALES, default="full", help="which of their lists")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of all runs")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time on this machine")
    parser.add_argument(
        "--trainer", type=Path, help="config that says where fits and attacks run, such as "
        "configs/trainer/gpu.yaml; no part of a run's fingerprint",
    )  # fmt: skip
    parser.add_argument("--only", help="the run of this fingerprint alone; its needs must be there")
    parser.add_argument(OPTION, action="store_true", help="give it to every run, see SECURITY.md")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="print the commands and run nothing")
    how.add_argument("--slurm", type=Path, help="write a script that submits the runs to SLURM")
    return parser


def _one(runs: Sequence[Run], digest: str) -> list[Run]:
    found = [run for run in runs if run.digest == digest]
    if not found:
        known = ", ".join(run.digest for run in runs)
        msg = f"--only {digest}: there is no run of this fingerprint; there are: {known}"
        raise ValueError(msg)
    return found


def _print_commands(runs: Sequence[Run], root: Path, trainer: Path | None, *, trust: bool) -> None:
    done = finished_runs(runs, root)
    for number, run in enumerate(runs, 1):
        state = "finished" if run.digest in done else "to run"
        print(visible(f"# [{number}/{len(runs)}] {run.title} ({state})"))
        print(shell(command_of(run, root, trainer, trust=trust)))
