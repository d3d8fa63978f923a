"""``python -m lightning_hash demo``: train a victim, attack it, print one table, write one page."""

import os

from lightning_hash.commands.plain_parser import PlainParser
from lightning_hash.commands.run_verb import run_verb
from lightning_hash.utils.escapes import shell
from lightning_hash.utils.volume import Volume, volume

ATTACKS = {
    "noise": ("attack/noise.yaml",),
    "hag": ("attack/hag.yaml", "overlay/quick/sgd.yaml"),
    "p2p": ("attack/p2p.yaml", "overlay/quick/sign.yaml"),
    "dhta": ("attack/dhta.yaml", "overlay/quick/sign.yaml"),
}


def main(arguments: list[str]) -> int:
    """Run the commands of the demo, one behind the other.

    Args:
        arguments: what stands behind ``demo``.

    Returns:
        0, or the exit status of the first command that ended with another.
    """
    commands = demo_commands(make_parser().parse_args(arguments).runs)
    # Sums of several threads round otherwise: with one, machines of any size print one table.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for command in commands:
        if volume() is not Volume.QUIET:
            print(f"$ lightning_hash {shell(command)}", flush=True)
        status = run_verb(command[0], command[1:])
        if status:
            return status
    return 0


def make_parser() -> PlainParser:
    """Return the parser of the options."""
    parser = PlainParser(prog="lightning_hash demo", description=__doc__)
    parser.add_argument("--runs", default="runs", help="folder of all runs")
    return parser


def demo_commands(runs: str) -> list[list[str]]:
    """Return the demo's commands: verb and arguments of each.

    Args:
        runs: folder of all runs.

    Example:
        >>> demo_commands("runs")[0]
        ['fit', '--runs', 'runs']
    """
    commands = [["fit", "--runs", runs]]
    for name, configs in ATTACKS.items():
        line = ["attack", "--runs", runs, "--name", f"demo/{name}"]
        commands.append([*line, *(part for config in configs for part in ("--config", config))])
    folders = [f"{runs}/attack/demo/{name}" for name in ATTACKS]
    return [*commands, ["report", *folders, "--output", f"{runs}/report/demo"]]
