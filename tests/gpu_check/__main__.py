"""Check on a GPU what only a GPU can show; print one Markdown table, line by line.

python -m tests.gpu_check --only 'c agreement' --log gpu_check.log
"""

import argparse
import contextlib
import logging
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.gpu_check", description=__doc__)
    parser.add_argument("--only", nargs="+", help="Checks whose name begins like one of these.")
    parser.add_argument("--log", type=Path, default=Path("gpu_check.log"), help="Tracebacks.")
    parser.add_argument("--minutes", type=float, default=8, help="What would begin later does not.")
    parser.add_argument("--list", action="store_true", help="Print the names.")
    parser.add_argument("--device", default="cuda", help=argparse.SUPPRESS)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes

    import torch

    from tests.gpu_check import agreement, commands, memory, networks, processes, ranking, speed
    from tests.gpu_check.frame import Check, Place, Table

    if options.child:
        {"nccl": ranking.nccl}[options.child]()
        return 0
    modules = (processes, ranking, commands, networks, agreement, memory, speed)
    checks = [check for module in modules for check in module.CHECKS]
    if options.list:
        print("\n".join(check.name for check in checks))
        return 0
    wanted = [c for c in checks if not options.only or c.name.startswith(tuple(options.only))]
    if not wanted:
        print(f"error: no check begins with {options.only}; --list names them", file=sys.stderr)
        return 1
    if options.device == "cuda" and not torch.cuda.is_available():
        print("error: torch sees no CUDA device; run this where there is one", file=sys.stderr)
        return 1
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    root = Path.cwd()
    with options.log.open("w") as log, tempfile.TemporaryDirectory() as folder:
        place = Place(options.device, Path(folder), log)
        print(speed.machine(place) + "\n", flush=True)
        table = Table(place, end)
        table.head()
        os.chdir(folder)
        try:
            # The other checks attack this victim.
            table.run([Check("b verb fit", commands.check_fit, 120)])
            table.run(wanted)
        finally:
            os.chdir(root)
        for detail in place.details:
            with contextlib.suppress(BrokenPipeError):
                print(f"\n{detail}", flush=True)
        return 1 if table.failed else 0


if __name__ == "__main__":
    sys.exit(main())
